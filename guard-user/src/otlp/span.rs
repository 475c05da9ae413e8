//! A span, its ids and its attributes, as OTLP has them in JSON: ids in hexadecimal, 64-bit numbers as text, enumerations as
//! numbers. See <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>.
#![forbid(unsafe_code)]

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::names;
use crate::hook::is_traceparent;

/// Of a trace or a span: never all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id<const BYTES: usize>([u8; BYTES]);

pub type TraceId = Id<16>;
pub type SpanId = Id<8>;

impl<const BYTES: usize> Id<BYTES> {
    /// The same for the same words, whoever makes it.
    #[must_use]
    pub fn of(words: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for word in words {
            hash.update(word);
            hash.update([0]);
        }
        let digest = hash.finalize();
        let mut id = [0; BYTES];
        id.copy_from_slice(&digest[..BYTES]);
        // One that is all zeros is none.
        id[BYTES - 1] |= u8::from(id == [0; BYTES]);
        Self(id)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut id = [0; BYTES];
        for (at, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        (id != [0; BYTES]).then_some(Self(id))
    }

    #[must_use]
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A span of a trace, whoever has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    pub trace: TraceId,
    pub span: SpanId,
}

impl Context {
    /// What a `traceparent` names, as W3C Trace Context defines it.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-').skip(1);
        let (trace, span) = (parts.next()?, parts.next()?);
        is_traceparent(traceparent).then(|| Some(Self { trace: Id::parse(trace)?, span: Id::parse(span)? })).flatten()
    }
}

/// Where a span belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub trace: TraceId,
    pub parent: Option<SpanId>,
    /// Another span that has to do with it.
    pub link: Option<Context>,
}

/// Something that happened in a span, or took place as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub place: Place,
    pub id: SpanId,
    pub name: String,
    /// Nanoseconds since 1970, as is `end`.
    pub start: u64,
    pub end: u64,
    pub attributes: Attributes,
    pub events: Vec<Event>,
    /// Why it is an error.
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub name: &'static str,
    pub time: u64,
    pub attributes: Attributes,
}

const INTERNAL: u32 = 1;
const ERROR: u32 = 2;

impl Span {
    #[must_use]
    pub fn json(&self) -> Value {
        let mut span = Map::new();
        span.insert("traceId".to_owned(), self.place.trace.hex().into());
        span.insert("spanId".to_owned(), self.id.hex().into());
        // A log that begins anew has its numbers twice: none is its own parent.
        if let Some(parent) = self.place.parent.filter(|parent| *parent != self.id) {
            span.insert("parentSpanId".to_owned(), parent.hex().into());
        }
        span.insert("name".to_owned(), self.name.as_str().into());
        span.insert("kind".to_owned(), INTERNAL.into());
        span.insert("startTimeUnixNano".to_owned(), self.start.to_string().into());
        // Clocks are set back.
        span.insert("endTimeUnixNano".to_owned(), self.end.max(self.start).to_string().into());
        span.insert("attributes".to_owned(), self.attributes.0.clone().into());
        if !self.events.is_empty() {
            span.insert("events".to_owned(), self.events.iter().map(Event::json).collect());
        }
        if let Some(Context { trace, span: id }) = self.place.link {
            span.insert("links".to_owned(), json!([{ "traceId": trace.hex(), "spanId": id.hex() }]));
        }
        if let Some(error) = &self.error {
            span.insert("status".to_owned(), json!({ "code": ERROR, "message": error }));
        }
        span.into()
    }
}

impl Event {
    fn json(&self) -> Value {
        json!({ "timeUnixNano": self.time.to_string(), "name": self.name, "attributes": self.attributes.0 })
    }
}

/// Attributes as OTLP has them, in the order they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(Vec<Value>);

impl Attributes {
    /// Of fields of a record; those that say nothing are left out.
    #[must_use]
    pub fn of(fields: &[(&str, &Value)]) -> Self {
        let mut attributes = Self::default();
        fields.iter().for_each(|(name, value)| attributes.add(name, value));
        attributes
    }

    pub fn add(&mut self, name: &str, value: &Value) {
        let says_nothing = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        };
        if !says_nothing {
            self.0.push(json!({ "key": name, "value": any(value) }));
        }
    }

    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

fn any(value: &Value) -> Value {
    match value {
        Value::Bool(is) => json!({ "boolValue": is }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        // There are no unsigned ones.
        Value::Number(number) => {
            json!({ "intValue": number.as_i64().unwrap_or(i64::MAX).to_string() })
        }
        Value::String(text) => json!({ "stringValue": text }),
        Value::Array(values) => json!({ "arrayValue": { "values": values.iter().map(any).collect::<Vec<_>>() } }),
        Value::Null | Value::Object(_) => json!({ "stringValue": value.to_string() }),
    }
}

/// The body of a request: spans of one resource, each as its JSON.
#[must_use]
pub fn request(resource: &Attributes, spans: &[String]) -> String {
    let scope = json!({ "name": "guard", "version": env!("CARGO_PKG_VERSION") });
    let (resource, schema, spans) = (json!({ "attributes": resource.0 }), json!(names::SCHEMA), spans.join(","));
    format!(
        r#"{{"resourceSpans":[{{"resource":{resource},"scopeSpans":[{{"scope":{scope},"spans":[{spans}],"schemaUrl":{schema}}}],"schemaUrl":{schema}}}]}}"#
    )
}
