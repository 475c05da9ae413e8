//! A decision on one hold: by a human, by a rule, or by an earlier decision that covers it.
//!
//! An approval waits for the disk; a denial and a kill take effect at once, because they release nothing.

use guard_common::{
    grant::{APPROVE, DENY, Grant},
    record::{HoldKey, SLOT_HELD},
};

use super::candidate::SLOT_INTERPRETER;
use super::{Allowance, Answer, CONTINUE_EVERY, Core, Effect, GRANT_LIFE, Queued, RETRY_LIFE, Then, Token, problem};
use crate::{
    api::{self, Outcome, ProblemKind, Scope, Verdict},
    daemon::{clock::Now, record::Kind},
    holds::{Hold, Stage},
    operation::Context,
};

/// Allowances that are kept; past it the oldest is dropped and its process asks again.
const ALLOWANCES: usize = 4_096;

impl Core {
    pub(super) fn decide(&mut self, token: Token, by: String, id: &str, decide: api::Decide) {
        let Some(hold) = self.holds.find(id).and_then(|number| self.holds.get(number)) else {
            return self.reply(token, problem(ProblemKind::NotFound, format!("There is no hold {id}.")));
        };
        let number = hold.number;
        if hold.stage != Stage::Pending {
            let message = match (&hold.decision, hold.outcome) {
                (Some(decision), _) => {
                    format!("{id} was decided before: {:?} by {} at {}.", decision.verdict, decision.by, decision.at)
                }
                (None, outcome) => format!("{id} is over without a decision: {outcome:?}."),
            };
            return self.reply(token, problem(ProblemKind::AlreadyDecided, message));
        }
        let suspended = hold.agent.and_then(|agent| self.agents.get(agent)).is_some_and(|agent| agent.suspended);
        let decision = api::Decision {
            verdict: decide.verdict,
            scope: decide.scope,
            by,
            at: self.now.rfc3339(),
            note: decide.note,
        };
        match decide.verdict {
            Verdict::Approve if suspended => self.reply(
                token,
                problem(
                    ProblemKind::BadRequest,
                    "The agent is suspended, so the approval could not be used in time. Resume the agent first.",
                ),
            ),
            Verdict::Approve => match &self.audit_failed {
                Some(reason) => {
                    let message = format!("The audit log cannot be written ({reason}), so nothing is approved.");
                    self.reply(token, problem(ProblemKind::AuditUnavailable, message));
                }
                None => {
                    self.save_soon();
                    self.approve(number, decision, Some(token));
                }
            },
            Verdict::Deny => {
                self.save_soon();
                let seq = self.deny(number, decision);
                self.reply_decided(token, number, seq);
            }
            Verdict::Kill => {
                self.save_soon();
                if let Some(hold) = self.holds.get(number) {
                    let tgid = hold.operation.tgid;
                    self.emit(Effect::KillProcess { tgid });
                }
                let seq = self.killing(number, decision);
                self.reply_decided(token, number, seq);
            }
        }
    }

    /// Applies a decision that was made about more than one operation.
    pub(super) fn cover(&mut self, number: u64, decision: api::Decision) {
        self.counts.covered += 1;
        match decision.verdict {
            // Without a log it stays held, like everything else.
            Verdict::Approve if self.audit_failed.is_some() => {}
            Verdict::Approve => self.approve(number, decision, None),
            Verdict::Deny | Verdict::Kill => {
                self.deny(number, decision);
            }
        }
    }

    fn approve(&mut self, number: u64, decision: api::Decision, token: Option<Token>) {
        let Some(hold) = self.holds.get_mut(number) else { return };
        hold.decision = Some(decision);
        self.await_result(number);
        let seq = self.log_decision(number);
        if let Some(hold) = self.holds.get_mut(number) {
            hold.stage = Stage::Recording { seq };
        }
        self.queue.push_back(Queued { seq, then: Then::Release(number) });
        if let Some(token) = token {
            self.queue.push_back(Queued { seq, then: Then::ReplyHold(token, number) });
            self.publish_hold(number, |hold| api::Event::Decided { hold });
        }
    }

