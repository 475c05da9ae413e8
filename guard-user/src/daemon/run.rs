//! The loop: inputs from the kernel, the clock, the log and the socket go into the core one at a time, and its
//! effects are executed before the next. Nothing here decides but who may ask.
#![forbid(unsafe_code)]

mod heard;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use guard_common::notice::Notice;
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use super::{
    audit::{self, Audit},
    canary::Canary,
    cgroup::Cgroups,
    clock::Now,
    core::{About, AgentRequest, Answer, Core, Effect, Input, Request, problem},
    digest::Digests,
    effect::{Edge, Kernel, Segments},
    ended::Endings,
    facts,
    notify::Watchdog,
    own_files::OwnFiles,
    process::Processes,
    rulebook::Rulebook,
    server::{self, Ask, Asked, Listeners, Peer},
    state,
    takeover::Before,
};
use crate::{
    api::ProblemKind,
    execution::Execution,
    holds::Losses,
    kernel::{pins::Earlier, source::Ring},
    operation::{HoldName, Operation},
};

/// Inputs and questions that may wait for the loop.
const WAITING: usize = 1_024;
/// Events a slow listener may be behind before it is told to look again.
const EVENTS: usize = 1_024;
/// Holds whose processes may be looked at at once.
const GATHERERS: usize = 8;

/// How often the kernel is asked whether it lost a notice.
const SCAN_EVERY: Duration = Duration::from_secs(1);
/// How often what it only counted of what agents touch is read, in scans.
const COUNT_EVERY: u32 = 60;

/// What the loop works with.
pub struct Setup<K, N, X> {
    pub about: About,
    pub kernel: K,
    /// `None` in the trip tier.
    pub canary: Option<Canary>,
    pub notices: N,
    /// What agents execute.
    pub executions: X,
    pub cgroups: Cgroups,
    pub rulebook: Box<dyn Rulebook>,
    pub rules: Option<PathBuf>,
    pub audit: audit::Settings,
    pub state_file: PathBuf,
    /// See [`Before`].
    pub fresh: bool,
    pub earlier: Vec<Earlier>,
    pub own_files: OwnFiles,
    /// Variables of held processes that are told.
    pub variables: Vec<String>,
}

