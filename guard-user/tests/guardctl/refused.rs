//! What goes wrong, and the exit code and sentence it gets.

use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::{
    fake::{Guardd, guardctl, ok, problem},
    fixture,
};

/// Runs it and returns exit code, standard output and standard error.
fn output(command: &mut assert_cmd::Command) -> (i32, String, String) {
    let output = command.output().expect("guardctl runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("guardctl writes UTF-8");
    (output.status.code().expect("it exits"), text(output.stdout), text(output.stderr))
}

#[test]
fn without_a_daemon_every_verb_says_how_to_start_it() {
    for arguments in [
        &["status"][..],
        &["agents"],
        &["pending"],
        &["pending", "--watch"],
        &["show", "h1"],
        &["approve", "h1"],
        &["deny", "h1"],
        &["wait", "h1"],
        &["suspend", "--all"],
        &["resume", "a1"],
        &["kill", "--all"],
        &["tag", "--pid", "1"],
        &["untag", "a1"],
        &["log"],
        &["reload"],
    ] {
        let (code, out, err) = output(guardctl(arguments).args(["--socket", "/nonexistent/guard.sock"]));
        assert_eq!((code, out.as_str()), (3, ""), "{arguments:?}: {err}");
        assert!(
            err.contains("guardd is not running (no socket at /nonexistent/guard.sock): start it with `systemctl start guardd` or `sudo guardd`"),
            "{arguments:?}: {err}"
        );
    }
}

#[test]
fn a_socket_that_nobody_listens_on_is_no_running_daemon() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("guard.sock");
    drop(UnixListener::bind(&socket).expect("a socket"));
    let (code, _, err) = output(guardctl(&["status"]).env("GUARD_SOCKET", &socket));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("nobody listens"), "{err}");
}

#[test]
fn every_problem_of_the_daemon_has_its_exit_code() {
    for (code, kind, exit) in [
        (400, "bad_request", 2),
        (403, "not_permitted", 4),
        (404, "not_found", 5),
        (409, "already_decided", 6),
        (503, "audit_unavailable", 1),
        (500, "internal", 1),
    ] {
        let guardd = Guardd::answering(&[("POST /v1/holds/h1/decision", vec![problem(code, kind, "because")])]);
        let (actual, _, err) = output(&mut guardd.guardctl(&["approve", "h1"]));
        assert_eq!(actual, exit, "{kind}: {err}");
        assert!(err.contains("h1: because"), "{kind}: {err}");
    }
}

#[test]
fn an_answer_that_is_not_of_guardd_is_judged_by_its_code() {
    for body in ["<html>", "\u{1b}[2J"] {
        let mut answer = problem(403, "x", "");
        answer.set_body(body);
        let guardd = Guardd::answering(&[("GET /v1/agents", vec![answer])]);
        let (code, _, err) = output(&mut guardd.guardctl(&["agents"]));
        assert_eq!(code, 4, "{err}");
        assert!(!err.contains('\u{1b}'), "{err:?}");
    }
}

#[test]
fn a_message_of_several_lines_stays_readable_and_safe() {
    let message = "rules.yaml:3:5: unknown key `pth`\n  3 | pth: /srv\n    | ^^^ expected `path`\u{1b}[2J";
    let guardd = Guardd::answering(&[("POST /v1/reload", vec![problem(400, "bad_request", message)])]);
    let (code, _, err) = output(&mut guardd.guardctl(&["reload"]));
    assert_eq!(code, 2);
    assert_eq!(
        err,
        "guardctl: rules.yaml:3:5: unknown key `pth`\n  3 | pth: /srv\n    | ^^^ expected `path`\\u{1b}[2J\n"
    );
}

#[test]
fn an_id_with_a_slash_never_leaves_guardctl() {
    let guardd = Guardd::answering(&[]);
    let (code, _, err) = output(&mut guardd.guardctl(&["show", "h1/../../v1/status"]));
    assert_eq!(code, 5, "{err}");
    assert_eq!(guardd.asked(), Vec::<String>::new());
}

#[test]
fn wrong_arguments_are_a_usage_error_and_nothing_is_asked() {
    let guardd = Guardd::answering(&[]);
    for arguments in [
        &[][..],
        &["approve"],
        &["kill"],
        &["kill", "--all", "a1"],
        &["tag"],
        &["tag", "--pid", "1", "--unit", "x"],
        &["untag"],
        &["pending", "-o", "xml"],
        &["wait", "h1", "--timeout", "soon"],
        &["run"],
        &["aprove", "h1"],
        &["man", "nothing"],
    ] {
        let (code, out, err) = output(&mut guardd.guardctl(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
    assert_eq!(guardd.asked(), Vec::<String>::new());
}

#[test]
fn an_unknown_agent_is_not_found_and_an_ambiguous_one_is_asked_back() {
    let mut other = fixture::agent();
    fixture::merge(&mut other, json!({ "id": "a2" }));
    let guardd = Guardd::answering(&[("GET /v1/agents", vec![ok(json!([fixture::agent(), other]))])]);
    let (code, _, err) = output(&mut guardd.guardctl(&["suspend", "codex"]));
    assert_eq!(code, 5, "{err}");
    let (code, _, err) = output(&mut guardd.guardctl(&["suspend", "claude"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("a1, a2"), "{err}");
}

#[test]
fn a_pipe_gets_no_colour_and_a_closed_one_no_complaint() {
    let guardd = Guardd::answering(&[("GET /v1/status", vec![ok(fixture::status())])]);
    let (code, out, err) = output(&mut guardd.guardctl(&["status"]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(!out.contains('\u{1b}'), "{out:?}");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let result = std::process::Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .arg("status")
        .env("GUARD_SOCKET", guardd.socket())
        .stdout(writer)
        .output()
        .expect("guardctl runs");
    assert_eq!((result.status.code(), result.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn doctor_passes_only_with_a_complete_gate() {
    let doctor = |status| {
        let guardd = Guardd::answering(&[("GET /v1/status", vec![ok(status)])]);
        output(&mut guardd.guardctl(&["doctor"]))
    };
    assert_eq!(doctor(fixture::status()).0, 0);
    let (code, out, _) = doctor(fixture::trip_status());
    assert_eq!(code, 1);
    assert!(out.contains("fix    add `lsm=lockdown,yama,apparmor,bpf` to the kernel command line"), "{out}");
    let mut unprotected = fixture::status();
    fixture::merge(&mut unprotected, json!({ "protecting": false }));
    assert_eq!(doctor(unprotected).0, 1);
}