    /// The approval is on the disk: now, and only now, the kernel hears of it.
    pub(super) fn release(&mut self, number: u64, seq: u64) {
        let now = self.now.boottime;
        let Some(hold) = self.holds.get_mut(number) else { return };
        if hold.stage != (Stage::Recording { seq }) {
            return;
        }
        let (name, tgid) = (hold.operation.name, hold.operation.tgid);
        let (life, next) = match hold.operation.context {
            Context::Held => (GRANT_LIFE, Some(now + CONTINUE_EVERY)),
            Context::Denied => (RETRY_LIFE, None),
            Context::Tripped => {
                self.remember(number);
                self.emit(Effect::RemoveHold(name));
                // Before the thaw, so that the process is awake when its cgroup is.
                self.emit(Effect::Continue { tgid });
                return self.finish(number, Outcome::Released, "");
            }
        };
        let deadline = now + life;
        hold.stage = Stage::Granted { deadline, next };
        hold.losses = self.losses;
        self.remember(number);
        self.emit(Effect::Grant { name, grant: Grant { hold: name.hold, deadline, verdict: APPROVE, policy: 0 } });
        if next.is_some() {
            self.emit(Effect::Continue { tgid });
        }
        self.join_call(name.key);
    }

    /// The program was stopped again while its interpreter waited: the decision on the program stands.
    fn join_call(&mut self, key: HoldKey) {
        let program = HoldKey { slot: SLOT_HELD, ..key };
        let waits = self.holds.under(program).filter(|_| key.slot == SLOT_INTERPRETER);
        let Some(hold) = waits.and_then(|number| self.holds.get(number)).filter(|hold| hold.stage == Stage::Pending)
        else {
            return;
        };
        if let Some(decision) = self.same_call(&hold.operation) {
            self.cover(hold.number, decision);
        }
    }

    /// Answers the number of the decision in the log; what follows it there reaches the disk with whatever comes next.
    pub(super) fn deny(&mut self, number: u64, decision: api::Decision) -> u64 {
        let now = self.now.boottime;
        let Some(hold) = self.holds.get_mut(number) else { return self.seq };
        hold.decision = Some(decision);
        let (name, tgid, context) = (hold.operation.name, hold.operation.tgid, hold.operation.context);
        match context {
            Context::Held => {
                let deadline = now + GRANT_LIFE;
                hold.stage = Stage::Granted { deadline, next: Some(now + CONTINUE_EVERY) };
                hold.losses = self.losses;
                self.emit(Effect::Grant { name, grant: Grant { hold: name.hold, deadline, verdict: DENY, policy: 0 } });
                self.emit(Effect::Continue { tgid });
            }
            Context::Denied => self.emit(Effect::RemoveHold(name)),
            // After the effect there is nothing left to refuse but what the process does next.
            Context::Tripped => {
                hold.stage = Stage::Killing;
                self.emit(Effect::KillProcess { tgid });
                self.emit(Effect::Watch { tgid });
            }
        }
        self.remember(number);
        let seq = self.log_decision(number);
        self.publish_hold(number, |hold| api::Event::Decided { hold });
        if context == Context::Denied {
            self.finish(number, Outcome::Refused, "");
        }
        seq
    }

    /// The process was sent SIGKILL; this says so, and answers as [`Self::deny`].
    pub(super) fn killing(&mut self, number: u64, decision: api::Decision) -> u64 {
        let Some(hold) = self.holds.get_mut(number) else { return self.seq };
        hold.decision = Some(decision);
        hold.stage = Stage::Killing;
        let seq = self.log_decision(number);
        self.publish_hold(number, |hold| api::Event::Decided { hold });
        seq
    }

