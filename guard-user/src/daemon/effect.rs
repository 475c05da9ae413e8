//! Does what the core asks for: the kernel, cgroups, processes, the log, the answers. Decides nothing.
#![forbid(unsafe_code)]

mod kernel;
mod segments;

pub use kernel::Kernel;
pub use segments::Segments;

use std::{collections::HashMap, io, path::PathBuf};

use tokio::sync::{broadcast, mpsc, oneshot};

use super::{
    adopt::{self, Open},
    audit::Audit,
    cgroup::Cgroups,
    circumstances::Question,
    core::{Act, Answer, Effect, Input, Placed, Tag, Target, Token},
    digest::Digests,
    facts,
    process::{Process, Processes},
    rulebook, state,
};
use crate::{
    api,
    holds::Losses,
    operation::{HoldName, Operation},
    rules::lower::Tables,
};

/// Everything the effects work on.
pub struct Edge<K> {
    pub kernel: K,
    pub cgroups: Cgroups,
    pub processes: Processes,
    pub audit: Audit,
    pub segments: Segments,
    pub digests: Digests,
    pub state_file: PathBuf,
    pub rules: Option<PathBuf>,
    pub replies: HashMap<Token, oneshot::Sender<Answer>>,
    pub events: broadcast::Sender<api::Event>,
    /// Back into the loop, from tasks that take their time.
    pub inputs: mpsc::Sender<Input>,
    /// Gatherings that may run at once; a slow disk uses these up and nothing else.
    pub gatherers: std::sync::Arc<tokio::sync::Semaphore>,
    /// Variables of a held process that are told.
    pub variables: std::sync::Arc<[String]>,
}