/// Runs until `shutdown`; each item of `reload` reads the rules again and is told what came of it. `ready` is called once
/// holds of an earlier guardd are rebuilt and the socket answers.
///
/// # Errors
/// When it cannot start, or the kernel's doorbell breaks.
pub async fn run<K: Kernel, N: Ring<Notice>, X: Ring<Execution>>(
    setup: Setup<K, N, X>,
    listeners: Listeners,
    mut reload: mpsc::Receiver<oneshot::Sender<Answer>>,
    ready: impl FnOnce(),
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Setup { mut about, kernel, canary, mut notices, cgroups, rulebook, rules, audit: settings, .. } = setup;
    let Setup { mut executions, state_file, fresh, earlier, own_files, variables, .. } = setup;
    let tier = about.tier;
    let opened = audit::open(&settings.path)?;
    let (key, troubles) = settings.prepare(opened.last_seq);
    about.audit_key = key.as_ref().map(|key| key.public().fingerprint()).unwrap_or_default();
    let saved = state::read(&state_file);
    let (inputs, mut inputs_out) = mpsc::channel(WAITING);
    let (asks, mut asks_out) = mpsc::channel(WAITING);
    let (events, _) = broadcast::channel(EVENTS);
    let (last_seq, last_hold, torn) = (opened.last_seq, opened.last_hold, opened.torn);
    let begun = Input::AuditOpened { fresh: opened.fresh, since: opened.since, age: settings.age() };
    let options = settings.options(key).map_err(anyhow::Error::msg)?;
    let reports = inputs.clone();
    let audit = Audit::start(opened, options, move |report| {
        if reports.blocking_send(report.into()).is_err() {
            tracing::debug!("guardd ends");
        }
    })
    .context("cannot start the audit writer")?;
    let (last_agent, last_policy) = saved.as_ref().map_or((0, 0), |saved| (saved.last_agent, saved.last_policy));
    // What was shown and never came into the log has its number all the same.
    let last_hold = saved.as_ref().map_or(last_hold, |saved| last_hold.max(saved.last_hold));
    let core = Core::new(about, rulebook, Now::read(), last_seq, last_hold, last_agent, last_policy);
    let edge = Edge {
        kernel,
        cgroups,
        processes: Processes::default(),
        audit,
        segments: Segments::new(settings.path.clone(), settings.keep),
        digests: Digests::start(inputs.clone()).context("cannot start what digests programs")?,
        state_file,
        rules,
        replies: HashMap::new(),
        events: events.clone(),
        inputs,
        gatherers: Arc::new(Semaphore::new(GATHERERS)),
        variables: variables.into(),
    };
    let mut daemon =
        Daemon { core, edge, last_token: 0, losses: Losses::default(), endings: Endings::default(), own_files };
    daemon.handle(begun);
    daemon.start(Before { saved, torn, fresh, earlier }, tier)?;
    for trouble in troubles {
        daemon.handle(Input::Trouble(trouble));
    }
    // What an earlier guardd did not come to.
    daemon.handle(Input::SegmentRotated);
    if let Some(trouble) = daemon.guard_own_files() {
        daemon.handle(trouble);
    }
    if let Some(mut canary) = canary {
        // Nothing is called protected that was not seen to be.
        daemon.handle(Input::Canary(canary.ask()));
        canary.watch(daemon.edge.inputs.clone()).context("cannot watch the canary")?;
    }
    let server =
        tokio::task::spawn_local(server::serve(listeners, asks, events, settings.path, daemon.edge.cgroups.clone()));
    ready();
    tokio::pin!(shutdown);
    let mut scan = tokio::time::interval(SCAN_EVERY);
    scan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut scans = 0_u32;
    let mut watchdog = Watchdog::from_environment();
    let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
    // When the timer fires, on the boot clock. It is set anew only to fire earlier: a tick too early does nothing, and
    // setting it for every operation would cost more than that.
    let mut armed: Option<u64> = None;
    loop {
        if let Some(due) = daemon.core.next_tick()
            && armed.is_none_or(|armed| due < armed)
        {
            let wait = Duration::from_nanos(due.saturating_sub(Now::read().boottime));
            timer.as_mut().reset(tokio::time::Instant::now() + wait);
            armed = Some(due);
        }
        tokio::select! {
            () = &mut shutdown => break,
            found = notices.next() => {
                for notice in found.context("the kernel's ring buffer cannot be read")? {
                    daemon.notice(notice);
                }
                // Whoever looks at what is held wants to see in the log what executed it.
                daemon.hear_of_execs(&mut executions);
            }
            found = executions.next(), if daemon.has_room_for_execs() => {
                for execution in found.context("the kernel's ring buffer of execs cannot be read")? {
                    daemon.handle(Input::Executed(Box::new(execution)));
                }
            }
            Some(input) = inputs_out.recv() => {
                // A process may end right after its grant was used: the kernel said so before, and is heard first.
                daemon.hear(&mut notices);
                daemon.handle(input);
            }
            Some(ask) = asks_out.recv() => daemon.ask(ask),
            Some(reply) = reload.recv() => daemon.reload(reply),
            _ = scan.tick() => {
                daemon.hear(&mut notices);
                daemon.scan();
                scans = (scans + 1) % COUNT_EVERY;
                daemon.hear_of_touches(scans == 0);
                // What an agent executed is in the log before its end.
                if daemon.hear_of_execs(&mut executions) {
                    daemon.end_agents(false);
                }
                // Only now: the kernel was asked, and everything that waited for the loop was given its turn.
                watchdog.alive();
            }
            () = timer.as_mut(), if armed.is_some() => {
                armed = None;
                // Not every notice wakes: what was used meanwhile is not woken again.
                daemon.hear(&mut notices);
                daemon.handle(Input::Tick);
            }
        }
    }
    server.abort();
    daemon.hear_of_execs(&mut executions);
    daemon.hear_of_touches(true);
    daemon.handle(Input::Stopping);
    // The writer's last reports have nobody to go to: a full channel must not keep it from ending.
    inputs_out.close();
    Ok(())
}

pub(super) struct Daemon<K> {
    pub(super) core: Core,
    pub(super) edge: Edge<K>,
    last_token: u64,
    /// The kernel's counters when the maps were last gone through.
    losses: Losses,
    endings: Endings,
    own_files: OwnFiles,
}

