//! What the kernel says, on its way into the loop: notices, records, execs, what was touched. Nothing is decided here.
#![forbid(unsafe_code)]

use guard_common::{
    count::Count,
    notice::{self, Notice},
    record::{HoldKey, SLOT_DENIED},
};

use super::Daemon;
use crate::{
    daemon::{core::Input, effect::Kernel},
    execution::Execution,
    holds::Losses,
    kernel::source::{self, Ring},
    operation::{HoldName, Operation},
};

impl<K: Kernel> Daemon<K> {
    /// What the kernel has said until now, and did not wake for.
    pub(super) fn hear(&mut self, notices: &mut impl Ring<Notice>) {
        for notice in notices.now() {
            self.notice(notice);
        }
    }

    /// Execs wait in the kernel while the disk is behind: they must not take the room of decisions.
    pub(super) fn has_room_for_execs(&self) -> bool {
        !self.edge.audit.is_behind() && self.core.can_log()
    }

    /// The same of what agents execute; false when there may be more.
    pub(super) fn hear_of_execs(&mut self, executions: &mut impl Ring<Execution>) -> bool {
        if !self.has_room_for_execs() {
            return false;
        }
        let found = executions.now();
        let all = found.len() < source::MOST;
        for execution in found {
            self.handle(Input::Executed(Box::new(execution)));
        }
        all
    }

    /// What agents touched: what the kernel told, or all that it counted.
    pub(super) fn hear_of_touches(&mut self, all: bool) {
        match self.edge.kernel.touched(all) {
            Ok(touched) if touched.is_empty() && !all => {}
            Ok(touched) => self.handle(Input::Touched { touched, all }),
            Err(error) => tracing::warn!("what agents touch cannot be read: {error}"),
        }
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        let name = HoldName { key: notice.key, hold: notice.hold };
        match notice.kind {
            notice::HELD => {
                // A refused call does not wait: its process may have ended, and taken the record with it.
                if !self.look(notice.key) && notice.key.slot == SLOT_DENIED && !self.core.knows(name) {
                    self.handle(Input::Missed { tgid: notice.tgid });
                }
            }
            notice::HELD_AGAIN => {
                self.handle(Input::HeldAgain(name));
                // The core may not know it: its first notice was lost, or it gave the hold up.
                self.look(notice.key);
            }
            notice::APPROVED => self.handle(Input::Consumed { name, approved: true }),
            notice::DENIED => self.handle(Input::Consumed { name, approved: false }),
            notice::APPROVED_UNHEARD => {
                self.handle(Input::Consumed { name, approved: true });
                self.handle(Input::Unheard(name));
            }
            notice::RESULT => self.handle(Input::Result { name, errno: notice.tgid }),
            notice::SHIELDED => {
                self.handle(Input::Shielded { agent: notice.hold, tgid: notice.tgid, what: notice.key.slot });
            }
            notice::GONE => self.handle(Input::Gone(name)),
            unknown => tracing::error!("unknown notice {unknown} about task {}", notice.key.id),
        }
    }

    /// A full ring buffer loses notices and a wake-up may be missed, never a hold: it is in the map and found there.
    /// Records are large: what is known to wait is read again only when a notice was lost.
    pub(super) fn scan(&mut self) {
        let all = match self.edge.kernel.counts() {
            Ok(counts) => {
                let unseen = counts.iter().find(|(count, _)| *count == Count::ExecUnseen);
                self.handle(Input::ExecsUnseen(unseen.map_or(0, |(_, value)| *value)));
                let losses = Losses::of(&counts);
                let before = std::mem::replace(&mut self.losses, losses);
                if before != losses {
                    self.handle(Input::Counted(losses));
                }
                before.lost != losses.lost
            }
            Err(error) => {
                tracing::warn!("the kernel's counters cannot be read: {error}");
                true
            }
        };
        match self.edge.kernel.records() {
            Ok(keys) => {
                for key in keys {
                    if all || !self.core.waits_under(key) {
                        self.look(key);
                    }
                }
            }
            Err(error) => self.handle(Input::Trouble(format!("the kernel's holds cannot be read: {error}"))),
        }
    }

    /// Reads a record from the kernel; false when there is none. What cannot be read or understood stays stopped.
    pub(in crate::daemon) fn look(&mut self, key: HoldKey) -> bool {
        match self.edge.kernel.record(key) {
            Ok(Some(stopped)) => match Operation::decode(key, &stopped) {
                Ok(mut operation) => {
                    crate::kernel::resolve::paths(&mut operation);
                    match self.core.asks(&operation) {
                        None => self.handle(Input::Candidate(Box::new(operation))),
                        Some(question) => self.edge.find_out(Box::new(operation), question),
                    }
                }
                Err(error) => self.handle(Input::Undecodable { key, error: error.to_string() }),
            },
            Ok(None) => return false,
            Err(error) => self.handle(Input::Undecodable { key, error: error.to_string() }),
        }
        true
    }
}
