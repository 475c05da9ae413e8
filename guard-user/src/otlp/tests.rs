//! Lives of holds, tool calls and agents, as records and as the spans they become.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Spans,
    span::{Attributes, Context, request},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A record of agent a1, `second` seconds into the boot.
fn record(seq: u64, second: u64, kind: &str, fields: Value) -> Value {
    let mut record = json!({
        "seq": seq, "time": format!("2026-11-30T12:00:{second:02}.000Z"), "boot": "c0ffee",
        "boottime_ns": second * 1_000_000_000, "kind": kind, "agent": "a1", "agent_name": "claude",
        "cgroup": "/guard-agents/a1",
    });
    let (Value::Object(record_fields), Value::Object(fields)) = (&mut record, fields) else { unreachable!() };
    record_fields.extend(fields);
    record
}

fn process(pid: u32, ppid: u32, argv: &[&str]) -> Value {
    let exe = format!("/usr/bin/{}", argv.first().unwrap_or(&""));
    json!({ "pid": pid, "ppid": ppid, "uid": 1000, "user": "dev", "comm": "", "exe": exe, "argv": argv, "cwd": "/srv" })
}

/// `rm -rf data` by process 40, which bash started.
fn about(fields: Value) -> Value {
    let mut about = json!({
        "hold": "h12", "rule": "delete-outside-workspace", "reversibility": "irreversible", "context": "held",
        "operation": { "op": "unlink", "path": "/srv/data/a", "other_path": "", "argv": [], "address": "",
            "object_type": "file", "size": 7, "own": false, "detail": "", "doubt": "" },
        "pid": 40, "uid": 1000, "processes": [process(40, 30, &["rm", "-rf", "data"]), process(30, 20, &["bash"])],
    });
    let (Value::Object(about_fields), Value::Object(fields)) = (&mut about, fields) else { unreachable!() };
    about_fields.extend(fields);
    about
}

fn hold(seq: u64, second: u64, kind: &str, fields: Value) -> Value {
    record(seq, second, kind, about(fields))
}

fn decided(verdict: &str) -> Value {
    json!({ "verdict": verdict, "scope": "process", "by": "uid 0 (root), pid 77", "note": "not in production" })
}

fn tool(seq: u64, second: u64, phase: &str, traceparent: &str) -> Value {
    let call = json!({ "from": "claude-code", "phase": phase, "session": "s1", "call": "toolu_1", "tool": "Bash",
        "input": { "command": "rm -rf data" }, "prompt": "tidy up", "traceparent": traceparent });
    record(seq, second, "tool_call", json!({ "by": "uid 1000, pid 25", "pid": 25, "tool_call": call }))
}

fn exec(seq: u64, second: u64, pid: u32, above: &[u32], argv: &[&str]) -> Value {
    let chain: Vec<Value> = std::iter::once(process(pid, above.first().copied().unwrap_or(0), argv))
        .chain(above.iter().map(|pid| process(*pid, 0, &[])))
        .collect();
    let starts: Vec<u64> = std::iter::once(&pid).chain(above).map(|pid| u64::from(*pid)).collect();
    // It is written a second later than it happens.
    record(
        seq,
        second + 1,
        "exec",
        json!({ "executed_ns": second * 1_000_000_000, "pid": pid, "uid": 1000,
        "processes": chain, "starts": starts, "program": "ab12" }),
    )
}

fn cause(record: u64, sure: &str) -> Value {
    json!({ "record": record, "from": "claude-code", "session": "s1", "call": "toolu_1", "tool": "Bash", "sure": sure,
        "because": ["tree", "argv", "time"] })
}

fn environment(traceparent: &str) -> Value {
    json!([{ "name": "TRACEPARENT", "value": traceparent, "pid": 40 }])
}

fn spans(records: &[Value]) -> Vec<Value> {
    let mut spans = Spans::default();
    records.iter().flat_map(|record| spans.add(record)).map(|span| span.json()).collect()
}

