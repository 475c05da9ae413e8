//! An operation the kernel stopped: judged, then released, refused or held.

use guard_common::{
    grant::{CLEAR, Grant},
    op::Op,
    record::{HoldKey, SLOT_DENIED, SLOT_HELD},
};

use super::{CONTINUE_EVERY, Cleared, Core, Effect, GRANT_LIFE, Gather, RETRY_LIFE};
use crate::{
    api::{self, Action, Outcome, Reversibility, Verdict},
    circumstances::{Circumstances, Found},
    daemon::{
        circumstances::Question,
        record::{Kind, Record},
        rulebook::{Judged, Ruling},
        scope,
    },
    holds::{Ending, Facts, Hold, Stage},
    operation::{Context, HoldName, Operation},
    tool_calls::Acting,
};

/// Slot of the interpreter of a program that was a candidate itself: both grants must stand at once.
pub(super) const SLOT_INTERPRETER: u32 = 2;
/// How long ago a program may have been let through and still count as the same call.
const SAME_CALL: u64 = 15 * crate::daemon::clock::SECOND;

impl Core {
    pub(super) fn candidate(&mut self, mut operation: Box<Operation>) {
        let name = operation.name;
        self.unreadable.remove(&name.key);
        if self.cleared.get(&name.key).is_some_and(|cleared| cleared.hold == name.hold) {
            return;
        }
        self.cleared.remove(&name.key);
        if let Some(number) = self.holds.under(name.key) {
            let Some(hold) = self.holds.get_mut(number) else { return };
            if hold.operation.name == name {
                hold.stops = hold.stops.max(operation.stops);
                return;
            }
            if name.key.slot != SLOT_DENIED && hold.operation.start_boottime != operation.start_boottime {
                // Nothing was heard yet of the end of the thread that had the number before.
                self.died(number);
            } else {
                // The restarted call resolved to something else: what was decided was about the old one.
                self.end_unheard(number, Ending::Became);
            }
        }
        self.count(&mut operation);
        self.touched_nothing_yet(&operation);
        let (agent, judged) = self.judge(&operation);
        let ruling = match judged {
            Judged::Stop(ruling) => ruling,
            Judged::WouldStop(ruling) => {
                self.would_stop(&operation, agent, &ruling);
                return self.clear(&operation, 0);
            }
            Judged::Clear => {
                let policy = self.lasting(&operation);
                return self.clear(&operation, policy);
            }
        };
        match ruling.action {
            Action::Allow => self.clear(&operation, 0),
            Action::Hold => self.hold(operation, agent, ruling),
            Action::Deny => {
                let decision = self.by_rule(&ruling, Verdict::Deny);
                let number = self.insert(operation, agent, ruling);
                self.gather(number);
                self.deny(number, decision);
            }
            Action::Kill => self.kill_by_rule(operation, agent, ruling),
        }
    }

    /// What must be found out before [`Input::Candidate`](super::Input::Candidate) about this operation; nothing when it
    /// is known already.
    #[must_use]
    pub fn asks(&self, operation: &Operation) -> Option<Question> {
        let name = operation.name;
        let cleared = self.cleared.get(&name.key).is_some_and(|cleared| cleared.hold == name.hold);
        if cleared || self.holds.named(name).is_some() {
            return None;
        }
        let agent = self.agents.by_cgroup(operation.agent)?;
        let needs = agent.judge.needs(operation);
        (!needs.is_none()).then(|| Question { needs, cgroup: agent.cgroup.clone(), since: agent.since.boottime })
    }

    pub(super) fn undecodable(&mut self, key: HoldKey, error: &str) {
        if !self.unreadable.insert(key) {
            return;
        }
        self.counts.undecodable += 1;
        let mut record = Record::new(Kind::Error);
        record.note = format!("hold of task {} (slot {}) stays stopped: {error}", key.id, key.slot);
        self.log(record, false);
    }

    pub(super) fn missed(&mut self, tgid: u32) {
        self.counts.missed += 1;
        let mut record = Record::new(Kind::Error);
        record.pid = Some(tgid);
        record.note = "an operation of this process was refused, and the process ended before it was known which; \
                       nothing was let through"
            .to_owned();
        self.log(record, false);
    }

