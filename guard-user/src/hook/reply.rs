//! How a tool lets a hook say something to its agent, on the hook's standard output.

use serde_json::{Value, json};

use crate::api::Refusal;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It does not, at least not after this event.
    None,
    /// `hookSpecificOutput.additionalContext`, with the event's name beside it: Claude Code, and who took it over.
    Nested(&'static str),
    /// `additional_context`: Cursor.
    Flat,
    /// `context`, and the refusals as they are: guard's own.
    Whole,
}

impl Reply {
    /// The one JSON value that says `context`.
    #[must_use]
    pub fn saying(&self, context: &str, refused: &[Refusal]) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Nested(event) => {
                Some(json!({ "hookSpecificOutput": { "hookEventName": event, "additionalContext": context } }))
            }
            Self::Flat => Some(json!({ "additional_context": context })),
            Self::Whole => Some(json!({ "context": context, "refused": refused })),
        }
    }
}
