//! The core: one input in, the effects it has out. No IO, no clock, no async; the time comes with the input.
//!
//! Nothing that was approved is released before the line that says so is on the disk: an approval waits in
//! `queue` until [`Input::AuditFlushed`], and goes back to pending on [`Input::AuditFailed`].
#![forbid(unsafe_code)]

mod agent;
mod answer;
mod budget;
mod canary;
mod candidate;
mod decide;
mod execution;
mod follow;
mod footprint;
mod handover;
mod log;
mod result;
mod seam;
mod segment;
mod shielded;
mod told;
mod view;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use guard_common::{record::HoldKey, table::AGENTS_MAX};

use crate::{
    agents::Agents,
    api,
    daemon::{clock::Now, ended, rulebook::Rulebook, scope},
    holds::{Holds, Losses},
    operation::{HoldName, Operation},
    tool_calls::ToolCalls,
};

pub(crate) use agent::within;
pub use answer::{AgentRequest, Answer, Request, TagRequest, Target, Token, problem};
pub use execution::ExecsLeft;
pub use seam::{About, Act, Effect, Gather, Input, Placed, Tag};
pub use told::ToldLeft;

/// How long an approval may take to be used by a call that waits, and by a retry.
pub const GRANT_LIFE: u64 = 10 * crate::daemon::clock::SECOND;
pub const RETRY_LIFE: u64 = 600 * crate::daemon::clock::SECOND;
/// How often `SIGCONT` is repeated: another thread of the group may have been stopped again meanwhile.
pub const CONTINUE_EVERY: u64 = 20 * crate::daemon::clock::MILLISECOND;
/// How soon a new hold's id, or that it was decided, is where the next guardd finds it: many come at once.
pub const SAVE_WITHIN: u64 = 200 * crate::daemon::clock::MILLISECOND;

/// The whole state of the daemon.
pub struct Core {
    about: About,
    started: Now,
    rulebook: Box<dyn Rulebook>,
    agents: Agents,
    holds: Holds,
    /// Cleared operations on their way back, by key.
    cleared: HashMap<HoldKey, Cleared>,
    /// Keys of records nobody understands, so that each is said once.
    unreadable: HashSet<HoldKey>,
    /// What a process may (or may not) go on doing without asking again. Oldest first.
    allowances: VecDeque<Allowance>,
    seq: u64,
    /// Why the audit log cannot be written.
    audit_failed: Option<String>,
    /// `None` until the log was opened.
    segment: Option<segment::Segment>,
    queue: VecDeque<Queued>,
    counts: Counts,
    losses: Losses,
    canary: canary::Watch,
    shielded: shielded::Lately,
    tool_calls: ToolCalls,
    executions: execution::Executions,
    footprints: footprint::Footprints,
    awaited: result::Awaited,
    trouble: Option<String>,
    next_probe: u64,
    /// When what waits is to be saved: it is not what was saved last.
    save_due: Option<u64>,
    now: Now,
    effects: Vec<Effect>,
}

/// An operation the rules cleared, until the kernel says it went on.
struct Cleared {
    hold: u64,
    tgid: u32,
    deadline: u64,
    next: Option<u64>,
    /// It was woken already; later it is only looked after.
    tripped: bool,
}

/// A decision that covers what comes after it.
struct Allowance {
    decision: api::Decision,
    /// Id of the hold that was decided.
    hold: String,
    agent: Option<u64>,
    tgid: u32,
    start_ticks: Option<u64>,
    /// Threads known to belong to that very process: thread id and start.
    threads: Vec<(u32, u64)>,
    rule: String,
    root: Option<std::path::PathBuf>,
    sample: Box<Operation>,
}

/// Something that waits for a line to be on the disk.
struct Queued {
    seq: u64,
    then: Then,
}

enum Then {
    Release(u64),
    Reply(Token, Answer),
    /// The hold as it is when the line is on the disk.
    ReplyHold(Token, u64),
    /// A segment of the log is removed.
    Retire(u64),
    /// Somebody waits for a checkpoint.
    Signed(Token),
}

/// What the core counts itself.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    cleared: u64,
    covered: u64,
    would_hold: u64,
    undecodable: u64,
    missed: u64,
    unknown_agent: u64,
    refused_peers: u64,
    /// Tool calls that are not in the log, for there were too many.
    untold: u64,
    grant_failed: u64,
    execs: u64,
    execs_unwritten: u64,
}

