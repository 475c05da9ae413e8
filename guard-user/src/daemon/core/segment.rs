//! The core's side of segments: when the log is signed, when a segment ends, and that one is removed. What is in the files is
//! not known here.

use super::{Answer, Core, Effect, Queued, Then, Token, problem};
use crate::{
    api::ProblemKind,
    audit::chain::Digest,
    daemon::{
        audit::keep::Old,
        clock::SECOND,
        record::{Kind, Record, SCHEMA},
    },
};

/// Records, and time, that may pass without a signature.
const SIGN_AFTER: u64 = 4_096;
const SIGN_WITHIN: u64 = 600 * SECOND;

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Segment {
    /// Time of its first record, since 1970 in nanoseconds.
    since: i128,
    /// Longest it may last, in nanoseconds.
    age: i128,
    full: bool,
    /// Records since the last checkpoint.
    unsigned: u64,
    /// When the next checkpoint is due, on the boot clock.
    due: Option<u64>,
}

impl Core {
    /// The log is open. A new one gets its first record.
    pub(super) fn log_opened(&mut self, fresh: bool, since: Option<i128>, age: i128) {
        let since = since.unwrap_or(self.now.wall);
        self.segment = Some(Segment { since, age, full: false, unsigned: 0, due: None });
        if fresh {
            self.begin_segment();
        }
    }

    pub(super) fn segment_full(&mut self) {
        if let Some(segment) = &mut self.segment {
            segment.full = true;
        }
    }

    /// When a checkpoint is due, on the boot clock.
    pub(super) fn sign_due(&self) -> Option<u64> {
        // While nothing can be written, nothing can be signed.
        self.segment.as_ref().filter(|_| self.audit_failed.is_none()).and_then(|segment| segment.due)
    }

    /// Before a record: it belongs to the next segment when this one is full, or old.
    pub(super) fn close_if_due(&mut self) {
        let now = self.now.wall;
        let ends = |segment: &Segment| segment.full || now.saturating_sub(segment.since) >= segment.age;
        if self.audit_failed.is_none() && self.segment.as_ref().is_some_and(ends) {
            self.checkpoint(true);
            self.begin_segment();
        }
    }

    /// After a record.
    pub(super) fn sign_if_due(&mut self) {
        let boottime = self.now.boottime;
        let Some(segment) = &mut self.segment else { return };
        segment.unsigned += 1;
        segment.due.get_or_insert(boottime + SIGN_WITHIN);
        if segment.unsigned >= SIGN_AFTER && self.audit_failed.is_none() {
            self.checkpoint(false);
        }
    }

    /// Answers once it is on the disk.
    pub(super) fn checkpoint_wanted(&mut self, token: Token) {
        if let Some(reason) = self.audit_failed.clone() {
            return self.not_signed(token, &reason);
        }
        self.checkpoint(false);
        self.queue.push_back(Queued { seq: self.seq, then: Then::Signed(token) });
    }

    pub(super) fn signed(&mut self, token: Token) {
        self.reply(token, Answer::Done);
    }

    pub(super) fn not_signed(&mut self, token: Token, reason: &str) {
        let message = format!("The audit log cannot be written ({reason}).");
        self.reply(token, problem(ProblemKind::AuditUnavailable, message));
    }

    pub(super) fn checkpoint(&mut self, closes: bool) {
        let Some(segment) = &mut self.segment else { return };
        (segment.unsigned, segment.due) = (0, None);
        let mut record = Record::new(Kind::Checkpoint);
        record.closes = closes;
        record.last_hold = Some(self.holds.last());
        self.number(record, true);
    }

    fn begin_segment(&mut self) {
        let Some(segment) = &mut self.segment else { return };
        (segment.since, segment.full) = (self.now.wall, false);
        let mut record = Record::new(Kind::Segment);
        record.note = format!("guard {}", env!("CARGO_PKG_VERSION"));
        record.schema = Some(SCHEMA);
        record.key.clone_from(&self.about.audit_key);
        record.last_hold = Some(self.holds.last());
        self.number(record, false);
    }

    /// These are removed as soon as a record that says so is on the disk.
    pub(super) fn segments_old(&mut self, old: &[Old]) {
        for Old { number, last } in old {
            let seq = self.retired(*number, *last);
            self.queue.push_back(Queued { seq, then: Then::Retire(*number) });
        }
    }

    fn retired(&mut self, number: u64, last: Digest) -> u64 {
        let mut record = Record::new(Kind::Retired);
        record.by = "guardd".to_owned();
        record.segment = Some(number);
        record.last = last.to_string();
        self.log(record, true)
    }

    pub(super) fn segment_rotated(&mut self) {
        self.emit(Effect::Tidy);
    }
}
