//! The only place of guardctl that prints. What a thing looks like is in the files below; they make text and never
//! print. Nothing here talks to guardd.

pub(crate) mod check;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod footprint;
pub(crate) mod hold;
pub(crate) mod incident;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod machine;
pub(crate) mod names;
mod page;
pub(crate) mod refusal;
pub(crate) mod rules;
pub(crate) mod status;
pub(crate) mod table;
pub(crate) mod timeline;
mod tree;
pub(crate) mod words;

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;

use super::error::Error;
use crate::text;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For a person, as wide as the terminal
    #[default]
    Table,
    /// For a person, with every column and nothing shortened
    Wide,
    /// What the API says, unchanged
    Json,
    /// The same as json, as YAML
    Yaml,
}

/// What the text depends on besides the data.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub colour: bool,
    /// Columns of the terminal; `None` where the output is not one: nothing is shortened or wrapped then.
    pub width: Option<usize>,
    /// Every column, nothing shortened.
    pub wide: bool,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Bad,
    Careful,
    Good,
    Faint,
    Strong,
}

impl Look {
    /// `text` in a tone where colour is wanted, unchanged elsewhere.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Bad => "1;31",
            Tone::Careful => "33",
            Tone::Good => "32",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Standard output and standard error, and how to write to them.
pub(crate) struct Screen {
    format: Format,
    colour: bool,
    terminal: bool,
}

impl Screen {
    pub(crate) fn new(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self { format, colour: terminal && !set("NO_COLOR") && !dumb, terminal }
    }

    /// Somebody looks at it, and it can be drawn again.
    pub(crate) fn is_live(&self) -> bool {
        self.terminal && self.is_text()
    }

    /// The answer is for a person.
    pub(crate) fn is_text(&self) -> bool {
        match self.format {
            Format::Table | Format::Wide => true,
            Format::Json | Format::Yaml => false,
        }
    }

    /// The answer: `value` for a machine, or `text` for a person.
    pub(crate) fn answer<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce(&Look) -> String,
    ) -> Result<(), Error> {
        self.write(&match self.format {
            Format::Table | Format::Wide => text(&self.look()),
            Format::Json => machine::json(value)?,
            Format::Yaml => machine::yaml(value)?,
        })
    }

    /// One of many answers, on a line of its own (for YAML: a document of its own).
    pub(crate) fn item<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce(&Look) -> String,
    ) -> Result<(), Error> {
        self.write(&match self.format {
            Format::Table | Format::Wide => text(&self.look()),
            Format::Json => machine::json_line(value)?,
            Format::Yaml => format!("---\n{}", machine::yaml(value)?),
        })
    }

    /// A line for a person; machines do not get it.
    pub(crate) fn say(&self, text: impl FnOnce(&Look) -> String) -> Result<(), Error> {
        if self.is_text() { self.write(&text(&self.look())) } else { Ok(()) }
    }

    /// Draws over what was drawn before, as far as the terminal is high. What was on the terminal before stays in its
    /// history.
    pub(crate) fn redraw(&self, text: impl FnOnce(&Look) -> String) -> Result<(), Error> {
        let text = text(&self.look());
        let room = terminal_size().map_or(usize::MAX, |(_, rows)| rows.saturating_sub(2).max(1));
        let count = text.lines().count();
        let mut frame = String::from("\x1b[H");
        for line in text.lines().take(room) {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        if count > room {
            frame.push_str(&format!("… and {} more lines: `guardctl pending`\x1b[K\n", count - room));
        }
        frame.push_str("\x1b[J");
        self.raw(frame.as_bytes())
    }

    /// Bytes that somebody else made: a completion script or a man page.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(writing)
    }

    fn write(&self, text: &str) -> Result<(), Error> {
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        self.raw(format!("{text}{newline}").as_bytes())
    }

    fn look(&self) -> Look {
        Look {
            colour: self.colour,
            width: self.terminal.then(terminal_size).flatten().map(|(columns, _)| columns),
            wide: self.format == Format::Wide,
            now: Timestamp::now(),
        }
    }
}

/// A line on standard error that is not the answer.
pub(crate) fn note(text: &str) {
    complain(&safe_lines(text));
}

/// An error, and what to do about it, on standard error.
pub(crate) fn error(error: &Error) {
    match error {
        Error::OutputClosed => {}
        _ => complain(&format!("guardctl: {}", safe_lines(&error.report()))),
    }
}

/// An error with one of several things that were asked for.
pub(crate) fn error_about(subject: &str, error: &Error) {
    complain(&format!("guardctl: {}: {}", text::shown(subject), safe_lines(&error.report())));
}

fn complain(text: &str) {
    if writeln!(io::stderr(), "{text}").is_err() {
        // Nobody is there to be told; the exit code still says it.
    }
}

/// A message of guardd may have several lines (a rules file's snippet) and may quote an agent.
fn safe_lines(text: &str) -> String {
    text.lines().map(text::shown).collect::<Vec<_>>().join("\n")
}

/// Columns and rows.
fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

fn writing(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Error::OutputClosed;
    }
    anyhow::Error::new(error).context("cannot write to standard output").into()
}
