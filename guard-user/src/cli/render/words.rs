//! Numbers, times and names as a person says them. Everything that an agent wrote leaves here escaped.

use guard_common::op::Op;
use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{
    api::{Blast, OperationView},
    text::{command_line, shown},
};

/// `12 s`, `3 min`, `2 h 5 min`, `4 d`; what is no time is shown as it is.
pub(crate) fn age(since: &str, now: Timestamp) -> String {
    let Ok(since_time) = since.parse::<Timestamp>() else {
        return shown(since);
    };
    let seconds = (now.as_second() - since_time.as_second()).max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `12,034`
pub(crate) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `12,034 files`
pub(crate) fn counted(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// `512 B`, `4.2 GiB`
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    // Tenths of the unit, rounded down: never more than there is.
    let (mut tenths, mut unit) = (u128::from(value) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// `at least 12,034 files, 311 directories, 4.2 GiB`
pub(crate) fn blast(blast: &Blast) -> String {
    let mut parts = Vec::new();
    if blast.files > 0 || blast.directories == 0 {
        parts.push(counted(blast.files, "file", "files"));
    }
    if blast.directories > 0 {
        parts.push(counted(blast.directories, "directory", "directories"));
    }
    parts.push(bytes(blast.bytes));
    format!("{}{}", if blast.more { "at least " } else { "" }, parts.join(", "))
}

/// The same, for a column: `≥12,034 files 4.2 GiB`
pub(crate) fn blast_short(blast: &Blast) -> String {
    let what = match (blast.files, blast.directories) {
        (0, 0) => "nothing".to_owned(),
        (0, directories) => counted(directories, "dir", "dirs"),
        (files, _) => counted(files, "file", "files"),
    };
    format!("{}{what}, {}", if blast.more { "≥" } else { "" }, bytes(blast.bytes))
}

/// A path or name, quoted when a space in it could be taken for the end of it.
pub(crate) fn quoted(text: &str) -> String {
    command_line(&[text])
}

/// What the operation is done to, on one line.
pub(crate) fn object(view: &OperationView) -> String {
    let both = |between: &str| {
        if view.other_path.is_empty() {
            quoted(&view.path)
        } else {
            format!("{}{between}{}", quoted(&view.path), quoted(&view.other_path))
        }
    };
    if !view.argv.is_empty() && (view.op == Op::Exec.name() || view.path.is_empty()) {
        command_line(&view.argv)
    } else if !view.address.is_empty() {
        shown(&view.address)
    } else if !view.path.is_empty() && view.op == Op::Mount.name() {
        both(" from ")
    } else if !view.path.is_empty() {
        both(" → ")
    } else if !view.detail.is_empty() {
        shown(&view.detail)
    } else {
        "-".to_owned()
    }
}

/// At most `width` columns: the middle is left out, since both ends of a path tell most.
pub(crate) fn shorten(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let keep = width.saturating_sub(1);
    let take = |characters: &mut dyn Iterator<Item = char>, limit: usize| -> String {
        let mut used = 0;
        characters
            .take_while(|character| {
                used += character.width().unwrap_or(0);
                used <= limit
            })
            .collect()
    };
    let head = take(&mut text.chars(), keep / 3);
    let tail: String = take(&mut text.chars().rev(), keep - keep / 3).chars().rev().collect();
    format!("{head}…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_a_person_says_them() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().expect("a time");
        let check = |since, expected| assert_eq!(age(since, now), expected);
        check("2026-03-02T11:59:48.5Z", "12 s");
        check("2026-03-02T11:57:00Z", "3 min");
        check("2026-03-02T09:55:00Z", "2 h 5 min");
        check("2026-02-26T11:00:00Z", "4 d");
        check("2026-03-02T12:00:09Z", "0 s");
        check("soon\u{1b}[2J", "soon\\u{1b}[2J");
    }

    #[test]
    fn sizes_are_never_rounded_up() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1024 * 1024 - 1), "1023.9 KiB");
        assert_eq!(bytes(4_509_715_660), "4.1 GiB");
        assert_eq!(bytes(u64::MAX), "15.9 EiB");
        assert_eq!(number(1_234_567), "1,234,567");
    }

    #[test]
    fn shortened_text_keeps_both_ends_and_fits() {
        let path = format!("/srv/{}/customers.db", "x".repeat(4_000));
        let short = shorten(&path, 30);
        assert_eq!(short, "/srv/xxxx…xxxxxxx/customers.db");
        assert!(shorten(&"文".repeat(50), 11).width() <= 11);
    }
}