impl<K: Kernel> Edge<K> {
    /// Answers what the core must hear of it, if anything.
    #[must_use]
    pub fn execute(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Grant { name, grant } => match self.kernel.grant(name.key, grant) {
                Ok(()) => None,
                Err(error) => Some(Input::GrantFailed { name, error: error.to_string() }),
            },
            Effect::Continue { tgid } => self.signalled(tgid, Processes::wake),
            Effect::ContinueIfStopped { tgid, tid } if facts::is_stopped(tgid, tid) => {
                self.signalled(tgid, Processes::wake)
            }
            // A hold is there before its stop: one that is not there yet did not stop the thread.
            Effect::ContinueStopped { name, tgid } if facts::is_stopped(tgid, name.key.id) => {
                match self.kernel.record(name.key) {
                    Ok(None) => self.signalled(tgid, Processes::wake),
                    Ok(Some(_)) => None,
                    Err(error) => Some(Input::Trouble(format!("holds could not be read: {error}"))),
                }
            }
            Effect::ContinueIfStopped { .. } | Effect::ContinueStopped { .. } => None,
            Effect::KillProcess { tgid } => self.signalled(tgid, |processes, pid| processes.get(pid)?.kill()),
            Effect::RemoveHold(HoldName { key, hold }) => {
                let removed = self.kernel.remove_hold(key, hold);
                removed.err().map(|error| Input::Trouble(format!("a hold could not be removed: {error}")))
            }
            Effect::Settle { number, name, tgid, tid, start_boottime } => {
                let waits =
                    self.kernel.record(name.key).map(|found| found.is_some_and(|held| held.record.hold == name.hold));
                match (waits, self.kernel.counts()) {
                    (Ok(waits), Ok(counts)) => {
                        let lives = facts::lives(tgid, tid, start_boottime);
                        Some(Input::Settled { number, waits, lives, losses: Losses::of(&counts) })
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        tracing::warn!("what became of a hold cannot be read: {error}");
                        let losses = Losses { lost: u64::MAX, voided: u64::MAX };
                        Some(Input::Settled { number, waits: false, lives: false, losses })
                    }
                }
            }
            Effect::Watch { tgid } => self.watch(tgid),
            Effect::Listen { until } => {
                self.kernel.listen(until);
                None
            }
            Effect::Gather(gather) => {
                self.gather(*gather);
                None
            }
            Effect::Digest { number, wanted } => self.digests.ask(number, *wanted),
            Effect::Act { agent, cgroup, act, token, by } => {
                let result = match act {
                    Act::Freeze => self.cgroups.freeze(&cgroup, true),
                    Act::Thaw => self.cgroups.freeze(&cgroup, false),
                    Act::Kill => self.cgroups.kill(&cgroup),
                };
                let result = result.map_err(|error| error.to_string());
                Some(Input::Acted { agent, act, token, by, result })
            }
            Effect::Tag(tag) => {
                let result = self.tag(&tag).map_err(|error| format!("{error:#}"));
                if result.is_err() {
                    self.undo_tag(&tag);
                }
                Some(Input::Tagged { agent: tag.agent, token: tag.token, by: tag.by, result })
            }
            Effect::Untag { cgroup, cgroup_id, policy } => self.untag(&cgroup, cgroup_id, policy),
            Effect::EndAgent { cgroup_id, policy } => {
                let ended = self.kernel.end_agent(cgroup_id);
                self.kernel.remove_policy(policy);
                ended.err().map(|error| {
                    Input::Trouble(format!("an ended agent could not be removed from the kernel: {error}"))
                })
            }
            Effect::SetPolicy { cgroup_id, policy, tables, old } => self.set_policy(cgroup_id, policy, &tables, old),
            Effect::Save(saved) => state::write(&self.state_file, &saved).err().map(|error| {
                let file = self.state_file.display();
                Input::Trouble(format!(
                    "the agents cannot be written to {file} and a restart would forget them: {error}"
                ))
            }),
            Effect::Audit { record, flush } => self.audit.record(record, flush).err().map(Input::AuditFailed),
            Effect::Tidy => {
                self.segments.tidy(self.inputs.clone());
                None
            }
            Effect::RemoveSegment(number) => self.segments.remove(number),
            // A full queue is tried again at the next tick.
            Effect::ProbeAudit => self.audit.probe().err().and(None),
            Effect::Reload { token, by } => {
                Some(Input::Reloaded { token: Some(token), by, result: rulebook::load(self.rules.as_deref()) })
            }
            Effect::Reply { token, answer } => {
                let answer = self.complete(answer);
                if let Some(reply) = self.replies.remove(&token)
                    && reply.send(answer).is_err()
                {
                    tracing::debug!("a peer left before its answer came");
                }
                None
            }
            Effect::Publish(event) => {
                if self.events.send(*event).is_err() {
                    tracing::trace!("nobody listens for events");
                }
                None
            }
        }
    }

    fn signalled(&mut self, tgid: u32, send: impl Fn(&mut Processes, u32) -> io::Result<()>) -> Option<Input> {
        match send(&mut self.processes, tgid) {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // By way of the loop, which hears first what the kernel said before the process ended.
                self.inputs.try_send(Input::ProcessGone { tgid }).err().map(mpsc::error::TrySendError::into_inner)
            }
            Err(error) => Some(Input::Trouble(format!("process {tgid} could not be signalled: {error}"))),
        }
    }

    fn watch(&mut self, tgid: u32) -> Option<Input> {
        if self.processes.keeps(tgid) {
            return None;
        }
        match Process::open(tgid) {
            Ok(process) => {
                self.processes.keep(process.clone());
                let inputs = self.inputs.clone();
                tokio::task::spawn_local(async move {
                    if let Err(error) = process.ended().await {
                        tracing::warn!("process {tgid} cannot be watched: {error}");
                        return;
                    }
                    if inputs.send(Input::ProcessGone { tgid }).await.is_err() {
                        tracing::debug!("guardd ends");
                    }
                });
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Input::ProcessGone { tgid }),
            Err(error) => {
                tracing::warn!("process {tgid} cannot be watched: {error}");
                None
            }
        }
    }

    fn gather(&self, gather: super::core::Gather) {
        let (inputs, gatherers) = (self.inputs.clone(), self.gatherers.clone());
        let variables = self.variables.clone();
        tokio::task::spawn_local(async move {
            let name = gather.operation.name;
            let Ok(permit) = gatherers.acquire_owned().await else { return };
            let answer = inputs.clone();
            let done = tokio::task::spawn_blocking(move || {
                let found = facts::gather(&gather, &variables);
                let blast_facts = found.clone();
                let sent = answer.blocking_send(Input::Facts { name, facts: Box::new(found) });
                let _held_until_counted = permit;
                sent.is_ok().then(|| facts::blast::count(&gather.operation, &blast_facts)).flatten()
            });
            let blast = done.await.unwrap_or(None);
            if inputs.send(Input::Blast { name, blast }).await.is_err() {
                tracing::debug!("guardd ends");
            }
        });
    }

    /// Looks at the process for what a rule asks, then hands the operation to the loop. A process that keeps guardd
    /// waiting is judged without.
    pub fn find_out(&self, mut operation: Box<Operation>, question: Question) {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
        let (inputs, gatherers) = (self.inputs.clone(), self.gatherers.clone());
        tokio::task::spawn_local(async move {
            let late = question.unanswered();
            let asked = Operation::clone(&operation);
            let answered = tokio::time::timeout(PATIENCE, async {
                let permit = gatherers.acquire_owned().await.ok()?;
                let answering = tokio::task::spawn_blocking(move || {
                    let _held_until_answered = permit;
                    question.answer(&asked)
                });
                answering.await.ok()
            });
            operation.circumstances = answered.await.ok().flatten().unwrap_or(late);
            if inputs.send(Input::Candidate(operation)).await.is_err() {
                tracing::debug!("guardd ends");
            }
        });
    }

    /// The tables are there before the agent, and the agent before its processes: no window is open.
    fn tag(&mut self, tag: &Tag) -> anyhow::Result<Placed> {
        use anyhow::Context as _;
        let (cgroup, pids) = match &tag.target {
            Target::Fresh { pid, .. } => {
                let name = format!("a{}", tag.agent);
                (self.cgroups.create(&name).with_context(|| format!("cannot make the cgroup {name}"))?, vec![*pid])
            }
            Target::Adopt { cgroup } => (cgroup.clone(), Vec::new()),
        };
        let id = self.cgroups.id(&cgroup).with_context(|| format!("there is no cgroup {cgroup}"))?;
        self.kernel.set_policy(tag.policy, &tag.tables).with_context(|| {
            "the rules of one more agent do not fit into the kernel's tables; `guardctl untag` of an agent in \
             `guardctl agents` makes room"
        })?;
        let agent = self.kernel.agent(tag.policy, &tag.tables);
        self.kernel.set_agent(id, agent).context("the kernel did not take the agent")?;
        for pid in &pids {
            self.cgroups.join(&cgroup, *pid).with_context(|| format!("cannot move process {pid} into {cgroup}"))?;
        }
        let mut open = Open::default();
        // What is redirected on the command line of an agent is what its person wants written.
        let above = matches!(tag.target, Target::Fresh { itself: true, .. }).then_some(adopt::STANDARD);
        for pid in self.cgroups.processes(&cgroup).context("cannot list the processes")?.into_iter().chain(pids) {
            self.tag_process(pid, id).with_context(|| format!("cannot tag process {pid}"))?;
            // After the tag: what it opens from now on is judged when it is opened.
            open.add(pid, above).with_context(|| format!("cannot find out what process {pid} has open"))?;
        }
        self.kernel.adopt(id, &open.inodes).context("the kernel did not take what is open")?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        // What tags itself executes a program next; what is closed then is still judged, and not worth a word.
        let told = if above.is_some() { open.staying.len() } else { open.inodes.len() };
        let (adopted, mapped) = (count(told), count(open.mapped.len()));
        Ok(Placed { cgroup, cgroup_id: id, adopted, mapped })
    }

    /// Leaves nothing of a tagging that failed half-way.
    fn undo_tag(&mut self, tag: &Tag) {
        let cgroup = match &tag.target {
            Target::Fresh { .. } => format!("/{}/a{}", super::cgroup::PARENT, tag.agent),
            Target::Adopt { cgroup } => cgroup.clone(),
        };
        if let Ok(id) = self.cgroups.id(&cgroup)
            && let Err(error) = self.kernel.remove_agent(id)
        {
            tracing::error!("{cgroup} is still guarded: {error}");
        }
        self.kernel.remove_policy(tag.policy);
        match &tag.target {
            Target::Fresh { .. } => {
                if let Err(error) = self.cgroups.remove(&cgroup) {
                    tracing::warn!("{cgroup} stays: {error}");
                }
            }
            Target::Adopt { .. } => {}
        }
    }

    fn tag_process(&mut self, pid: u32, agent: u64) -> io::Result<()> {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Ok(()) };
        for thread in threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            match self.kernel.tag_task(thread, agent) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn untag(&mut self, cgroup: &str, cgroup_id: u64, policy: u32) -> Option<Input> {
        let removed = self.kernel.remove_agent(cgroup_id);
        self.kernel.remove_policy(policy);
        if cgroup.starts_with(&format!("/{}/", super::cgroup::PARENT))
            && let Err(error) = self.cgroups.remove(cgroup)
        {
            tracing::debug!("{cgroup} stays: {error}");
        }
        removed.err().map(|error| Input::Trouble(format!("an agent could not be removed from the kernel: {error}")))
    }

    fn set_policy(&mut self, cgroup_id: u64, policy: u32, tables: &Tables, old: Option<u32>) -> Option<Input> {
        let agent = self.kernel.agent(policy, tables);
        let set = self.kernel.set_policy(policy, tables).and_then(|()| self.kernel.set_agent(cgroup_id, agent));
        if let Err(error) = set {
            return Some(Input::Trouble(format!(
                "new rules did not reach the kernel, which filters by old ones: {error}"
            )));
        }
        if let Some(old) = old.filter(|old| *old != policy) {
            self.kernel.remove_policy(old);
        }
        None
    }

    /// Adds what only the edge can see.
    fn complete(&self, mut answer: Answer) -> Answer {
        match &mut answer {
            Answer::Status(status) => match self.kernel.counts() {
                Ok(counts) => status.counts.extend(
                    counts.into_iter().map(|(count, value)| api::NamedCount { name: count.name().to_owned(), value }),
                ),
                Err(error) => tracing::warn!("the kernel's counters cannot be read: {error}"),
            },
            Answer::Agents(agents) => agents.iter_mut().for_each(|agent| self.populate(agent)),
            Answer::Agent(agent) => self.populate(agent),
            Answer::Done
            | Answer::Holds(_)
            | Answer::Hold(_)
            | Answer::ToolCall(_)
            | Answer::Refusals(_)
            | Answer::Problem(_) => {}
        }
        answer
    }

    fn populate(&self, agent: &mut api::Agent) {
        let processes = self.cgroups.processes(&agent.cgroup).map_or(0, |pids| pids.len());
        agent.processes = u32::try_from(processes).unwrap_or(u32::MAX);
        if processes == 0 {
            agent.state = api::AgentState::Empty;
        }
    }
}
