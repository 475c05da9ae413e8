//! What an agent's own hooks say of a tool call, in the one shape that guardd takes: [`ToolCall`]. One file for each tool,
//! which alone knows what this tool calls its events and fields, how it writes its transcript, and how it lets a hook say
//! something to the agent. Bytes in, values out: but for `transcript::tail` nothing here reads or writes.
//!
//! All of it is the agent's word. What is not understood is not lost: its beginning goes on as it is.
#![forbid(unsafe_code)]

mod claude_code;
mod codex;
mod cursor;
mod gemini;
mod generic;
pub(crate) mod limits;
mod openhands;
mod reply;
pub mod settings;
#[cfg(test)]
mod tests;
mod trace;
pub mod transcript;

use clap::ValueEnum;
use serde_json::Value;

pub use reply::Reply;
pub use trace::is_traceparent;

use crate::{
    api::{Phase, ToolCall},
    text,
};
use settings::Settings;
use transcript::Transcript;

/// Most bytes of what a hook is given: tools put whole files into it.
pub const LARGEST: usize = 4 << 20;

/// Whose hooks are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Tool {
    /// Claude Code
    ClaudeCode,
    /// Codex CLI
    Codex,
    /// OpenHands
    #[value(name = "openhands")]
    OpenHands,
    /// Cursor, and its command line
    Cursor,
    /// Gemini CLI
    Gemini,
    /// Any other, in guard's own JSON
    Generic,
}

impl Tool {
    pub const ALL: [Self; 6] =
        [Self::ClaudeCode, Self::Codex, Self::OpenHands, Self::Cursor, Self::Gemini, Self::Generic];

    /// As it is typed, and as it is in [`ToolCall::from`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::OpenHands => "openhands",
            Self::Cursor => "cursor",
            Self::Gemini => "gemini",
            Self::Generic => "generic",
        }
    }

    /// Where its hooks are set; nothing for whatever has no file that is known.
    #[must_use]
    pub const fn settings(self) -> Option<&'static Settings> {
        match self {
            Self::ClaudeCode => Some(&claude_code::SETTINGS),
            Self::Codex => Some(&codex::SETTINGS),
            Self::OpenHands => Some(&openhands::SETTINGS),
            Self::Cursor => Some(&cursor::SETTINGS),
            Self::Gemini => Some(&gemini::SETTINGS),
            Self::Generic => None,
        }
    }
}

/// One event of a tool.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Within its limits.
    pub call: ToolCall,
    /// Where the prompt and the reasoning before this call are, when they are not in it.
    pub transcript: Option<Transcript>,
    /// How the agent can be told what it was refused.
    pub reply: Reply,
}

impl Heard {
    /// Before a call.
    fn before(call: ToolCall, transcript: Option<Transcript>) -> Self {
        Self { call, transcript, reply: Reply::None }
    }

    /// After one: its reasons were said before it.
    fn after(call: ToolCall, reply: Reply) -> Self {
        Self { call: ToolCall { phase: Phase::After, ..call }, transcript: None, reply }
    }

    /// A person asks for something: no call yet, but what calls will be made for.
    fn prompt(call: ToolCall, prompt: &str) -> Self {
        Self::before(ToolCall { prompt: prompt.to_owned(), ..call }, None)
    }

    /// Adds what the transcript says, or why it could not be read.
    pub fn add(&mut self, story: Result<transcript::Story, String>) {
        match story {
            Ok(transcript::Story { prompt, reasoning }) => {
                (self.call.prompt, self.call.reasoning) = (prompt, reasoning)
            }
            Err(problem) => self.call.problem = problem,
        }
        limits::cut(&mut self.call);
    }
}

/// What `bytes`, all that a hook of `tool` got on its standard input, say. At most [`LARGEST`] of them are looked at.
#[must_use]
pub fn hear(tool: Tool, bytes: &[u8]) -> Heard {
    let mut heard = understand(tool, bytes).unwrap_or_else(|problem| {
        let raw = text::lossy(&bytes[..bytes.len().min(ToolCall::PROSE)]);
        Heard::before(ToolCall { problem, raw, ..ToolCall::default() }, None)
    });
    heard.call.from = tool.name().to_owned();
    limits::cut(&mut heard.call);
    heard
}

fn understand(tool: Tool, bytes: &[u8]) -> Result<Heard, String> {
    if bytes.len() > LARGEST {
        return Err(format!("it is longer than {} MiB", LARGEST >> 20));
    }
    let said: Value = serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))?;
    let heard = match tool {
        Tool::ClaudeCode => claude_code::hear(&said),
        Tool::Codex => codex::hear(&said),
        Tool::OpenHands => openhands::hear(&said),
        Tool::Cursor => cursor::hear(&said),
        Tool::Gemini => gemini::hear(&said),
        Tool::Generic => generic::hear(&said),
    };
    heard.ok_or_else(|| format!("it is no event of {} that guardctl knows", tool.name()))
}

/// The fields that Claude Code named first and the others took over. `shells` are the tools whose `command` is a command
/// line: others have a field of this name, too.
fn common(said: &Value, shells: &[&str]) -> ToolCall {
    let (tool, input) = (text_of(said, "tool_name"), said.get("tool_input").cloned().unwrap_or_default());
    let command = if shells.contains(&tool) { text_of(&input, "command").to_owned() } else { String::new() };
    ToolCall {
        session: text_of(said, "session_id").to_owned(),
        call: text_of(said, "tool_use_id").to_owned(),
        tool: tool.to_owned(),
        command,
        input,
        cwd: text_of(said, "cwd").to_owned(),
        ..ToolCall::default()
    }
}

/// A field that is text; empty when it is not.
fn text_of<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A list of blocks such as `{"type": "text", "text": …}`: the texts of those whose type is one of `kinds`, each under
/// the name of its type or under `text`.
fn blocks(content: &Value, kinds: &[&str]) -> String {
    let texts = content.as_array().into_iter().flatten().filter_map(|block| {
        let kind = text_of(block, "type");
        let named = block.get(kind).and_then(Value::as_str).unwrap_or_else(|| text_of(block, "text"));
        (kinds.contains(&kind) && !named.is_empty()).then_some(named)
    });
    texts.collect::<Vec<_>>().join("\n")
}