    /// What the edge found out: the hold becomes whole, or turns out to be covered already.
    pub(super) fn facts(&mut self, name: HoldName, facts: Box<Facts>) {
        let Some(number) = self.holds.named(name) else { return };
        let Some(hold) = self.holds.get_mut(number) else { return };
        hold.cause = hold.agent.and_then(|agent| {
            let (links, processes) = (&facts.links, &facts.processes);
            let at = hold.operation.name.hold;
            self.tool_calls.cause(&Acting { agent, operation: &hold.operation, links, processes, at })
        });
        hold.facts = Some(facts);
        if hold.stage != Stage::Pending {
            return;
        }
        if let Some(decision) = self.covering(number) {
            return self.cover(number, decision);
        }
        self.log_hold(number);
    }

    pub(super) fn blast(&mut self, name: HoldName, blast: Option<api::Blast>) {
        let Some(number) = self.holds.named(name) else { return };
        let Some(hold) = self.holds.get_mut(number) else { return };
        hold.blast = blast;
        if hold.stage == Stage::Pending {
            self.publish_hold(number, |hold| api::Event::Held { hold });
        }
    }

    /// Adds the operation to what its agent did lately, and the sums to the operation.
    fn count(&mut self, operation: &mut Operation) {
        let Some(number) = self.agents.by_cgroup(operation.agent).map(|agent| agent.number) else { return };
        let Some(agent) = self.agents.get_mut(number) else { return };
        let counters = agent.judge.counters(operation);
        if !counters.is_empty() {
            let tallies = agent.tallies.count(&counters, operation, self.now.boottime);
            operation.circumstances.tallies = Found::Is(tallies);
        }
    }

    /// Without an agent, or with doubt the rules do not clear, nothing is ever released by itself.
    fn judge(&mut self, operation: &Operation) -> (Option<u64>, Judged) {
        if let Some(agent) = self.agents.by_cgroup(operation.agent) {
            return (Some(agent.number), agent.judge.judge(operation));
        }
        self.counts.unknown_agent += 1;
        let ruling = Ruling {
            action: Action::Hold,
            rule: "unknown-agent".to_owned(),
            text: "The task is tagged, but guardd does not know its agent, so no rule can clear it.".to_owned(),
            instead: String::new(),
            reversibility: Reversibility::Irreversible,
        };
        (None, Judged::Stop(ruling))
    }

    /// The policy that would clear it again and again: nothing was asked that is not in the record, nothing was counted,
    /// and nobody's time is running out. Else 0.
    fn lasting(&self, operation: &Operation) -> u32 {
        let whole = operation.doubt == 0 && operation.context == Context::Held;
        let alone = operation.circumstances == Circumstances::default();
        let agent = self.agents.by_cgroup(operation.agent).filter(|agent| whole && alone && !self.is_timed(agent));
        agent.filter(|_| operation.op == Op::Exec).map_or(0, |agent| agent.policy)
    }

    /// A rule that only observes: counted and in the log, and nothing else happens.
    fn would_stop(&mut self, operation: &Operation, agent: Option<u64>, ruling: &Ruling) {
        self.counts.would_hold += 1;
        let mut record = self.record_about(Kind::WouldHold, operation, agent, ruling);
        record.note = match ruling.action {
            Action::Allow => "the rule only observes",
            Action::Hold => "the rule only observes; enforced, it would hold this",
            Action::Deny => "the rule only observes; enforced, it would deny this",
            Action::Kill => "the rule only observes; enforced, it would kill the agent",
        }
        .to_owned();
        self.log(record, false);
    }

    /// `policy`: the one that cleared it, where the kernel may remember that; else 0.
    fn clear(&mut self, operation: &Operation, policy: u32) {
        self.counts.cleared += 1;
        let now = self.now.boottime;
        let name = operation.name;
        let (life, next) = match operation.context {
            Context::Held => (GRANT_LIFE, Some(now + CONTINUE_EVERY)),
            Context::Denied => (RETRY_LIFE, None),
            Context::Tripped => (GRANT_LIFE, Some(now + CONTINUE_EVERY)),
        };
        let deadline = now + life;
        let tripped = operation.context == Context::Tripped;
        self.cleared.insert(name.key, Cleared { hold: name.hold, tgid: operation.tgid, deadline, next, tripped });
        if tripped {
            // Once: its notice and the look at all holds may both have brought it here, and a second signal would wake
            // the process from its next stop. This one may be there before the stop is, so it is looked after.
            self.emit(Effect::RemoveHold(name));
            return self.emit(Effect::Continue { tgid: operation.tgid });
        }
        let grant = Grant { hold: name.hold, deadline, verdict: CLEAR, policy };
        self.emit(Effect::Grant { name, grant });
        if next.is_some() {
            self.emit(Effect::Continue { tgid: operation.tgid });
        }
    }