impl Core {
    /// `seq` and `hold` are the last numbers an earlier guardd gave out.
    #[must_use]
    pub fn new(
        about: About,
        rulebook: Box<dyn Rulebook>,
        now: Now,
        seq: u64,
        hold: u64,
        agent: u64,
        policy: u32,
    ) -> Self {
        let mut core = Self {
            about,
            started: now,
            rulebook,
            agents: Agents::default(),
            holds: Holds::default(),
            cleared: HashMap::new(),
            unreadable: HashSet::new(),
            allowances: VecDeque::new(),
            seq,
            audit_failed: None,
            segment: None,
            queue: VecDeque::new(),
            counts: Counts::default(),
            losses: Losses::default(),
            canary: canary::Watch::default(),
            shielded: shielded::Lately::default(),
            tool_calls: ToolCalls::default(),
            executions: execution::Executions::default(),
            footprints: footprint::Footprints::default(),
            awaited: result::Awaited::default(),
            trouble: None,
            next_probe: 0,
            save_due: None,
            now,
            effects: Vec::new(),
        };
        core.holds.continue_after(hold);
        core.agents.continue_after(agent, policy);
        core
    }

    /// The one entrance.
    #[must_use]
    pub fn handle(&mut self, now: Now, input: Input) -> Vec<Effect> {
        self.now = now;
        match input {
            Input::Candidate(operation) => self.candidate(operation),
            Input::Undecodable { key, error } => self.undecodable(key, &error),
            Input::Missed { tgid } => self.missed(tgid),
            Input::HeldAgain(name) => self.held_again(name),
            Input::Consumed { name, approved } => self.consumed(name, approved),
            Input::Result { name, errno } => self.call_over(name, errno),
            Input::Unheard(name) => self.await_no_result(name),
            Input::Shielded { agent, tgid, what } => self.shielded(agent, tgid, what),
            Input::Executed(execution) => self.executed(&execution),
            Input::Touched { touched, all } => self.touched(&touched, all),
            Input::ExecsUnseen(all) => self.execs_unseen(all),
            Input::Digested { number, digest } => self.digested(number, digest),
            Input::Canary(finding) => self.canary(finding),
            Input::Counted(losses) => self.losses = losses,
            Input::Settled { number, waits, lives, losses } => self.settled(number, waits, lives, losses),
            Input::Gone(name) => self.gone(name),
            Input::ProcessGone { tgid } => self.process_gone(tgid, &[]),
            Input::Succeeded { tgid, own } => self.process_gone(tgid, &own),
            Input::Facts { name, facts } => self.facts(name, facts),
            Input::Blast { name, blast } => self.blast(name, blast),
            Input::Request { token, by, request } => self.request(token, by, request),
            Input::Told { token, agent, by, request } => self.told(token, agent, &by, request),
            Input::RefusedPeer { by, note } => self.refused_peer(by, note),
            Input::Tagged { agent, token, by, result } => self.tagged(agent, token, by, result),
            Input::AgentsEnded(agents) => self.agents_ended(&agents),
            Input::Numbered { holds, execs_unseen } => self.numbered(&holds, execs_unseen),
            Input::Restored(saved) => self.restored(*saved),
            Input::Acted { agent, act, token, by, result } => self.acted(agent, act, token, by, result),
            Input::Reloaded { token, by, result } => self.reloaded(token, by, result),
            Input::GrantFailed { name, error } => self.grant_failed(name, &error),
            Input::Trouble(trouble) => self.in_trouble(trouble),
            Input::AuditFlushed(seq) => self.audit_flushed(seq),
            Input::AuditFailed(reason) => self.audit_stopped(reason),
            Input::AuditRecovered => self.audit_recovered(),
            Input::AuditOpened { fresh, since, age } => self.log_opened(fresh, since, age),
            Input::SegmentFull => self.segment_full(),
            Input::SegmentRotated => self.segment_rotated(),
            Input::SegmentsOld(old) => self.segments_old(&old),
            Input::Started => self.started(self.about.summary.clone()),
            Input::TookOver(note) => self.started(note),
            Input::Stopping => self.stopping(),
            Input::Tick => self.tick(),
        }
        std::mem::take(&mut self.effects)
    }

