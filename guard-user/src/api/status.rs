//! The shapes about guardd itself: what it protects, and what it cannot.

use serde::{Deserialize, Serialize};

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
