//! The shipped packs against command lines people and agents type: `rules/cases`, both sides. Every line says what must
//! come of it, and so does a person who adds one.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;

use super::{Asked, Checker, Question, Verdict, batch::Here};
use crate::{
    api::{Action, Reversibility},
    rules::{
        compile::Rules,
        file::{PACKS, load},
    },
};

const DESTRUCTIVE: &str = include_str!("../../../rules/cases/destructive.jsonl");
const HARMLESS: &str = include_str!("../../../rules/cases/harmless.jsonl");

/// What a line of the lists says besides its question.
#[derive(Deserialize)]
struct Expected {
    pack: String,
    expect: Action,
    rule: Option<String>,
}

fn checker() -> Checker {
    Checker::new(load(None).unwrap_or_else(|error| panic!("{error}"))).unwrap_or_else(|error| panic!("{error}"))
}

fn here() -> Here {
    let env =
        BTreeMap::from([("HOME".to_owned(), "/home/dev".to_owned()), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    Here { cwd: "/home/dev/shop".into(), env, workspace: None }
}

fn shell(checker: &mut Checker, text: &str) -> Verdict {
    checker.ask(&here().question(Asked::Shell(text.to_owned())))
}

/// How many lines of each pack the list has.
fn check(list: &str) -> BTreeMap<String, usize> {
    let mut checker = checker();
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    for line in list.lines() {
        let expected: Expected = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let question: Question = here().line(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let verdict = checker.ask(&question);
        if verdict.action != expected.expect || verdict.rule != expected.rule {
            wrong.push(format!("{line}\n   is {:?} {:?}: {}", verdict.action, verdict.rule, verdict.why));
        }
        *counts.entry(expected.pack).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} lines are judged otherwise:\n{}", wrong.len(), wrong.join("\n"));
    counts
}

#[test]
fn what_destroys_is_stopped_by_the_rule_that_is_about_it() {
    let counts = check(DESTRUCTIVE);
    assert!(counts.values().sum::<usize>() >= 400, "{counts:?}");
    for (origin, _) in PACKS {
        let pack = origin.split('.').next().unwrap_or("");
        assert!(counts.get(pack).is_some_and(|count| *count >= 5), "{pack} has too few cases: {counts:?}");
    }
}

#[test]
fn ordinary_work_is_never_stopped() {
    let counts = check(HARMLESS);
    assert!(counts.values().sum::<usize>() >= 400, "{counts:?}");
    for (origin, _) in PACKS {
        let pack = origin.split('.').next().unwrap_or("");
        assert!(counts.get(pack).is_some_and(|count| *count >= 3), "{pack} has too few cases: {counts:?}");
    }
}

#[test]
fn every_shipped_rule_stops_something_in_the_list() {
    // These are about what no command line shows before it runs.
    const SILENT: [&str; 3] = ["io-uring", "signal-outside", "ptrace-outside"];
    let rules = load(None).unwrap_or_else(|error| panic!("{error}"));
    let named = |rule: &str| DESTRUCTIVE.contains(&format!("\"rule\": \"{rule}\""));
    let missing: Vec<String> = rules
        .summary()
        .into_iter()
        .filter(|line| line.action != Action::Allow)
        .map(|line| line.name)
        .filter(|name| !named(name) && !SILENT.contains(&name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no case: {missing:?}");
}

#[test]
fn a_question_may_say_where_it_is_asked_and_a_line_that_is_none_says_why() {
    let mut checker = checker();
    let mut ask = |line: &str| here().line(line.as_bytes()).map(|question| checker.ask(&question).action);
    assert_eq!(ask(r#"{"shell": "rm -rf data", "cwd": "/srv"}"#), Ok(Action::Allow), "the workspace is where it runs");
    assert_eq!(ask(r#"{"shell": "rm -rf data", "cwd": "/srv", "workspace": "/home/dev/shop"}"#), Ok(Action::Hold));
    assert_eq!(ask(r#"{"shell": "rm -rf $D", "env": {"D": "build"}}"#), Ok(Action::Allow));
    assert_eq!(ask(r#"{"shell": "rm -rf $D", "env": {"D": "/srv"}}"#), Ok(Action::Hold));
    assert_eq!(ask(r#"{"argv": ["cat", "/k/.ssh/id_rsa"], "env": {"HOME": "/k"}}"#), Ok(Action::Hold));
    for bad in
        ["", "x", "{}", "[]", r#"{"argv": []}"#, r#"{"argv": ["a"], "shell": "b"}"#, r#"{"argv": "ls"}"#, "\u{0}"]
    {
        assert!(ask(bad).is_err(), "{bad}");
    }
    assert!(here().line(b"{\"shell\": \"\xff\"}").is_err());
}

#[test]
fn an_unreadable_or_endless_text_is_held_with_the_reason() {
    let mut checker = checker();
    let mut why = |text: &str| {
        let verdict = shell(&mut checker, text);
        assert_eq!(verdict.action, Action::Hold, "{text}");
        assert_eq!(verdict.reversibility, Some(Reversibility::Irreversible));
        verdict.why
    };
    assert_eq!(why("if true"), "this shell text cannot be read: `then` is missing");
    assert_eq!(why("echo 'x"), "this shell text cannot be read: `'` is missing");
    assert!(why(&"(".repeat(5000)).contains("nested too deeply"));
    assert!(why(&"x".repeat(200_000)).contains("too long"));
    assert!(why("f() { f; f; }; f").contains("too deeply"));
    assert!(why(&format!("{} ls", "sudo ".repeat(100))).contains("too deeply"));
    assert!(why("for a in $(cat x); do for b in 1 2 3; do $a; done; done").contains("not known"));
}

#[test]
fn the_most_severe_rule_is_named_and_every_operation_is_listed() {
    let mut checker = checker();
    let verdict = shell(&mut checker, "git push -f; systemctl stop guardd; ls");
    assert_eq!((verdict.action, verdict.rule.as_deref()), (Action::Deny, Some("guard-control")));
    let execs: Vec<&str> = verdict.operations.iter().map(|judged| judged.what.as_str()).collect();
    assert_eq!(execs, ["git push -f", "systemctl stop guardd", "ls"]);
    let verdict = shell(&mut checker, "true");
    assert_eq!((verdict.action, verdict.rule, verdict.reversibility), (Action::Allow, None, None));
}

#[test]
fn what_exists_decides_where_a_path_leads() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().canonicalize().expect("it is there");
    std::fs::create_dir(place.join("work")).expect("created");
    std::os::unix::fs::symlink("/etc", place.join("work/link")).expect("linked");
    std::fs::write(place.join("work/run.sh"), "rm -rf /srv/data\n").expect("written");
    let mut checker = checker();
    let mut ask = |text: &str| {
        let here = Here { cwd: place.join("work"), workspace: Some(PathBuf::from("/home/dev/shop")), ..here() };
        checker.ask(&here.question(Asked::Shell(text.to_owned()))).action
    };
    assert_eq!(ask("echo x > link/hosts"), Action::Hold, "a link leads out of the workspace");
    assert_eq!(ask("rm link"), Action::Allow, "the link itself is the agent's");
    assert_eq!(ask("bash run.sh"), Action::Hold, "a script that is there is read");
    assert_eq!(ask("bash none.sh"), Action::Allow);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    /// Whatever the text, there is an answer, and soon.
    #[test]
    fn no_text_breaks_the_forecast(parts in proptest::collection::vec(proptest::sample::select(&PIECES[..]), 0..40)) {
        let mut checker = Checker::new(load(Some(std::path::Path::new("../rules/git.yaml"))).expect("rules")).expect("tools");
        let _verdict = shell(&mut checker, &parts.concat());
    }
}

const PIECES: [&str; 44] = [
    "rm",
    " ",
    "-rf",
    "/srv",
    "$(",
    ")",
    "`",
    "'",
    "\"",
    "$",
    "{",
    "}",
    "((",
    "))",
    "[[",
    "]]",
    ";",
    "&&",
    "||",
    "|",
    "&",
    "\n",
    "<<E",
    "E",
    "<",
    ">",
    "2>&1",
    "<(",
    "if ",
    "then ",
    "fi",
    "for x in ",
    "do ",
    "done",
    "while ",
    "case ",
    "esac",
    "x=",
    "$x",
    "${x:-",
    "function f ",
    "f()",
    "\\",
    "*",
];

#[test]
fn environment_and_directory_are_followed_through_the_text() {
    let rules = Rules::none().expect("built in").and(
        "rules:
  - {name: production, text: t, action: hold, reversibility: irreversible,
     match: {op: exec, program: aws, env: {AWS_PROFILE: \"prod*\"}}}
  - {name: not-here, text: t, action: hold, reversibility: partial, match: {op: exec, program: make, cwd: /srv/**}}
  - {name: large, text: t, action: hold, reversibility: partial,
     match: {op: exec, program: tar, when: \"'LEVEL' in env && env['LEVEL'] == '9'\"}}
",
        "a.yaml",
    );
    let mut checker = Checker::new(rules.expect("right")).expect("built in");
    let mut is_held = |text: &str| shell(&mut checker, text).rule;
    for text in
        ["aws s3 ls", "AWS_PROFILE=dev aws s3 ls", "AWS_PROFILE=production; aws s3 ls", "make", "LEVEL=1 tar c x"]
    {
        assert_eq!(is_held(text), None, "{text}");
    }
    for (text, rule) in [
        ("AWS_PROFILE=prod-1 aws s3 ls", "production"),
        ("export AWS_PROFILE=production; aws s3 ls", "production"),
        ("AWS_PROFILE=prod; export AWS_PROFILE; (aws s3 ls)", "production"),
        ("env AWS_PROFILE=prod nice aws s3 ls", "production"),
        ("AWS_PROFILE=$(cat profile) aws s3 ls", "doubt"),
        ("cd /srv/x && make", "not-here"),
        ("cd $WHERE && make", "doubt"),
        ("LEVEL=9 tar c x", "large"),
    ] {
        assert_eq!(is_held(text).as_deref(), Some(rule), "{text}");
    }
}
