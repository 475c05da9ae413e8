//! JSON and YAML for programs: the values of the API, unchanged. Characters that could trick a terminal are written
//! as escapes; a parser reads the same value.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::{cli::error::Error, text};

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    Ok(escape(&serde_json::to_string_pretty(value).context("cannot encode the answer")?))
}

pub(crate) fn json_line<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    Ok(escape(&serde_json::to_string(value).context("cannot encode the answer")?))
}

/// Block style for lists and maps, double quotes for every string that could be taken for something else.
pub(crate) fn yaml<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let value = serde_json::to_value(value).context("cannot encode the answer")?;
    let mut out = String::new();
    block(&value, 0, &mut out);
    Ok(out.trim_start_matches('\n').trim_start_matches(' ').to_owned())
}

/// In JSON text such characters stand inside strings only, so an escape is always allowed in their place.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || text::is_plain(character) {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                push(&mut out, format_args!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Appends ` scalar\n`, or a newline and the nested lines.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                push(out, format_args!("{:indent$}-", ""));
                let mut nested = String::new();
                block(item, indent + 2, &mut nested);
                // The first line of a nested block goes behind the dash.
                match nested.strip_prefix('\n') {
                    Some(lines) => push(out, format_args!(" {}", lines.trim_start_matches(' '))),
                    None => out.push_str(&nested),
                }
            }
        }
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            for (name, field) in fields {
                push(out, format_args!("{:indent$}{}:", "", scalar(name)));
                block(field, indent + 2, out);
            }
        }
        Value::Array(_) => out.push_str(" []\n"),
        Value::Object(_) => out.push_str(" {}\n"),
        Value::String(text) => push(out, format_args!(" {}\n", scalar(text))),
        Value::Null | Value::Bool(_) | Value::Number(_) => push(out, format_args!(" {value}\n")),
    }
}

/// A string: bare when it can be nothing else, in double quotes otherwise.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let bare = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "_-./".contains(character))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if bare {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // YAML calls these two no characters.
            _ if text::is_plain(character) && !matches!(character, '\u{fffe}' | '\u{ffff}') => out.push(character),
            _ => push(&mut out, format_args!("\\U{:08x}", character as u32)),
        }
    }
    out.push('"');
    out
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOSTILE: &str = "a\u{1b}[2J\u{202e}\u{9b}\u{e0041}\n\"\\";

    #[test]
    fn json_keeps_the_value_and_shows_nothing_that_moves_the_cursor() {
        let value = json!({ "path": HOSTILE, "list": ["x", 1] });
        for text in [json(&value).expect("encodes"), json_line(&value).expect("encodes")] {
            assert!(text.chars().all(|character| character == '\n' || text::is_plain(character)), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&text).expect("is JSON"), value);
        }
    }

    #[test]
    fn yaml_quotes_what_could_be_taken_for_something_else() {
        let value = json!({
            "id": "h12", "no": "no", "count": 3, "number": "3", "empty": "", "none": null,
            "list": [], "map": {}, "path": HOSTILE,
            "nested": [{ "a": [1, ["x", "- y"]], "b": true }, "z: z", []],
        });
        insta::assert_snapshot!(yaml(&value).expect("encodes"));
        insta::assert_snapshot!(
            "a_list_of_maps",
            yaml(&json!([{ "a": 1, "b": { "c": 2 } }, { "a": 2 }])).expect("encodes")
        );
    }
}
