//! How approved operations ended: what the kernel says of the calls that approvals let through. It informs: no hold waits for
//! it, and none is released by it.

use std::collections::VecDeque;

use super::{Core, Effect};
use crate::{
    api,
    daemon::{clock::SECOND, record::Kind},
    holds::{Hold, Stage},
    operation::{Context, HoldName},
    result::CallResult,
};

/// How long after an approval the end of its call is listened to. All the while every system call of every process takes
/// the kernel's slow way, so a call that lasts longer has no result.
pub(super) const LISTEN_FOR: u64 = 60 * SECOND;
/// How much longer once nothing is awaited: approvals come in series, and attaching anew takes its time.
pub(super) const LINGER: u64 = 2 * SECOND;
/// Calls that are awaited at once; past it the oldest has no result.
const MOST: usize = 1_024;

/// What the end of calls is listened to for.
#[derive(Default)]
pub(super) struct Awaited {
    /// In the order of their approvals.
    calls: VecDeque<Call>,
    /// Until when somebody is expected to decide.
    looks: u64,
}

struct Call {
    name: HoldName,
    /// Of the hold.
    number: u64,
    until: u64,
}

impl Core {
    /// Somebody looks at a hold and may approve it: to begin to listen takes a moment, and an approval waits for nothing.
    pub(super) fn await_decision(&mut self, number: u64) {
        if self.holds.get(number).is_some_and(|hold| hold.stage == Stage::Pending && hold.ends_in_view()) {
            self.awaited.looks = self.now.boottime + LISTEN_FOR;
            self.listen();
        }
    }

    /// An approval is on its way to the disk, and to the kernel after that.
    pub(super) fn await_result(&mut self, number: u64) {
        let Some(hold) = self.holds.get(number).filter(|hold| hold.ends_in_view()) else {
            return;
        };
        let name = hold.operation.name;
        self.awaited.looks = 0;
        self.awaited.calls.retain(|call| call.name != name && call.until > self.now.boottime);
        self.awaited.calls.push_back(Call { name, number, until: self.now.boottime + LISTEN_FOR });
        if self.awaited.calls.len() > MOST {
            self.awaited.calls.pop_front();
        }
        self.listen();
    }

    /// The call of this hold will not come to it, or its end will not be told.
    pub(super) fn await_no_result(&mut self, name: HoldName) {
        if self.awaited.take(name).is_some() {
            self.listen();
        }
    }

    /// The call is over, with this error; 0 when it succeeded.
    pub(super) fn call_over(&mut self, name: HoldName, errno: u32) {
        let Some(call) = self.awaited.take(name) else { return };
        self.awaited.looks = 0;
        self.listen();
        // What was heard of its end was let through, whatever became of the notice that said so.
        self.consumed(name, true);
        let result = CallResult::of(errno);
        if let Some(hold) = self.holds.get_mut(call.number) {
            hold.result = Some(result.clone());
        }
        let mut record = self.record_of(Kind::Result, call.number);
        record.hold = format!("h{}", call.number);
        record.result = Some(result);
        record.note.clear();
        self.log(record, false);
        self.publish_hold(call.number, |hold| api::Event::Result { hold });
    }

    fn listen(&mut self) {
        let calls = self.awaited.calls.back().map_or(self.now.boottime + LINGER, |call| call.until);
        self.emit(Effect::Listen { until: calls.max(self.awaited.looks) });
    }
}

impl Hold {
    /// What is stopped after it happened has a result that nobody approved.
    fn ends_in_view(&self) -> bool {
        self.operation.context != Context::Tripped
    }
}

impl Awaited {
    fn take(&mut self, name: HoldName) -> Option<Call> {
        let at = self.calls.iter().position(|call| call.name == name)?;
        self.calls.remove(at)
    }
}
