//! OpenHands. Events as `HookEvent` in its software-agent-sdk gives them, and "Hooks" in its documentation.
//!
//! It names no transcript and no id of a call, and what a hook prints after a call reaches nobody: the agent can ask with
//! `guardctl why`. The prompt comes with an event of its own.

use serde_json::Value;

use super::{
    Heard, Reply, common,
    settings::{Settings, Shape},
    text_of,
};
use crate::api::ToolCall;

/// Its editor has a `command`, too: what to do to the file.
const SHELLS: &[&str] = &["terminal", "execute_bash"];

pub(super) const SETTINGS: Settings = Settings {
    directory: ".openhands",
    moved_by: None,
    file: "hooks.json",
    shape: Shape::Groups,
    events: &["PreToolUse", "PostToolUse", "UserPromptSubmit"],
    timeout: 5,
    remark: "OpenHands reads the hooks of the project instead of the user's where there are any",
};

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let call = ToolCall { cwd: text_of(said, "working_dir").to_owned(), ..common(said, SHELLS) };
    match text_of(said, "event_type") {
        "PreToolUse" => Some(Heard::before(call, None)),
        "PostToolUse" => Some(Heard::after(call, Reply::None)),
        "UserPromptSubmit" => Some(Heard::prompt(call, text_of(said, "message"))),
        _ => None,
    }
}
