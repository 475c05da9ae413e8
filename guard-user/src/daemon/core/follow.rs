//! What becomes of a hold after it was decided, or without a decision: used, gone, expired, stopped again.

use guard_common::grant::{DENY, Grant};

use super::{CONTINUE_EVERY, Core, Effect, GRANT_LIFE};
use crate::{
    api::{self, Outcome, Verdict},
    daemon::{
        clock::{MILLISECOND, SECOND},
        record::Kind,
    },
    holds::{Ending, Losses, Stage},
    operation::{Context, HoldName},
};

/// What a thread needs that was woken and did not come for its answer: it may be stopped again for the sake of another
/// thread. A tracer is told of each `SIGCONT`, and its tracee stops for that, so a thread that is not stopped by a signal
/// gets one less and less often: were they to come faster than the tracer answers, the thread would never go on.
fn continue_again(deadline: u64, due: u64, now: u64, tgid: u32, tid: u32) -> Effect {
    let granted = deadline.saturating_sub(GRANT_LIFE);
    let doublings = |at: u64| (at.saturating_sub(granted) / CONTINUE_EVERY).checked_ilog2();
    if doublings(due.saturating_sub(CONTINUE_EVERY)) == doublings(now) {
        Effect::ContinueIfStopped { tgid, tid }
    } else {
        Effect::Continue { tgid }
    }
}

/// The kernel's clock decides whether a grant is void; the daemon waits this much longer before it says so.
pub(super) const GRACE: u64 = 50 * MILLISECOND;

impl Core {
    pub(super) fn held_again(&mut self, name: HoldName) {
        if let Some(hold) = self.holds.named(name).and_then(|number| self.holds.get_mut(number)) {
            hold.stops += 1;
            let operation = hold.operation.clone();
            self.touched_nothing_yet(&operation);
        }
    }

    pub(super) fn consumed(&mut self, name: HoldName, approved: bool) {
        if self.cleared.get(&name.key).is_some_and(|cleared| cleared.hold == name.hold) {
            self.cleared.remove(&name.key);
            return;
        }
        let Some(number) = self.holds.named(name) else { return };
        if let Some(operation) = self.holds.get(number).filter(|_| !approved).map(|hold| hold.operation.clone()) {
            // It tried again, to be refused.
            self.touched_nothing_yet(&operation);
        }
        let note = match self.holds.get(number).map(|hold| &hold.stage) {
            Some(Stage::Pending | Stage::Recording { .. }) => "decided before guardd was started again",
            Some(Stage::Granted { .. } | Stage::Killing | Stage::Done) | None => "",
        };
        self.finish(number, if approved { Outcome::Released } else { Outcome::Refused }, note);
    }

    pub(super) fn gone(&mut self, name: HoldName) {
        self.unreadable.remove(&name.key);
        self.cleared.retain(|key, cleared| *key != name.key || cleared.hold != name.hold);
        if let Some(number) = self.holds.named(name) {
            self.died(number);
        }
    }

    /// Ends what was of a process, but for what its successor has by now.
    pub(super) fn process_gone(&mut self, tgid: u32, own: &[HoldName]) {
        self.allowances.retain(|allowance| allowance.tgid != tgid);
        self.cleared.retain(|_, cleared| cleared.tgid != tgid);
        let of_it = self.holds.live().filter(|hold| hold.operation.tgid == tgid);
        let gone = of_it.filter(|hold| !own.contains(&hold.operation.name)).map(|hold| hold.number);
        for number in gone.collect::<Vec<_>>() {
            self.died(number);
        }
        if !own.is_empty() {
            // The number was watched for the first one.
            self.emit(Effect::Watch { tgid });
        }
    }