impl<K: Kernel> Daemon<K> {
    /// Agents whose last process has ended make room.
    fn end_agents(&mut self, at_once: bool) {
        let now = Now::read().boottime;
        let ended = self.endings.look(now, at_once, self.core.may_end(), &self.edge.cgroups, &self.edge.kernel);
        match ended {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                self.hear_of_touches(true);
                self.handle(Input::AgentsEnded(ended));
            }
            Err(error) => tracing::warn!("ended agents stay listed: {error}"),
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(mut input) = inputs.pop_front() {
            match &input {
                Input::ProcessGone { tgid } => input = self.process_gone(*tgid),
                // Whoever asked for it: files that were replaced are others.
                Input::Reloaded { .. } | Input::SegmentRotated | Input::SegmentsOld(_) => {
                    inputs.extend(self.guard_own_files());
                }
                _ => {}
            }
            let effects = self.core.handle(Now::read(), input);
            let removes = effects.iter().any(|effect| matches!(effect, Effect::RemoveSegment(_)));
            inputs.extend(effects.into_iter().filter_map(|effect: Effect| self.edge.execute(effect)));
            if removes {
                inputs.extend(self.guard_own_files());
            }
        }
    }

    /// That a process ended may be heard after something of the next one with its number was held. Of the one that ended
    /// no thread runs.
    fn process_gone(&mut self, tgid: u32) -> Input {
        self.edge.processes.forget(tgid);
        let runs = |operation: &&Operation| facts::runs(tgid, operation.tid, operation.start_boottime);
        let own: Vec<HoldName> = self.core.held_of(tgid).filter(runs).map(|operation| operation.name).collect();
        if own.is_empty() { Input::ProcessGone { tgid } } else { Input::Succeeded { tgid, own } }
    }

    /// Has the kernel keep what is guard's own now; answers what the core must hear of it, if anything.
    fn guard_own_files(&mut self) -> Option<Input> {
        let done = self.own_files.look().and_then(|own| self.edge.kernel.guard(&own));
        let told = |error| Input::Trouble(format!("guard's own files are protected by their paths alone: {error}"));
        done.err().map(told)
    }

    fn reload(&mut self, reply: oneshot::Sender<Answer>) {
        let result = super::rulebook::load(self.edge.rules.as_deref());
        self.last_token += 1;
        self.edge.replies.insert(self.last_token, reply);
        self.handle(Input::Reloaded { token: Some(self.last_token), by: "SIGHUP".to_owned(), result });
    }

    fn ask(&mut self, ask: Ask) {
        let Ask { peer, asked, by, reply } = ask;
        let request = match asked {
            Asked::Request(request) => request,
            Asked::OfAgent(request) => return self.told(&peer, by, request, reply),
        };
        if let Err(reason) = self.permit(&peer, &request) {
            tracing::warn!("refused {by}: {reason}");
            self.handle(Input::RefusedPeer { by, note: reason.clone() });
            if reply.send(problem(ProblemKind::NotPermitted, reason)).is_err() {
                tracing::debug!("a refused peer left before its answer came");
            }
            return;
        }
        if matches!(request, Request::Tag(_)) && self.core.is_full() {
            self.end_agents(true);
        }
        if matches!(request, Request::Footprints | Request::Untag(_)) {
            self.hear_of_touches(true);
        }
        self.last_token += 1;
        self.edge.replies.insert(self.last_token, reply);
        self.handle(Input::Request { token: self.last_token, by, request });
    }

    /// Anybody may connect there, and only an agent is heard.
    fn told(&mut self, peer: &Peer, by: String, request: AgentRequest, reply: oneshot::Sender<Answer>) {
        match self.agent_of(peer) {
            Ok(agent) => {
                self.last_token += 1;
                self.edge.replies.insert(self.last_token, reply);
                self.handle(Input::Told { token: self.last_token, agent, by, request });
            }
            Err(reason) => {
                if reply.send(problem(ProblemKind::NotPermitted, reason)).is_err() {
                    tracing::debug!("a refused peer left before its answer came");
                }
            }
        }
    }
}

/// An answer for a peer whose question never reached the loop.
#[must_use]
pub fn ending() -> Answer {
    problem(ProblemKind::Internal, "guardd is ending. What is held stays held.")
}
