//! `guardctl integrate`: what it changes in an agent's settings, what it leaves, and that it takes back what it did.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use assert_cmd::Command;
use predicates::str::{contains, ends_with, is_empty};
use serde_json::{Value, json};

use crate::fake::guardctl;

/// Settings as somebody has them, and where `home` has them.
const THEIRS: &str = r#"{
    "zebra": 1.5,
    "hooks": {
        "PreToolUse": [
            {
                "matcher": "Bash",
                "hooks": [
                    {
                        "type": "command",
                        "command": "mine"
                    }
                ]
            }
        ]
    },
    "apple": {
        "unknown": null
    }
}
"#;

fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join(".claude/settings.json");
    fs::create_dir(home.path().join(".claude")).expect("a directory");
    fs::write(&file, THEIRS).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("its mode");
    (home, file)
}

fn integrate(home: &Path, arguments: &[&str]) -> Command {
    let mut command = guardctl(&[&["integrate"], arguments].concat());
    command.env("HOME", home).env_remove("CLAUDE_CONFIG_DIR").env_remove("CODEX_HOME").current_dir(home);
    command
}

fn commands(file: &Path, event: &str) -> Vec<String> {
    let settings: Value = serde_json::from_slice(&fs::read(file).expect("a file")).expect("it is JSON");
    let groups = settings["hooks"][event].as_array().expect("a list").clone();
    groups.iter().map(|group| group["hooks"][0]["command"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn what_would_change_is_shown_and_nothing_is() {
    let (home, file) = home();
    let shown = integrate(home.path(), &["claude-code"]).assert().code(0);
    shown
        .stdout(contains(format!("--- {0}\n+++ {0}\n", file.display())))
        .stdout(contains("guardctl hook claude-code || true\",\n+"))
        .stderr("nothing is changed yet: `guardctl integrate claude-code --write`\n");
    assert_eq!(fs::read_to_string(&file).expect("a file"), THEIRS);
    assert!(!home.path().join(".codex").exists());
    integrate(home.path(), &["codex", "--show"]).assert().code(0);
    assert!(!home.path().join(".codex").exists());
}

#[test]
fn what_is_written_is_there_once_and_goes_again_to_the_byte() {
    let (home, file) = home();
    for _ in 0..2 {
        integrate(home.path(), &["claude-code", "--write"]).assert().code(0);
        let before = commands(&file, "PreToolUse");
        assert_eq!((before.len(), before[0].as_str()), (2, "mine"));
        let program = env!("CARGO_BIN_EXE_guardctl");
        assert_eq!(before[1], format!("{program} hook claude-code || true"));
        assert_eq!(commands(&file, "PostToolUseFailure"), before[1..]);
    }
    let again = integrate(home.path(), &["claude-code"]).assert().code(0).stdout(is_empty());
    again.stderr(ends_with("settings.json already\n"));
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    integrate(home.path(), &["claude-code", "--remove"]).assert().code(0);
    assert_eq!(fs::read_to_string(&file).expect("a file"), THEIRS);
    integrate(home.path(), &["claude-code", "--remove"]).assert().code(0).stdout(is_empty());
    let entries = fs::read_dir(home.path().join(".claude")).expect("a directory").count();
    assert_eq!(entries, 1, "nothing is left beside the file");
}

#[test]
fn a_file_that_guardctl_made_is_gone_again() {
    let (home, _) = home();
    for (tool, place) in [
        ("codex", ".codex/hooks.json"),
        ("openhands", ".openhands/hooks.json"),
        ("cursor", ".cursor/hooks.json"),
        ("gemini", ".gemini/settings.json"),
    ] {
        let file = home.path().join(place);
        integrate(home.path(), &[tool, "--write"]).assert().code(0);
        assert!(fs::read_to_string(&file).expect("a file").contains(&format!("guardctl hook {tool} || true")));
        integrate(home.path(), &[tool, "--remove"]).assert().code(0);
        assert!(!file.exists(), "{tool}");
    }
}

#[test]
fn a_project_has_settings_of_its_own_and_a_variable_moves_the_users() {
    let (home, _) = home();
    let project = home.path().join("project");
    fs::create_dir(&project).expect("a directory");
    integrate(home.path(), &["gemini", "--project", "--write"]).current_dir(&project).assert().code(0);
    assert!(project.join(".gemini/settings.json").exists() && !home.path().join(".gemini").exists());
    let elsewhere = home.path().join("elsewhere");
    integrate(home.path(), &["codex", "--write"]).env("CODEX_HOME", &elsewhere).assert().code(0);
    assert!(elsewhere.join("hooks.json").exists() && !home.path().join(".codex").exists());
}

#[test]
fn what_is_not_understood_stays_as_it_is() {
    let (home, file) = home();
    for text in ["{ // a comment\n}", "[]", "{\"hooks\": []}", "{\"hooks\": {\"PreToolUse\": {}}}"] {
        fs::write(&file, text).expect("written");
        for action in ["--write", "--remove", "--show"] {
            let refused = integrate(home.path(), &["claude-code", action]).assert().code(1).stdout(is_empty());
            refused.stderr(contains("cannot understand ")).stderr(contains("it stays as it is"));
        }
        assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    }
    fs::remove_file(&file).expect("removed");
    fs::create_dir(&file).expect("a directory");
    integrate(home.path(), &["claude-code", "--write"]).assert().code(1).stderr(contains("is no file"));
}

/// People keep their settings in a repository, and link them.
#[test]
fn a_link_stays_a_link() {
    let (home, file) = home();
    let kept = home.path().join("kept.json");
    fs::rename(&file, &kept).expect("moved");
    symlink(&kept, &file).expect("linked");
    integrate(home.path(), &["claude-code", "--write"]).assert().code(0);
    assert!(file.is_symlink());
    assert_eq!(commands(&kept, "PreToolUse").len(), 2);
}

#[test]
fn programs_get_one_value_and_a_tool_without_settings_is_usage() {
    let (home, file) = home();
    let output = integrate(home.path(), &["claude-code", "--write", "-o", "json"]).assert().code(0).stderr(is_empty());
    let change: Value = serde_json::from_slice(&output.get_output().stdout).expect("it is JSON");
    assert_eq!((&change["action"], &change["changes"], &change["file"]), (&json!("write"), &json!(true), &json!(file)));
    assert!(change["diff"].as_str().expect("text").contains("+++ "));
    integrate(home.path(), &["generic"]).assert().code(2).stderr(contains("`guardctl hook generic`"));
    for wrong in [&["claude-code", "--write", "--remove"][..], &["claude-code", "--user", "--project"], &[]] {
        integrate(home.path(), wrong).assert().code(2);
    }
}
