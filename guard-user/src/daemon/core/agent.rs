//! Agents as the core sees them: tagging, suspending, killing, new rules.

use guard_common::table::AGENTS_MAX;

use super::{Act, Answer, Core, Effect, ExecsLeft, Placed, Request, Tag, TagRequest, Target, Token, ToldLeft, problem};
use crate::{
    agents::Agent,
    api::{self, Command, ProblemKind},
    daemon::{
        clock::Now,
        record::{Kind, Record},
        rulebook::{Judge, Places, Rulebook},
    },
    rules::source,
};

impl Core {
    pub(super) fn request(&mut self, token: Token, by: String, request: Request) {
        match request {
            Request::Status => {
                let answer = Answer::Status(Box::new(self.status()));
                self.reply(token, answer);
            }
            Request::Agents => {
                let agents = self.agents.iter().map(|agent| agent.view(self.holds.pending(Some(agent.number))));
                let answer = Answer::Agents(agents.collect());
                self.reply(token, answer);
            }
            Request::Holds { all } => {
                let answer = Answer::Holds(self.hold_views(all));
                self.reply(token, answer);
            }
            Request::Hold(id) => {
                let answer = match self.holds.find(&id) {
                    Some(number) => {
                        self.await_decision(number);
                        self.hold_answer(number)
                    }
                    None => problem(ProblemKind::NotFound, format!("There is no hold {id}.")),
                };
                self.reply(token, answer);
            }
            Request::Decide { id, decide } => self.decide(token, by, &id, decide),
            Request::Tag(tag) => self.tag(token, by, *tag),
            Request::Untag(agent) => self.untag(token, by, &agent),
            Request::SetState { agent, command } => self.set_state(token, &by, &agent, command),
            Request::Reload => self.emit(Effect::Reload { token, by }),
            Request::Checkpoint => self.checkpoint_wanted(token),
            Request::Footprints => self.footprints_wanted(token),
        }
    }

    fn tag(&mut self, token: Token, by: String, mut request: TagRequest) {
        if request.name.is_empty() {
            request.name = format!("a{}", self.agents.last().0 + 1);
        }
        request.places.agent = request.name.clone();
        let judge = match self.fit(&mut request.places, request.extra.as_deref(), self.now) {
            Ok(judge) => judge,
            Err(message) => return self.reply(token, problem(ProblemKind::BadRequest, message)),
        };
        if self.is_full() {
            let message = format!(
                "{AGENTS_MAX} agents are tagged, and the kernel programs tell no more apart. `guardctl agents` lists \
                 them and `guardctl untag` makes room; one that `guardctl run` started goes when its last process ends."
            );
            return self.reply(token, problem(ProblemKind::BadRequest, message));
        }
        if let Target::Adopt { cgroup } = &request.target {
            let nested = |agent: &&Agent| within(cgroup, &agent.cgroup) || within(&agent.cgroup, cgroup);
            let other = self.agents.iter().find(nested).map(Agent::id);
            if let Some(agent) = other {
                let message = format!("{cgroup} is, holds or is inside the cgroup of {agent}; agents are not nested.");
                return self.reply(token, problem(ProblemKind::BadRequest, message));
            }
        }
        let (number, policy) = (self.agents.next_number(), self.agents.next_policy());
        let tables = judge.tables();
        self.agents.insert(Agent {
            number,
            name: request.name,
            cgroup: String::new(),
            cgroup_id: 0,
            places: request.places,
            extra: request.extra,
            policy,
            judge,
            since: self.now,
            suspended: false,
            trips: std::collections::BTreeSet::new(),
            tallies: crate::tally::Tallies::default(),
            adopted: 0,
            mapped: 0,
            execs: ExecsLeft::default(),
            told: ToldLeft::default(),
        });
        self.emit(Effect::Tag(Box::new(Tag { agent: number, target: request.target, policy, tables, token, by })));
    }

