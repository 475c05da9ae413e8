//! A page of labels and values. Labels stand in the first columns and values never do, however long they are, so no
//! name that an agent chose can look like another line of ours. It knows nothing of what it shows; values come escaped.

use unicode_width::UnicodeWidthChar as _;

use super::{Look, Tone};

/// Column of the values.
const LABEL: usize = 14;

/// The page as it grows.
pub(super) struct Page<'a> {
    pub(super) look: &'a Look,
    pub(super) text: String,
}

impl<'a> Page<'a> {
    pub(super) fn new(look: &'a Look) -> Self {
        Self { look, text: String::new() }
    }

    pub(super) fn field(&mut self, label: &str, value: &str) {
        let width = LABEL - 2;
        self.text.push_str(&self.look.paint(Tone::Faint, &format!("  {label:<width$}")));
        self.wrapped(value);
    }

    /// Another line of the field before.
    pub(super) fn more(&mut self, value: &str) {
        if !value.is_empty() {
            self.text.push_str(&" ".repeat(LABEL));
            self.wrapped(value);
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// Breaks at the terminal's edge ourselves: the terminal would go on in the column of the labels.
    fn wrapped(&mut self, value: &str) {
        let room = self.look.width.map_or(usize::MAX, |width| width.saturating_sub(LABEL).max(20));
        let (mut used, mut in_colour) = (0, false);
        for character in value.chars() {
            // Only our own colours contain an escape: everything else is escaped text.
            in_colour |= character == '\x1b';
            let columns = if in_colour { 0 } else { character.width().unwrap_or(0) };
            in_colour &= character != 'm';
            if used + columns > room {
                self.text.push('\n');
                self.text.push_str(&" ".repeat(LABEL));
                used = 0;
            }
            used += columns;
            self.text.push(character);
        }
        self.text.push('\n');
    }
}
