//! The shapes that travel over the socket: what the server sends and the command line reads.
//!
//! The core's types never derive `Serialize`; this boundary owns the format. Paths, arguments and names come
//! from agents: they are lossy UTF-8 here (`\xNN` for what is not UTF-8) and are escaped again when shown.
//! Times are RFC 3339 in UTC.

use serde::{Deserialize, Serialize};

/// Where the daemon listens unless told otherwise.
pub const SOCKET: &str = "/run/guard/guard.sock";

/// Where agents speak for themselves: [`ToolCall`] and [`Refusal`], and nothing else.
pub const AGENT_SOCKET: &str = "/run/guard/agent.sock";

/// `GET /v1/status`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub started: String,
    pub kernel: String,
    pub tier: Tier,
    /// Why this tier and not the better one; empty for gate.
    pub reason: String,
    /// True only while every operation of the rules is stopped before it takes effect.
    pub protecting: bool,
    /// One line: what is protected and what is not.
    pub summary: String,
    pub rules: u32,
    pub agents: u32,
    pub pending: u32,
    /// False when the audit log cannot be written: nothing is approved then.
    pub audit_ok: bool,
    pub audit_path: String,
    pub canary: Canary,
    pub counts: Vec<NamedCount>,
    pub features: Vec<Feature>,
}

/// Which tier runs. See design: gate stops before the effect, trip at once after the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    Gate,
    Trip,
}

/// A process of guardd's own that tries every few seconds what the kernel must refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    pub state: CanaryState,
    /// What it means; empty while all is well, or there is none.
    pub problem: String,
    /// When it was heard last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CanaryState {
    /// There is none: the trip tier refuses nothing.
    Off,
    /// All it tried was refused.
    Refused,
    /// Something it tried was not.
    Passed,
    /// It does not answer.
    Silent,
}

/// What is done to agents when the kernel stops nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unprotected {
    #[default]
    Suspend,
    Kill,
    /// Say it, and nothing else.
    Report,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCount {
    pub name: String,
    pub value: u64,
}

/// One thing the kernel must have, for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    /// For example `lsm/path_unlink`, `btf`, `cgroup2`.
    pub name: String,
    pub ok: bool,
    /// What is wrong; empty when ok.
    pub problem: String,
    /// What that costs; empty when ok.
    pub cost: String,
    /// The exact step that fixes it; empty when there is none.
    pub fix: String,
}

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

/// `POST /v1/tool-calls` on the agents' socket: what an agent says of a call of one of its tools; answers with
/// [`ToolCallAnswer`]. All of it is the agent's word, and what is longer than [`ToolCall::PROSE`] and its like is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolCall {
    /// Whose shape it had: `claude-code`, `codex`, ….
    pub from: String,
    pub phase: Phase,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// The agent's id of this call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub call: String,
    /// Name of its tool, for example `Bash`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tool: String,
    /// What it gives to the tool; null where that is not known.
    #[serde(skip_serializing_if = "serde_json::Value::is_null")]
    pub input: serde_json::Value,
    /// The command line in it, where the tool runs one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// The last thing a person asked, from the agent's transcript.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prompt: String,
    /// What the agent wrote between that and the call.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// W3C `traceparent` from the environment of the hook.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    /// Why it was not understood; empty when it was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// The beginning of what the hook got, where that was not understood.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

impl ToolCall {
    /// Most bytes of `prompt`, `reasoning` and `raw`, each.
    pub const PROSE: usize = 8 << 10;
    /// Most bytes of `command`, and of `input` as JSON; a longer `input` is replaced by a string of its beginning.
    pub const INPUT: usize = 8 << 10;
    /// Most bytes of every other text.
    pub const WORD: usize = 1 << 10;

    /// What it is about and nothing that was said.
    #[must_use]
    pub fn without_texts(&self) -> Self {
        Self {
            from: self.from.clone(),
            phase: self.phase,
            session: self.session.clone(),
            call: self.call.clone(),
            tool: self.tool.clone(),
            ..Self::default()
        }
    }

    /// Bytes of what [`ToolCall::without_texts`] leaves out.
    #[must_use]
    pub fn texts(&self) -> u64 {
        let texts =
            [&self.command, &self.cwd, &self.prompt, &self.reasoning, &self.traceparent, &self.problem, &self.raw];
        let bytes: usize = texts.into_iter().map(String::len).sum();
        (bytes + self.input.to_string().len()) as u64
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The tool is about to run.
    #[default]
    Before,
    /// It has run, or failed.
    After,
}

/// The tool call an operation came from, as far as can be known: the call is the agent's word, that they belong together
/// is guard's conclusion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// Number of the record in which the agent told of it.
    pub record: u64,
    pub from: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
    pub tool: String,
    pub sure: Sureness,
    pub because: Vec<Evidence>,
}

/// How sure it is that an operation came from a tool call. Later is surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// It was under way.
    Possible,
    Likely,
    /// A process below the agent's, while the call was under way, doing what the call says.
    Strong,
}

/// What speaks for an operation having come from a tool call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The process descends from the one that told of the call, or is it.
    Tree,
    /// A process on the way runs the command of the call.
    Argv,
    /// The call names what the operation is about.
    Object,
    /// A process on the way works in the directory of the call.
    Cwd,
    /// The call was under way.
    Time,
}

/// A variable of a process's environment as it was when its program began: the agent's word, or its person's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub name: String,
    pub value: String,
    /// The process it was found in: the nearest above the one that acts.
    pub pid: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCallAnswer {
    /// After a call: what its agent was refused since that call began, oldest first.
    pub refused: Vec<Refusal>,
}

/// `GET /v1/refusals` on the agents' socket: what the caller's agent was refused, newest first. For the agent: it does not
/// say who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub hold: String,
    pub time: String,
    pub verdict: Verdict,
    pub operation: OperationView,
    pub rule: String,
    pub rule_text: String,
    /// What whoever decided wrote.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What the agent may do instead, as the rule says it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instead: String,
    /// Id of the tool call it came from, as far as is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub call: String,
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
    Agent {
        agent: Agent,
    },
    Status {
        status: Box<Status>,
    },
    /// Sent every 15 s so that a dead peer is noticed.
    Ping,
}
