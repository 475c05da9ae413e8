//! What agents execute, as the log has it: a record for each exec, in their order, with the digest of the program where that
//! can be had soon. An agent cannot push anything out of the log by executing: what is beyond its budget is counted, and the
//! log says how many there were.

use std::{collections::VecDeque, os::unix::ffi::OsStrExt as _};

use super::{Core, Effect, budget::Budget};
use crate::{
    api::Process,
    audit::chain::Digest,
    daemon::{
        clock::SECOND,
        digest::Wanted,
        record::{Kind, Record},
    },
    execution::Execution,
    text::lossy,
};

/// Bytes of records an agent may have written at once: some 16,000 execs as most are, which is also how many records may wait
/// for the disk.
const BURST: u64 = 16 << 20;
/// Bytes that it gets back each second: some ten execs. That is 700 MB a day of an agent that executes all the time, and the
/// log keeps 4 GiB: nobody pushes anything out of it in less than five days, were its arguments such that they cannot be
/// compressed at all. As most are, it is a tenth of that.
const A_SECOND: u64 = 8 << 10;
/// How often the log says how many execs of an agent are not in it.
const EVERY: u64 = 10 * SECOND;
/// How long a record waits for the digest of its program.
const PATIENCE: u64 = 5 * SECOND;
/// Records that wait for one.
const WAITING: usize = 1_024;
/// What the chain and the digest add to a record, about.
const ADDED: u64 = 160;

/// How much may be written of what one agent executes.
#[derive(Clone, Debug)]
pub struct ExecsLeft {
    bytes: Budget,
    /// Execs that were not written, and that nothing is said of.
    unwritten: u64,
    /// When something is to be said of them.
    due: Option<u64>,
}

impl Default for ExecsLeft {
    fn default() -> Self {
        Self { bytes: Budget::new(BURST, A_SECOND), unwritten: 0, due: None }
    }
}

/// Records of execs on their way into the log.
#[derive(Default)]
pub(super) struct Executions {
    /// Oldest first; their numbers have no gaps.
    waiting: VecDeque<Waiting>,
    /// Number of the last one.
    last: u64,
    /// Execs the kernel could not tell of, as far as the log says so.
    pub(super) unseen: u64,
}

/// A record that waits for the digest of its program, or for one before it.
struct Waiting {
    number: u64,
    agent: u64,
    record: Record,
    /// Nothing more is coming.
    whole: bool,
    /// When it is written without.
    due: u64,
}

impl Executions {
    /// Whose records wait.
    pub(super) fn agents(&self) -> impl Iterator<Item = u64> {
        self.waiting.iter().map(|waiting| waiting.agent)
    }
}

impl Core {
    pub(super) fn executed(&mut self, execution: &Execution) {
        self.counts.execs += 1;
        let now = self.now.boottime;
        let Some(number) = self.agents.by_cgroup(execution.agent).map(|agent| agent.number) else {
            // It was let go meanwhile, or it is the canary.
            self.counts.execs_unwritten += 1;
            return;
        };
        self.touched_program(execution.agent, &execution.path);
        if let Some(script) = execution.script() {
            self.touched_program(execution.agent, &script);
        }
        let Some(left) = self.agents.get_mut(number).map(|agent| &mut agent.execs) else { return };
        if !left.bytes.has_room(now) {
            left.unwritten += 1;
            left.due.get_or_insert(now + EVERY);
            self.counts.execs_unwritten += 1;
            return;
        }
        let record = self.record_of_exec(number, execution);
        let bytes = serde_json::to_vec(&record).map_or(0, |line| line.len() as u64) + ADDED;
        if let Some(agent) = self.agents.get_mut(number) {
            agent.execs.bytes.spend(bytes);
        }
        self.executions.last += 1;
        let last = self.executions.last;
        let waiting = Waiting { number: last, agent: number, record, whole: false, due: now + PATIENCE };
        self.executions.waiting.push_back(waiting);
        let since = i128::from(now.saturating_sub(execution.time));
        let wanted = Wanted {
            program: execution.program,
            pid: execution.tgid,
            path: execution.path.clone(),
            executed: self.now.wall - since,
            until: now + PATIENCE,
        };
        self.emit(Effect::Digest { number: last, wanted: Box::new(wanted) });
        if self.executions.waiting.len() > WAITING
            && let Some(oldest) = self.executions.waiting.front_mut()
        {
            oldest.whole = true;
        }
        self.write_execs();
    }