/// The spans as lines: what OTLP needs many of is one here.
fn shown(records: &[Value]) -> String {
    let value = |value: &Value| value.as_object().and_then(|value| value.values().next()).map(Value::to_string);
    let attributes = |of: &Value| -> Vec<String> {
        let pairs = of["attributes"].as_array().expect("a list").iter();
        pairs
            .map(|pair| {
                format!("{} = {}", pair["key"].as_str().unwrap_or(""), value(&pair["value"]).unwrap_or_default())
            })
            .collect()
    };
    let seconds = |time: &Value| (time.as_str().expect("text").parse::<u64>().expect("a number") / 1_000_000_000) % 60;
    let mut text = String::new();
    for span in spans(records) {
        let field = |name: &str| span[name].as_str().unwrap_or("-").to_owned();
        text += &format!(
            "{}  {}..{} s\n",
            field("name"),
            seconds(&span["startTimeUnixNano"]),
            seconds(&span["endTimeUnixNano"])
        );
        text += &format!("  trace {} id {} below {}\n", field("traceId"), field("spanId"), field("parentSpanId"));
        for link in span["links"].as_array().into_iter().flatten() {
            text += &format!("  link {} {}\n", link["traceId"], link["spanId"]);
        }
        if !span["status"].is_null() {
            text += &format!("  status {} {}\n", span["status"]["code"], span["status"]["message"]);
        }
        attributes(&span).iter().for_each(|line| text += &format!("  {line}\n"));
        for event in span["events"].as_array().into_iter().flatten() {
            text += &format!(
                "  event {} {} s: {}\n",
                event["name"],
                seconds(&event["timeUnixNano"]),
                attributes(event).join(", ")
            );
        }
    }
    text
}

/// Name, id and parent of each.
fn tree(records: &[Value]) -> Vec<(String, String, String)> {
    let text = |span: &Value, field: &str| span[field].as_str().unwrap_or_default().to_owned();
    let whole = |span: &Value| (text(span, "name"), text(span, "spanId"), text(span, "parentSpanId"));
    spans(records).iter().map(whole).collect()
}

#[test]
fn the_life_of_a_hold_is_in_the_trace_of_its_agents_telemetry() {
    let learned = |kind: &str, seq, second, fields: Value| {
        let mut record = hold(seq, second, kind, fields);
        record["cause"] = cause(2, "strong");
        record["environment"] = environment(TRACEPARENT);
        record
    };
    insta::assert_snapshot!(shown(&[
        record(1, 0, "tag", json!({ "by": "uid 1000 (dev), pid 20" })),
        tool(2, 1, "before", TRACEPARENT),
        exec(3, 2, 30, &[20], &["bash", "-c", "rm -rf data"]),
        hold(4, 3, "hold", json!({ "rule_text": "Nothing brings it back." })),
        exec(5, 3, 40, &[30, 20], &["rm", "-rf", "data"]),
        learned("decision", 6, 9, decided("approve")),
        learned(
            "outcome",
            7,
            10,
            json!({ "verdict": "approve", "by": "uid 0 (root), pid 77", "outcome": "released",
            "blast": { "root": "/srv/data", "files": 3, "directories": 1, "bytes": 21, "more": false } })
        ),
        tool(8, 11, "after", TRACEPARENT),
        record(9, 12, "agent_ended", json!({ "by": "guardd" })),
    ]));
}

#[test]
fn a_hold_of_an_agent_without_telemetry_is_in_a_trace_of_its_own() {
    let mut refused = decided("deny");
    refused["outcome"] = "refused".into();
    refused["note"] = "".into();
    let records =
        [hold(4, 3, "hold", json!({})), hold(5, 4, "decision", decided("deny")), hold(6, 4, "outcome", refused)];
    insta::assert_snapshot!(shown(&records));
    // An exporter that was started later says the same.
    assert_eq!(spans(&records), spans(&records));
}

#[test]
fn what_waits_for_a_decision_is_no_span_yet() {
    assert!(spans(&[hold(4, 3, "hold", json!({})), hold(5, 4, "decision", decided("approve"))]).is_empty());
    // Until the machine is started anew.
    let mut anew = record(6, 50, "start", json!({}));
    anew["boot"] = "another".into();
    let over = spans(&[hold(4, 3, "hold", json!({})), tool(5, 4, "before", ""), anew]);
    let names: Vec<&Value> = over.iter().map(|span| &span["name"]).collect();
    assert_eq!(names, ["guard.hold unlink", "execute_tool Bash"]);
    assert!(over.iter().all(|span| span["status"].is_null()));
}

#[test]
fn a_decision_that_is_taken_back_is_not_the_one_that_counts() {
    let over = spans(&[
        hold(4, 3, "hold", json!({})),
        hold(5, 4, "decision", decided("approve")),
        hold(6, 5, "withdrawn", json!({ "note": "the audit log could not be written" })),
        hold(7, 6, "decision", json!({ "verdict": "kill", "scope": "once", "by": "uid 1 (a)" })),
        hold(8, 7, "outcome", json!({ "verdict": "kill", "outcome": "killed" })),
    ]);
    assert_eq!(over[0]["status"], json!({ "code": 2, "message": "killed by uid 1 (a): not in production" }));
    let events: Vec<&Value> =
        over[0]["events"].as_array().expect("a list").iter().map(|event| &event["name"]).collect();
    assert_eq!(events, ["held", "decision", "withdrawn", "decision", "outcome"]);
}