    /// When the next [`Input::Tick`] is due, on the boot clock; `None` when nothing is under way.
    #[must_use]
    pub fn next_tick(&self) -> Option<u64> {
        let granted = self.holds.live().filter_map(|hold| match hold.stage {
            crate::holds::Stage::Granted { deadline, next } => Some(next.unwrap_or(deadline + follow::GRACE)),
            crate::holds::Stage::Pending
            | crate::holds::Stage::Recording { .. }
            | crate::holds::Stage::Killing
            | crate::holds::Stage::Done => None,
        });
        let cleared = self.cleared.values().map(|cleared| cleared.next.unwrap_or(cleared.deadline + follow::GRACE));
        let probe = self.audit_failed.as_ref().map(|_| self.next_probe);
        // The wall clock may be set back meanwhile: then the tick comes early, and another is asked for.
        let expiry = self.next_expiry().map(|wall| {
            self.now.boottime.saturating_add(u64::try_from((wall - self.now.wall).max(0)).unwrap_or(u64::MAX))
        });
        let others = [self.save_due, self.sign_due(), self.execs_due()].into_iter().flatten();
        granted.chain(cleared).chain(probe).chain(expiry).chain(others).min()
    }

    /// Cgroups of all agents, below the cgroup root.
    pub fn agent_cgroups(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|agent| agent.cgroup.as_str()).filter(|cgroup| !cgroup.is_empty())
    }

    /// Number of the agent of this tag; else of the one in whose cgroup, below the cgroup root, a task is.
    #[must_use]
    pub fn agent_with(&self, tag: u64, cgroup: &str) -> Option<u64> {
        let inside = |agent: &&crate::agents::Agent| !agent.cgroup.is_empty() && within(cgroup, &agent.cgroup);
        self.agents.by_cgroup(tag).or_else(|| self.agents.iter().find(inside)).map(|agent| agent.number)
    }

    /// Agents that end with their last process, since nothing of theirs waits: no hold, and no record of an exec.
    #[must_use]
    pub fn may_end(&self) -> Vec<ended::Candidate> {
        let holds = self.holds.live().filter_map(|hold| hold.agent);
        let waits: HashSet<u64> = holds.chain(self.executions.agents()).collect();
        let agents = self.agents.iter().filter(|agent| agent.cgroup_id != 0 && !waits.contains(&agent.number));
        agents
            .map(|agent| ended::Candidate {
                number: agent.number,
                cgroup: agent.cgroup.clone(),
                cgroup_id: agent.cgroup_id,
                own: agent.has_own_cgroup(),
            })
            .collect()
    }

    /// A hold that was shown and not decided stands under this key. What is on its way may be another by now.
    #[must_use]
    pub fn waits_under(&self, key: HoldKey) -> bool {
        let hold = self.holds.under(key).and_then(|number| self.holds.get(number));
        hold.is_some_and(|hold| hold.stage == crate::holds::Stage::Pending)
    }

    /// What is held of the process with this number, or of an earlier one that had it.
    pub fn held_of(&self, tgid: u32) -> impl Iterator<Item = &Operation> {
        self.holds.live().map(|hold| &*hold.operation).filter(move |operation| operation.tgid == tgid)
    }

    /// It was heard of before, whatever became of it.
    #[must_use]
    pub fn knows(&self, name: HoldName) -> bool {
        self.cleared.get(&name.key).is_some_and(|cleared| cleared.hold == name.hold)
            || self.holds.iter().any(|hold| hold.operation.name == name)
    }

    /// The audit log can be written, as far as is known.
    #[must_use]
    pub fn can_log(&self) -> bool {
        self.audit_failed.is_none()
    }

    /// No further agent can be tagged.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.agents.len() >= AGENTS_MAX as usize
    }

    fn emit(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

impl Allowance {
    /// Everything but the identity of the process: the same rule and place, or the same operation again.
    fn matches(&self, operation: &Operation, agent: Option<u64>, rule: &str) -> bool {
        self.tgid == operation.tgid
            && self.agent == agent
            && self.rule == rule
            && operation.doubt == 0
            && match &self.root {
                Some(root) => scope::has_place(operation.op) && operation.path.starts_with(root),
                None => scope::identical(&self.sample, operation),
            }
    }

    fn knows(&self, operation: &Operation) -> bool {
        self.threads.contains(&(operation.tid, operation.start_boottime))
    }
}