    pub(super) fn digested(&mut self, number: u64, digest: Option<Digest>) {
        let found = self.executions.waiting.iter_mut().find(|waiting| waiting.number == number);
        if let Some(waiting) = found {
            waiting.record.program = digest.map(|digest| digest.to_string()).unwrap_or_default();
            waiting.whole = true;
        }
        self.write_execs();
    }

    /// `all` is since the programs were loaded: it begins anew with others.
    pub(super) fn execs_unseen(&mut self, all: u64) {
        let before = std::mem::replace(&mut self.executions.unseen, all);
        if all == before {
            return;
        }
        self.save_soon();
        let more = all.checked_sub(before).unwrap_or(all);
        let mut record = Record::new(Kind::Exec);
        record.by = "guardd".to_owned();
        record.missing = Some(more);
        record.note = format!("{more} execs of agents are not in the log: the kernel had no room to tell of them");
        self.log(record, false);
    }

    /// When something is to be done about execs, on the boot clock.
    pub(super) fn execs_due(&self) -> Option<u64> {
        let waiting = self.executions.waiting.front().map(|waiting| waiting.due);
        let unwritten = self.agents.iter().filter_map(|agent| agent.execs.due);
        unwritten.chain(waiting).min()
    }

    pub(super) fn tick_execs(&mut self) {
        self.write_execs();
        let now = self.now.boottime;
        let due = self.agents.iter().filter(|agent| agent.execs.due.is_some_and(|due| due <= now));
        for number in due.map(|agent| agent.number).collect::<Vec<_>>() {
            self.tell_unwritten(number);
        }
    }

    /// Nothing is waited for any more.
    pub(super) fn end_execs(&mut self) {
        self.executions.waiting.iter_mut().for_each(|waiting| waiting.whole = true);
        self.write_execs();
        for number in self.agents.iter().map(|agent| agent.number).collect::<Vec<_>>() {
            self.tell_unwritten(number);
        }
    }

    /// Says how many execs of an agent are not in the log, if any.
    pub(super) fn tell_unwritten(&mut self, number: u64) {
        let Some(left) = self.agents.get_mut(number).map(|agent| &mut agent.execs) else { return };
        left.due = None;
        let unwritten = std::mem::take(&mut left.unwritten);
        if unwritten > 0 {
            let mut record = self.agent_record(Kind::Exec, number, "guardd".to_owned());
            record.missing = Some(unwritten);
            record.note = format!("{unwritten} execs of this agent are not in the log one by one: they were too many");
            self.log(record, false);
        }
    }

    /// Writes what need not wait.
    fn write_execs(&mut self) {
        let now = self.now.boottime;
        while let Some(next) = self.executions.waiting.pop_front_if(|next| next.whole || next.due <= now) {
            self.log(next.record, false);
        }
    }

    fn record_of_exec(&self, agent: u64, execution: &Execution) -> Record {
        let mut record = self.agent_record(Kind::Exec, agent, String::new());
        let program = &execution.program;
        record.executed_ns = Some(execution.time);
        record.pid = Some(execution.tgid);
        record.uid = Some(execution.uid);
        record.object =
            (program.ino != 0).then(|| [u64::from(program.dev), program.ino, u64::from(program.generation)]);
        record.note = super::view::doubts(execution.doubt);
        let mut above = execution.ancestors.iter().map(|above| above.pid);
        record.processes = vec![Process {
            pid: execution.tgid,
            ppid: above.next().unwrap_or(0),
            uid: execution.uid,
            user: String::new(),
            comm: lossy(&execution.comm),
            exe: lossy(execution.path.as_os_str().as_bytes()),
            argv: execution.argv.iter().map(|argument| lossy(argument.as_bytes())).collect(),
            cwd: lossy(execution.cwd.as_os_str().as_bytes()),
        }];
        record.starts = vec![execution.start_boottime];
        for ancestor in &execution.ancestors {
            record.processes.push(Process {
                pid: ancestor.pid,
                ppid: above.next().unwrap_or(0),
                uid: ancestor.uid,
                user: String::new(),
                comm: lossy(&ancestor.comm),
                exe: String::new(),
                argv: Vec::new(),
                cwd: String::new(),
            });
            record.starts.push(ancestor.start_boottime);
        }
        record
    }
}
