//! One line of the audit log: its shape and nothing else. Fields that say nothing are left out.
#![forbid(unsafe_code)]

use serde::Serialize;

use crate::{
    api::{
        Blast, Cause, HoldContext, OperationView, Outcome, Process, Reversibility, Scope, ToolCall, Variable, Verdict,
    },
    footprint::Footprint,
    result::CallResult,
};

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
    /// The call that an approval let through is over.
    Result,
    /// The time of an agent is over.
    Expired,
    Suspend,
    Resume,
    Kill,
    Reload,
    RefusedPeer,
    /// An agent says that a call of one of its tools begins, or is over.
    ToolCall,
    /// An agent began with a program, or did so too often to be written down each time.
    Exec,
    /// What an agent touched since the record of this kind before.
    Footprint,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<CallResult>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Why that rule exists; where something is first told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule_text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reversibility: Option<Reversibility>,
    /// How it was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<HoldContext>,
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
    /// When each of those began, on the clock of `boottime_ns`, as far as it is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<u64>,
    /// Of an exec: when the program began, on the same clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executed_ns: Option<u64>,
    /// Of an exec: SHA-256 of the program.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// Execs that are not in the log one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footprint: Option<Box<Footprint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blast: Option<Blast>,
    /// What the agent said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCall>,
    /// The tool call it came from, as far as its agent told of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Variables of these processes that say on whose behalf they run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<Variable>,
    /// Of rules that come into force: SHA-256 of the files they are in.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rules: String,
    /// How those differ from the ones before.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub diff: String,
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
            result: None,
            rule: String::new(),
            rule_text: String::new(),
            reversibility: None,
            context: None,
            operation: None,
            object: None,
            pid: None,
            tid: None,
            uid: None,
            processes: Vec::new(),
            starts: Vec::new(),
            executed_ns: None,
            program: String::new(),
            missing: None,
            footprint: None,
            blast: None,
            tool_call: None,
            cause: None,
            environment: Vec::new(),
            rules: String::new(),
            diff: String::new(),
            schema: None,
            key: String::new(),
            last_hold: None,
            closes: false,
            segment: None,
            last: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::api::Sureness;

    /// What users are told.
    const PAGE: &str = include_str!("../../../docs/audit-log.md");

    /// The words in backticks of a text.
    fn quoted(text: &str) -> BTreeSet<&str> {
        text.split('`').skip(1).step_by(2).collect()
    }

    fn section<'a>(from: &str, to: &str) -> &'a str {
        let (_, text) = PAGE.split_once(from).expect("it begins so");
        text.split_once(to).expect("it ends so").0
    }

    #[test]
    fn every_field_is_documented() {
        let text = || "x".to_owned();
        let process =
            Process { pid: 1, ppid: 1, uid: 1, user: text(), comm: text(), exe: text(), argv: vec![], cwd: text() };
        let operation = OperationView {
            op: text(),
            path: text(),
            other_path: text(),
            argv: vec![],
            address: text(),
            object_type: text(),
            size: 1,
            own: None,
            detail: text(),
            doubt: text(),
        };
        let cause = Cause {
            record: 1,
            from: text(),
            session: text(),
            call: text(),
            tool: text(),
            sure: Sureness::Strong,
            because: Vec::new(),
        };
        let whole = Record {
            seq: 1,
            time: text(),
            boot: text(),
            boottime_ns: 1,
            kind: Kind::Hold,
            agent: text(),
            agent_name: text(),
            cgroup: text(),
            hold: text(),
            by: text(),
            note: text(),
            verdict: Some(Verdict::Deny),
            scope: Some(Scope::Once),
            outcome: Some(Outcome::Refused),
            result: Some(CallResult::of(0)),
            rule: text(),
            rule_text: text(),
            reversibility: Some(Reversibility::Irreversible),
            context: Some(HoldContext::Held),
            operation: Some(operation),
            object: Some([1, 2, 3]),
            pid: Some(1),
            tid: Some(1),
            uid: Some(1),
            processes: vec![process],
            starts: vec![1],
            executed_ns: Some(1),
            program: text(),
            missing: Some(1),
            footprint: Some(Box::default()),
            blast: Some(Blast { root: text(), files: 1, directories: 0, bytes: 1, more: false }),
            tool_call: Some(ToolCall::default()),
            cause: Some(cause),
            environment: vec![Variable { name: text(), value: text(), pid: 1 }],
            rules: text(),
            diff: text(),
            schema: Some(SCHEMA),
            key: text(),
            last_hold: Some(1),
            closes: true,
            segment: Some(1),
            last: text(),
        };
        let value = serde_json::to_value(whole).expect("JSON");
        let mut fields: BTreeSet<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        // The chain's.
        fields.extend(["prev", "signature"]);
        let rows = section("| field | in | what |\n| --- | --- | --- |\n", "\n\n");
        let documented: BTreeSet<&str> =
            rows.lines().flat_map(|row| quoted(row.split('|').nth(1).expect("a first column"))).collect();
        assert_eq!(documented, fields);
    }

    #[test]
    fn every_kind_is_documented() {
        let kinds: BTreeSet<String> = std::iter::successors(Some(Kind::Start), |kind| following(*kind))
            .map(|kind| serde_json::to_value(kind).expect("JSON").as_str().expect("a word").to_owned())
            .collect();
        assert_eq!(quoted(section("\nKinds: ", "\n\n")), kinds.iter().map(String::as_str).collect());
    }

    /// Each once. One that is missing here does not compile.
    fn following(kind: Kind) -> Option<Kind> {
        Some(match kind {
            Kind::Start => Kind::Stop,
            Kind::Stop => Kind::Tag,
            Kind::Tag => Kind::Untag,
            Kind::Untag => Kind::AgentEnded,
            Kind::AgentEnded => Kind::Hold,
            Kind::Hold => Kind::WouldHold,
            Kind::WouldHold => Kind::Decision,
            Kind::Decision => Kind::Withdrawn,
            Kind::Withdrawn => Kind::Outcome,
            Kind::Outcome => Kind::Result,
            Kind::Result => Kind::Expired,
            Kind::Expired => Kind::Suspend,
            Kind::Suspend => Kind::Resume,
            Kind::Resume => Kind::Kill,
            Kind::Kill => Kind::Reload,
            Kind::Reload => Kind::RefusedPeer,
            Kind::RefusedPeer => Kind::ToolCall,
            Kind::ToolCall => Kind::Exec,
            Kind::Exec => Kind::Footprint,
            Kind::Footprint => Kind::Shielded,
            Kind::Shielded => Kind::Canary,
            Kind::Canary => Kind::Segment,
            Kind::Segment => Kind::Checkpoint,
            Kind::Checkpoint => Kind::Retired,
            Kind::Retired => Kind::Error,
            Kind::Error => return None,
        })
    }
}
