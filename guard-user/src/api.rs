//! The shapes that travel over the socket: what the server sends and the command line reads.
//!
//! The core's types never derive `Serialize`; this boundary owns the format. Paths, arguments and names come
//! from agents: they are lossy UTF-8 here (`\xNN` for what is not UTF-8) and are escaped again when shown.
//! Times are RFC 3339 in UTC.

mod status;
mod told;

use serde::{Deserialize, Serialize};

pub use crate::result::CallResult;
pub use status::{Canary, CanaryState, Feature, NamedCount, Status, Tier, Unprotected};
pub use told::{Cause, Evidence, Phase, Refusal, Sureness, ToolCall, ToolCallAnswer, Variable};

/// Where the daemon listens unless told otherwise.
pub const SOCKET: &str = "/run/guard/guard.sock";

/// Where agents speak for themselves: [`ToolCall`] and [`Refusal`], and nothing else.
pub const AGENT_SOCKET: &str = "/run/guard/agent.sock";

/// `GET /v1/agents`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// `a1`, `a2`, …: for typing.
    pub id: String,
    pub name: String,
    /// Path below the cgroup root, for example `/guard-agents/a1`.
    pub cgroup: String,
    pub cgroup_id: u64,
    pub workspace: String,
    /// Name of its policy; empty for none.
    #[serde(default)]
    pub policy: String,
    pub state: AgentState,
    pub processes: u32,
    pub pending: u32,
    pub since: String,
    /// Files and sockets that were open when it was tagged, whose first use is judged as their opening would have been;
    /// 0 after a restart of guardd.
    #[serde(default)]
    pub adopted: u32,
    /// Files that were open then in a way in which what is written is not judged: mapped for writing, and in the trip tier
    /// all of them.
    #[serde(default)]
    pub mapped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    Running,
    Suspended,
    /// No process is left in the cgroup.
    Empty,
}

/// `GET /v1/holds`, `GET /v1/holds/{id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// `h1`, `h2`, …: for typing; never reused while guardd runs.
    pub id: String,
    pub state: HoldState,
    pub since: String,
    /// Id of the agent.
    pub agent: String,
    pub agent_name: String,
    pub operation: OperationView,
    /// The process that is stopped first, then its parents up to the agent's first process.
    pub processes: Vec<Process>,
    pub rule: String,
    pub rule_text: String,
    pub reversibility: Reversibility,
    /// How the kernel stopped it.
    pub context: HoldContext,
    /// What would be destroyed; absent where it cannot be counted.
    pub blast: Option<Blast>,
    /// What `approve` without `--once` covers, in words.
    pub scope: String,
    /// How often it was stopped (a rogue `SIGCONT` makes it more than 1).
    pub stops: u32,
    pub decision: Option<Decision>,
    pub outcome: Option<Outcome>,
    /// How its call ended, when it was approved and that was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<CallResult>,
    /// The tool call it came from, as far as the agent told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Variables that say on whose behalf the process runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    Pending,
    /// Decided, and on its way through the log and the kernel.
    Deciding,
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldContext {
    Held,
    Denied,
    Tripped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reversibility {
    Reversible,
    Partial,
    Irreversible,
}

/// What a rule does with what it matches. Later is more severe; the most severe match wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Allow,
    Hold,
    Deny,
    Kill,
}

impl Action {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
            Self::Kill => "kill",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationView {
    /// Name of the [`guard_common::op::Op`].
    pub op: String,
    pub path: String,
    pub other_path: String,
    pub argv: Vec<String>,
    pub address: String,
    /// `file`, `directory`, `symlink`, `block device`, …; empty when there is no object.
    pub object_type: String,
    /// Bytes of the object itself.
    pub size: u64,
    /// Whether the agent made the object itself since it was tagged; null where the kernel does not say.
    pub own: Option<bool>,
    /// In words, for example `overwrites an existing file`, `signal 9 to pid 42`.
    pub detail: String,
    /// Why guard's knowledge of it is incomplete; empty when it is whole.
    pub doubt: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub ppid: u32,
    pub uid: u32,
    pub user: String,
    pub comm: String,
    pub exe: String,
    pub argv: Vec<String>,
    pub cwd: String,
}

/// How much would be destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blast {
    /// Directory or file the count is of.
    pub root: String,
    pub files: u64,
    pub directories: u64,
    pub bytes: u64,
    /// The count stopped at its bound: there is more.
    pub more: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Deny,
    Kill,
}

/// How far a decision reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// This one operation.
    Once,
    /// What this process does under the same rule and below the same directory, until it ends.
    #[default]
    Process,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub verdict: Verdict,
    pub scope: Scope,
    /// `uid 0 (root), pid 123` or `rule NAME`.
    pub by: String,
    pub at: String,
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The grant was used: the operation went on.
    Released,
    /// The grant was used: the program got `EPERM`.
    Refused,
    /// The process was killed by this decision.
    Killed,
    /// The process ended by itself or by somebody else before the decision reached it.
    Died,
    /// The grant was not used before its deadline; the operation did not happen.
    Expired,
    /// The kernel's notice was lost, and so is who could tell: it went on, or ended first.
    Unknown,
}

/// `POST /v1/holds/{id}/decision`; answers with the [`Hold`] once the decision is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    pub verdict: Verdict,
    #[serde(default)]
    pub scope: Scope,
    #[serde(default)]
    pub note: String,
}

/// `POST /v1/agents`: tags. Exactly one of `cgroup`, `pid`, `unit`; or none of them to put the caller itself
/// into a fresh agent cgroup (`guardctl run`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    #[serde(default)]
    pub name: String,
    /// Directory the agent may work in freely; absolute, or empty for none.
    #[serde(default)]
    pub workspace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Text of a rules file to use for this agent besides the daemon's rules; it can only add.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// Name of a policy of the daemon's; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
}

/// `POST /v1/agents/{id}/state`, with `*` as id for every agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetState {
    pub state: Command,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Suspend,
    Resume,
    Kill,
}

/// Body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Machine-readable, see [`ProblemKind`].
    pub kind: ProblemKind,
    /// What went wrong and what to do next, one sentence each.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// 400
    BadRequest,
    /// 403: the peer may not do this, or is an agent.
    NotPermitted,
    /// 404
    NotFound,
    /// 409: decided before, with the decision in the message.
    AlreadyDecided,
    /// 503: the audit log cannot be written; nothing is approved.
    AuditUnavailable,
    /// 500
    Internal,
}

/// One event of `GET /v1/events` (SSE; the event name is `kind`, the data this).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    Held {
        hold: Box<Hold>,
    },
    Decided {
        hold: Box<Hold>,
    },
    Finished {
        hold: Box<Hold>,
    },
    /// Its call is over, and how that ended is known.
    Result {
        hold: Box<Hold>,
    },
    Agent {
        agent: Agent,
    },
    Status {
        status: Box<Status>,
    },
    /// Sent every 15 s so that a dead peer is noticed.
    Ping,
}
