//! What agents touch, as the log has it: every ten minutes, and at an agent's end, what is new since the record before. An
//! agent cannot push anything out of the log by touching much: what is beyond its budget is said more roughly, and later.

use std::{collections::HashMap, os::unix::ffi::OsStrExt as _, path::Path};

use guard_common::{
    footprint::{READS, WRITES},
    op::Op,
};

use super::{Core, Token, answer::Answer, budget::Budget};
use crate::{
    daemon::{clock::SECOND, record::Kind},
    footprint::{Footprint, Sum},
    operation::{Address, Context, Operation},
    text::lossy,
    touched::{Touched, What},
};

/// How often what an agent touched is written.
const EVERY: u64 = 600 * SECOND;
/// Bytes of one record, about.
const PART: usize = 48 << 10;
/// What one agent may write of it: 2 MiB at once, and 11 MB a day, a four-hundredth of what is kept.
const BYTES: (u64, u64) = (2 << 20, 128);
/// What is told apart of an agent that touched more than that.
const ROUGHLY: usize = 64;

/// What agents touched and is not written yet, by number.
pub(super) type Footprints = HashMap<u64, Pending>;

pub(super) struct Pending {
    sum: Sum,
    /// When it is written, once there is something.
    due: Option<u64>,
    budget: Budget,
}

impl Default for Pending {
    fn default() -> Self {
        Self { sum: Sum::default(), due: None, budget: Budget::new(BYTES.0, BYTES.1) }
    }
}

impl Core {
    /// `all`: nothing that was counted until now is missing. What is due is written then, less what was stopped.
    pub(super) fn touched(&mut self, touched: &[Touched], all: bool) {
        for Touched { agent, what, reads, writes } in touched {
            let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            // It was let go meanwhile, or it is the canary.
            let Some(pending) = self.pending_of(*agent) else { continue };
            match what {
                What::Directory(path) => {
                    let path = lossy(path.as_os_str().as_bytes());
                    pending.sum.directory(&path, signed(*reads), signed(*writes), false);
                }
                What::Socket(path) => {
                    let to = super::view::address(&Address::UnixPath(path.clone()));
                    pending.sum.reached(&to, *reads);
                }
                What::Address(address) => pending.sum.reached(&super::view::address(address), *reads),
            }
        }
        if all {
            let now = self.now.boottime;
            let due = self.footprints.iter().filter(|(_, pending)| pending.due.is_some_and(|due| due <= now));
            let mut due: Vec<u64> = due.map(|(number, _)| *number).collect();
            due.sort_unstable();
            due.into_iter().for_each(|number| self.write_footprint(number, false));
        }
    }

    pub(super) fn touched_program(&mut self, agent: u64, path: &Path) {
        if let Some(pending) = self.pending_of(agent) {
            pending.sum.program(&lossy(path.as_os_str().as_bytes()), 1);
        }
    }

    /// The kernel counted what it stopped before it took effect, and counts it again when it goes on.
    pub(super) fn touched_nothing_yet(&mut self, operation: &Operation) {
        let (reads, writes) = (READS.contains(operation.op), WRITES.contains(operation.op));
        if operation.context == Context::Tripped || !(reads || writes) {
            return;
        }
        let Some(pending) = self.pending_of(operation.agent) else { return };
        let has_two = matches!(operation.op, Op::Rename | Op::Link);
        for path in [Some(&operation.path), has_two.then_some(&operation.other_path)].into_iter().flatten() {
            if let Some(directory) = path.parent() {
                let directory = lossy(directory.as_os_str().as_bytes());
                pending.sum.directory(&directory, -i64::from(reads), -i64::from(writes), false);
            }
        }
    }

    /// Of the agent with this cgroup.
    fn pending_of(&mut self, cgroup_id: u64) -> Option<&mut Pending> {
        let number = self.agents.by_cgroup(cgroup_id)?.number;
        let pending = self.footprints.entry(number).or_default();
        pending.due.get_or_insert(self.now.boottime + EVERY);
        Some(pending)
    }

    /// Writes all there is, for somebody who waits for it or because guardd ends.
    pub(super) fn write_footprints(&mut self) {
        let mut numbers: Vec<u64> = self.footprints.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            self.write_footprint(number, true);
        }
    }

    pub(super) fn footprints_wanted(&mut self, token: Token) {
        let before = self.seq;
        self.write_footprints();
        // Of what was written before nobody may hear again that it is on the disk.
        if self.seq == before { self.reply(token, Answer::Done) } else { self.reply_logged(token, Answer::Done) }
    }

    /// Writes the last of an agent that is let go.
    pub(super) fn end_footprint(&mut self, number: u64) {
        self.write_footprint(number, true);
        self.footprints.remove(&number);
    }

    /// Unless it `must` be now, an agent beyond its budget waits.
    fn write_footprint(&mut self, number: u64, must: bool) {
        let now = self.now.boottime;
        let Some(pending) = self.footprints.get_mut(&number) else { return };
        pending.due = None;
        if pending.sum.is_empty() {
            pending.sum = Sum::default();
            return;
        }
        if !pending.budget.has_room(now) {
            if !must {
                pending.due = Some(now + EVERY);
                return;
            }
            pending.sum.fold(ROUGHLY);
        }
        let parts = pending.sum.parts(PART);
        pending.budget.spend((parts.len() * PART) as u64);
        pending.sum = Sum::default();
        for part in parts {
            let mut record = self.agent_record(Kind::Footprint, number, String::new());
            record.footprint = Some(Box::new(self.with_places(number, part)));
            self.log(record, must);
        }
    }

    /// Says what it may be compared with.
    fn with_places(&self, number: u64, footprint: Footprint) -> Footprint {
        let Some(agent) = self.agents.get(number) else { return footprint };
        let text = |path: &Path| lossy(path.as_os_str().as_bytes());
        let (home, workspace) = (text(&agent.places.home), text(&agent.places.workspace));
        Footprint { policy: agent.places.policy.clone(), home, workspace, ..footprint }
    }
}
