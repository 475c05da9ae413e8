//! Cursor, the editor and the command line. Events and answers as descriptions of its hooks by others give them; its own
//! documentation was not read for this.
//!
//! A call in its shell may be told twice, as a call of a tool with an id and as one of the shell without; `guardctl
//! integrate` asks for the first alone. The transcript has no documentation: one JSON object on a line, with a role and a
//! message as Claude Code has it, and a person's words between tags.

use serde_json::Value;

use super::{
    Heard, Reply, blocks, common,
    settings::{Settings, Shape},
    text_of,
    transcript::{Entry, Transcript},
};
use crate::api::ToolCall;

const SHELL: &str = "Shell";

/// An event that Cursor does not know makes it ignore the file, so these are what its documentation lists.
pub(super) const SETTINGS: Settings = Settings {
    directory: ".cursor",
    moved_by: None,
    file: "hooks.json",
    shape: Shape::Flat,
    events: &["preToolUse", "postToolUse", "postToolUseFailure", "beforeSubmitPrompt"],
    timeout: 5,
    remark: "Cursor runs the hooks of Claude Code, too: with both, it tells each call twice",
};

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let mut call = common(said, &[SHELL]);
    call.session = text_of(said, "conversation_id").to_owned();
    if call.cwd.is_empty() {
        call.cwd = said["workspace_roots"][0].as_str().unwrap_or_default().to_owned();
    }
    match text_of(said, "hook_event_name") {
        "preToolUse" => Some(Heard::before(call, Transcript::named_in(said, entry))),
        "beforeShellExecution" => Some(Heard::before(in_shell(call, said), Transcript::named_in(said, entry))),
        "postToolUse" | "postToolUseFailure" => Some(Heard::after(call, Reply::Flat)),
        "afterShellExecution" => Some(Heard::after(in_shell(call, said), Reply::None)),
        "beforeSubmitPrompt" => Some(Heard::prompt(call, text_of(said, "prompt"))),
        _ => None,
    }
}

/// The events of the shell name no tool.
fn in_shell(call: ToolCall, said: &Value) -> ToolCall {
    ToolCall { tool: SHELL.to_owned(), command: text_of(said, "command").to_owned(), ..call }
}

fn entry(line: &Value) -> Entry {
    let text = blocks(&line["message"]["content"], &["text"]);
    match text_of(line, "role") {
        "user" => {
            let asked = text.split_once("<user_query>").and_then(|(_, rest)| rest.split_once("</user_query>"));
            Entry::Prompt(asked.map_or_else(|| text.clone(), |(asked, _)| asked.trim().to_owned()))
        }
        "assistant" => Entry::Said { id: String::new(), text },
        _ => Entry::Other,
    }
}
