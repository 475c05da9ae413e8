//! `guardctl run`: the command takes guardctl's place, and only after guardd has tagged it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use predicates::str::{contains, is_empty};
use serde_json::Value;

use crate::{
    fake::{Guardd, guardctl, ok, problem},
    fixture,
};

fn tagging() -> Guardd {
    Guardd::answering(&[("POST /v1/agents", vec![ok(fixture::agent())])])
}

fn asked(guardd: &Guardd) -> Value {
    let asked = guardd.asked();
    serde_json::from_str(asked[0].strip_prefix("POST /v1/agents ").expect("it tags first")).expect("a body")
}

#[test]
fn the_exit_code_is_the_commands_own() {
    for code in [0, 1, 3, 7, 124, 255] {
        tagging().guardctl(&["run", "--", "sh", "-c", &format!("exit {code}")]).assert().code(code);
    }
}

#[test]
fn input_output_and_arguments_are_the_commands_own() {
    tagging()
        .guardctl(&["run", "--", "sh", "-c", "cat; printf '%s|' \"$@\" \"$MARK\"", "sh", "--name", "-o", "a b"])
        .env("MARK", "here")
        .write_stdin("in\n")
        .assert()
        .code(0)
        .stdout("in\n--name|-o|a b|here|")
        .stderr(is_empty());
}

#[test]
fn the_process_that_guardd_tagged_becomes_the_command_and_keeps_nothing_of_guardctls() {
    let script = "echo $$; exec ls /proc/self/fd /proc/self/task";
    let run = |mut command: Command| {
        let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let pid = child.id().to_string();
        let output = String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("UTF-8");
        let (first, rest) = output.split_once('\n').expect("several lines");
        assert_eq!(first, pid, "the command is the process that was started");
        rest.replace(&pid, "PID")
    };
    let guardd = tagging();
    let mut under_guard = Command::new(env!("CARGO_BIN_EXE_guardctl"));
    under_guard.env("GUARD_SOCKET", guardd.socket()).args(["run", "--", "sh", "-c", script]);
    let mut plain = Command::new("sh");
    plain.args(["-c", script]);
    assert_eq!(run(under_guard), run(plain));
}

#[test]
fn the_workspace_is_the_current_directory_unless_told_otherwise() {
    let dir = tempfile::tempdir().expect("a directory");
    let real = fs::canonicalize(dir.path()).expect("a real path");
    let real = real.to_str().expect("UTF-8");
    let guardd = tagging();
    guardd.guardctl(&["run", "--", "true"]).current_dir(dir.path()).assert().code(0);
    assert_eq!((asked(&guardd)["workspace"].as_str(), asked(&guardd)["name"].as_str()), (Some(real), Some("true")));
    let guardd = tagging();
    guardd.guardctl(&["run", "--no-workspace", "--name", "n", "true"]).assert().code(0);
    assert_eq!((asked(&guardd)["workspace"].as_str(), asked(&guardd)["name"].as_str()), (Some(""), Some("n")));
    let link = dir.path().join("link");
    fs::create_dir(dir.path().join("shop")).expect("a directory");
    std::os::unix::fs::symlink("shop", &link).expect("a link");
    let guardd = tagging();
    guardd.guardctl(&["run", "--workspace", link.to_str().expect("UTF-8"), "true"]).assert().code(0);
    assert_eq!(asked(&guardd)["workspace"], format!("{real}/shop"));
}

#[test]
fn the_root_and_the_home_directory_are_a_workspace_only_when_named() {
    let home = tempfile::tempdir().expect("a directory");
    for directory in ["/", home.path().to_str().expect("UTF-8")] {
        let guardd = tagging();
        guardd
            .guardctl(&["run", "true"])
            .env("HOME", home.path())
            .current_dir(directory)
            .assert()
            .code(0)
            .stderr(contains("is too much for a workspace, so there is none"));
        assert_eq!(asked(&guardd)["workspace"], "");
    }
    let guardd = tagging();
    guardd.guardctl(&["run", "--workspace", "/", "true"]).assert().code(0).stderr(is_empty());
    assert_eq!(asked(&guardd)["workspace"], "/");
}

#[test]
fn rules_travel_as_text() {
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.yaml");
    fs::write(&rules, "rules: []\n").expect("written");
    let guardd = tagging();
    guardd.guardctl(&["run", "--rules", rules.to_str().expect("UTF-8"), "true"]).assert().code(0);
    assert_eq!(asked(&guardd)["rules"], "rules: []\n");
}

#[test]
fn the_command_is_never_started_when_guard_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let mark = dir.path().join("ran");
    let touch = ["touch", mark.to_str().expect("UTF-8")];
    let started = |command: &mut assert_cmd::Command| command.args(["run", "--"]).args(touch).assert().code(125);
    started(&mut guardctl(&["--socket", "/nonexistent/guard.sock"])).stderr(contains("guardd is not running"));
    let refusing = Guardd::answering(&[(
        "POST /v1/agents",
        vec![problem(403, "not_permitted", "this process is an agent already")],
    )]);
    started(&mut refusing.guardctl(&[])).stderr(contains("the command was not started: this process is an agent"));
    refusing.guardctl(&["run", "--rules", "/nonexistent", "true"]).assert().code(125);
    refusing.guardctl(&["run", "--workspace", "/nonexistent", "true"]).assert().code(125);
    assert!(!mark.exists());
}

#[test]
fn a_missing_command_is_127_and_one_that_cannot_run_126() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = dir.path().join("plain");
    fs::write(&plain, "no program").expect("written");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).expect("changed");
    tagging()
        .guardctl(&["run", "--", "no-such-command-\u{202e}"])
        .assert()
        .code(127)
        .stderr(contains("no-such-command-\\u{202e}: command not found"));
    tagging()
        .guardctl(&["run", "--", plain.to_str().expect("UTF-8")])
        .assert()
        .code(126)
        .stderr(contains("cannot execute"));
}
