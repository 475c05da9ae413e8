//! How a file changes, as `diff -u` writes it, in the colours people know from git.

use super::{Look, Tone};
use crate::text::shown;

pub(crate) fn diff(look: &Look, diff: &str) -> String {
    let line = |line: &str| {
        let text = shown(line);
        match line.as_bytes().first() {
            Some(b'+') => look.paint(Tone::Good, &text),
            Some(b'-') => look.paint(Tone::Bad, &text),
            Some(b'@') => look.paint(Tone::Faint, &text),
            _ => text,
        }
    };
    diff.lines().map(|text| line(text) + "\n").collect()
}