#[test]
fn a_trace_of_the_process_goes_before_that_of_its_tool_call() {
    let other = TRACEPARENT.replace("b7ad6b7169203331", "1122334455667788");
    let ends = |sure: &str, environment: Option<Value>| {
        let mut outcome = hold(5, 4, "outcome", json!({ "outcome": "released", "cause": cause(2, sure) }));
        if let Some(environment) = environment {
            outcome["environment"] = environment;
        }
        let over = spans(&[
            tool(2, 1, "before", TRACEPARENT),
            hold(4, 3, "hold", json!({})),
            outcome,
            tool(6, 5, "after", TRACEPARENT),
        ]);
        let call = over[1]["spanId"].clone();
        assert_eq!(over[1]["parentSpanId"], "b7ad6b7169203331");
        (over[0]["parentSpanId"] == call, over[0]["parentSpanId"].clone(), over[0]["links"][0]["spanId"] == call)
    };
    // It carries what the tool call carried: the call is nearer.
    let (below, _, linked) = ends("strong", Some(environment(TRACEPARENT)));
    assert_eq!((below, linked), (true, false));
    // It is part of something else inside the same trace.
    let (below, parent, linked) = ends("strong", Some(environment(&other)));
    assert_eq!((below, parent, linked), (false, json!("1122334455667788"), true));
    // It carries nothing, and where it came from is known, or maybe.
    assert!(ends("likely", None).0);
    let (below, _, linked) = ends("possible", None);
    assert_eq!((below, linked), (false, true), "a guess is no parent");
    // Nobody's, as an agent may write it.
    assert!(ends("strong", Some(environment("00-00000000000000000000000000000000-b7ad6b7169203331-01"))).0);
}

#[test]
fn execs_stand_below_each_other_and_below_the_call_they_are_of() {
    let found = tree(&[
        exec(1, 0, 20, &[], &["claude"]),
        tool(2, 2, "before", ""),
        exec(3, 3, 30, &[20, 1], &["bash"]),
        exec(4, 4, 31, &[30, 20, 1], &["server"]),
        tool(5, 5, "after", ""),
        // Happened before the call was over, and written after.
        exec(6, 4, 32, &[30, 20, 1], &["ls"]),
        tool(7, 7, "before", ""),
        exec(8, 8, 33, &[31, 1], &["worker"]),
        exec(9, 8, 34, &[20, 1], &["make"]),
        tool(10, 9, "before", ""),
        exec(11, 10, 35, &[20, 1], &["git"]),
        // Another process with the number of the first one.
        exec(12, 10, 36, &[], &["cron"]),
    ]);
    let name = |id: &str| found.iter().find(|(_, own, _)| own == id).map_or("-", |(name, ..)| name.as_str());
    let lines: Vec<String> = found.iter().map(|(own, _, parent)| format!("{own} < {}", name(parent))).collect();
    assert_eq!(
        lines,
        [
            "guard.exec claude < -",
            "guard.exec bash < execute_tool Bash",
            "guard.exec server < guard.exec bash",
            "execute_tool Bash < -",
            "guard.exec ls < guard.exec bash",
            "guard.exec worker < guard.exec server",
            "guard.exec make < -",
            "guard.exec git < guard.exec claude",
            "guard.exec cron < -",
        ]
    );
    // The second call is not over; `make` is below it.
    let make = found.iter().find(|(name, ..)| name.ends_with("make")).map(|(.., parent)| parent.clone());
    let over = tree(&[tool(7, 7, "before", ""), tool(8, 8, "after", "")]);
    assert_eq!(make.as_deref(), Some(over[0].1.as_str()));
}

#[test]
fn what_has_no_length_is_seen_at_once() {
    let mut watched = about(json!({ "rule": "customer-data" }));
    watched.as_object_mut().expect("an object").remove("hold");
    insta::assert_snapshot!(shown(&[
        record(1, 1, "would_hold", watched),
        record(
            2,
            2,
            "shielded",
            json!({ "by": "guardd", "pid": 40, "note": "refused: this process of an agent tried bpf" })
        ),
        record(3, 3, "suspend", json!({ "by": "uid 0 (root), pid 9" })),
        record(4, 4, "exec", json!({ "by": "guardd", "missing": 7, "note": "7 execs are not in the log" })),
        record(5, 5, "reload", json!({ "by": "uid 0 (root), pid 9" })),
    ]));
}

