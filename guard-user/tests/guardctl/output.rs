//! What programs read: JSON and YAML are the API's answers, and nothing is mixed into them.

use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

use crate::{
    fake::{Guardd, ok},
    fixture,
};

#[test]
fn json_is_what_the_api_says() {
    let guardd = Guardd::answering(&[
        ("GET /v1/holds?state=pending", vec![ok(json!([fixture::hold()]))]),
        ("GET /v1/holds/h12", vec![ok(fixture::hold())]),
        ("GET /v1/agents", vec![ok(json!([fixture::agent()]))]),
        ("GET /v1/status", vec![ok(fixture::status())]),
        ("GET /v1/log?n=2", vec![ok(json!([{ "seq": 1, "kind": "start" }, { "seq": 2, "zebra": 1, "a": 2 }]))]),
    ]);
    let json = |arguments: &[&str]| -> Value {
        let output = guardd.guardctl(arguments).args(["-o", "json"]).assert().code(0).get_output().stdout.clone();
        serde_json::from_slice(&output).expect("it is JSON")
    };
    assert_eq!(json(&["pending"]), json!([fixture::hold()]));
    assert_eq!(json(&["show", "h12"]), fixture::hold());
    assert_eq!(json(&["agents"]), json!([fixture::agent()]));
    assert_eq!(json(&["status"]), fixture::status());
    let log = guardd.guardctl(&["log", "-n", "2", "-o", "json"]).assert().code(0).get_output().stdout.clone();
    let log = String::from_utf8(log).expect("UTF-8");
    assert!(log.find("zebra") < log.find("\"a\""), "the order of a record is kept: {log}");
}

#[test]
fn the_log_is_asked_for_what_is_wanted_and_a_time_that_is_none_is_usage() {
    let question = "GET /v1/log?n=100&agent=claude-*&since=2026-11-30T08%3A30%3A00Z&kind=hold%2Cdecision&path=%2Fsrv\
                    &decision=deny&grep=a%26b";
    let guardd = Guardd::answering(&[(question, vec![ok(json!([{ "seq": 7, "kind": "decision" }]))])]);
    let words = ["log", "--agent", "claude-*", "--since", "2026-11-30T08:30:00Z", "--kind", "hold,decision"];
    let more = ["--path", "/srv", "--decision", "deny", "--grep", "a&b"];
    guardd.guardctl(&[&words[..], &more].concat()).assert().code(0).stdout(contains("decision"));
    guardd.guardctl(&["log", "--since", "soon"]).assert().code(2).stderr(contains("`soon` is no time such as"));
}

#[test]
fn an_empty_list_is_said_on_standard_error_and_is_an_empty_list_for_programs() {
    let guardd = Guardd::answering(&[("GET /v1/holds?state=pending", vec![ok(json!([]))])]);
    guardd.guardctl(&["pending"]).assert().code(0).stdout(is_empty()).stderr("nothing is waiting\n");
    guardd.guardctl(&["pending", "-o", "json"]).assert().code(0).stdout("[]\n").stderr(is_empty());
    guardd.guardctl(&["pending", "-o", "yaml"]).assert().code(0).stdout("[]\n").stderr(is_empty());
}
