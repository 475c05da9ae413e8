//! What may be asked of the core, and how it answers. The format on the wire is the server's business.

use crate::{
    api::{self, ProblemKind},
    daemon::rulebook::Places,
    tool_calls::Link,
};

/// Names one request until it is answered.
pub type Token = u64;

/// Something a peer may ask for. Whether it may was decided before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Status,
    Agents,
    /// Those that wait, or all that are remembered.
    Holds {
        all: bool,
    },
    Hold(String),
    Decide {
        id: String,
        decide: api::Decide,
    },
    Tag(Box<TagRequest>),
    Untag(String),
    /// `*` names every agent.
    SetState {
        agent: String,
        command: api::Command,
    },
    Reload,
    /// Signs the log as it is now.
    Checkpoint,
    /// Writes what agents touched into the log.
    Footprints,
}

/// What an agent may say and ask, on a socket of its own. It decides nothing and learns nothing of others.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentRequest {
    ToolCall {
        call: Box<api::ToolCall>,
        /// The process that tells it.
        pid: u32,
        /// That one, and those above it.
        lineage: Vec<Link>,
    },
    /// The last that it was refused, this many at most.
    Refusals(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRequest {
    pub name: String,
    pub places: Places,
    pub extra: Option<String>,
    pub target: Target,
}

/// What is tagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A fresh cgroup, with this process in it.
    Fresh {
        pid: u32,
        /// It asked for this itself.
        itself: bool,
    },
    /// A cgroup that exists, by its path below the cgroup root, with everything in it.
    Adopt { cgroup: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Done,
    Status(Box<api::Status>),
    Agents(Vec<api::Agent>),
    Agent(Box<api::Agent>),
    Holds(Vec<api::Hold>),
    Hold(Box<api::Hold>),
    ToolCall(api::ToolCallAnswer),
    Refusals(Vec<api::Refusal>),
    Problem(api::Problem),
}

/// A refusal in words.
#[must_use]
pub fn problem(kind: ProblemKind, message: impl Into<String>) -> Answer {
    Answer::Problem(api::Problem { kind, message: message.into() })
}
