//! One line of the audit log: its shape and nothing else. Fields that say nothing are left out.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::api::{Blast, OperationView, Outcome, Process, Reversibility, Scope, Verdict};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Start,
    Stop,
    Tag,
    Untag,
    /// Nobody of the agent lives any more.
    AgentEnded,
    Hold,
    /// A rule that only observes matched; nothing was held.
    WouldHold,
    Decision,
    /// A decision that never took effect because its own line could not be flushed.
    Withdrawn,
    Outcome,
    /// The time of an agent is over.
    Expired,
    Suspend,
    Resume,
    Kill,
    Reload,
    RefusedPeer,
    /// An agent tried what harms guard, and was refused.
    Shielded,
    /// The canary found that operations are not stopped, cannot be asked, or that all is well again.
    Canary,
    /// The first record of a segment.
    Segment,
    /// Signed, and the last record of a segment.
    Checkpoint,
    /// A segment is removed because the log is too large or too old.
    Retired,
    Error,
}

/// A record. `seq` has no gaps unless some were lost, and then the gap shows it. What it is to the chain is added when it
/// is written ([`super::audit`]).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    pub seq: u64,
    /// RFC 3339, UTC.
    pub time: String,
    /// The kernel's id of this boot, without dashes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub boot: String,
    pub boottime_ns: u64,
    pub kind: Kind,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroup: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hold: String,
    /// Who caused it: `uid 0 (root), pid 123`, `rule NAME`, `guardd`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversibility: Option<Reversibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    /// `st_dev` (kernel encoding), inode and generation of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<[u64; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The acting process first, then its parents; while nothing else is known, what the kernel said of the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blast: Option<Blast>,
    /// Of a segment: what its records mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<u32>,
    /// Of a segment: SHA-256 of the public key, as DER, whose checkpoints it has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Of a segment and a checkpoint: the last hold until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_hold: Option<u64>,
    /// Of a checkpoint: its segment ends.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub closes: bool,
    /// Of a retired segment: its number. A segment and a checkpoint are given theirs when they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
    /// Of a retired segment: SHA-256 that the first record after it names.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last: String,
}

/// Version of the shape of the records; it grows when a field gets another meaning.
pub const SCHEMA: u32 = 1;

impl Record {
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            seq: 0,
            time: String::new(),
            boot: String::new(),
            boottime_ns: 0,
            kind,
            agent: String::new(),
            agent_name: String::new(),
            cgroup: String::new(),
            hold: String::new(),
            by: String::new(),
            note: String::new(),
            verdict: None,
            scope: None,
            outcome: None,
            rule: String::new(),
            reversibility: None,
            operation: None,
            object: None,
            pid: None,
            tid: None,
            uid: None,
            processes: Vec::new(),
            blast: None,
            schema: None,
            key: String::new(),
            last_hold: None,
            closes: false,
            segment: None,
            last: String::new(),
        }
    }
}
