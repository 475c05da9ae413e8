//! Guard's own JSON, for an agent whose hooks are none of the others': the fields of a [`ToolCall`] that an agent can know,
//! all but `phase` optional. `docs/hooks.md` documents it.

use serde_json::Value;

use super::{Heard, Reply, text_of};
use crate::api::ToolCall;

pub(super) fn hear(said: &Value) -> Option<Heard> {
    let text = |field: &str| text_of(said, field).to_owned();
    let call = ToolCall {
        session: text("session"),
        call: text("call"),
        tool: text("tool"),
        input: said.get("input").cloned().unwrap_or_default(),
        command: text("command"),
        cwd: text("cwd"),
        prompt: text("prompt"),
        reasoning: text("reasoning"),
        ..ToolCall::default()
    };
    match text_of(said, "phase") {
        "before" => Some(Heard::before(call, None)),
        "after" => Some(Heard::after(call, Reply::Whole)),
        _ => None,
    }
}
