//! `guardctl check`: no guardd, no root; its exit codes and what programs read.

use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;

use crate::fake::guardctl;

const PLACE: [&str; 4] = ["--cwd", "/nowhere/shop", "--workspace", "/nowhere/shop"];

#[test]
fn the_exit_code_says_what_would_happen() {
    let check =
        |arguments: &[&str]| guardctl(&[&["check"], &PLACE[..], arguments].concat()).assert().stderr(is_empty());
    check(&["--", "ls", "-la"]).code(0).stdout(starts_with("allow"));
    check(&["--", "git", "push", "--force"]).code(8).stdout(contains("rule git-force-push, irreversible"));
    check(&["--shell", "cd /srv && rm -rf data"]).code(8).stdout(contains("rmdir /srv/data"));
    check(&["--", "guardctl", "approve", "h1"]).code(7).stdout(starts_with("deny"));
    guardctl(&["check"]).assert().code(2).stderr(contains("name a command"));
    guardctl(&["check", "--batch", "/nowhere/list.jsonl"]).assert().code(1).stderr(contains("/nowhere/list.jsonl"));
}

#[test]
fn one_object_a_line_comes_back_in_the_same_order() {
    let lines =
        "{\"argv\": [\"ls\"]}\nno question\n{\"shell\": \"rm -rf /srv/data\"}\n\n{\"shell\": \"true\", \"id\": 7}";
    let output = guardctl(&["check", "--batch", "-"]).write_stdin(lines).assert().code(1).get_output().stdout.clone();
    let answers: Vec<Value> = String::from_utf8(output)
        .expect("UTF-8")
        .lines()
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect();
    assert_eq!(answers.len(), 5);
    assert_eq!(answers[0]["action"], "allow");
    assert_eq!((&answers[0]["rule"], &answers[0]["reversibility"]), (&Value::Null, &Value::Null));
    assert!(answers[1]["error"].is_string() && answers[3]["error"].is_string());
    assert_eq!(answers[2]["action"], "hold");
    assert_eq!(answers[2]["rule"], "delete-outside-workspace");
    assert_eq!(answers[2]["reversibility"], "irreversible");
    assert_eq!(answers[4]["action"], "allow");
    guardctl(&["check", "--batch", "-"]).write_stdin("{\"shell\": \"rm -rf /srv\"}\n").assert().code(0);
}

#[test]
fn own_rules_are_asked_where_they_are_named_and_a_mistake_in_them_is_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("mine.yaml");
    let rules =
        "rules:\n  - {name: no-ls, text: No., action: kill, reversibility: partial, match: {op: exec, program: ls}}\n";
    std::fs::write(&path, rules).expect("written");
    let path = path.to_str().expect("UTF-8");
    guardctl(&["check", "--rules", path, "--", "ls"]).assert().code(7).stdout(contains("no-ls"));
    guardctl(&["check", "--rules", path, "--", "git", "push", "-f"]).assert().code(0);
    let json =
        guardctl(&["check", "-o", "json", "--rules", path, "--", "ls"]).assert().code(7).get_output().stdout.clone();
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!((&json["action"], &json["operations"][0]["op"]), (&Value::from("kill"), &Value::from("exec")));
    std::fs::write(path, rules.replace("program", "programs")).expect("written");
    guardctl(&["check", "--rules", path, "--", "ls"]).assert().code(2).stderr(contains("did you mean `program`"));
}

#[test]
fn text_that_could_trick_a_terminal_is_escaped() {
    let assert = guardctl(&["check", "--", "rm", "-rf", "/srv/\u{1b}[2Jx\u{202e}"]).assert().code(8);
    let output = String::from_utf8(assert.get_output().stdout.clone()).expect("UTF-8");
    assert!(!output.contains('\u{1b}') && !output.contains('\u{202e}'), "{output:?}");
}
