//! Claude Code. Events and answers as "Hooks reference" in its documentation gives them.
//!
//! The transcript has no documentation; what is read of it is what those agree on who wrote down what they found: one JSON
//! object on a line, of type `user` or `assistant`, with a message as the API has it. A result of a tool is a message of
//! the user, too. The line of the call itself may not be there yet when its hook runs.

use serde_json::Value;

use super::{
    Heard, Reply, blocks, common,
    settings::{Settings, Shape},
    text_of,
    transcript::{Entry, Transcript},
};

const SHELLS: &[&str] = &["Bash"];

/// A message of the user that begins with one of these was written by Claude Code.
const NOT_ASKED: &[&str] =
    &["<local-command-stdout>", "<local-command-caveat>", "<bash-stdout>", "[Request interrupted by user"];

pub(super) const SETTINGS: Settings = Settings {
    directory: ".claude",
    moved_by: Some("CLAUDE_CONFIG_DIR"),
    file: "settings.json",
    shape: Shape::Groups,
    events: &["PreToolUse", "PostToolUse", "PostToolUseFailure", "UserPromptSubmit"],
    timeout: 5,
    remark: "",
};

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let call = common(said, SHELLS);
    match text_of(said, "hook_event_name") {
        "PreToolUse" => Some(Heard::before(call, Transcript::named_in(said, entry))),
        "PostToolUse" => Some(Heard::after(call, Reply::Nested("PostToolUse"))),
        "PostToolUseFailure" => Some(Heard::after(call, Reply::Nested("PostToolUseFailure"))),
        "UserPromptSubmit" => Some(Heard::prompt(call, text_of(said, "prompt"))),
        _ => None,
    }
}

fn entry(line: &Value) -> Entry {
    let is = |field: &str| line.get(field).and_then(Value::as_bool).unwrap_or(false);
    // Written by Claude Code; said to or by an agent of its own; a summary in the place of what was said.
    if is("isMeta") || is("isSidechain") || is("isCompactSummary") {
        return Entry::Other;
    }
    let content = &line["message"]["content"];
    match text_of(line, "type") {
        "user" => {
            let text = content.as_str().map_or_else(|| blocks(content, &["text"]), str::to_owned);
            let mut kinds = content.as_array().into_iter().flatten().map(|block| text_of(block, "type"));
            let is_result = kinds.any(|kind| kind == "tool_result");
            if text.is_empty() || is_result || NOT_ASKED.iter().any(|beginning| text.starts_with(beginning)) {
                return Entry::Other;
            }
            Entry::Prompt(text)
        }
        "assistant" => Entry::Said { id: String::new(), text: blocks(content, &["text", "thinking"]) },
        _ => Entry::Other,
    }
}
