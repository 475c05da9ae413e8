//! The core's two sides: everything that can happen, and everything it can ask for. Shapes only.

use guard_common::{grant::Grant, record::HoldKey};

use super::{AgentRequest, Answer, Request, Target, Token};
use crate::{
    api,
    audit::chain::Digest,
    daemon::{
        audit::{Report, keep::Old},
        canary::Finding,
        digest::Wanted,
        record::Record,
        rulebook::Rulebook,
        state::Saved,
    },
    execution::Execution,
    holds::{Facts, Losses},
    operation::{HoldName, Operation},
    rules::lower::Tables,
    touched::Touched,
};

/// Everything that can happen.
pub enum Input {
    /// The kernel stopped an operation.
    Candidate(Box<Operation>),
    /// A record nobody understands: it stays stopped.
    Undecodable {
        key: HoldKey,
        error: String,
    },
    /// A call of this process was refused, and its record was gone before it could be read.
    Missed {
        tgid: u32,
    },
    HeldAgain(HoldName),
    /// The grant of this hold was used.
    Consumed {
        name: HoldName,
        approved: bool,
    },
    /// The call that the approval of this hold let through is over, with this error; 0 when it succeeded.
    Result {
        name: HoldName,
        errno: u32,
    },
    /// The approval of this hold let a call through whose end will not be told.
    Unheard(HoldName),
    /// A process of the agent with this cgroup was refused what harms guard; `what` is a
    /// [`Shield`](guard_common::shield::Shield).
    Shielded {
        agent: u64,
        tgid: u32,
        what: u32,
    },
    /// An agent began with a program.
    Executed(Box<Execution>),
    /// Execs the kernel could not tell of, all since its programs were loaded.
    ExecsUnseen(u64),
    /// What agents touched; with `all`, everything that was counted until now.
    Touched {
        touched: Vec<Touched>,
        all: bool,
    },
    /// Answer to [`Effect::Digest`].
    Digested {
        number: u64,
        digest: Option<Digest>,
    },
    /// What the canary found just now.
    Canary(Finding),
    /// What the kernel has counted by now.
    Counted(Losses),
    /// Answer to [`Effect::Settle`].
    Settled {
        number: u64,
        /// It still stands in the kernel's map, so its answer was not used.
        waits: bool,
        /// The very thread lives.
        lives: bool,
        losses: Losses,
    },
    /// The task of this hold is gone.
    Gone(HoldName),
    ProcessGone {
        tgid: u32,
    },
    /// The same, and another process has its number already: these holds are of that one.
    Succeeded {
        tgid: u32,
        own: Vec<HoldName>,
    },
    /// Answer to [`Effect::Gather`], always before [`Input::Blast`].
    Facts {
        name: HoldName,
        facts: Box<Facts>,
    },
    /// Second answer to [`Effect::Gather`].
    Blast {
        name: HoldName,
        blast: Option<api::Blast>,
    },
    /// Somebody who may asks for something.
    Request {
        token: Token,
        by: String,
        request: Request,
    },
    /// An agent says something of itself, or asks what it was refused.
    Told {
        token: Token,
        /// Its number.
        agent: u64,
        by: String,
        request: AgentRequest,
    },
    /// Somebody who may not was turned away.
    RefusedPeer {
        by: String,
        note: String,
    },
    /// Answer to [`Effect::Tag`].
    Tagged {
        agent: u64,
        token: Token,
        by: String,
        result: Result<Placed, String>,
    },
    /// These agents have no process any more, and their cgroups are removed.
    AgentsEnded(Vec<u64>),
    /// What an earlier guardd called the holds it left waiting, and the execs it said are not in the log; comes before any
    /// other of them.
    Numbered {
        holds: Vec<crate::daemon::state::SavedHold>,
        execs_unseen: u64,
    },
    /// An agent of an earlier guardd, unless another cgroup took the place of its own.
    Restored(Box<crate::daemon::state::SavedAgent>),
    /// Answer to [`Effect::Act`].
    Acted {
        agent: u64,
        act: Act,
        token: Option<Token>,
        by: String,
        result: Result<(), String>,
    },
    Reloaded {
        token: Option<Token>,
        by: String,
        result: Result<Box<dyn Rulebook>, String>,
    },
    /// A grant could not be written.
    GrantFailed {
        name: HoldName,
        error: String,
    },
    /// Something else the daemon needed from the kernel did not work.
    Trouble(String),
    AuditFlushed(u64),
    AuditFailed(String),
    AuditRecovered,
    /// Before anything is written to it.
    AuditOpened {
        fresh: bool,
        /// Time of its first record, since 1970 in nanoseconds.
        since: Option<i128>,
        /// Longest a segment may last, in nanoseconds.
        age: i128,
    },
    /// The segment that is written is as large as it may be.
    SegmentFull,
    SegmentRotated,
    /// Answer to [`Effect::Tidy`]: what is to be removed.
    SegmentsOld(Vec<Old>),
    Started,
    /// What an older guard, or none, left was taken over.
    TookOver(String),
    Stopping,
    Tick,
}