    fn hold(&mut self, operation: Box<Operation>, agent: Option<u64>, ruling: Ruling) {
        let covering = self
            .allowances
            .iter()
            .find(|allowance| allowance.knows(&operation) && allowance.matches(&operation, agent, &ruling.rule))
            .map(|allowance| allowance.decision_about_more(self.now))
            .or_else(|| self.same_call(&operation));
        let tripped = operation.context == Context::Tripped && operation.op != Op::Exec;
        let number = self.insert(operation, agent, ruling);
        if let Some(decision) = covering {
            return self.cover(number, decision);
        }
        self.save_soon();
        // In the trip tier the effect may be done already: nothing else of this agent runs until a human looked.
        if tripped && let Some(agent) = agent.and_then(|agent| self.agents.get_mut(agent)) {
            agent.trips.insert(number);
            let (agent, cgroup) = (agent.number, agent.cgroup.clone());
            self.act(agent, cgroup, super::Act::Freeze, None, "guardd".to_owned());
        }
        self.gather(number);
    }

    /// An interpreter's hold restarts the call, which needs the program's grant once more: that is one decision.
    pub(super) fn same_call(&self, operation: &Operation) -> Option<api::Decision> {
        if operation.name.key.slot != SLOT_HELD {
            return None;
        }
        let interpreter = self.holds.under(HoldKey { id: operation.tid, slot: SLOT_INTERPRETER })?;
        if !matches!(self.holds.get(interpreter)?.stage, Stage::Granted { .. }) {
            return None;
        }
        self.holds
            .iter()
            .filter(|hold| hold.outcome == Some(Outcome::Released))
            .filter(|hold| self.now.boottime.saturating_sub(hold.operation.name.hold) < SAME_CALL)
            .find(|hold| {
                hold.operation.tid == operation.tid
                    && hold.operation.start_boottime == operation.start_boottime
                    && scope::identical(&hold.operation, operation)
            })
            .and_then(|hold| hold.decision.clone())
    }

    fn insert(&mut self, operation: Box<Operation>, agent: Option<u64>, ruling: Ruling) -> u64 {
        let number = self.holds.number_for(operation.name);
        let agent_name = agent.and_then(|agent| self.agents.get(agent)).map(|agent| agent.name.clone());
        self.holds.insert(Hold {
            number,
            agent,
            agent_name: agent_name.unwrap_or_default(),
            ruling,
            since: self.now.at_boottime(operation.name.hold),
            stage: Stage::Pending,
            facts: None,
            cause: None,
            blast: None,
            stops: operation.stops,
            logged: false,
            losses: self.losses,
            ending: None,
            decision: None,
            outcome: None,
            result: None,
            operation,
        });
        // A person knows it by this number from now on, whatever happens to guardd.
        if self.holds.reserve() {
            self.save();
        }
        number
    }

    fn gather(&mut self, number: u64) {
        let Some(hold) = self.holds.get(number) else { return };
        let cgroup = hold.agent.and_then(|agent| self.agents.get(agent)).map(|agent| agent.cgroup.clone());
        let operation = Operation::clone(&hold.operation);
        let tgid = operation.tgid;
        self.emit(Effect::Watch { tgid });
        self.emit(Effect::Gather(Box::new(Gather { operation, cgroup: cgroup.unwrap_or_default() })));
    }

    fn by_rule(&self, ruling: &Ruling, verdict: Verdict) -> api::Decision {
        api::Decision {
            verdict,
            scope: api::Scope::Once,
            by: format!("rule {}", ruling.rule),
            at: self.now.rfc3339(),
            note: String::new(),
        }
    }

    /// The kill comes first; the log is written about what has happened.
    fn kill_by_rule(&mut self, operation: Box<Operation>, agent: Option<u64>, ruling: Ruling) {
        let decision = self.by_rule(&ruling, Verdict::Kill);
        let by = decision.by.clone();
        self.emit(Effect::KillProcess { tgid: operation.tgid });
        if let Some((agent, cgroup)) =
            agent.and_then(|agent| self.agents.get(agent)).map(|agent| (agent.number, agent.cgroup.clone()))
        {
            self.act(agent, cgroup, super::Act::Kill, None, by);
        }
        let number = self.insert(operation, agent, ruling);
        self.gather(number);
        self.killing(number, decision);
    }
}
