//! A record of the log as the export reads it. It is another guardd's, maybe of another version: what it does not say is empty.
#![forbid(unsafe_code)]

use std::ops::Index;

use serde_json::Value;

use super::{
    names,
    span::{Attributes, SpanId},
};
use crate::audit::query;

#[derive(Clone, Debug)]
pub(super) struct Record(pub(super) Value);

impl Index<&str> for Record {
    type Output = Value;

    fn index(&self, field: &str) -> &Value {
        &self.0[field]
    }
}

impl Record {
    pub(super) fn text(&self, field: &str) -> &str {
        self.0[field].as_str().unwrap_or_default()
    }

    pub(super) fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or(0)
    }

    /// When it was written, in nanoseconds since 1970.
    pub(super) fn written(&self) -> u64 {
        query::time(&self.0).and_then(|time| u64::try_from(time.as_nanosecond()).ok()).unwrap_or(0)
    }

    /// When it happened, on the boot clock.
    pub(super) fn at(&self) -> u64 {
        self.0["executed_ns"].as_u64().unwrap_or_else(|| self.number("boottime_ns"))
    }

    /// The same, in nanoseconds since 1970.
    pub(super) fn happened(&self) -> u64 {
        self.written().saturating_sub(self.number("boottime_ns").saturating_sub(self.at()))
    }

    /// Of the span that begins here.
    pub(super) fn span(&self) -> SpanId {
        SpanId::of(&[self.text("boot"), "record", &self.number("seq").to_string()])
    }

    /// Which agent it is about, and where it is in the log.
    pub(super) fn about(&self) -> Attributes {
        Attributes::of(&[
            (names::AGENT_NAME, &self["agent_name"]),
            (names::AGENT_ID, &self["agent"]),
            (names::PROCESS_CGROUP, &self["cgroup"]),
            (names::RECORD, &self["seq"]),
        ])
    }

    /// The process that acts.
    pub(super) fn process(&self) -> Attributes {
        let process = &self["processes"][0];
        Attributes::of(&[
            (names::PROCESS_PID, &self["pid"]),
            (names::PROCESS_PARENT_PID, &process["ppid"]),
            (names::PROCESS_PATH, &process["exe"]),
            (names::PROCESS_ARGUMENTS, &process["argv"]),
            (names::PROCESS_DIRECTORY, &process["cwd"]),
            (names::PROCESS_USER_ID, &self["uid"]),
        ])
    }

    /// What it does, or wants to do.
    pub(super) fn operation(&self) -> Attributes {
        let (operation, blast) = (&self["operation"], &self["blast"]);
        let known = |object: &'static str| if operation[object] == 0 { &Value::Null } else { &operation[object] };
        Attributes::of(&[
            (names::OPERATION, &operation["op"]),
            (names::FILE_PATH, &operation["path"]),
            (names::OPERATION_OTHER_PATH, &operation["other_path"]),
            (names::OPERATION_ARGUMENTS, &operation["argv"]),
            (names::OPERATION_ADDRESS, &operation["address"]),
            (names::OPERATION_OBJECT, &operation["object_type"]),
            (names::FILE_SIZE, known("size")),
            (names::OPERATION_OWN, &operation["own"]),
            (names::OPERATION_DETAIL, &operation["detail"]),
            (names::OPERATION_DOUBT, &operation["doubt"]),
            (names::BLAST_ROOT, &blast["root"]),
            (names::BLAST_FILES, &blast["files"]),
            (names::BLAST_DIRECTORIES, &blast["directories"]),
            (names::BLAST_BYTES, &blast["bytes"]),
            (names::BLAST_MORE, &blast["more"]),
            (names::RULE, &self["rule"]),
            (names::RULE_TEXT, &self["rule_text"]),
            (names::REVERSIBILITY, &self["reversibility"]),
            (names::CONTEXT, &self["context"]),
        ])
    }
}