    pub(super) fn tagged(&mut self, number: u64, token: Token, by: String, result: Result<Placed, String>) {
        match result {
            Err(error) => {
                self.agents.remove(number);
                self.reply(token, problem(ProblemKind::Internal, format!("Tagging failed: {error}.")));
            }
            Ok(Placed { cgroup, cgroup_id, adopted, mapped }) => {
                let gate = self.about.tier == api::Tier::Gate;
                let Some(agent) = self.agents.get_mut(number) else { return };
                agent.cgroup = cgroup;
                agent.cgroup_id = cgroup_id;
                // A tracepoint judges no use of what is open.
                (agent.adopted, agent.mapped) = if gate { (adopted, mapped) } else { (0, adopted.max(mapped)) };
                let view = agent.view(0);
                self.save();
                let mut record = self.agent_record(Kind::Tag, number, by);
                if let Some(note) = view.open_before() {
                    record.note = note;
                }
                self.log(record, true);
                self.emit(Effect::Publish(Box::new(api::Event::Agent { agent: view.clone() })));
                self.reply_logged(token, Answer::Agent(Box::new(view)));
            }
        }
    }

    fn untag(&mut self, token: Token, by: String, typed: &str) {
        let Some(number) = self.agents.find(typed) else { return self.no_agent(token, typed) };
        if self.holds.live().any(|hold| hold.agent == Some(number)) {
            let message = format!("{typed} has operations that wait. Decide them, or kill the agent.");
            return self.reply(token, problem(ProblemKind::BadRequest, message));
        }
        self.tell_unwritten(number);
        self.end_footprint(number);
        self.log_agent(Kind::Untag, number, by);
        self.tool_calls.forget(number);
        let Some(agent) = self.agents.remove(number) else { return };
        if agent.frozen() {
            self.act(number, agent.cgroup.clone(), Act::Thaw, None, "guardd".to_owned());
        }
        self.emit(Effect::Untag { cgroup: agent.cgroup, cgroup_id: agent.cgroup_id, policy: agent.policy });
        self.save();
        self.reply_logged(token, Answer::Done);
    }

    pub(super) fn agents_ended(&mut self, numbers: &[u64]) {
        for number in numbers {
            if self.holds.live().any(|hold| hold.agent == Some(*number)) {
                continue;
            }
            self.tell_unwritten(*number);
            self.end_footprint(*number);
            self.log_agent(Kind::AgentEnded, *number, "guardd".to_owned());
            self.tool_calls.forget(*number);
            let Some(agent) = self.agents.remove(*number) else { continue };
            self.emit(Effect::EndAgent { cgroup_id: agent.cgroup_id, policy: agent.policy });
        }
        self.save();
    }

    /// The kernel acts first; the log tells what happened afterwards, in [`Core::acted`].
    fn set_state(&mut self, token: Token, by: &str, typed: &str, command: Command) {
        let numbers: Vec<u64> = if typed == "*" {
            self.agents.iter().map(|agent| agent.number).collect()
        } else {
            self.agents.find(typed).into_iter().collect()
        };
        let Some(last) = numbers.last().copied() else {
            return if typed == "*" { self.reply(token, Answer::Done) } else { self.no_agent(token, typed) };
        };
        if command == Command::Resume && self.keeps_suspended(token) {
            return;
        }
        for number in numbers {
            let Some(agent) = self.agents.get_mut(number) else { continue };
            let act = match command {
                Command::Suspend => {
                    agent.suspended = true;
                    Act::Freeze
                }
                Command::Resume => {
                    agent.suspended = false;
                    agent.trips.clear();
                    Act::Thaw
                }
                Command::Kill => Act::Kill,
            };
            let cgroup = agent.cgroup.clone();
            self.act(number, cgroup, act, (number == last).then_some(token), by.to_owned());
        }
    }