#[test]
fn a_call_whose_end_nobody_told_ends_with_its_agent_or_after_an_hour() {
    let mut late = record(4, 5, "suspend", json!({}));
    late["boottime_ns"] = 3_700_000_000_000_u64.into();
    for record in [record(3, 4, "untag", json!({})), late] {
        let over = spans(&[tool(2, 1, "before", ""), record]);
        let ended = json!({ "key": "guard.tool_call.ended", "value": { "boolValue": false } });
        assert!(over[0]["attributes"].as_array().expect("a list").contains(&ended));
    }
}

#[test]
fn what_was_written_for_a_model_is_not_sent() {
    let text = format!("{:?}", spans(&[tool(2, 1, "before", TRACEPARENT), tool(3, 2, "after", TRACEPARENT)]));
    assert!(text.contains("toolu_1") && !text.contains("tidy up") && !text.contains("rm -rf"), "{text}");
    // A prompt alone is no call.
    let mut prompt = tool(2, 1, "before", "");
    prompt["tool_call"]["tool"] = "".into();
    assert!(spans(&[prompt, record(3, 2, "untag", json!({}))]).is_empty());
}

#[test]
fn a_request_is_json_whatever_an_agent_named_its_files() {
    let hostile = "/srv/\"}],\u{1b}[2J\u{202e}\0\n\\u0000";
    let mut outcome = hold(5, 4, "outcome", json!({ "outcome": "released" }));
    outcome["operation"]["path"] = hostile.into();
    let bodies: Vec<String> = spans(&[outcome]).iter().map(Value::to_string).collect();
    let body = request(&Attributes::of(&[("service.name", &"guard".into())]), &bodies);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    let path = span["attributes"].as_array().expect("a list").iter().find(|pair| pair["key"] == "file.path");
    assert_eq!(path.expect("it is there")["value"]["stringValue"], hostile);
}

fn anything() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec![
        "hold",
        "decision",
        "withdrawn",
        "outcome",
        "tool_call",
        "exec",
        "would_hold",
        "shielded",
        "tag",
        "agent_ended",
        "kill",
        "x",
    ]);
    let times = prop::sample::select(vec![
        "2026-11-30T12:00:00.000Z",
        "1969-01-01T00:00:00Z",
        "",
        "soon",
        "9999-01-01T00:00:00Z",
    ]);
    let parents = prop::sample::select(vec![
        TRACEPARENT,
        "",
        "00-x",
        "00-00000000000000000000000000000000-0000000000000000-00",
        "é",
    ]);
    let number = prop_oneof![Just(0_u64), 1..9_u64, Just(u64::MAX)];
    (kinds, times, parents, number.clone(), number.clone(), number, any::<bool>()).prop_map(
        |(kind, time, parent, seq, at, executed, is_before)| {
            let phase = if is_before { "before" } else { "after" };
            json!({ "kind": kind, "time": time, "seq": seq, "boottime_ns": at, "executed_ns": executed, "agent": "a1",
                "boot": if seq == 8 { "b" } else { "a" }, "hold": format!("h{}", seq % 3), "pid": seq, "processes": [{ "pid": at }],
                "environment": environment(parent), "cause": cause(at, "likely"),
                "tool_call": { "phase": phase, "tool": "Bash", "traceparent": parent } })
        },
    )
}

proptest! {
    #[test]
    fn ids_are_set_and_times_do_not_run_backwards(records in prop::collection::vec(anything(), 0..40)) {
        let is_id = |value: &Value, digits: usize| value.as_str().is_some_and(|id| {
            id.len() == digits && id.bytes().any(|byte| byte != b'0') && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        for span in spans(&records) {
            prop_assert!(is_id(&span["traceId"], 32) && is_id(&span["spanId"], 16), "{span}");
            prop_assert!(span["parentSpanId"].is_null() || is_id(&span["parentSpanId"], 16), "{span}");
            prop_assert_ne!(&span["parentSpanId"], &span["spanId"]);
            let time = |name: &str| span[name].as_str().and_then(|time| time.parse::<u64>().ok());
            let (start, end) = (time("startTimeUnixNano"), time("endTimeUnixNano"));
            prop_assert!(start.is_some() && end >= start, "{span}");
        }
    }

    #[test]
    fn a_traceparent_that_is_none_is_not_followed(text in "\\PC{0,60}") {
        prop_assert_eq!(Context::parse(&text).is_some(), crate::hook::is_traceparent(&text));
    }
}