    /// A decision for the whole process is kept for what it does next.
    fn remember(&mut self, number: u64) {
        let Some(hold) = self.holds.get(number) else { return };
        let Some(decision) = hold.decision.clone().filter(|decision| decision.scope == Scope::Process) else { return };
        let operation = &hold.operation;
        let known = self.allowances.iter().any(|allowance| {
            allowance.decision.verdict == decision.verdict
                && allowance.knows(operation)
                && allowance.matches(operation, hold.agent, &hold.ruling.rule)
        });
        if known || operation.doubt != 0 {
            return;
        }
        let allowance = Allowance {
            decision,
            hold: hold.id(),
            agent: hold.agent,
            tgid: operation.tgid,
            start_ticks: hold.facts.as_ref().and_then(|facts| facts.start_ticks()),
            threads: vec![(operation.tid, operation.start_boottime)],
            rule: hold.ruling.rule.clone(),
            root: hold.root().cloned(),
            sample: operation.clone(),
        };
        let tgid = allowance.tgid;
        self.emit(Effect::Watch { tgid });
        self.allowances.push_back(allowance);
        if self.allowances.len() > ALLOWANCES {
            self.allowances.pop_front();
        }
        self.cover_waiting(tgid);
    }

    /// Other threads of the process may wait for the same decision: which of them asked first changes nothing.
    fn cover_waiting(&mut self, tgid: u32) {
        let waiting = |hold: &&Hold| hold.operation.tgid == tgid && hold.stage == Stage::Pending;
        let waiting: Vec<u64> = self.holds.live().filter(waiting).map(|hold| hold.number).collect();
        for number in waiting {
            if let Some(decision) = self.covering(number) {
                self.cover(number, decision);
            }
        }
    }

    /// The decision about its process that a hold is covered by, once it is known which process it is.
    pub(super) fn covering(&mut self, number: u64) -> Option<api::Decision> {
        let hold = self.holds.get(number)?;
        let ticks = hold.facts.as_ref()?.start_ticks()?;
        let allowance = self.allowances.iter_mut().find(|allowance| {
            allowance.start_ticks == Some(ticks) && allowance.matches(&hold.operation, hold.agent, &hold.ruling.rule)
        })?;
        if !allowance.knows(&hold.operation) && allowance.threads.len() < 1_024 {
            allowance.threads.push((hold.operation.tid, hold.operation.start_boottime));
        }
        Some(allowance.decision_about_more(self.now))
    }

    /// Answers the number of the line, which also says who wanted what.
    fn log_decision(&mut self, number: u64) -> u64 {
        let record = self.record_of(Kind::Decision, number);
        self.was_logged(number);
        self.log(record, true)
    }

    pub(super) fn reply(&mut self, token: Token, answer: Answer) {
        self.emit(Effect::Reply { token, answer });
    }

    /// Answers once everything logged so far is on the disk; at once when that cannot be.
    pub(super) fn reply_logged(&mut self, token: Token, answer: Answer) {
        if self.audit_failed.is_some() {
            return self.reply(token, answer);
        }
        self.queue.push_back(Queued { seq: self.seq, then: Then::Reply(token, answer) });
    }

    /// Answers with the hold once its decision is on the disk; at once when that cannot be.
    fn reply_decided(&mut self, token: Token, number: u64, seq: u64) {
        if self.audit_failed.is_some() {
            let answer = self.hold_answer(number);
            return self.reply(token, answer);
        }
        self.queue.push_back(Queued { seq, then: Then::ReplyHold(token, number) });
    }
}

impl Allowance {
    /// The decision as it applies to one more operation.
    pub(super) fn decision_about_more(&self, now: Now) -> api::Decision {
        api::Decision {
            scope: Scope::Process,
            at: now.rfc3339(),
            note: match self.decision.note.as_str() {
                "" => format!("covered by the decision on {}", self.hold),
                note => format!("covered by the decision on {}: {note}", self.hold),
            },
            ..self.decision.clone()
        }
    }
}