    pub(super) fn act(&mut self, agent: u64, cgroup: String, act: Act, token: Option<Token>, by: String) {
        self.emit(Effect::Act { agent, cgroup, act, token, by });
    }

    pub(super) fn acted(
        &mut self,
        number: u64,
        act: Act,
        token: Option<Token>,
        by: String,
        result: Result<(), String>,
    ) {
        let kind = match act {
            Act::Freeze => Kind::Suspend,
            Act::Thaw => Kind::Resume,
            Act::Kill => Kind::Kill,
        };
        let mut record = self.agent_record(kind, number, by);
        if let Err(error) = &result {
            record.note = format!("failed: {error}");
            tracing::error!("{act:?} of a{number} failed: {error}");
        }
        self.log(record, true);
        if act == Act::Kill
            && result.is_ok()
            && let Some(agent) = self.agents.get_mut(number)
        {
            agent.suspended = false;
        }
        self.save(); // A restart must not take a suspended agent for a running one.
        if let Some(agent) = self.agents.get(number) {
            let agent = agent.view(self.holds.pending(Some(number)));
            self.emit(Effect::Publish(Box::new(api::Event::Agent { agent })));
        }
        if let Some(token) = token {
            // A kill is answered without waiting for any disk.
            let answer = match result {
                Ok(()) => Answer::Done,
                Err(error) => problem(ProblemKind::Internal, format!("{act:?} failed: {error}.")),
            };
            self.reply(token, answer);
        }
    }

    /// All agents get the new rules, or none does.
    pub(super) fn reloaded(&mut self, token: Option<Token>, by: String, result: Result<Box<dyn Rulebook>, String>) {
        let checked = result.and_then(|rulebook| {
            let policies: Result<Vec<_>, String> = self
                .agents
                .iter()
                .map(|agent| {
                    let mut places = agent.places.clone();
                    let judge = fit(&*rulebook, &mut places, agent.extra.as_deref(), agent.since, self.now)?;
                    Ok((agent.number, places, judge))
                })
                .collect();
            Ok((rulebook, policies?))
        });
        let mut record = Record::new(Kind::Reload);
        record.by = by;
        let answer = match checked {
            Err(error) => {
                tracing::error!("the new rules are wrong, the old ones stay: {error}");
                record.note = format!("refused, the old rules stay: {error}");
                problem(ProblemKind::BadRequest, error)
            }
            Ok((rulebook, policies)) => {
                let old = std::mem::replace(&mut self.rulebook, rulebook);
                let found = source::difference(old.sources(), self.rulebook.sources());
                for (number, places, judge) in policies {
                    self.refit(number, places, judge);
                }
                let lines = match found.text.is_empty() {
                    true => "nothing changed".to_owned(),
                    false => format!("{} lines added, {} removed", found.added, found.removed),
                };
                record.note = format!("{} rules, {lines}", self.rulebook.len());
                (record.diff, record.rules) = (found.text, source::digest(self.rulebook.sources()));
                self.save();
                Answer::Done
            }
        };
        self.log(record, true);
        self.publish_status();
        if let Some(token) = token {
            self.reply_logged(token, answer);
        }
    }

    /// An agent gets other rules, in the daemon and in the kernel.
    fn refit(&mut self, number: u64, places: Places, judge: Box<dyn Judge>) {
        let policy = self.agents.next_policy();
        let Some(agent) = self.agents.get_mut(number) else { return };
        let old = std::mem::replace(&mut agent.policy, policy);
        let tables = Box::new(judge.tables());
        (agent.judge, agent.places) = (judge, places);
        let cgroup_id = agent.cgroup_id;
        self.emit(Effect::SetPolicy { cgroup_id, policy, tables, old: Some(old) });
    }

    pub(super) fn fit(&self, places: &mut Places, extra: Option<&str>, since: Now) -> Result<Box<dyn Judge>, String> {
        fit(&*self.rulebook, places, extra, since, self.now)
    }

