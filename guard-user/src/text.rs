//! Text that came from an agent, made safe for a human's eyes. Nothing else.
//!
//! Control characters, escape sequences, bidirectional overrides, zero-width and other invisible characters and
//! bytes that are not UTF-8 never reach a terminal or the log as themselves.

use std::fmt::Write as _;

/// Lossy UTF-8: what is not UTF-8 becomes `\xNN`, a backslash becomes `\\`. Reversible; not yet safe to show.
#[must_use]
pub fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                text.push('\\');
            }
            text.push(character);
        }
        for byte in chunk.invalid() {
            push(&mut text, format_args!("\\x{byte:02x}"));
        }
    }
    text
}

/// Safe to show on a terminal: what could move the cursor, hide or reorder text becomes `\n`, `\u{202e}`, ….
///
/// A backslash is left as it is: [`lossy`] has doubled it already.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if is_plain(character) => safe.push(character),
            _ => push(&mut safe, format_args!("\\u{{{:x}}}", character as u32)),
        }
    }
    safe
}

/// Arguments as one line a person can read and a shell would read the same way.
#[must_use]
pub fn command_line<S: AsRef<str>>(argv: &[S]) -> String {
    let mut line = String::new();
    for argument in argv {
        if !line.is_empty() {
            line.push(' ');
        }
        let argument = shown(argument.as_ref());
        let bare = |character: char| character.is_ascii_alphanumeric() || "-_./=:@%+,".contains(character);
        if !argument.is_empty() && argument.chars().all(bare) {
            line.push_str(&argument);
        } else {
            push(&mut line, format_args!("'{}'", argument.replace('\'', "'\\''")));
        }
    }
    line
}

/// Neither a control character nor one that is invisible or changes the direction or place of others.
#[must_use]
pub fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character as u32,
            0x00ad | 0x034f | 0x061c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x13430..=0x1343f | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe000..=0xf8ff | 0xe0000..=0xe0fff | 0xf0000..=0x0010_ffff)
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bidi_never_reach_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\u{202e}c\u{200b}d\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{200b}d\\n");
        assert_eq!(shown("\u{1bca0}\u{13430}\u{f0000}\u{10fffd}"), "\\u{1bca0}\\u{13430}\\u{f0000}\\u{10fffd}");
        assert_eq!(shown("plain ünïcode 文件"), "plain ünïcode 文件");
    }

    #[test]
    fn bytes_that_are_not_text_stay_distinguishable() {
        assert_eq!(lossy(b"a\xff\\x41"), "a\\xff\\\\x41");
    }

    #[test]
    fn a_command_line_quotes_what_a_shell_would_split() {
        assert_eq!(command_line(&["rm", "-rf", "a b", "", "it's"]), "rm -rf 'a b' '' 'it'\\''s'");
    }
}