impl From<Report> for Input {
    fn from(report: Report) -> Self {
        match report {
            Report::Flushed(seq) => Self::AuditFlushed(seq),
            Report::Failed(reason) => Self::AuditFailed(reason),
            Report::Recovered => Self::AuditRecovered,
            Report::Full => Self::SegmentFull,
            Report::Rotated => Self::SegmentRotated,
            Report::Trouble(trouble) => Self::Trouble(trouble),
        }
    }
}

/// Everything the core can ask for. The edge executes them in order.
#[derive(Debug)]
pub enum Effect {
    Grant {
        name: HoldName,
        grant: Grant,
    },
    Continue {
        tgid: u32,
    },
    /// `SIGCONT`, if this thread is stopped by a signal.
    ContinueIfStopped {
        tgid: u32,
        tid: u32,
    },
    /// `SIGCONT`, if the thread of this hold is stopped although nothing of it is held.
    ContinueStopped {
        name: HoldName,
        tgid: u32,
    },
    KillProcess {
        tgid: u32,
    },
    RemoveHold(HoldName),
    /// Find out what is known of a hold whose answer nobody saw used.
    Settle {
        number: u64,
        name: HoldName,
        tgid: u32,
        tid: u32,
        start_boottime: u64,
    },
    /// Tell how calls end that approvals let through, until this moment on the boot clock.
    Listen {
        until: u64,
    },
    /// Tell when this process ends.
    Watch {
        tgid: u32,
    },
    /// Find out about the process and what it would destroy; answers with facts, then blast.
    Gather(Box<Gather>),
    /// Find the SHA-256 of a program; answers in order.
    Digest {
        number: u64,
        wanted: Box<Wanted>,
    },
    Act {
        agent: u64,
        cgroup: String,
        act: Act,
        token: Option<Token>,
        by: String,
    },
    Tag(Box<Tag>),
    Untag {
        cgroup: String,
        cgroup_id: u64,
        policy: u32,
    },
    /// The kernel forgets an agent of which nobody lives.
    EndAgent {
        cgroup_id: u64,
        policy: u32,
    },
    /// Write the tables, then point the agent at them, then drop the old ones.
    SetPolicy {
        cgroup_id: u64,
        policy: u32,
        tables: Box<Tables>,
        old: Option<u32>,
    },
    Save(Box<Saved>),
    Audit {
        record: Box<Record>,
        flush: bool,
    },
    /// Try the audit log again.
    ProbeAudit,
    /// Compress closed segments of the log, and find those that are too many.
    Tidy,
    RemoveSegment(u64),
    Reload {
        token: Token,
        by: String,
    },
    Reply {
        token: Token,
        answer: Answer,
    },
    Publish(Box<api::Event>),
}

/// What is done to a whole agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Freeze,
    Thaw,
    Kill,
}

/// What [`Effect::Gather`] needs to know.
#[derive(Debug)]
pub struct Gather {
    pub operation: Operation,
    /// Below the cgroup root; empty when the agent is unknown. The chain ends at its first process.
    pub cgroup: String,
}

/// What [`Effect::Tag`] does, in this order: cgroup, policy, agent, processes.
#[derive(Debug)]
pub struct Tag {
    pub agent: u64,
    pub target: Target,
    pub policy: u32,
    pub tables: Tables,
    pub token: Token,
    pub by: String,
}

/// Where [`Effect::Tag`] put an agent, and what was open there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Below the cgroup root.
    pub cgroup: String,
    pub cgroup_id: u64,
    /// Files and sockets that were open, whose first use is judged.
    pub adopted: u32,
    /// Files that were mapped for writing: what is written there is not judged.
    pub mapped: u32,
}

/// What never changes while guardd runs, for the status.
#[derive(Clone, Debug)]
pub struct About {
    pub pid: u32,
    pub kernel: String,
    pub tier: api::Tier,
    pub reason: String,
    pub summary: String,
    pub features: Vec<api::Feature>,
    pub audit_path: String,
    /// SHA-256 of the public key that signs the log; empty when there is none.
    pub audit_key: String,
    /// The kernel's id of this boot, without dashes.
    pub boot: String,
    /// What is done to agents when the kernel stops nothing.
    pub unprotected: api::Unprotected,
}
