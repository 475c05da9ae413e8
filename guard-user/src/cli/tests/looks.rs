//! Snapshots of everything that `render` makes of well-behaved answers.

use serde_json::{Value, json};

use super::fixture;
use crate::{
    api::{Agent, Event, Hold, Refusal, Status, Tier},
    cli::render::{self, Look, doctor::Report, list},
};

/// As into a pipe: no colour, nothing shortened.
pub(in crate::cli) fn piped() -> Look {
    Look { colour: false, width: None, wide: false, now: "2026-03-02T12:00:00Z".parse().expect("a time") }
}

fn terminal(width: usize) -> Look {
    Look { width: Some(width), ..piped() }
}

fn wide() -> Look {
    Look { wide: true, ..terminal(80) }
}

fn colourful() -> Look {
    Look { colour: true, ..terminal(120) }
}

pub(super) fn hold(value: Value) -> Hold {
    serde_json::from_value(value).expect("the fixture is a hold")
}

fn status(value: Value) -> Status {
    serde_json::from_value(value).expect("the fixture is a status")
}

fn many() -> Vec<Hold> {
    vec![
        hold(fixture::hold()),
        hold(fixture::hold_with(
            json!({ "id": "h13", "blast": null, "reversibility": "partial", "rule": "git-force-push", "agent_name": "" }),
            json!({ "op": "exec", "path": "/usr/bin/git", "argv": ["git", "push", "--force", "origin", "main branch"] }),
        )),
        hold(fixture::hold_with(
            json!({ "id": "h104", "context": "denied", "blast": null, "since": "2026-03-02T09:55:00Z" }),
            json!({ "op": "rename", "path": "/srv/data/a", "other_path": "/tmp/with space" }),
        )),
        hold(fixture::hold_with(
            json!({ "id": "h105", "context": "tripped", "blast": null, "reversibility": "reversible" }),
            json!({ "op": "connect", "path": "", "address": "10.0.0.7:5432" }),
        )),
    ]
}

#[test]
fn the_list_of_holds() {
    insta::assert_snapshot!("holds_piped", list::holds(&piped(), &many()));
    insta::assert_snapshot!("holds_100_columns", list::holds(&terminal(100), &many()));
    insta::assert_snapshot!("holds_wide", list::holds(&wide(), &many()));
    insta::assert_snapshot!("holds_colour", list::holds(&colourful(), &many()));
}

#[test]
fn a_hold_before_and_after_the_decision() {
    let show = |value| render::hold::hold(&terminal(100), &hold(value));
    insta::assert_snapshot!("show_held", show(fixture::hold()));
    insta::assert_snapshot!("show_colour", render::hold::hold(&colourful(), &hold(fixture::hold())));
    insta::assert_snapshot!("show_approved", show(fixture::decided("approve", Some("released"))));
    insta::assert_snapshot!("show_deciding", show(fixture::decided("deny", None)));
}

#[test]
fn a_hold_of_each_kind_and_context() {
    let show = |fields, operation| render::hold::hold(&terminal(100), &hold(fixture::hold_with(fields, operation)));
    insta::assert_snapshot!(
        "show_exec",
        show(
            json!({ "blast": null, "stops": 3, "reversibility": "partial", "scope": "this program with these arguments, once" }),
            json!({
                "op": "exec", "path": "/usr/bin/git", "argv": ["git", "push", "--force", "origin", "main branch"],
                "object_type": "file", "size": 4_000_000, "own": null,
                "doubt": "the argument list is longer than what was read"
            }),
        )
    );
    insta::assert_snapshot!(
        "show_denied",
        show(
            json!({ "context": "denied", "blast": null, "processes": [] }),
            json!({ "op": "ptrace", "path": "", "object_type": "", "own": null, "detail": "attaches to pid 42" })
        )
    );
    insta::assert_snapshot!("show_tripped", show(json!({ "context": "tripped" }), json!({ "own": null })));
    insta::assert_snapshot!(
        "show_tripped_exec",
        show(
            json!({ "context": "tripped", "blast": null }),
            json!({ "op": "exec", "own": null, "argv": ["rm", "-rf", "/"] })
        )
    );
    insta::assert_snapshot!(
        "show_mount",
        show(
            json!({ "blast": null, "scope": "" }),
            json!({ "op": "mount", "path": "/srv", "other_path": "tmpfs", "object_type": "directory", "own": null, "detail": "hides what is below" })
        )
    );
}

#[test]
fn trip_never_sounds_like_prevention() {
    let tripped = hold(fixture::hold_with(json!({ "context": "tripped" }), json!({})));
    let page = render::hold::hold(&piped(), &tripped);
    assert!(page.contains("trip: it HAS ALREADY HAPPENED"), "{page}");
    assert!(!page.contains("before it took effect"), "{page}");
    let text = render::status::status(&piped(), &status(fixture::trip_status()));
    assert!(text.starts_with("TRIP ONLY, DOES NOT PREVENT"), "{text}");
}

