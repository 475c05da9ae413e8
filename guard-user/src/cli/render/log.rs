//! One record of the audit log on one line. The record's shape is the daemon's: what is not known here is shown by
//! its name.

pub(crate) mod verified;

use serde_json::{Map, Value};

use super::{Look, Tone, words};
use crate::{
    api::{Blast, OperationView, Process},
    text::{command_line, shown},
};

/// Fields at the start of the line.
const AT_FRONT: [&str; 3] = ["seq", "time", "kind"];

/// Fields that only an investigation needs.
const WIDE_ONLY: [&str; 9] =
    ["boottime_ns", "cgroup", "object", "pid", "tid", "uid", "reversibility", "starts", "executed_ns"];

pub(crate) fn record(look: &Look, record: &Value) -> String {
    let Value::Object(fields) = record else {
        return brief(record);
    };
    let text = |name: &str| fields.get(name).map(brief).unwrap_or_default();
    let mut line = format!(
        "{:>6} {} {}",
        text("seq"),
        look.paint(Tone::Faint, &text("time")),
        look.paint(Tone::Strong, &text("kind"))
    );
    if let Some(executed) = executed(look, record) {
        line.push_str(&executed);
    }
    for (name, value) in fields {
        let hidden = !look.wide && WIDE_ONLY.contains(&name.as_str());
        if hidden || AT_FRONT.contains(&name.as_str()) || is_empty(value) {
            continue;
        }
        let value = if look.wide { brief(value) } else { words::shorten(&known(name, value), 120) };
        line.push_str(&format!(" {}={value}", look.paint(Tone::Faint, &shown(name))));
    }
    line
}

/// Of an exec, the program that began, with its arguments and where: the first of its processes.
fn executed(look: &Look, record: &Value) -> Option<String> {
    let process: Process = serde_json::from_value(record["processes"][0].clone()).ok()?;
    if look.wide || record["kind"] != "exec" {
        return None;
    }
    let arguments = words::shorten(&command_line(&process.argv), 160);
    Some(format!(" {} in {}: {arguments}", words::quoted(&process.exe), words::quoted(&process.cwd)))
}

/// The larger fields in the words of `show`; anything that has another shape stays as it is.
fn known(name: &str, value: &Value) -> String {
    let short = match name {
        "operation" => serde_json::from_value::<OperationView>(value.clone())
            .ok()
            .map(|view| format!("{} {}", shown(&view.op), words::object(&view))),
        "blast" => serde_json::from_value::<Blast>(value.clone()).ok().map(|blast| words::blast_short(&blast)),
        "processes" => serde_json::from_value::<Vec<Process>>(value.clone()).ok().map(|processes| {
            let names = processes.iter().map(|process| format!("{}({})", words::quoted(&process.comm), process.pid));
            names.collect::<Vec<_>>().join("<")
        }),
        _ => None,
    };
    short.unwrap_or_else(|| brief(value))
}

/// A value without the punctuation of JSON.
fn brief(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => words::quoted(text),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("[{}]", command_line(&items))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(brief).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => format!("{{{}}}", pairs(fields)),
    }
}

fn pairs(fields: &Map<String, Value>) -> String {
    fields
        .iter()
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| format!("{}={}", shown(name), brief(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
