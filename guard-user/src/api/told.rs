//! The shapes about what agents say of themselves, and hear: on their own socket, in the log and on holds.

use serde::{Deserialize, Serialize};

use super::{OperationView, Verdict};

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