#[test]
fn agents_in_every_state() {
    let agents: Vec<Agent> = [
        fixture::agent(),
        json!({
            "id": "a2", "name": "", "cgroup": "/system.slice/x.service", "cgroup_id": 9, "workspace": "",
            "state": "suspended", "processes": 1, "pending": 0, "since": "2026-02-01T10:00:00Z"
        }),
    ]
    .into_iter()
    .map(|value| serde_json::from_value(value).expect("an agent"))
    .collect();
    insta::assert_snapshot!("agents", list::agents(&piped(), &agents));
    insta::assert_snapshot!("agents_wide", list::agents(&wide(), &agents));
}

#[test]
fn status_says_first_whether_it_protects() {
    insta::assert_snapshot!("status_gate", render::status::status(&piped(), &status(fixture::status())));
    insta::assert_snapshot!("status_trip", render::status::status(&piped(), &status(fixture::trip_status())));
    let mut broken = fixture::status();
    fixture::merge(
        &mut broken,
        json!({ "protecting": false, "audit_ok": false, "pending": 0, "summary": "the canary was not stopped",
            "canary": { "state": "passed", "problem": "The kernel stops nothing: it let the canary through path_unlink." } }),
    );
    insta::assert_snapshot!("status_not_protecting", render::status::status(&piped(), &status(broken)));
}

#[test]
fn doctor_names_the_cost_and_the_fix() {
    let report = |status: Status, running: bool| Report {
        running,
        not_asked: if running { String::new() } else { "guardd is not running".to_owned() },
        tier: running.then_some(status.tier),
        reason: status.reason,
        summary: if running { status.summary } else { String::new() },
        gate: status.tier == Tier::Gate,
        features: status.features,
    };
    let doctor = render::doctor::doctor;
    insta::assert_snapshot!("doctor_gate", doctor(&piped(), &report(status(fixture::status()), true)));
    insta::assert_snapshot!("doctor_trip", doctor(&piped(), &report(status(fixture::trip_status()), true)));
    insta::assert_snapshot!("doctor_not_running", doctor(&wide(), &report(status(fixture::status()), false)));
}

#[test]
fn decisions_and_events_are_one_line_each() {
    let mut lines = Vec::new();
    for (verdict, outcome) in [
        ("approve", Some("released")),
        ("approve", Some("died")),
        ("deny", Some("refused")),
        ("kill", Some("killed")),
        ("approve", Some("expired")),
        ("approve", None),
    ] {
        let hold = hold(fixture::decided(verdict, outcome));
        lines.push(list::decided_and_outcome(&piped(), &hold));
    }
    let held = Box::new(hold(fixture::hold()));
    lines.push(list::event(&piped(), &Event::Held { hold: held }));
    let hold = Box::new(hold(fixture::decided("deny", Some("refused"))));
    lines.push(list::event(&piped(), &Event::Decided { hold: hold.clone() }));
    lines.push(list::event(&piped(), &Event::Finished { hold }));
    assert!(lines.iter().all(|line| !line.contains('\n')));
    insta::assert_snapshot!("one_line_each", lines.join("\n"));
}

#[test]
fn a_record_of_the_log_is_one_line() {
    let record = json!({
        "seq": 17, "time": "2026-03-02T12:00:00.000Z", "boottime_ns": 12, "kind": "decision", "id": "h12",
        "processes": [{ "pid": 42, "argv": ["rm", "-rf", "a b"] }], "rule": "delete\u{1b}[2J", "note": "", "by": null
    });
    let hold = json!({
        "seq": 18, "time": "2026-03-02T12:00:01.000Z", "boottime_ns": 13, "kind": "hold", "agent": "a1", "hold": "h12",
        "operation": fixture::hold()["operation"], "processes": fixture::hold()["processes"], "uid": 1000,
        "blast": fixture::hold()["blast"]
    });
    let lines = [render::log::record(&piped(), &record), render::log::record(&piped(), &hold)];
    assert!(lines.iter().all(|line| !line.contains('\n')));
    insta::assert_snapshot!("log_record", lines.join("\n"));
    insta::assert_snapshot!("log_record_wide", render::log::record(&wide(), &hold));
}

#[test]
fn an_agent_reads_what_it_was_refused() {
    let refusal: Refusal = serde_json::from_value(fixture::refusal()).expect("the fixture is a refusal");
    let bare = Refusal { note: String::new(), instead: String::new(), call: String::new(), ..refusal.clone() };
    insta::assert_snapshot!("refusals", render::refusal::refusals(&piped(), &[refusal.clone(), bare]));
    insta::assert_snapshot!("refusals_to_the_agent", render::refusal::to_the_agent(&vec![refusal; 7]));
}
