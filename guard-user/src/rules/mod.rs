//! From rules files to kernel tables, and the judgement of one operation. No IO but reading the files.
//!
//! `file` reads text, `syntax` is its shape, `compile` checks it and fits it to one agent, `lower` writes the
//! kernel's tables, `judge` decides. Data flows in that order; nothing here knows the daemon or the socket.

#![forbid(unsafe_code)]

pub mod act;
mod actor;
pub mod agent_policy;
pub(crate) mod amount;
pub mod argv;
pub mod candidate;
pub mod case;
pub mod clause;
pub mod command;
pub mod compile;
pub mod error;
pub mod explain;
pub mod file;
pub mod gap;
pub mod judge;
pub mod learn;
pub mod lesson;
pub mod lower;
pub mod many;
#[cfg(test)]
mod matchers;
pub mod network;
mod object;
pub mod overrides;
#[cfg(test)]
mod pack;
pub mod pattern;
pub mod place;
#[cfg(test)]
mod precedence;
mod sample;
pub mod schema;

#[cfg(test)]
mod soundness;
pub mod source;
pub mod sql;
pub mod syntax;
#[cfg(test)]
mod tests;
mod texts;
mod threshold;
pub mod tool;
pub mod touch;
pub mod trigger;
pub mod until;
pub mod warning;
mod when;
mod who;

/// A text in double quotes, as YAML reads it.
pub(crate) fn quote(text: &str) -> String {
    let letter = |letter: char| match letter {
        '\\' | '"' => format!("\\{letter}"),
        _ if crate::text::is_plain(letter) => letter.to_string(),
        // A line break in quotes would be read as a blank.
        _ => format!("\\U{:08x}", letter as u32),
    };
    format!("\"{}\"", text.chars().map(letter).collect::<String>())
}
