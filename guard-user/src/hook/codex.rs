//! Codex CLI. Events and answers as "Hooks" in its documentation and the JSON schemas in `codex-rs/hooks/schema` give them;
//! they are those of Claude Code.
//!
//! The transcript is its rollout: one JSON object on a line, with a type and a payload. What the model is told as the
//! user is more than a person's words, so those are taken from the event that says them; what the model answered is taken
//! from its items, which the events only repeat.

use serde_json::Value;

use super::{
    Heard, Reply, blocks, common,
    settings::{Settings, Shape},
    text_of,
    transcript::{Entry, Transcript},
};

/// Its tools for patches have a `command` too, which is the patch.
const SHELLS: &[&str] = &["Bash"];

pub(super) const SETTINGS: Settings = Settings {
    directory: ".codex",
    moved_by: Some("CODEX_HOME"),
    file: "hooks.json",
    shape: Shape::Groups,
    events: &["PreToolUse", "PostToolUse", "UserPromptSubmit"],
    timeout: 5,
    remark: "Codex runs new hooks only once you trust them: it asks when it starts, or see `/hooks` there",
};

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let call = common(said, SHELLS);
    match text_of(said, "hook_event_name") {
        "PreToolUse" => Some(Heard::before(call, Transcript::named_in(said, entry))),
        "PostToolUse" => Some(Heard::after(call, Reply::Nested("PostToolUse"))),
        "UserPromptSubmit" => Some(Heard::prompt(call, text_of(said, "prompt"))),
        _ => None,
    }
}

fn entry(line: &Value) -> Entry {
    let payload = &line["payload"];
    let said = |text: String| Entry::Said { id: String::new(), text };
    match (text_of(line, "type"), text_of(payload, "type")) {
        ("event_msg", "user_message") => Entry::Prompt(text_of(payload, "message").to_owned()),
        ("response_item", "reasoning") => said(blocks(&payload["summary"], &["summary_text"])),
        ("response_item", "message") if text_of(payload, "role") == "assistant" => {
            said(blocks(&payload["content"], &["output_text"]))
        }
        _ => Entry::Other,
    }
}
