//! What agents were refused because it harms guard: a line in the log, not one for every try.

use std::collections::HashMap;

use guard_common::shield::Shield;

use super::Core;
use crate::daemon::{
    clock::SECOND,
    record::{Kind, Record},
};

/// One process that tries the same again is written down this rarely.
const QUIET: u64 = 10 * SECOND;
/// Processes remembered for that. The kernel counts every try.
const REMEMBERED: usize = 1_024;

/// When a process was last written down for a kind of try, on the boot clock.
pub(super) type Lately = HashMap<(u32, u32), u64>;

impl Core {
    pub(super) fn shielded(&mut self, agent: u64, tgid: u32, what: u32) {
        let now = self.now.boottime;
        self.shielded.retain(|_, logged| now.saturating_sub(*logged) < QUIET);
        if self.shielded.contains_key(&(tgid, what)) || self.shielded.len() >= REMEMBERED {
            return;
        }
        self.shielded.insert((tgid, what), now);
        let mut record = match self.agents.by_cgroup(agent).map(|agent| agent.number) {
            Some(number) => self.agent_record(Kind::Shielded, number, "guardd".to_owned()),
            None => Record { by: "guardd".to_owned(), ..Record::new(Kind::Shielded) },
        };
        record.pid = Some(tgid);
        record.note = match Shield::from_number(what) {
            Some(what) => format!("refused: this process of an agent tried {}", what.name()),
            None => format!("refused: this process of an agent tried what harms guard (number {what})"),
        };
        self.log(record, false);
    }
}
