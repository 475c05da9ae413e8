//! What the records of one hold come to: joined here, shown elsewhere. Records are another guardd's, maybe of another
//! version: what one does not say is left out.
#![forbid(unsafe_code)]

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{
    Blast, CallResult, Cause, HoldContext, OperationView, Outcome, Process, Reversibility, Scope, ToolCall, Variable,
    Verdict,
};

/// One hold from its beginning to what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Incident {
    pub hold: String,
    pub agent: String,
    pub agent_name: String,
    pub cgroup: String,
    /// The acting process first, then its parents.
    pub processes: Vec<Process>,
    pub operation: Option<OperationView>,
    pub blast: Option<Blast>,
    pub rule: String,
    pub rule_text: String,
    pub reversibility: Option<Reversibility>,
    pub context: Option<HoldContext>,
    /// The tool call it came from, as far as its agent told of it.
    pub cause: Option<Cause>,
    /// What the agent said when that call began.
    pub told: Option<ToolCall>,
    /// When, by the record.
    pub told_at: String,
    /// Variables of the processes that say on whose behalf they ran.
    pub environment: Vec<Variable>,
    /// What was recorded of it, oldest first.
    pub steps: Vec<Step>,
}

/// One record of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Step {
    pub seq: u64,
    pub time: String,
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<CallResult>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Incident {
    /// Of the records about a hold, oldest first; `None` when there are none.
    #[must_use]
    pub fn of(hold: &str, records: &[Value]) -> Option<Self> {
        let mut incident = Self { hold: hold.to_owned(), ..Self::default() };
        for record in records {
            incident.steps.extend(step(record));
            let text = |name: &str| record[name].as_str().unwrap_or_default();
            for (field, name) in [
                (&mut incident.agent, "agent"),
                (&mut incident.agent_name, "agent_name"),
                (&mut incident.cgroup, "cgroup"),
                (&mut incident.rule, "rule"),
                (&mut incident.rule_text, "rule_text"),
            ] {
                if field.is_empty() {
                    text(name).clone_into(field);
                }
            }
            // The first record that says it: the operation cannot change, and later ones repeat it.
            take(&mut incident.operation, record, "operation");
            take(&mut incident.reversibility, record, "reversibility");
            take(&mut incident.context, record, "context");
            // Known a moment after the first record, maybe.
            take(&mut incident.cause, record, "cause");
            let mut environment = None;
            take(&mut environment, record, "environment");
            if incident.environment.is_empty() {
                incident.environment = environment.unwrap_or_default();
            }
            // Counted after the first record, maybe.
            take(&mut incident.blast, record, "blast");
            let mut processes: Option<Vec<Process>> = None;
            take(&mut processes, record, "processes");
            if let Some(processes) = processes.filter(|processes| processes.len() > incident.processes.len()) {
                incident.processes = processes;
            }
        }
        (!incident.steps.is_empty()).then_some(incident)
    }

    /// When it was first recorded.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.steps.first().and_then(|step| step.time.parse().ok())
    }

    /// The record in which its agent told of the call, if that is among these.
    pub fn told_in(&mut self, records: &[Value]) {
        let wanted = self.cause.as_ref().map(|cause| cause.record);
        let record = records.iter().find(|record| wanted.is_some() && record["seq"].as_u64() == wanted);
        if let Some(record) = record {
            self.told = serde_json::from_value(record["tool_call"].clone()).ok();
            record["time"].as_str().unwrap_or_default().clone_into(&mut self.told_at);
        }
    }

    /// The record by which its agent was tagged comes before the others.
    pub fn tagged_by(&mut self, records: &[Value]) {
        if let Some(tagged) = records.last().and_then(step) {
            self.steps.insert(0, tagged);
        }
    }
}

fn step(record: &Value) -> Option<Step> {
    let step: Step = serde_json::from_value(record.clone()).ok()?;
    let is_decision = step.kind == "decision";
    // What follows a decision repeats it.
    Some(if is_decision || step.kind == "tag" { step } else { Step { verdict: None, scope: None, ..step } })
}

fn take<T: for<'de> Deserialize<'de>>(field: &mut Option<T>, record: &Value, name: &str) {
    if field.is_none() && !record[name].is_null() {
        *field = serde_json::from_value(record[name].clone()).ok();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_incident_is_what_its_records_say() {
        let records = [
            json!({"seq": 3, "time": "2026-11-30T12:00:00.000Z", "kind": "hold", "agent": "a1", "agent_name": "claude", "hold": "h1",
                "rule": "r", "rule_text": "Because.", "reversibility": "irreversible", "context": "held",
                "processes": [{"pid": 7, "ppid": 1, "uid": 0, "user": "root", "comm": "rm", "exe": "", "argv": [], "cwd": "/"}]}),
            json!({"seq": 4, "time": "2026-11-30T12:00:05.000Z", "kind": "decision", "agent": "a1", "hold": "h1", "verdict": "deny",
                "scope": "once", "by": "uid 0 (root)", "note": "no", "rule": "other",
                "blast": {"root": "/x", "files": 1, "directories": 0, "bytes": 5, "more": false}}),
            json!({"seq": 5, "time": "2026-11-30T12:00:05.000Z", "kind": "outcome", "agent": "a1", "hold": "h1", "verdict": "deny",
                "outcome": "refused", "of a later version": {},
                "cause": {"record": 2, "from": "codex", "tool": "shell", "sure": "likely", "because": ["tree", "time"]}}),
        ];
        let mut incident = Incident::of("h1", &records).expect("there is something");
        assert_eq!(
            (incident.agent.as_str(), incident.agent_name.as_str(), incident.rule.as_str()),
            ("a1", "claude", "r")
        );
        assert_eq!((incident.processes.len(), incident.blast.as_ref().map(|blast| blast.bytes)), (1, Some(5)));
        assert_eq!(incident.context, Some(HoldContext::Held));
        incident.told_in(&[
            json!({"seq": 1, "time": "x", "kind": "tool_call", "tool_call": {"from": "codex", "tool": "other"}}),
            json!({"seq": 2, "time": "y", "kind": "tool_call", "tool_call": {"from": "codex", "prompt": "tidy up"}}),
        ]);
        assert_eq!(incident.told.as_ref().map(|told| told.prompt.as_str()), Some("tidy up"));
        assert_eq!(incident.told_at, "y");
        let kinds = |incident: &Incident| incident.steps.iter().map(|step| step.kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(&incident), ["hold", "decision", "outcome"]);
        assert_eq!((incident.steps[1].verdict, incident.steps[2].verdict), (Some(Verdict::Deny), None));
        incident
            .tagged_by(&[json!({"seq": 1, "time": "2026-11-30T11:00:00.000Z", "kind": "tag", "by": "uid 1000 (dev)"})]);
        assert_eq!(kinds(&incident), ["tag", "hold", "decision", "outcome"]);
        assert_eq!(Incident::of("h2", &[]), None);
    }
}
