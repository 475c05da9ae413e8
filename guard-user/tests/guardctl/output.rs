//! What programs read: JSON and YAML are the API's answers, and nothing is mixed into them.

use predicates::str::is_empty;
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
fn an_empty_list_is_said_on_standard_error_and_is_an_empty_list_for_programs() {
    let guardd = Guardd::answering(&[("GET /v1/holds?state=pending", vec![ok(json!([]))])]);
    guardd.guardctl(&["pending"]).assert().code(0).stdout(is_empty()).stderr("nothing is waiting\n");
    guardd.guardctl(&["pending", "-o", "json"]).assert().code(0).stdout("[]\n").stderr(is_empty());
    guardd.guardctl(&["pending", "-o", "yaml"]).assert().code(0).stdout("[]\n").stderr(is_empty());
}
