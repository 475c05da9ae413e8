//! What guardctl writes about itself: completions and manual pages.

use std::fs;

use predicates::str::{contains, is_empty};
use serde_json::json;

use crate::{
    fake::{Guardd, guardctl, ok},
    fixture,
};

#[test]
fn every_shell_gets_a_script_that_asks_guardctl() {
    for shell in ["bash", "elvish", "fish", "zsh"] {
        guardctl(&["completions", shell]).assert().code(0).stdout(contains("guardctl")).stdout(contains("COMPLETE"));
    }
    guardctl(&["completions", "tcsh"]).assert().code(2);
}

/// As the script of bash asks: the word at `index` is being typed.
fn complete(guardd: &Guardd, index: usize, words: &[&str]) -> Vec<String> {
    let output = guardd
        .guardctl(&["--", "guardctl"])
        .args(words)
        .env("COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", index.to_string())
        .assert()
        .code(0)
        .stderr(is_empty())
        .get_output()
        .stdout
        .clone();
    String::from_utf8(output).expect("UTF-8").lines().map(str::to_owned).collect()
}

#[test]
fn the_shell_is_offered_the_ids_of_what_is_held_and_of_the_agents() {
    let guardd = Guardd::answering(&[
        ("GET /v1/holds?state=pending", vec![ok(json!([fixture::hold()]))]),
        ("GET /v1/agents", vec![ok(json!([fixture::agent()]))]),
    ]);
    assert_eq!(complete(&guardd, 2, &["approve", "h"]), ["h12"]);
    assert_eq!(complete(&guardd, 2, &["suspend", "a"]), ["a1"]);
    let both = complete(&guardd, 2, &["kill", ""]);
    assert!(both.starts_with(&["a1".to_owned(), "h12".to_owned()]), "{both:?}");
    assert!(complete(&guardd, 1, &["pen"]).contains(&"pending".to_owned()));
    // Refused, or no daemon: no offer, and no noise in the middle of a command line.
    assert_eq!(complete(&Guardd::answering(&[]), 2, &["approve", "h"]), Vec::<String>::new());
}

#[test]
fn a_manual_page_is_written_for_guardctl_and_for_a_verb() {
    guardctl(&["man"]).assert().code(0).stdout(contains("guardctl\\-approve(1)"));
    guardctl(&["man", "approve"]).assert().code(0).stdout(contains("guardctl\\-approve \\- Let held operations go on"));
    let dir = tempfile::tempdir().expect("a directory");
    let man1 = dir.path().join("man1");
    guardctl(&["man", "--dir", man1.to_str().expect("UTF-8")]).assert().code(0).stdout(is_empty());
    assert!(fs::read_to_string(man1.join("guardctl-run.1")).expect("a page").contains("workspace"));
}
