//! The core's side of the audit log: numbering lines, and what waits for the disk.

use super::{Core, Effect, Then};
use crate::{
    api::{self, ProblemKind},
    daemon::{
        record::{Kind, Record},
        rulebook::Ruling,
    },
    holds::Stage,
    operation::Operation,
    rules::source,
};

impl Core {
    /// Numbers a line and sends it off; answers its number. It may be the first of another segment.
    pub(super) fn log(&mut self, record: Record, flush: bool) -> u64 {
        self.close_if_due();
        let seq = self.number(record, flush);
        self.sign_if_due();
        seq
    }

    pub(super) fn number(&mut self, mut record: Record, flush: bool) -> u64 {
        self.seq += 1;
        record.seq = self.seq;
        record.time = self.now.rfc3339();
        record.boot.clone_from(&self.about.boot);
        record.boottime_ns = self.now.boottime;
        self.emit(Effect::Audit { record: Box::new(record), flush });
        self.seq
    }

    pub(super) fn note(&mut self, kind: Kind, note: String) {
        let mut record = Record::new(kind);
        record.note = note;
        record.by = "guardd".to_owned();
        self.log(record, true);
    }

    pub(super) fn started(&mut self, note: String) {
        let mut record = Record::new(Kind::Start);
        (record.note, record.by) = (note, "guardd".to_owned());
        record.rules = source::digest(self.rulebook.sources());
        self.log(record, true);
    }

    pub(super) fn in_trouble(&mut self, trouble: String) {
        self.note(Kind::Error, trouble.clone());
        self.trouble = Some(trouble);
        self.publish_status();
    }

    pub(super) fn refused_peer(&mut self, by: String, note: String) {
        self.counts.refused_peers += 1;
        let mut record = Record::new(Kind::RefusedPeer);
        record.by = by;
        record.note = note;
        self.log(record, false);
    }

    pub(super) fn audit_flushed(&mut self, seq: u64) {
        // While the log is in trouble an old answer releases nothing.
        if self.audit_failed.is_some() {
            return;
        }
        while let Some(queued) = self.queue.pop_front_if(|queued| queued.seq <= seq) {
            match queued.then {
                Then::Release(number) => self.release(number, queued.seq),
                Then::Reply(token, answer) => self.reply(token, answer),
                Then::ReplyHold(token, number) => {
                    let answer = self.hold_answer(number);
                    self.reply(token, answer);
                }
                Then::Retire(number) => self.emit(Effect::RemoveSegment(number)),
                Then::Signed(token) => self.signed(token),
            }
        }
    }

    /// Takes back every approval that is not on the disk.
    pub(super) fn audit_stopped(&mut self, reason: String) {
        tracing::error!("the audit log cannot be written, nothing is approved: {reason}");
        self.audit_failed = Some(reason.clone());
        self.next_probe = self.now.boottime + crate::daemon::clock::SECOND;
        let mut withdrawn = Vec::new();
        for queued in std::mem::take(&mut self.queue) {
            match queued.then {
                Then::Release(number) => {
                    let recording = Stage::Recording { seq: queued.seq };
                    if let Some(hold) = self.holds.get_mut(number).filter(|hold| hold.stage == recording) {
                        hold.stage = Stage::Pending;
                        withdrawn.push(number);
                    }
                }
                Then::Reply(token, answer) => self.reply(token, answer),
                Then::ReplyHold(token, number) => {
                    let answer = if withdrawn.contains(&number) {
                        let message = format!("The audit log cannot be written ({reason}), so nothing is approved.");
                        super::problem(ProblemKind::AuditUnavailable, message)
                    } else {
                        self.hold_answer(number)
                    };
                    self.reply(token, answer);
                }
                // It is named again when the next segment is closed.
                Then::Retire(_) => {}
                Then::Signed(token) => self.not_signed(token, &reason),
            }
        }
        for number in withdrawn {
            let mut record = self.record_of(Kind::Withdrawn, number);
            record.note = format!("the audit log could not be written: {reason}");
            self.log(record, false);
            if let Some(hold) = self.holds.get_mut(number) {
                hold.decision = None;
            }
            self.publish_hold(number, |hold| api::Event::Held { hold });
        }
        self.publish_status();
    }

    pub(super) fn audit_recovered(&mut self) {
        if self.audit_failed.take().is_some() {
            tracing::warn!("the audit log can be written again");
            self.publish_status();
        }
    }

    /// Says who wants what. Later lines about the hold repeat it, and change nothing of it.
    pub(super) fn log_hold(&mut self, number: u64) {
        let record = self.record_of(Kind::Hold, number);
        self.log(record, false);
        self.was_logged(number);
    }

    pub(super) fn was_logged(&mut self, number: u64) {
        if let Some(hold) = self.holds.get_mut(number) {
            hold.logged = true;
        }
    }

    /// A line about an operation and what the rules say of it.
    pub(super) fn record_about(
        &self,
        kind: Kind,
        operation: &Operation,
        agent: Option<u64>,
        ruling: &Ruling,
    ) -> Record {
        let mut record = Record::new(kind);
        if let Some(agent) = agent.and_then(|agent| self.agents.get(agent)) {
            record.agent = agent.id();
            record.agent_name = agent.name.clone();
            record.cgroup = agent.cgroup.clone();
        }
        record.rule = ruling.rule.clone();
        if matches!(kind, Kind::Hold | Kind::WouldHold) {
            record.rule_text = ruling.text.clone();
        }
        record.reversibility = Some(ruling.reversibility);
        record.context = Some(super::view::context(operation));
        record.operation = Some(super::view::operation(operation));
        let target = &operation.target;
        record.object = (target.ino != 0).then(|| [u64::from(target.dev), target.ino, u64::from(target.generation)]);
        record.pid = Some(operation.tgid);
        record.tid = Some(operation.tid);
        record.uid = Some(operation.uid);
        record.processes = vec![super::view::actor(operation)];
        record
    }

    /// A line about a hold as it stands.
    pub(super) fn record_of(&self, kind: Kind, number: u64) -> Record {
        let Some(hold) = self.holds.get(number) else { return Record::new(kind) };
        let mut record = self.record_about(kind, &hold.operation, hold.agent, &hold.ruling);
        record.hold = hold.id();
        record.agent_name = hold.agent_name.clone();
        if let Some(facts) = hold.facts.as_ref().filter(|facts| !facts.processes.is_empty()) {
            record.processes = facts.processes.clone();
        }
        record.environment = hold.facts.as_ref().map(|facts| facts.environment.clone()).unwrap_or_default();
        record.cause = hold.cause.clone();
        record.blast = hold.blast.clone();
        if let Some(decision) = &hold.decision {
            record.verdict = Some(decision.verdict);
            record.scope = Some(decision.scope);
            record.by = decision.by.clone();
            record.note = decision.note.clone();
        }
        record.outcome = hold.outcome;
        record
    }
}