    pub(super) fn grant_failed(&mut self, name: HoldName, error: &str) {
        self.counts.grant_failed += 1;
        tracing::error!("a grant could not be written: {error}");
        if let Some(cleared) = self.cleared.get_mut(&name.key).filter(|cleared| cleared.hold == name.hold) {
            // Void at the next tick: the call is stopped anew and judged again.
            cleared.deadline = self.now.boottime;
            cleared.next = Some(self.now.boottime + SECOND);
            return;
        }
        let Some(number) = self.holds.named(name) else { return };
        if let Some(hold) = self.holds.get_mut(number) {
            hold.stage = Stage::Pending;
        }
        let mut record = self.record_of(Kind::Withdrawn, number);
        record.note = format!("the kernel did not take the grant: {error}");
        self.log(record, false);
        if let Some(hold) = self.holds.get_mut(number) {
            hold.decision = None;
        }
    }

    /// Repeats `SIGCONT`, ends what was not used in time, and tries the audit log again.
    pub(super) fn tick(&mut self) {
        self.expire();
        let now = self.now.boottime;
        if self.save_due.is_some_and(|due| due <= now) {
            self.save();
        }
        if self.sign_due().is_some_and(|due| due <= now) {
            self.checkpoint(false);
        }
        self.tick_execs();
        let due: Vec<u64> = self
            .holds
            .live()
            .filter(|hold| matches!(hold.stage, Stage::Granted { .. }))
            .map(|hold| hold.number)
            .collect();
        for number in due {
            self.tick_hold(number, now);
        }
        let mut again = Vec::new();
        self.cleared.retain(|key, cleared| {
            let name = HoldName { key: *key, hold: cleared.hold };
            if now > cleared.deadline + GRACE {
                again.push(Effect::RemoveHold(name));
                let waits = cleared.next.filter(|_| !cleared.tripped);
                again.extend(waits.map(|_| Effect::Continue { tgid: cleared.tgid }));
                return false;
            }
            if cleared.next.is_some_and(|next| next <= now) && cleared.tripped {
                // Less and less often.
                let since = cleared.deadline - GRANT_LIFE;
                cleared.next = Some(now + (now - since).max(CONTINUE_EVERY));
                again.push(Effect::ContinueStopped { name, tgid: cleared.tgid });
            } else if let Some(next) = cleared.next.filter(|next| *next <= now) {
                cleared.next = Some(now + CONTINUE_EVERY);
                again.push(continue_again(cleared.deadline, next, now, cleared.tgid, key.id));
            }
            true
        });
        self.effects.append(&mut again);
        if self.audit_failed.is_some() && self.next_probe <= now {
            self.next_probe = now + SECOND;
            self.emit(Effect::ProbeAudit);
        }
    }

    fn tick_hold(&mut self, number: u64, now: u64) {
        let Some(hold) = self.holds.get_mut(number) else { return };
        let Stage::Granted { deadline, next } = hold.stage else { return };
        let (tgid, tid) = (hold.operation.tgid, hold.operation.tid);
        if now > deadline + GRACE {
            return self.end_unheard(number, Ending::Late);
        }
        if let Some(next) = next.filter(|next| *next <= now) {
            hold.stage = Stage::Granted { deadline, next: Some(now + CONTINUE_EVERY) };
            self.emit(continue_again(deadline, next, now, tgid, tid));
        }
    }

    /// Ends a hold: logged, published, and off the reasons its agent is frozen.
    pub(super) fn finish(&mut self, number: u64, outcome: Outcome, note: &str) {
        // A process may end before anything could be found out about it: the log still begins with what it wanted.
        if self.holds.get(number).is_some_and(|hold| !hold.logged) {
            self.log_hold(number);
        }
        let Some(hold) = self.holds.finish(number, outcome) else { return };
        let (agent, name) = (hold.agent, hold.operation.name);
        if outcome != Outcome::Released {
            self.await_no_result(name);
        }
        let mut record = self.record_of(Kind::Outcome, number);
        note.clone_into(&mut record.note);
        self.log(record, false);
        self.publish_hold(number, |hold| api::Event::Finished { hold });
        let Some(agent) = agent.and_then(|agent| self.agents.get_mut(agent)) else { return };
        if agent.trips.remove(&number) && !agent.frozen() {
            let (agent, cgroup) = (agent.number, agent.cgroup.clone());
            self.act(agent, cgroup, super::Act::Thaw, None, "guardd".to_owned());
        }
    }

