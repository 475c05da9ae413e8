//! Records of the log in, spans of OpenTelemetry out. Pure: where the records come from and where the spans go is not known
//! here. What a span is called is in `names`, and where it belongs in `place`.
//!
//! A hold, a tool call and an agent are spans from when they begin until they are over; nobody sees them earlier, since OTLP
//! knows only what has ended. An exec has no end in the log. It is a span without length and not an event of another one: so
//! it is seen at once, also where no tool call was told of, and its children stand below it as its processes do.
//!
//! What an agent was asked, what it reasoned and what it gave to its tools is not in them: `guard.record` says where it is in
//! the log.
#![forbid(unsafe_code)]

pub mod names;
mod place;
mod record;
pub mod span;

use std::collections::VecDeque;

use serde_json::Value;

use place::{Call, LONGEST, Places, below_agent, of_agent};
use record::Record;
use span::{Attributes, Event, Place, Span, SpanId};

/// Holds that may be open at once: guardd holds no more. Agents, the same.
const OPEN: usize = 4_096;

/// What has begun and is not over.
#[derive(Debug, Default)]
pub struct Spans {
    places: Places,
    holds: VecDeque<Hold>,
    /// By which record each was tagged.
    agents: VecDeque<Record>,
    /// Of the last record.
    boot: String,
    last: u64,
}

/// One that has no outcome yet.
#[derive(Debug)]
struct Hold {
    /// The first record of it, and what later ones added.
    record: Record,
    events: Vec<Event>,
}

impl Spans {
    /// What is over with this record. Records come in the order of the log.
    #[must_use]
    pub fn add(&mut self, record: &Value) -> Vec<Span> {
        let record = Record(record.clone());
        let mut over = Vec::new();
        if record.text("boot") != self.boot {
            over = self.end_all();
            record.text("boot").clone_into(&mut self.boot);
        }
        let now = record.at();
        let late = self.places.abandoned(now, |call| now.saturating_sub(call.since) > LONGEST);
        over.extend(late.iter().map(|call| tool_call(call, record.written(), false)));
        match record.text("kind") {
            "hold" | "decision" | "withdrawn" | "outcome" => over.extend(self.hold(&record)),
            "tool_call" => over.extend(self.tool_call(&record)),
            "exec" => over.push(self.exec(&record)),
            "would_hold" => over.push(self.operation(&record, names::WOULD_HOLD)),
            "shielded" => over.push(self.shielded(&record)),
            "suspend" => over.push(mark(&record, names::SUSPEND)),
            "resume" => over.push(mark(&record, names::RESUME)),
            "kill" => over.push(mark(&record, names::KILL)),
            "expired" => over.push(mark(&record, names::EXPIRED)),
            "tag" => {
                self.agents.push_back(record.clone());
                if self.agents.len() > OPEN {
                    self.agents.pop_front();
                }
            }
            "untag" | "agent_ended" => over.extend(self.agent(&record)),
            // Of guard itself, not of an agent.
            _ => {}
        }
        self.last = record.written();
        over
    }

    fn hold(&mut self, record: &Record) -> Option<Span> {
        let known = self.holds.iter().rposition(|hold| hold.record["hold"] == record["hold"]);
        let mut hold = match known.and_then(|at| self.holds.remove(at)) {
            Some(mut hold) => {
                hold.learn(record);
                hold
            }
            None => Hold { record: record.clone(), events: Vec::new() },
        };
        hold.events.push(happened(record));
        if record.text("kind") == "outcome" {
            return Some(self.ended(hold, record.written()));
        }
        self.holds.push_back(hold);
        let oldest = if self.holds.len() > OPEN { self.holds.pop_front() } else { None };
        oldest.map(|hold| self.ended(hold, record.written()))
    }

    fn ended(&mut self, hold: Hold, end: u64) -> Span {
        let Hold { record, events } = hold;
        let mut span = self.operation(&record, names::HOLD);
        let (cause, verdict) = (&record["cause"], record.text("verdict"));
        let error = match (verdict, record.text("outcome")) {
            ("kill", _) | (_, "killed") => "killed",
            ("deny", _) | (_, "refused") => "denied",
            _ => "",
        };
        span.attributes.extend(Attributes::of(&[
            (names::HOLD_ID, &record["hold"]),
            (names::VERDICT, &record["verdict"]),
            (names::SCOPE, &record["scope"]),
            (names::BY, &record["by"]),
            (names::OUTCOME, &record["outcome"]),
            (names::TOOL_NAME, &cause["tool"]),
            (names::TOOL_CALL_ID, &cause["call"]),
            (names::CONVERSATION_ID, &cause["session"]),
            (names::CAUSE_SURE, &cause["sure"]),
            (names::CAUSE_BECAUSE, &cause["because"]),
            (names::ERROR_TYPE, &error.into()),
        ]));
        if !error.is_empty() {
            let note = record.text("note");
            let by = format!("{error} by {}", record.text("by"));
            span.error = Some(if note.is_empty() { by } else { format!("{by}: {note}") });
        }
        span.id = SpanId::of(&[record.text("boot"), "hold", record.text("hold")]);
        Span { end, events, ..span }
    }

    /// A span of no length about what an agent does, or wants to do.
    fn operation(&mut self, record: &Record, name: &str) -> Span {
        let place = self.places.of_operation(record);
        let op = record["operation"]["op"].as_str().unwrap_or_default();
        let mut span = Span { place, name: format!("{name} {op}").trim_end().to_owned(), ..mark(record, name) };
        span.attributes.extend(record.operation());
        span.attributes.extend(record.process());
        span
    }

