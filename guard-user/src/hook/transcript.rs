//! What an agent's transcript says before a call: the last thing a person asked, and what the agent wrote since.
//!
//! The file is the agent's, at a path that the agent names. It is read as the user the hook runs as, so it shows nothing
//! that the agent could not have sent itself; it must not make the hook wait or read without end.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use serde_json::Value;

use super::text_of;
use crate::api::ToolCall;

/// How much of the end is read. A prompt that is further back went to guardd when it was written.
const TAIL: u64 = 1 << 20;

/// A line longer than this is a file or a picture, and is not looked at.
const LONGEST_LINE: usize = 256 << 10;

/// Every transcript calls a person so, in the line of what they asked: `"user"`, `"user_message"`.
const PERSON: &[u8] = b"\"user";

/// Where a transcript is, and how its lines are read.
#[derive(Clone, Debug)]
pub struct Transcript {
    pub path: PathBuf,
    entry: fn(&Value) -> Entry,
}

/// One line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A person's words.
    Prompt(String),
    /// The agent's, to itself or to the person. A later line with the same id replaces this one; empty for none.
    Said {
        id: String,
        text: String,
    },
    Other,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    pub prompt: String,
    pub reasoning: String,
}

impl Transcript {
    /// The one that `transcript_path` names.
    pub(super) fn named_in(said: &Value, entry: fn(&Value) -> Entry) -> Option<Self> {
        let path = text_of(said, "transcript_path");
        (!path.is_empty()).then(|| Self { path: path.into(), entry })
    }

    /// The last prompt in `tail`, which is what [`tail`] returned, and what follows it.
    #[must_use]
    pub fn story(&self, tail: &[u8]) -> Story {
        let mut story = Story::default();
        // From the end: the last is wanted, and most of it is older.
        let (mut said, mut length, mut ids) = (Vec::new(), 0, Vec::new());
        for line in tail.rsplit(|byte| *byte == b'\n') {
            if line.is_empty() || line.len() > LONGEST_LINE {
                continue;
            }
            // Enough was said, and of a long transcript most is left: reading all of it as JSON takes milliseconds.
            if length > ToolCall::PROSE && memchr::memmem::find(line, PERSON).is_none() {
                continue;
            }
            // The last line may be half written, and what is not JSON says nothing.
            let Ok(line) = serde_json::from_slice::<Value>(line) else { continue };
            match (self.entry)(&line) {
                Entry::Prompt(text) => {
                    story.prompt = text;
                    break;
                }
                Entry::Said { id, text } if !text.is_empty() && length <= ToolCall::PROSE && !ids.contains(&id) => {
                    if !id.is_empty() {
                        ids.push(id);
                    }
                    length += text.len();
                    said.push(text);
                }
                Entry::Said { .. } | Entry::Other => {}
            }
        }
        said.reverse();
        story.reasoning = said.join("\n");
        story
    }
}

/// The last whole lines of a file, as far as they are in its last [`TAIL`] bytes; nothing of one that is not there.
///
/// # Errors
/// When it is no regular file, or cannot be read.
pub fn tail(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes to would be waited for.
    let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY).bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let from = metadata.len().saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(metadata.len() - from).unwrap_or_default()];
    let count = file.read_at(&mut tail, from)?;
    tail.truncate(count);
    if from > 0 {
        let end = memchr::memchr(b'\n', &tail).map_or(tail.len(), |end| end + 1);
        tail.drain(..end);
    }
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    /// Lines such as `{"user": …}` and `{"said": …, "id": …}`.
    fn plain() -> Transcript {
        let entry = |line: &Value| match (text_of(line, "user"), text_of(line, "said")) {
            ("", "") => Entry::Other,
            ("", said) => Entry::Said { id: text_of(line, "id").to_owned(), text: said.to_owned() },
            (prompt, _) => Entry::Prompt(prompt.to_owned()),
        };
        Transcript { path: PathBuf::new(), entry }
    }

    fn story(lines: &[u8]) -> (String, String) {
        let Story { prompt, reasoning } = plain().story(lines);
        (prompt, reasoning)
    }

    fn expect(prompt: &str, reasoning: &str) -> (String, String) {
        (prompt.to_owned(), reasoning.to_owned())
    }

    #[test]
    fn the_last_prompt_counts_and_what_was_said_since() {
        let lines =
            b"{\"user\":\"old\"}\n{\"said\":\"done\"}\n{\"user\":\"new\"}\n{\"said\":\"first\"}\n{\"said\":\"then\"}\n";
        assert_eq!(story(lines), expect("new", "first\nthen"));
        assert_eq!(story(b""), expect("", ""));
    }

    #[test]
    fn a_line_that_was_written_again_counts_once() {
        let lines = b"{\"said\":\"a\",\"id\":\"1\"}\n{\"said\":\"a b\",\"id\":\"1\"}\n{\"said\":\"c\",\"id\":\"2\"}\n";
        assert_eq!(story(lines), expect("", "a b\nc"));
    }

    #[test]
    fn torn_binary_and_endless_lines_are_passed_over() {
        let mut lines = b"{\"user\":\"do it\"}\n\xff\xfe\0\0\n[1\n".to_vec();
        lines.extend(format!("{{\"said\":\"{}\"}}\n", "x".repeat(LONGEST_LINE)).into_bytes());
        lines.extend(b"\"text\"\n{\"said\":\"so I do\"}\n{\"said\":\"half a li");
        assert_eq!(story(&lines), expect("do it", "so I do"));
    }

    #[test]
    fn no_more_than_the_end_is_read_and_only_whole_lines() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("transcript");
        fs::write(&path, format!("{}\nlast\n", "x".repeat(100 << 20))).expect("written");
        assert_eq!(tail(&path).expect("it is read"), b"last\n");
        fs::write(&path, "one\ntwo").expect("written");
        assert_eq!(tail(&path).expect("it is read"), b"one\ntwo");
        assert_eq!(tail(&dir.path().join("none")).expect("there is none"), b"");
    }

    #[test]
    fn nothing_but_a_file_is_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let (pipe, link, round) = (dir.path().join("pipe"), dir.path().join("link"), dir.path().join("loop"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        symlink("/dev/zero", &link).expect("linked");
        symlink(&round, &round).expect("linked");
        for path in [&pipe, &link, &round, dir.path(), Path::new("/dev/zero")] {
            tail(path).expect_err("it is no file");
        }
    }
}
