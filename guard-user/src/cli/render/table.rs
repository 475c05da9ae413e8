//! A table without borders: one row per line, the header in capitals. It knows nothing of what it shows.

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr as _;

use super::{Look, Tone, words::shorten};

/// Below this a shortened cell says nothing any more; the terminal wraps the line instead.
const NARROWEST: usize = 16;

/// A cell: already escaped text, and how it looks.
pub(crate) struct Field(String, Option<Tone>);

impl Field {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into(), None)
    }

    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self(text.into(), Some(tone))
    }
}

/// Column `flexible` is shortened until the lines fit the terminal.
pub(crate) fn table(look: &Look, header: &[&str], mut rows: Vec<Vec<Field>>, flexible: usize) -> String {
    if let (Some(width), false) = (look.width, look.wide) {
        let widest = |column: usize| {
            rows.iter().map(|row| row[column].0.width()).chain([header[column].width()]).max().unwrap_or(0) + 2
        };
        let others: usize = (0..header.len()).filter(|column| *column != flexible).map(widest).sum();
        let room = width.saturating_sub(others + 2).max(NARROWEST);
        for row in &mut rows {
            row[flexible].0 = shorten(&row[flexible].0, room);
        }
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
    if look.colour {
        table.enforce_styling();
    }
    table.set_header(header.iter().map(|name| Cell::new(name).add_attribute(Attribute::Bold)));
    for row in rows {
        table.add_row(row.into_iter().map(cell));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text: String = table.trim_fmt();
    text.push('\n');
    text
}

fn cell(Field(text, tone): Field) -> Cell {
    let cell = Cell::new_owned(text);
    match tone {
        None => cell,
        Some(Tone::Bad) => cell.fg(Color::Red).add_attribute(Attribute::Bold),
        Some(Tone::Careful) => cell.fg(Color::DarkYellow),
        Some(Tone::Good) => cell.fg(Color::DarkGreen),
        Some(Tone::Faint) => cell.add_attribute(Attribute::Dim),
        Some(Tone::Strong) => cell.add_attribute(Attribute::Bold),
    }
}