    fn shielded(&mut self, record: &Record) -> Span {
        let place = self.places.of_operation(record);
        let mut span = Span { place, error: Some("refused".to_owned()), ..mark(record, names::SHIELDED) };
        span.attributes.extend(record.process());
        span
    }

    fn tool_call(&mut self, record: &Record) -> Option<Span> {
        let call = &record["tool_call"];
        if call["phase"] == "after" {
            return self.places.ended(record).map(|call| tool_call(&call, record.written(), true));
        }
        // A prompt is no call.
        call["tool"].as_str().filter(|tool| !tool.is_empty())?;
        self.places.began(record.clone()).map(|call| tool_call(&call, record.written(), false))
    }

    fn exec(&mut self, record: &Record) -> Span {
        if !record["missing"].is_null() {
            let mut span = mark(record, names::EXECS_MISSING);
            span.attributes.add(names::MISSING, &record["missing"]);
            return span;
        }
        let place = self.places.executed(record);
        let path = record["processes"][0]["exe"].as_str().unwrap_or_default();
        let program = path.rsplit('/').next().unwrap_or_default();
        let mut span = Span {
            place,
            name: format!("{} {program}", names::EXEC).trim_end().to_owned(),
            ..mark(record, names::EXEC)
        };
        span.attributes.extend(record.process());
        span.attributes.add(names::PROGRAM, &record["program"]);
        span
    }

    /// An agent is over, and its calls with it.
    fn agent(&mut self, record: &Record) -> Vec<Span> {
        let calls = self.places.abandoned(record.at(), |call| call.told["agent"] == record["agent"]);
        let mut over: Vec<Span> = calls.iter().map(|call| tool_call(call, record.written(), false)).collect();
        let at = self.agents.iter().rposition(|tag| tag["agent"] == record["agent"]);
        over.extend(at.and_then(|at| self.agents.remove(at)).map(|tag| agent(&tag, record.written())));
        over
    }

    /// The machine was started anew: whatever had begun is over.
    fn end_all(&mut self) -> Vec<Span> {
        let end = self.last;
        let mut over = Vec::new();
        for hold in std::mem::take(&mut self.holds) {
            over.push(self.ended(hold, end));
        }
        let calls = self.places.abandoned(u64::MAX, |_| true);
        over.extend(calls.iter().map(|call| tool_call(call, end, false)));
        over.extend(std::mem::take(&mut self.agents).iter().map(|tag| agent(tag, end)));
        self.places = Places::default();
        over
    }
}

impl Hold {
    /// What is known only later; and what was decided, which may be taken back and decided anew.
    fn learn(&mut self, record: &Record) {
        let (Value::Object(own), Value::Object(later)) = (&mut self.record.0, &record.0) else { return };
        let length = |processes: Option<&Value>| processes.and_then(Value::as_array).map_or(0, Vec::len);
        for (field, value) in later {
            let is_decided = ["verdict", "scope", "by", "note"].contains(&field.as_str());
            let is_more = field == "processes" && length(Some(value)) > length(own.get(field));
            let is_first = !own.contains_key(field) && !is_decided;
            if is_first || is_more || (is_decided && later["kind"] == "decision") {
                own.insert(field.clone(), value.clone());
            }
        }
    }
}

/// What a record says happened to its hold.
fn happened(record: &Record) -> Event {
    let name = match record.text("kind") {
        "hold" => names::HELD,
        "decision" => names::DECISION,
        "withdrawn" => names::WITHDRAWN,
        _ => names::OUTCOME_EVENT,
    };
    let mut attributes = Attributes::of(&[(names::RECORD, &record["seq"])]);
    if name == names::DECISION {
        let decision = [(names::VERDICT, "verdict"), (names::SCOPE, "scope"), (names::BY, "by")];
        decision.into_iter().for_each(|(name, field)| attributes.add(name, &record[field]));
    }
    attributes.add(names::OUTCOME, &record["outcome"]);
    attributes.add(names::NOTE, &record["note"]);
    Event { name, time: record.written(), attributes }
}

/// A span of no length, at an agent.
fn mark(record: &Record, name: &str) -> Span {
    let mut attributes = record.about();
    if record["operation"].is_null() {
        attributes.add(names::BY, &record["by"]);
        attributes.add(names::NOTE, &record["note"]);
    }
    Span {
        place: below_agent(record),
        id: record.span(),
        name: name.to_owned(),
        start: record.happened(),
        end: record.happened(),
        attributes,
        events: Vec::new(),
        error: None,
    }
}

fn tool_call(call: &Call, end: u64, is_told: bool) -> Span {
    let said = &call.told["tool_call"];
    let tool = said["tool"].as_str().unwrap_or_default();
    let mut attributes = call.told.about();
    attributes.extend(Attributes::of(&[
        (names::OPERATION_NAME, &names::EXECUTE_TOOL.into()),
        (names::TOOL_NAME, &said["tool"]),
        (names::TOOL_CALL_ID, &said["call"]),
        (names::CONVERSATION_ID, &said["session"]),
        (names::TOOL_FROM, &said["from"]),
        (names::TOOL_ENDED, &is_told.into()),
    ]));
    let name = format!("{} {tool}", names::EXECUTE_TOOL);
    Span { place: call.place(), name, end, attributes, ..mark(&call.told, "") }
}

fn agent(tag: &Record, end: u64) -> Span {
    let own = of_agent(tag);
    let place = Place { trace: own.trace, parent: None, link: None };
    let name = format!("{} {}", names::AGENT, tag.text("agent_name")).trim_end().to_owned();
    Span { place, id: own.span, end, ..Span { name, ..mark(tag, names::AGENT) } }
}

#[cfg(test)]
mod tests;
