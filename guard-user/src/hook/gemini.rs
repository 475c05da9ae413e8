//! Gemini CLI. Events and answers as "Hooks reference" in its documentation gives them. It names no id of a call.
//!
//! The transcript is the record of its chat, as `chatRecordingTypes.ts` gives it: one JSON object on a line, and a message
//! is written again whenever it grew. Records of earlier versions, which are one JSON object in all, say nothing here.

use serde_json::Value;

use super::{
    Heard, Reply, common,
    settings::{Settings, Shape},
    text_of,
    transcript::{Entry, Transcript},
};

const SHELLS: &[&str] = &["run_shell_command"];

/// The timeout is in milliseconds.
pub(super) const SETTINGS: Settings = Settings {
    directory: ".gemini",
    moved_by: None,
    file: "settings.json",
    shape: Shape::Groups,
    events: &["BeforeTool", "AfterTool", "BeforeAgent"],
    timeout: 5_000,
    remark: "",
};

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let call = common(said, SHELLS);
    match text_of(said, "hook_event_name") {
        "BeforeTool" => Some(Heard::before(call, Transcript::named_in(said, entry))),
        "AfterTool" => Some(Heard::after(call, Reply::Nested("AfterTool"))),
        "BeforeAgent" => Some(Heard::prompt(call, text_of(said, "prompt"))),
        _ => None,
    }
}

fn entry(line: &Value) -> Entry {
    let content = parts(&line["content"]);
    match text_of(line, "type") {
        "user" if !content.is_empty() => Entry::Prompt(content),
        "gemini" => {
            let thoughts = line["thoughts"].as_array().into_iter().flatten();
            let thoughts =
                thoughts.map(|thought| match (text_of(thought, "subject"), text_of(thought, "description")) {
                    ("", description) => description.to_owned(),
                    (subject, description) => format!("{subject}: {description}"),
                });
            let texts: Vec<String> = thoughts.chain([content]).filter(|text| !text.is_empty()).collect();
            Entry::Said { id: text_of(line, "id").to_owned(), text: texts.join("\n") }
        }
        _ => Entry::Other,
    }
}

/// A text, or parts of which some have one.
fn parts(content: &Value) -> String {
    let parts = content.as_array().into_iter().flatten();
    let texts = parts.map(|part| part.as_str().unwrap_or_else(|| text_of(part, "text")));
    content.as_str().map_or_else(|| texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n"), str::to_owned)
}
