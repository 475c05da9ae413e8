//! What becomes of a hold after it was decided, or without a decision: used, gone, expired, stopped again.

use guard_common::grant::{DENY, Grant};

use super::{CONTINUE_EVERY, Core, Effect, GRANT_LIFE};
use crate::{
    api::{self, Outcome, Verdict},
    daemon::{
        clock::{MILLISECOND, SECOND},
        record::Kind,
    },
    holds::Stage,
    operation::{Context, HoldName},
};

/// The kernel's clock decides whether a grant is void; the daemon waits this much longer before it says so.
pub(super) const GRACE: u64 = 50 * MILLISECOND;

impl Core {
    pub(super) fn held_again(&mut self, name: HoldName) {
        if let Some(hold) = self.holds.named(name).and_then(|number| self.holds.get_mut(number)) {
            hold.stops += 1;
        }
    }

    pub(super) fn consumed(&mut self, name: HoldName, approved: bool) {
        if self.cleared.get(&name.key).is_some_and(|cleared| cleared.hold == name.hold) {
            self.cleared.remove(&name.key);
            return;
        }
        let Some(number) = self.holds.named(name) else { return };
        let note = match self.holds.get(number).map(|hold| &hold.stage) {
            Some(Stage::Pending | Stage::Recording { .. }) => "decided before guardd was started again",
            Some(Stage::Granted { .. } | Stage::Killing | Stage::Done) | None => "",
        };
        self.finish(number, if approved { Outcome::Released } else { Outcome::Refused }, note);
    }

    pub(super) fn gone(&mut self, name: HoldName) {
        self.cleared.retain(|key, cleared| *key != name.key || cleared.hold != name.hold);
        if let Some(number) = self.holds.named(name) {
            self.died(number);
        }
    }

    pub(super) fn process_gone(&mut self, tgid: u32) {
        self.allowances.retain(|allowance| allowance.tgid != tgid);
        self.cleared.retain(|_, cleared| cleared.tgid != tgid);
        let gone: Vec<u64> =
            self.holds.live().filter(|hold| hold.operation.tgid == tgid).map(|hold| hold.number).collect();
        for number in gone {
            self.died(number);
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
                again.extend(cleared.next.map(|_| Effect::Continue { tgid: cleared.tgid }));
                return false;
            }
            if cleared.next.is_some_and(|next| next <= now) {
                cleared.next = Some(now + CONTINUE_EVERY);
                again.push(Effect::Continue { tgid: cleared.tgid });
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
        let (name, tgid) = (hold.operation.name, hold.operation.tgid);
        let verdict = hold.decision.as_ref().map(|decision| decision.verdict);
        if now > deadline + GRACE {
            if verdict != Some(Verdict::Approve) {
                // A denial does not age: it is given again until the call comes for it.
                let deadline = now + GRANT_LIFE;
                hold.stage = Stage::Granted { deadline, next: Some(now + CONTINUE_EVERY) };
                self.emit(Effect::Grant { name, grant: Grant { hold: name.hold, deadline, verdict: DENY, pad: 0 } });
                return self.emit(Effect::Continue { tgid });
            }
            let waits = hold.operation.context == Context::Held;
            self.emit(Effect::RemoveHold(name));
            self.finish(number, Outcome::Expired, "the approval was not used in time");
            if waits {
                // It is stopped again at once, as a new hold.
                self.emit(Effect::Continue { tgid });
            }
            return;
        }
        if next.is_some_and(|next| next <= now) {
            hold.stage = Stage::Granted { deadline, next: Some(now + CONTINUE_EVERY) };
            self.emit(Effect::Continue { tgid });
        }
    }

    /// Ends a hold: logged, published, and off the reasons its agent is frozen.
    pub(super) fn finish(&mut self, number: u64, outcome: Outcome, note: &str) {
        let Some(hold) = self.holds.finish(number, outcome) else { return };
        let agent = hold.agent;
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

    fn died(&mut self, number: u64) {
        let Some(hold) = self.holds.get(number) else { return };
        let outcome = if hold.stage == Stage::Killing { Outcome::Killed } else { Outcome::Died };
        self.emit(Effect::RemoveHold(hold.operation.name));
        self.finish(number, outcome, "");
    }
}
