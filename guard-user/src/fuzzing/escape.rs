//! Any text of an agent on its way to a person's terminal: nothing in it moves a cursor, hides or reorders anything, and
//! two different texts never look the same where the code promises so.

use serde_json::{Value, json};

use super::assert_plain;
use crate::{
    api::{Agent, Event, Hold, Process},
    cli::render::{Look, hold, list, log, machine},
    text::{command_line, lossy, shown},
};

/// Columns of the terminals looked at: none, the narrowest, one as people have.
const WIDTHS: [Option<usize>; 3] = [None, Some(20), Some(100)];

/// Takes the input as texts that NUL separates: arguments, and in turn every text of a hold.
pub fn escape(bytes: &[u8]) {
    let texts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let lossies: Vec<String> = texts.iter().map(|text| lossy(text)).collect();
    for (text, lossy) in texts.iter().zip(&lossies) {
        let seen = shown(lossy);
        assert_plain(&seen);
        assert!(!seen.contains('\n'), "{seen:?} is more than one line");
        assert_eq!(unescaped(lossy).as_deref(), Some(*text), "{lossy:?} does not say which bytes it was");
        assert_eq!(unescaped(&seen).as_deref(), Some(*text), "{seen:?} does not say which bytes it was");
    }
    let line = command_line(&lossies);
    assert_plain(&line);
    let seen: Vec<String> = lossies.iter().map(|text| shown(text)).collect();
    assert_eq!(words(&line).as_ref(), Some(&seen), "a shell would read {line:?} as something else");
    pages(&lossies);
    // What guardd or the log sends is JSON; text in it need not have been made by `lossy`.
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        record(&value);
    }
    record(&json!(lossies));
    record(&json!({ String::from_utf8_lossy(bytes): String::from_utf8_lossy(bytes) }));
}

/// The bytes that a text stands for: what `lossy` and `shown` did, undone.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        if letter != '\\' {
            bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        match kind {
            '\\' => bytes.push(b'\\'),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'x' => {
                bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            'u' => {
                let (number, after) = rest.strip_prefix('{')?.split_once('}')?;
                let letter = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            _ => return None,
        }
    }
    Some(bytes)
}

/// The words of a line as a shell reads it: bare letters, single quotes, and a backslash before a quote.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next().filter(|letter| *letter == '\'')?),
            // All that means something to a shell, or may mean something to one of them.
            _ if letter.is_ascii_alphanumeric() || "-_./=:@%+,".contains(letter) => {
                word.get_or_insert_default().push(letter);
            }
            _ => return None,
        }
    }
    words.extend(word);
    Some(words)
}

/// Every page and list that shows a hold, with the texts in every field that an agent can choose.
fn pages(texts: &[String]) {
    let text = |number: usize| texts[number % texts.len()].clone();
    let process = |number: usize| Process {
        pid: 7,
        ppid: 1,
        uid: 1000,
        user: text(number),
        comm: text(number + 1),
        exe: text(number + 2),
        argv: texts.to_vec(),
        cwd: text(number + 3),
    };
    let hold: Hold = serde_json::from_value(json!({
        "id": text(0), "state": "pending", "since": text(1), "agent": text(2), "agent_name": text(3),
        "operation": {
            "op": text(4), "path": text(5), "other_path": text(6), "argv": texts, "address": text(7),
            "object_type": text(8), "size": 3, "own": false, "detail": text(9), "doubt": text(10)
        },
        "processes": [process(0), process(1)],
        "rule": text(11), "rule_text": text(12), "reversibility": "irreversible", "context": "held",
        "blast": { "root": text(13), "files": 1, "directories": 2, "bytes": 3, "more": true },
        "scope": text(14), "stops": 2, "outcome": null,
        "decision": { "verdict": "deny", "scope": "once", "by": text(15), "at": text(16), "note": text(17) },
    }))
    .expect("every field is there");
    let agent: Agent = serde_json::from_value(json!({
        "id": text(0), "name": text(1), "cgroup": text(2), "cgroup_id": 1, "workspace": text(3), "policy": text(4),
        "state": "running", "processes": 1, "pending": 1, "since": text(5)
    }))
    .expect("every field is there");
    let done = Hold { state: crate::api::HoldState::Done, ..hold.clone() };
    for width in WIDTHS {
        let look = look(width);
        for hold in [&hold, &done] {
            page(&look, &hold::hold(&look, hold));
        }
        assert_plain(&list::holds(&look, std::slice::from_ref(&hold)));
        assert_plain(&list::agents(&look, std::slice::from_ref(&agent)));
        for line in [
            list::decided_and_outcome(&look, &hold),
            list::event(&look, &Event::Held { hold: Box::new(hold.clone()) }),
            list::event(&look, &Event::Decided { hold: Box::new(hold.clone()) }),
            list::event(&look, &Event::Agent { agent: agent.clone() }),
        ] {
            assert_plain(&line);
            assert!(!line.contains('\n'), "{line:?} is more than one line");
        }
    }
    record(&serde_json::to_value(&hold).expect("it is JSON"));
    record(&serde_json::to_value(&agent).expect("it is JSON"));
}

/// Only labels of ours stand in the columns of the labels.
fn page(look: &Look, text: &str) {
    const LABELS: [&str; 11] =
        ["what", "how much", "how", "why", "who", "in", "since", "covers", "decision", "note", "outcome"];
    assert_plain(text);
    // The headline is the first line, and as long as its text is.
    let lines = text.lines().skip(1).filter(|line| !line.is_empty());
    let of_ours = |line: &str| {
        let label = line.get(..14).unwrap_or(line).trim();
        line.starts_with("  ") && (label.is_empty() || LABELS.contains(&label) || line.starts_with("  guardctl "))
    };
    if let Some(line) = lines.into_iter().find(|line| !of_ours(line)) {
        panic!("{line:?} could pass for a line of ours, {:?} columns:\n{text}", look.width);
    }
}

/// A value as a line of the log, as JSON and as YAML: for programs the very same value.
fn record(value: &Value) {
    for width in WIDTHS {
        let line = log::record(&look(width), value);
        assert_plain(&line);
        assert!(!line.contains('\n'), "{line:?} is more than one line");
    }
    for text in [machine::json(value), machine::json_line(value)] {
        let text = text.expect("it is JSON");
        assert_plain(&text);
        let read = serde_json::from_str::<Value>(&text);
        assert!(!is_usual(value) || read.ok().as_ref() == Some(value), "{text} is another value");
    }
    let text = machine::yaml(value).expect("it is YAML");
    assert_plain(&text);
    let read = serde_saphyr::from_str::<Value>(&text);
    assert!(!is_usual(value) || read.ok().as_ref() == Some(value), "{value} is another value as YAML:\n{text}");
}

/// A value as the API has them: without a fraction, which reading may round, no deeper than a reader goes, and without
/// names that YAML takes for too long.
fn is_usual(value: &Value) -> bool {
    fn within(value: &Value, depth: usize) -> bool {
        depth > 0
            && match value {
                Value::Null | Value::Bool(_) | Value::String(_) => true,
                Value::Number(number) => !number.is_f64(),
                Value::Array(items) => items.iter().all(|item| within(item, depth - 1)),
                Value::Object(fields) => {
                    fields.iter().all(|(name, field)| name.len() <= 100 && within(field, depth - 1))
                }
            }
    }
    within(value, 16)
}

fn look(width: Option<usize>) -> Look {
    Look { colour: false, width, wide: false, now: jiff::Timestamp::UNIX_EPOCH }
}
