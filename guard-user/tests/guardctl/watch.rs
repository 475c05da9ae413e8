//! Verbs that go on: `wait`, `pending --watch` and `log --follow`.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use predicates::str::contains;
use serde_json::{Value, json};

use crate::{
    fake::{Guardd, events, ok, problem},
    fixture,
};

fn event(kind: &str, hold: Value) -> Value {
    json!({ "kind": kind, "hold": hold })
}

/// A daemon where h12 waits, and what happens then.
fn waiting(happens: &[Value]) -> Guardd {
    Guardd::answering(&[("GET /v1/events", vec![events(happens)]), ("GET /v1/holds/h12", vec![ok(fixture::hold())])])
}

#[test]
fn wait_ends_as_it_was_decided() {
    for (verdict, outcome, code) in [("approve", "released", 0), ("deny", "refused", 7), ("kill", "killed", 7)] {
        let mut other = fixture::decided("approve", None);
        fixture::merge(&mut other, json!({ "id": "h11" }));
        waiting(&[
            event("decided", other),
            event("decided", fixture::decided(verdict, None)),
            event("finished", fixture::decided(verdict, Some(outcome))),
        ])
        .guardctl(&["wait", "h12"])
        .assert()
        .code(code)
        .stdout(contains(format!("{outcome}:")));
    }
}

#[test]
fn wait_for_what_is_decided_already_ends_at_once() {
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![events(&[])]),
        ("GET /v1/holds/h12", vec![ok(fixture::decided("deny", Some("refused")))]),
    ]);
    guardd.guardctl(&["wait", "h12"]).assert().code(7).stdout(contains("denied h12"));
}

#[test]
fn wait_gives_up_at_its_timeout_and_decides_nothing() {
    let guardd = waiting(&[json!({ "kind": "ping" })]);
    guardd
        .guardctl(&["wait", "h12", "--timeout", "0.2"])
        .assert()
        .code(124)
        .stderr(contains("nobody decided h12 in time; it is still held"));
    assert!(guardd.asked().iter().all(|line| line.starts_with("GET ")));
}

#[test]
fn wait_for_an_operation_that_died_undecided_fails() {
    let died = fixture::hold_with(json!({ "state": "done", "outcome": "died" }), json!({}));
    waiting(&[event("finished", died)]).guardctl(&["wait", "h12"]).assert().code(1).stdout(contains("died:"));
}

#[test]
fn wait_for_an_unknown_hold_is_not_found() {
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![events(&[])]),
        ("GET /v1/holds/h9", vec![problem(404, "not_found", "there is no hold h9")]),
    ]);
    guardd.guardctl(&["wait", "h9"]).assert().code(5).stderr(contains("hint: `guardctl pending`"));
}

/// Starts it, reads `count` lines of its output, and ends it.
fn lines(guardd: &Guardd, arguments: &[&str], count: usize) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(arguments)
        .env("GUARD_SOCKET", guardd.socket())
        .stdout(Stdio::piped())
        .spawn()
        .expect("guardctl runs");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let lines = out.lines().take(count).map(|line| line.expect("a line")).collect();
    child.kill().expect("it still runs: it goes on until it is ended");
    child.wait().expect("it ends");
    lines
}

#[test]
fn pending_watch_into_a_pipe_is_one_line_per_event_and_none_twice() {
    let mut second = fixture::hold();
    fixture::merge(&mut second, json!({ "id": "h13" }));
    let guardd = Guardd::answering(&[
        (
            "GET /v1/events",
            vec![events(&[
                event("held", fixture::hold()),
                json!({ "kind": "agent", "agent": fixture::agent() }),
                event("held", second),
                event("decided", fixture::decided("approve", None)),
                event("finished", fixture::decided("approve", Some("released"))),
            ])],
        ),
        ("GET /v1/holds?state=pending", vec![ok(json!([fixture::hold()]))]),
    ]);
    let text = lines(&guardd, &["pending", "--watch"], 4);
    let starts: Vec<&str> = text.iter().map(|line| line.split(' ').next().expect("a word")).collect();
    assert_eq!(starts, ["held", "held", "approved", "h12"], "{text:?}");
    let objects: Vec<Value> = lines(&guardd, &["pending", "--watch", "-o", "json"], 4)
        .iter()
        .map(|line| serde_json::from_str(line).expect("an object on each line"))
        .collect();
    let kinds: Vec<&Value> = objects.iter().map(|object| &object["kind"]).collect();
    assert_eq!(kinds, ["held", "held", "decided", "finished"]);
    assert_eq!(objects[0]["hold"], fixture::hold());
}

#[test]
fn log_follow_shows_each_record_once() {
    let record = |seq: u64| json!({ "seq": seq, "kind": "hold" });
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![events(&[json!({ "kind": "ping" })])]),
        ("GET /v1/log?n=2", vec![ok(json!([record(4), record(5)]))]),
        ("GET /v1/log?n=100&after=5", vec![ok(json!([record(6)]))]),
        ("GET /v1/log?n=100&after=6", vec![ok(json!([record(7), record(8)]))]),
    ]);
    let seen: Vec<Value> = lines(&guardd, &["log", "--follow", "-n", "2", "-o", "json"], 5)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("an object on each line")["seq"].clone())
        .collect();
    assert_eq!(seen, [4, 5, 6, 7, 8]);
}

#[test]
fn a_daemon_that_goes_away_ends_the_watch_with_an_error() {
    let guardd = Guardd::answering(&[
        ("GET /v1/events", vec![ok(json!({}))]),
        ("GET /v1/holds?state=pending", vec![ok(json!([]))]),
    ]);
    guardd.guardctl(&["pending", "--watch"]).assert().code(1).stderr(contains("guardd ended the event stream"));
}
