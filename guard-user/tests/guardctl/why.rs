//! `guardctl why`: what an agent hears of its refusals.

use predicates::str::{contains, is_empty};
use serde_json::{Value, json};

use crate::{
    fake::{Guardd, guardctl, ok, problem},
    fixture,
};

#[test]
fn an_agent_hears_what_it_was_refused_and_what_it_may_do_instead() {
    let guardd = Guardd::answering(&[
        ("GET /v1/refusals?n=10", vec![ok(json!([fixture::refusal(), fixture::refusal()]))]),
        ("GET /v1/refusals?n=1", vec![ok(json!([fixture::refusal()]))]),
    ]);
    let page = guardd.guardctl(&["why"]).assert().code(0).get_output().stdout.clone();
    let page = String::from_utf8(page).expect("UTF-8");
    assert!(
        page.starts_with("h12 denied: delete a file\n  what        unlink /srv/data/customers/2026.db\n"),
        "{page}"
    );
    assert!(page.contains("  note        not this week\\u{1b}[2J\n  instead     move it to /srv/trash\n"), "{page}");
    assert_eq!(page.matches("h12 denied").count(), 2, "{page}");
    for arguments in [&["why", "--last", "--json"][..], &["why", "-n", "1", "-o", "json"]] {
        let output = guardd.guardctl(arguments).assert().code(0).get_output().stdout.clone();
        assert_eq!(serde_json::from_slice::<Value>(&output).expect("JSON"), json!([fixture::refusal()]));
    }
}

#[test]
fn nothing_refused_is_no_failure() {
    let guardd = Guardd::answering(&[("GET /v1/refusals?n=10", vec![ok(json!([]))])]);
    guardd.guardctl(&["why"]).assert().code(0).stdout(is_empty()).stderr("nothing was refused\n");
    guardd.guardctl(&["why", "--json"]).assert().code(0).stdout("[]\n").stderr(is_empty());
}

#[test]
fn who_is_no_agent_is_told_what_to_ask_instead() {
    let guardd = Guardd::answering(&[("GET /v1/refusals?n=10", vec![problem(403, "not_permitted", "no")])]);
    guardd.guardctl(&["why"]).assert().code(4).stdout(is_empty()).stderr(
        "guardctl: only an agent is told what it was refused, and this process is in none; \
         a person asks `guardctl log --decision deny`\n",
    );
    let alone = guardctl(&["why", "--agent-socket", "/nonexistent/agent.sock"]).assert();
    alone.code(3).stdout(is_empty()).stderr(contains("no socket at /nonexistent/agent.sock"));
}
