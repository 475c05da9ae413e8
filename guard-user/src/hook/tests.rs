//! Every event of every tool in the shape its documentation gives, and that no input at all makes an adapter panic or say
//! more than it may.

use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Heard, Tool, hear, transcript::Transcript};
use crate::{api::ToolCall, fuzzing};

fn fixtures(tool: Tool) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hook/fixtures").join(tool.name());
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut fixtures: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            (path.file_name().expect("a name").to_string_lossy().into_owned(), fs::read(&path).expect("a file"))
        })
        .collect();
    fixtures.sort();
    fixtures
}

fn fixture(tool: Tool, name: &str) -> Vec<u8> {
    let found = fixtures(tool).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", tool.name())).1
}

#[test]
fn every_event_is_understood_as_it_is_documented() {
    let mut page = String::new();
    for tool in Tool::ALL {
        for (name, bytes) in fixtures(tool).into_iter().filter(|(name, _)| name.ends_with(".json")) {
            let Heard { call, transcript, reply } = hear(tool, &bytes);
            assert_eq!(call.problem, "", "{} {name}", tool.name());
            let call = serde_json::to_string_pretty(&call).expect("it is JSON");
            let transcript = transcript.map(|transcript| transcript.path);
            page += &format!("{} {name}\n{call}\ntranscript: {transcript:?}\nreply: {reply:?}\n\n", tool.name());
        }
    }
    insta::assert_snapshot!("events", page);
}

#[test]
fn every_transcript_tells_what_was_asked_and_what_was_thought() {
    for (tool, event) in [
        (Tool::ClaudeCode, "pre_tool_use.json"),
        (Tool::Codex, "pre_tool_use.json"),
        (Tool::Cursor, "pre_tool_use.json"),
        (Tool::Gemini, "before_tool.json"),
    ] {
        let lines = fixture(tool, "transcript.jsonl");
        let story = transcript(tool, event).story(&lines);
        assert_eq!(story.prompt, "Free some space on the server", "{}", tool.name());
        let reasoning = "Old data takes most of the space.\nI will remove /srv/data/customers.";
        assert!(story.reasoning.ends_with(reasoning), "{}: {}", tool.name(), story.reasoning);
        assert!(story.reasoning.len() < reasoning.len() + 10, "{}: {}", tool.name(), story.reasoning);
        let text = String::from_utf8(lines).expect("UTF-8");
        let last = text.lines().rfind(|line| line.contains("I will remove")).expect("it was said");
        let long = text.clone() + &format!("{last}\n").repeat(1_000);
        assert_eq!(transcript(tool, event).story(long.as_bytes()).prompt, story.prompt, "{}", tool.name());
    }
}

fn transcript(tool: Tool, event: &str) -> Transcript {
    hear(tool, &fixture(tool, event)).transcript.expect("it names one")
}

#[test]
fn the_page_for_people_has_a_json_that_is_read_whole_and_names_every_event() {
    const PAGE: &str = include_str!("../../../docs/hooks.md");
    let example = PAGE.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let mut told = serde_json::to_value(hear(Tool::Generic, example.as_bytes()).call).expect("it is JSON");
    assert_eq!(told.as_object_mut().expect("an object").shift_remove("from"), Some(json!("generic")));
    assert_eq!(told, serde_json::from_str::<Value>(example).expect("it is JSON"));
    for settings in Tool::ALL.into_iter().filter_map(Tool::settings) {
        let place = format!("`{}/{}`", settings.directory, settings.file);
        let row = PAGE.lines().find(|line| line.starts_with('|') && line.contains(&place)).expect("a row");
        assert!(settings.events.iter().all(|event| row.contains(&format!("`{event}`"))), "{row}");
    }
}

#[test]
fn what_is_not_understood_goes_on_as_it_is() {
    let unknown = hear(Tool::ClaudeCode, br#"{"hook_event_name":"Tomorrow","session_id":"s"}"#).call;
    assert_eq!(unknown.problem, "it is no event of claude-code that guardctl knows");
    assert_eq!(unknown.raw, r#"{"hook_event_name":"Tomorrow","session_id":"s"}"#);
    let broken = hear(Tool::Codex, b"\xff{").call;
    assert!(broken.problem.starts_with("it is not JSON: "), "{}", broken.problem);
    assert_eq!((broken.raw.as_str(), broken.from.as_str()), ("\\xff{", "codex"));
    let long = hear(Tool::Gemini, &vec![b' '; super::LARGEST + 1]).call;
    assert_eq!((long.problem.as_str(), long.raw.len()), ("it is longer than 4 MiB", ToolCall::PROSE));
    let deep = hear(Tool::Cursor, "[".repeat(100_000).as_bytes()).call;
    assert!(deep.problem.starts_with("it is not JSON: recursion limit"), "{}", deep.problem);
}

/// JSON with the fields that are read, of any type.
fn said() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        (1_usize..4_000).prop_map(|length| Value::from("é\"\n".repeat(length))),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        let names = prop_oneof![Just("command"), Just("type"), Just("text"), Just("content"), Just("role")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..4).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Value>()
            }),
        ]
    });
    const EVENTS: &[&str] =
        &["PreToolUse", "PostToolUse", "UserPromptSubmit", "BeforeTool", "preToolUse", "beforeShellExecution"];
    let event = prop::sample::select(EVENTS);
    (event, prop::collection::vec(value, 10)).prop_map(|(event, values)| {
        let names = ["session_id", "cwd", "tool_name", "tool_input", "tool_use_id", "prompt", "command", "message"];
        let mut said: Value = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        said["hook_event_name"] = json!(event);
        said["event_type"] = json!(event);
        said["phase"] = json!("before");
        said["transcript_path"] = json!("/transcript");
        said
    })
}

/// Settings with hooks of others and of guard, in the shapes of all tools at once.
fn settings() -> impl Strategy<Value = Value> {
    let command = prop::sample::select(
        &["mine", "/opt/guardctl hook codex || true", "/usr/bin/guardctl hook cursor || true"][..],
    );
    let entry = (command, any::<bool>()).prop_map(|(command, is_group)| {
        let entry = json!({ "command": command, "timeout": 5 });
        if is_group { json!({ "hooks": [entry, { "command": "else" }] }) } else { entry }
    });
    let list = prop_oneof![
        9 => prop::collection::vec(entry, 0..4).prop_map(Value::from),
        1 => Just(json!({ "command": "x" })),
    ];
    let events = prop::sample::select(&["PreToolUse", "PostToolUse", "preToolUse", "BeforeTool", "Other"][..]);
    prop::collection::vec((events, list), 0..5).prop_map(|hooks| {
        let hooks: Value = hooks.into_iter().map(|(event, list)| (event.to_owned(), list)).collect();
        json!({ "a": 1, "hooks": hooks, "version": 1 })
    })
}

proptest! {
    #[test]
    fn any_settings_get_the_hooks_once_and_are_as_they_were_afterwards(settings in settings()) {
        fuzzing::hook(settings.to_string().as_bytes());
    }

    #[test]
    fn any_json_is_within_the_bounds(said in said()) {
        fuzzing::hook(said.to_string().as_bytes());
    }

    #[test]
    fn any_bytes_are_within_the_bounds(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzzing::hook(&bytes);
    }
}
