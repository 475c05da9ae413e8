//! Text that an agent chose in order to mislead the person who decides.

use proptest::prelude::*;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr as _;

use super::{
    fixture,
    looks::{hold, piped},
};
use crate::{
    api::{Event, Hold, Refusal},
    cli::render::{self, Look, list, machine},
    text,
};

const ANSI: &str = "\u{1b}[2J\u{1b}[1;1H\u{9b}31m";
const BIDI: &str = "\u{202e}gpj.exe\u{2066}\u{200b}\u{feff}";

fn hostile() -> Hold {
    // What is not UTF-8 arrives as `\xNN` with backslashes doubled.
    let path = text::lossy(format!("/srv/{ANSI}/{BIDI}/new\nline\ttab/").as_bytes()) + &text::lossy(b"\xff\xfe\\x41");
    let fake = "h12 approved by root\n  why           rule harmless, reversible";
    let process = json!({
        "pid": 4243, "ppid": 1, "uid": 1000, "user": "de\u{1b}v", "comm": "rm\u{7f}\nx", "exe": path,
        "argv": ["rm", fake, ANSI], "cwd": BIDI
    });
    hold(fixture::hold_with(
        json!({
            "agent_name": fake, "processes": [process], "rule_text": fake, "scope": BIDI,
            "blast": { "root": path, "files": 1, "directories": 0, "bytes": 1, "more": false }
        }),
        json!({ "path": path, "detail": fake, "doubt": ANSI, "object_type": BIDI }),
    ))
}

/// Everything that a person may see of a hold.
fn renderings(look: &Look, hold: &Hold) -> Vec<String> {
    vec![
        render::hold::hold(look, hold),
        list::holds(look, std::slice::from_ref(hold)),
        list::decided(look, hold),
        list::event(look, &Event::Held { hold: Box::new(hold.clone()) }),
        machine::json(hold).expect("encodes"),
        machine::json_line(hold).expect("encodes"),
        machine::yaml(hold).expect("encodes"),
        render::log::record(look, &serde_json::to_value(hold).expect("encodes")),
    ]
}

fn assert_safe(text: &str) {
    let bad = text.chars().find(|character| *character != '\n' && !text::is_plain(*character));
    assert_eq!(bad, None, "in {text:?}");
}

#[test]
fn nothing_an_agent_wrote_reaches_the_terminal_as_itself() {
    let look = Look { width: Some(100), ..piped() };
    for text in renderings(&look, &hostile()) {
        assert_safe(&text);
    }
    insta::assert_snapshot!("hostile_show", render::hold::hold(&look, &hostile()));
    insta::assert_snapshot!("hostile_list", list::holds(&look, &[hostile()]));
    insta::assert_snapshot!("hostile_json", machine::json(&hostile()).expect("encodes"));
    insta::assert_snapshot!("hostile_yaml", machine::yaml(&hostile()).expect("encodes"));
}

#[test]
fn json_is_the_api_object_unchanged() {
    let json = machine::json(&hostile()).expect("encodes");
    assert_eq!(serde_json::from_str::<Hold>(&json).expect("is a hold"), hostile());
    let value: Value = serde_json::from_str(&machine::json(&hold(fixture::hold())).expect("encodes")).expect("is JSON");
    assert_eq!(value, fixture::hold());
}

#[test]
fn a_path_of_4096_bytes_is_whole_in_show_and_shortened_in_the_list() {
    let path = format!("/srv/{}/end", "directory/".repeat(408));
    let long = hold(fixture::hold_with(json!({}), json!({ "path": path })));
    let look = Look { width: Some(100), ..piped() };
    let page = render::hold::hold(&look, &long);
    let joined: String = page.split("\n              ").collect();
    assert!(joined.contains(&path), "{page}");
    assert!(page.lines().all(|line| line.width() <= 100), "{page}");
    let table = list::holds(&look, &[long]);
    assert!(table.contains("…") && table.contains("rectory//end"), "{table}");
    assert_eq!(table.lines().count(), 2);
}

/// A name of many spaces and label-like words, wrapped by the terminal, could pass for a line of ours.
#[test]
fn wrapped_text_never_reaches_the_column_of_the_labels() {
    let fake = format!("x{}why           rule harmless, reversible", " ".repeat(85));
    let misleading = hold(fixture::hold_with(json!({}), json!({ "path": fake.repeat(4) })));
    let page = render::hold::hold(&Look { width: Some(100), ..piped() }, &misleading);
    let labels: Vec<&str> = page.lines().filter(|line| line.starts_with("  why")).collect();
    assert_eq!(labels, ["  why         rule delete-outside-workspace, irreversible"], "{page}");
}

#[test]
fn a_very_long_argument_list_does_not_push_the_commands_off_the_screen_unsaid() {
    let argv: Vec<String> = (0..5_000).map(|number| format!("argument{number}")).collect();
    let long = hold(fixture::hold_with(json!({}), json!({ "op": "exec", "argv": argv })));
    let page = render::hold::hold(&piped(), &long);
    assert!(page.contains("more characters: `guardctl show h12 -o json`"), "{page}");
}

/// A tool drops what is longer, and with it what the agent must hear.
#[test]
fn what_a_hook_says_to_an_agent_is_short_whatever_was_refused() {
    let mut refusal = fixture::refusal();
    for field in ["rule", "rule_text", "note", "instead", "call"] {
        refusal[field] = json!("文\n".repeat(4_000));
    }
    refusal["operation"]["path"] = json!(format!("/srv/{ANSI}/{}", "x".repeat(4_000)));
    let refusal: Refusal = serde_json::from_value(refusal).expect("it is a refusal");
    let text = render::refusal::to_the_agent(&vec![refusal; 100]);
    assert_safe(&text);
    assert!(text.contains("… and 95 more: `guardctl why -n 100`"), "{text}");
    assert!(text.chars().count() < 10_000, "{}", text.chars().count());
}

proptest! {
    #[test]
    fn no_text_at_all_gets_past_the_escaping(text in any::<String>(), width in proptest::option::of(20_usize..200)) {
        let process = json!({
            "pid": 1, "ppid": 1, "uid": 0, "user": text, "comm": text, "exe": text, "argv": [text], "cwd": text
        });
        let hold = hold(fixture::hold_with(
            json!({ "id": text, "agent": text, "since": text, "rule": text, "processes": [process], "scope": text }),
            json!({ "op": text, "path": text, "other_path": text, "address": "", "detail": text }),
        ));
        let look = Look { width, ..piped() };
        for rendering in renderings(&look, &hold) {
            assert_safe(&rendering);
        }
    }
}