    /// When the next agent's time is over, on the wall clock.
    pub(super) fn next_expiry(&self) -> Option<i128> {
        let running = self.agents.iter().filter(|agent| agent.cgroup_id != 0 && !agent.places.expired);
        running.filter_map(|agent| deadline(&*self.rulebook, &agent.places, agent.since)).min()
    }

    /// Its policy gives it a time.
    pub(super) fn is_timed(&self, agent: &Agent) -> bool {
        deadline(&*self.rulebook, &agent.places, agent.since).is_some()
    }

    /// Agents whose time is over are held from now on, whatever they do.
    pub(super) fn expire(&mut self) {
        if self.next_expiry().is_none_or(|deadline| deadline > self.now.wall) {
            return;
        }
        let due = |agent: &&Agent| {
            let deadline = deadline(&*self.rulebook, &agent.places, agent.since);
            agent.cgroup_id != 0 && !agent.places.expired && deadline.is_some_and(|deadline| deadline <= self.now.wall)
        };
        let numbers: Vec<u64> = self.agents.iter().filter(due).map(|agent| agent.number).collect();
        for number in numbers {
            let Some(agent) = self.agents.get(number) else { continue };
            let (mut places, extra, since) = (agent.places.clone(), agent.extra.clone(), agent.since);
            match self.fit(&mut places, extra.as_deref(), since) {
                Ok(judge) => {
                    self.refit(number, places, judge);
                    let mut record = self.agent_record(Kind::Expired, number, "guardd".to_owned());
                    record.note = "the time its policy gave it is over: whatever it does is held".to_owned();
                    self.log(record, true);
                }
                Err(error) => {
                    // Without rules that say so, nothing of it may run.
                    if let Some(agent) = self.agents.get_mut(number) {
                        (agent.suspended, agent.places.expired) = (true, true);
                        let cgroup = agent.cgroup.clone();
                        self.act(number, cgroup, Act::Freeze, None, "guardd".to_owned());
                    }
                    self.in_trouble(format!("a{number} is suspended: its time is over, and: {error}"));
                }
            }
        }
        self.save();
    }

    fn no_agent(&mut self, token: Token, typed: &str) {
        self.reply(token, problem(ProblemKind::NotFound, format!("There is no agent {typed}.")));
    }

    fn log_agent(&mut self, kind: Kind, number: u64, by: String) {
        let record = self.agent_record(kind, number, by);
        self.log(record, true);
    }

    pub(super) fn agent_record(&self, kind: Kind, number: u64, by: String) -> Record {
        let mut record = Record::new(kind);
        record.by = by;
        record.agent = format!("a{number}");
        if let Some(agent) = self.agents.get(number) {
            record.agent_name = agent.name.clone();
            record.cgroup = agent.cgroup.clone();
        }
        record
    }
}

/// The rules of an agent, with what its policy says besides. An agent's time may be over.
fn fit(
    rulebook: &dyn Rulebook,
    places: &mut Places,
    extra: Option<&str>,
    since: Now,
    now: Now,
) -> Result<Box<dyn Judge>, String> {
    if let Some(workspace) = rulebook.terms(&places.policy).and_then(|terms| terms.workspace.as_ref()) {
        places.workspace = workspace.clone();
    }
    places.expired = deadline(rulebook, places, since).is_some_and(|deadline| deadline <= now.wall);
    rulebook.policy(places, extra)
}

/// When the time of an agent is over, on the wall clock.
fn deadline(rulebook: &dyn Rulebook, places: &Places, since: Now) -> Option<i128> {
    Some(rulebook.terms(&places.policy)?.until?.deadline(since.wall))
}

/// `path` is `directory` or below it; nothing is within an agent that is not tagged yet.
#[must_use]
pub(crate) fn within(path: &str, directory: &str) -> bool {
    !directory.is_empty() && std::path::Path::new(path).starts_with(directory)
}
