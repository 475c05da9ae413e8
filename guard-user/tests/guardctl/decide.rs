//! Decisions and commands: what guardd is told, and the exit code.

use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

use crate::{
    fake::{Guardd, events, ok, problem},
    fixture,
};

const DECISION: &str = "POST /v1/holds/h12/decision";

/// A daemon that takes the decision on h12 and says how it ended.
fn deciding(verdict: &str, outcome: &str) -> Guardd {
    let finished = json!({ "kind": "finished", "hold": fixture::decided(verdict, Some(outcome)) });
    Guardd::answering(&[
        ("GET /v1/events", vec![events(&[json!({ "kind": "ping" }), finished])]),
        (DECISION, vec![ok(fixture::decided(verdict, None))]),
    ])
}

fn asked(guardd: &Guardd) -> Vec<Value> {
    let body = |line: &String| Some(serde_json::from_str(line.strip_prefix(DECISION)?).expect("a body"));
    guardd.asked().iter().filter_map(body).collect()
}

#[test]
fn approve_covers_the_process_unless_told_once() {
    let guardd = deciding("approve", "released");
    guardd
        .guardctl(&["approve", "h12", "-m", "agreed in the review"])
        .assert()
        .code(0)
        .stdout("approved h12 (for the process): unlink /srv/data/customers/2026.db; released: the operation went on\n")
        .stderr(is_empty());
    assert_eq!(asked(&guardd), [json!({ "verdict": "approve", "scope": "process", "note": "agreed in the review" })]);
    let guardd = deciding("approve", "released");
    guardd.guardctl(&["approve", "--once", "h12"]).assert().code(0);
    assert_eq!(asked(&guardd), [json!({ "verdict": "approve", "scope": "once", "note": "" })]);
}

#[test]
fn an_approved_operation_that_did_not_happen_is_a_failure() {
    deciding("approve", "died").guardctl(&["approve", "h12"]).assert().code(1).stdout(contains("died:"));
    deciding("approve", "expired").guardctl(&["approve", "h12"]).assert().code(1).stdout(contains("expired:"));
}

#[test]
fn deny_gives_the_reason_and_succeeds() {
    let guardd = deciding("deny", "refused");
    guardd.guardctl(&["deny", "h12", "-m", "not in production"]).assert().code(0).stdout(contains("refused:"));
    assert_eq!(asked(&guardd), [json!({ "verdict": "deny", "scope": "process", "note": "not in production" })]);
}

#[test]
fn several_ids_are_all_tried_and_the_worst_code_counts() {
    let finished = json!({ "kind": "finished", "hold": fixture::decided("approve", Some("released")) });
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![events(&[finished])]),
        ("POST /v1/holds/h9/decision", vec![problem(409, "already_decided", "h9 was denied by uid 0 (root)")]),
        ("POST /v1/holds/h8/decision", vec![problem(404, "not_found", "there is no hold h8")]),
        (DECISION, vec![ok(fixture::decided("approve", None))]),
    ]);
    guardd
        .guardctl(&["approve", "h9", "h8", "h12"])
        .assert()
        .code(6)
        .stdout(contains("approved h12"))
        .stderr(contains("h9: h9 was denied by uid 0 (root)"))
        .stderr(contains("h8: there is no hold h8"));
}

#[test]
fn resume_of_a_hold_approves_that_one_operation() {
    let guardd = deciding("approve", "released");
    guardd.guardctl(&["resume", "h12"]).assert().code(0);
    assert_eq!(asked(&guardd), [json!({ "verdict": "approve", "scope": "once", "note": "" })]);
}

#[test]
fn kill_of_a_hold_kills_its_process() {
    let guardd = deciding("kill", "killed");
    guardd.guardctl(&["kill", "h12"]).assert().code(0).stdout(contains("killed h12: unlink"));
    assert_eq!(asked(&guardd), [json!({ "verdict": "kill", "scope": "once", "note": "" })]);
}

#[test]
fn an_agent_is_named_by_id_name_or_cgroup_and_an_id_needs_no_list() {
    let guardd = Guardd::answering(&[
        ("GET /v1/agents", vec![ok(json!([fixture::agent()]))]),
        ("POST /v1/agents/a1/state", vec![ok(Value::Null)]),
    ]);
    guardd.guardctl(&["kill", "a1"]).assert().code(0).stdout(contains("killed a1"));
    assert_eq!(guardd.asked()[0], "POST /v1/agents/a1/state {\"state\":\"kill\"}");
    for name in ["claude", "/sys/fs/cgroup/guard-agents/a1"] {
        guardd.guardctl(&["suspend", name]).assert().code(0).stdout(contains("suspended a1"));
    }
    guardd.guardctl(&["resume", "claude"]).assert().code(0).stdout(contains("resumed a1"));
}

#[test]
fn kill_all_is_one_request_even_when_the_list_cannot_be_had() {
    let guardd = Guardd::answering(&[("POST /v1/agents/*/state", vec![ok(Value::Null)])]);
    guardd.guardctl(&["kill", "--all"]).assert().code(0).stdout("killed every agent\n");
    assert_eq!(guardd.asked()[0], "POST /v1/agents/*/state {\"state\":\"kill\"}");
}

#[test]
fn tag_and_untag_say_which_agent() {
    let guardd = Guardd::answering(&[
        ("GET /v1/agents", vec![ok(json!([fixture::agent()]))]),
        ("POST /v1/agents", vec![ok(fixture::agent())]),
        ("DELETE /v1/agents/a1", vec![ok(Value::Null)]),
    ]);
    guardd
        .guardctl(&["tag", "--cgroup", "/sys/fs/cgroup/x.slice", "--name", "n"])
        .assert()
        .code(0)
        .stdout(contains("a1"));
    assert_eq!(guardd.asked()[0], "POST /v1/agents {\"name\":\"n\",\"workspace\":\"\",\"cgroup\":\"/x.slice\"}");
    for arguments in [&["untag", "a1"][..], &["untag", "--name", "claude"], &["untag", "--cgroup", "guard-agents/a1"]] {
        guardd.guardctl(arguments).assert().code(0).stdout("a1 is not guarded any more\n");
    }
    guardd.guardctl(&["untag", "--pid", "4194305"]).assert().code(5);
}
