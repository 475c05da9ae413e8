//! Keeps `openapi.yaml` true: its routes are those that are served, its fields those that are sent and taken.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::{ROUTES, agents_own};
use crate::api;

fn file() -> Value {
    serde_saphyr::from_str(include_str!("../../../openapi.yaml")).expect("it is YAML")
}

#[test]
fn the_routes_of_the_openapi_file_are_those_that_are_served() {
    let file = file();
    let paths = file["paths"].as_object().expect("paths");
    let written: BTreeSet<(&str, &str)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys().filter(|key| *key != "servers");
            methods.map(|method| (method.as_str(), path.as_str()))
        })
        .collect();
    assert_eq!(written, ROUTES.into_iter().chain(agents_own::ROUTES).collect());
    let elsewhere = paths.iter().filter(|(_, methods)| !methods["servers"].is_null()).map(|(path, _)| path.as_str());
    assert_eq!(elsewhere.collect::<BTreeSet<_>>(), agents_own::ROUTES.into_iter().map(|(_, path)| path).collect());
}

fn json_of(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("it has a JSON form")
}

/// One of everything, with every field there is.
fn samples() -> BTreeMap<&'static str, Value> {
    let process = json!({"pid": 1, "ppid": 0, "uid": 0, "user": "", "comm": "", "exe": "", "argv": [], "cwd": ""});
    let blast = json!({"root": "", "files": 0, "directories": 0, "bytes": 0, "more": false});
    let decision = json!({"verdict": "deny", "scope": "once", "by": "", "at": "", "note": ""});
    let operation = json!({"op": "", "path": "", "other_path": "", "argv": [], "address": "", "object_type": "",
        "size": 0, "detail": "", "doubt": ""});
    // Through the real types: a field that is missing here does not parse, one too many does not come back.
    let hold: api::Hold = serde_json::from_value(json!({
        "id": "h1", "state": "pending", "since": "", "agent": "", "agent_name": "", "operation": operation,
        "processes": [process], "rule": "", "rule_text": "", "reversibility": "partial", "context": "held",
        "blast": blast, "scope": "", "stops": 1, "decision": decision, "outcome": "released",
        "result": {"errno": 2, "name": "ENOENT"},
        "cause": {"record": 1, "from": "", "session": "s", "call": "c", "tool": "", "sure": "likely", "because": ["tree"]},
        "environment": [{"name": "", "value": "", "pid": 1}],
    }))
    .expect("a hold");
    let core = crate::daemon::testing::core();
    let feature =
        api::Feature { name: String::new(), ok: true, problem: String::new(), cost: String::new(), fix: String::new() };
    let tag = api::Tag {
        cgroup: Some(String::new()),
        pid: Some(1),
        unit: Some(String::new()),
        rules: Some(String::new()),
        policy: "any".to_owned(),
        ..api::Tag::default()
    };
    let decide = api::Decide { verdict: api::Verdict::Deny, scope: api::Scope::Once, note: String::new() };
    let problem = api::Problem { kind: api::ProblemKind::Internal, message: String::new() };
    let heard = Some("2026-03-02T09:00:00Z".to_owned());
    let canary = api::Canary { state: api::CanaryState::Refused, problem: String::new(), heard };
    let hold = json_of(hold);
    let call: api::ToolCall = serde_json::from_value(json!({
        "from": "f", "phase": "before", "session": "s", "call": "c", "tool": "t", "input": 1, "command": "c", "cwd": "d",
        "prompt": "p", "reasoning": "r", "traceparent": "t", "problem": "p", "raw": "r",
    }))
    .expect("a tool call");
    let refusal: api::Refusal = serde_json::from_value(json!({
        "hold": "h1", "time": "", "verdict": "deny", "operation": hold["operation"], "rule": "", "rule_text": "",
        "note": "n", "instead": "i", "call": "c",
    }))
    .expect("a refusal");
    BTreeMap::from([
        ("Status", json_of(core.status_for_tests())),
        ("Canary", json_of(canary)),
        ("NamedCount", json_of(api::NamedCount { name: String::new(), value: 0 })),
        ("Feature", json_of(feature)),
        ("Agent", json_of(core.agents_for_tests())),
        ("OperationView", hold["operation"].clone()),
        ("Process", hold["processes"][0].clone()),
        ("Blast", hold["blast"].clone()),
        ("Decision", hold["decision"].clone()),
        ("CallResult", hold["result"].clone()),
        ("Cause", hold["cause"].clone()),
        ("Variable", hold["environment"][0].clone()),
        ("Hold", hold),
        ("ToolCall", json_of(call)),
        ("ToolCallAnswer", json_of(api::ToolCallAnswer::default())),
        ("Refusal", json_of(refusal)),
        ("Decide", json_of(decide)),
        ("Tag", json_of(tag)),
        ("SetState", json_of(api::SetState { state: api::Command::Kill })),
        ("Problem", json_of(problem)),
    ])
}

#[test]
fn the_fields_of_the_openapi_file_are_those_that_are_sent() {
    let (file, samples) = (file(), samples());
    let schemas = file["components"]["schemas"].as_object().expect("schemas");
    let names = |object: &Value| object.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&file["components"]["schemas"]), samples.keys().map(|name| (*name).to_owned()).collect());
    for (name, schema) in schemas {
        assert_eq!(names(&schema["properties"]), names(&samples[name.as_str()]), "{name}");
    }
}
