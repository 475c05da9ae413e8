//! The files rules were read from, as text: what identifies them, and how two sets of them differ. What they mean is not
//! known here.
#![forbid(unsafe_code)]

use similar::{ChangeTag, TextDiff};

use super::compile::Rules;
use crate::audit::chain::Digest;

/// A file of rules, or of what is said about rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub file: String,
    pub text: String,
}

impl Rules {
    /// The files they were read from.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub(crate) fn with_sources(mut self, sources: Vec<Source>) -> Self {
        self.sources = sources.into();
        self
    }
}

/// Longest text of a difference, in bytes; it is cut at a line.
const LONGEST: usize = 64 << 10;

/// How files differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// As `diff -u` writes it, at most 64 KiB; empty when nothing changed.
    pub text: String,
    /// Lines.
    pub added: usize,
    pub removed: usize,
}

/// SHA-256 over names and texts, in hexadecimal.
#[must_use]
pub fn digest(sources: &[Source]) -> String {
    let mut bytes = Vec::new();
    for part in sources.iter().flat_map(|source| [&source.file, &source.text]) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes).to_string()
}

/// How `new` differs from `old`, by the names of the files.
#[must_use]
pub fn difference(old: &[Source], new: &[Source]) -> Difference {
    let of = |sources: &[Source], file: &str| -> Option<String> {
        sources.iter().find(|source| source.file == file).map(|source| source.text.clone())
    };
    let mut files: Vec<&String> = old.iter().map(|source| &source.file).collect();
    files.extend(new.iter().map(|source| &source.file).filter(|file| of(old, file).is_none()));
    let mut found = Difference::default();
    for file in files {
        let (before, after) = (of(old, file), of(new, file));
        if before == after {
            continue;
        }
        let name = |there: bool| if there { file.as_str() } else { "/dev/null" };
        let (from, to) = (name(before.is_some()), name(after.is_some()));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let lines = TextDiff::from_lines(&before, &after);
        for change in lines.iter_all_changes() {
            match change.tag() {
                ChangeTag::Insert => found.added += 1,
                ChangeTag::Delete => found.removed += 1,
                ChangeTag::Equal => {}
            }
        }
        found.text += &lines.unified_diff().header(from, to).to_string();
    }
    if found.text.len() > LONGEST {
        let end = found.text.as_bytes()[..LONGEST].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        found.text.truncate(end);
        found.text += "(cut here)\n";
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &str, text: &str) -> Source {
        Source { file: file.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn files_that_changed_came_or_went_are_shown_as_people_know_it() {
        let old = [source("a.yaml", "one\ntwo\nthree\n"), source("b.yaml", "same\n"), source("c.yaml", "gone\n")];
        let new = [source("a.yaml", "one\n2\nthree\n"), source("b.yaml", "same\n"), source("d.yaml", "come\n")];
        let found = difference(&old, &new);
        assert_eq!((found.added, found.removed), (2, 2));
        assert_eq!(
            found.text,
            "--- a.yaml\n+++ a.yaml\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n\
             --- c.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-gone\n--- /dev/null\n+++ d.yaml\n@@ -0,0 +1 @@\n+come\n"
        );
        assert_eq!(difference(&old, &old), Difference::default());
        assert_ne!(digest(&old), digest(&new));
        assert_eq!(digest(&old).len(), 64);
    }

    #[test]
    fn a_long_difference_is_cut_at_a_line() {
        let new = [source("a.yaml", &"a line of it\n".repeat(20_000))];
        let found = difference(&[], &new);
        assert_eq!((found.added, found.removed), (20_000, 0));
        assert!(found.text.len() <= LONGEST + 20 && found.text.ends_with("+a line of it\n(cut here)\n"));
    }
}