    pub(super) fn died(&mut self, number: u64) {
        let Some(hold) = self.holds.get(number) else { return };
        if hold.stage == Stage::Killing {
            self.emit(Effect::RemoveHold(hold.operation.name));
            return self.finish(number, Outcome::Killed, "");
        }
        self.end_unheard(number, Ending::Died);
    }

    /// The hold is over and nobody said what became of its answer. If there was one, the edge is asked first.
    pub(super) fn end_unheard(&mut self, number: u64, ending: Ending) {
        let Some(hold) = self.holds.get_mut(number) else { return };
        if !matches!(hold.stage, Stage::Granted { .. }) {
            return self.end(number, ending, None);
        }
        hold.ending = Some(ending);
        let (name, operation) = (hold.operation.name, &hold.operation);
        let (tgid, tid, start_boottime) = (operation.tgid, operation.tid, operation.start_boottime);
        self.emit(Effect::Settle { number, name, tgid, tid, start_boottime });
    }

    /// An answer leaves the kernel when it is used, when it is void, which is counted, or with its thread. Where no
    /// notice was lost, what was not said did not happen.
    pub(super) fn settled(&mut self, number: u64, waits: bool, lives: bool, losses: Losses) {
        let Some(hold) = self.holds.get(number).filter(|hold| hold.live()) else { return };
        let Some(ending) = hold.ending else { return };
        let verdict = hold.decision.as_ref().map(|decision| decision.verdict);
        let known = if waits || losses.lost == hold.losses.lost {
            None
        } else if lives && losses.voided == hold.losses.voided {
            let used = if verdict == Some(Verdict::Approve) { Outcome::Released } else { Outcome::Refused };
            Some((used, "the kernel's notice was lost; the answer is gone and was not void, so it was used"))
        } else if verdict == Some(Verdict::Approve) {
            Some((Outcome::Unknown, "the kernel's notice was lost: it went on, or did not come to it"))
        } else {
            None
        };
        if ending == Ending::Late && verdict != Some(Verdict::Approve) && known.is_none() {
            return self.deny_again(number);
        }
        self.end(number, ending, known);
    }

    /// A denial does not age: it is given again until the call comes for it.
    fn deny_again(&mut self, number: u64) {
        let (now, losses) = (self.now.boottime, self.losses);
        let Some(hold) = self.holds.get_mut(number) else { return };
        let (name, tgid) = (hold.operation.name, hold.operation.tgid);
        let deadline = now + GRANT_LIFE;
        hold.stage = Stage::Granted { deadline, next: Some(now + CONTINUE_EVERY) };
        (hold.losses, hold.ending) = (losses, None);
        self.emit(Effect::Grant { name, grant: Grant { hold: name.hold, deadline, verdict: DENY, policy: 0 } });
        self.emit(Effect::Continue { tgid });
    }

    /// `known` is what became of it, where that is not what the ending says.
    fn end(&mut self, number: u64, ending: Ending, known: Option<(Outcome, &str)>) {
        let Some(hold) = self.holds.get(number) else { return };
        let (name, tgid) = (hold.operation.name, hold.operation.tgid);
        let waits = hold.operation.context == Context::Held;
        let (outcome, note) = known.unwrap_or(match ending {
            Ending::Late => (Outcome::Expired, "the approval was not used in time"),
            Ending::Became => (Outcome::Expired, "became another operation"),
            Ending::Died => (Outcome::Died, ""),
        });
        match ending {
            Ending::Late => {
                self.emit(Effect::RemoveHold(name));
                self.finish(number, outcome, note);
                if waits {
                    // If it was not used, it is stopped again at once, as a new hold.
                    self.emit(Effect::Continue { tgid });
                }
            }
            Ending::Became => self.finish(number, outcome, note),
            Ending::Died => {
                self.emit(Effect::RemoveHold(name));
                self.finish(number, outcome, note);
            }
        }
    }
}
