//! `guardctl export otlp`: between a guardd and a collector, both of few lines.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{
    fake::{Answer, Guardd, guardctl, ok},
    fixture,
};

/// No step of these takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a collector got: the head of a request, and its body.
type Got = (String, Value);

/// Answers each request with the next of these, the last one for ever.
fn collector(listener: TcpListener, answers: &'static [&'static str]) -> Receiver<Got> {
    let (tell, told) = channel();
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            serve(&stream.expect("a connection"), answers[number.min(answers.len() - 1)], &tell);
        }
    });
    told
}

fn serve(stream: &TcpStream, answer: &str, tell: &Sender<Got>) {
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("a head") > 0, "cut off: {head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut body).expect("the body");
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {answer}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}").expect("an answer");
    // The test may have seen enough.
    tell.send((head, serde_json::from_slice(&body).expect("JSON"))).ok();
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
    (listener, endpoint)
}

fn record(seq: u64, kind: &str, fields: Value) -> Value {
    let hold = fixture::hold();
    let mut record = json!({
        "seq": seq, "time": format!("2026-03-02T11:59:{:02}.000Z", 40 + seq), "boot": "c0ffee", "kind": kind,
        "boottime_ns": seq * 1_000_000_000, "agent": "a1", "agent_name": "claude", "hold": "h12", "pid": 4243,
        "operation": hold["operation"], "processes": hold["processes"], "rule": hold["rule"],
    });
    fixture::merge(&mut record, fields);
    record
}

/// A guardd whose h12 is decided after the first look at its log.
fn deciding() -> Guardd {
    let held = || record(6, "hold", json!({}));
    let denied = json!({ "verdict": "deny", "by": "uid 0 (root), pid 77", "note": "not this week" });
    let mut refused = denied.clone();
    fixture::merge(&mut refused, json!({ "outcome": "refused" }));
    let decided = || vec![record(7, "decision", denied.clone()), record(8, "outcome", refused.clone())];
    let routes: [(&str, Vec<Answer>); 6] = [
        ("GET /v1/log?n=1", vec![ok(json!([held()])), ok(json!([record(8, "outcome", json!({}))]))]),
        ("GET /v1/log?n=10000&kind=tag%2Cuntag%2Cagent_ended", vec![ok(json!([]))]),
        ("GET /v1/log?n=100", vec![ok(json!([held()])), ok(json!([vec![held()], decided()].concat()))]),
        ("GET /v1/log?n=100&after=6", vec![ok(json!(decided()))]),
        ("GET /v1/log?n=100&after=8", vec![ok(json!([]))]),
        ("GET /v1/log?n=100&after=99", vec![ok(json!([]))]),
    ];
    Guardd::answering(&routes)
}

/// guardctl, and each line that it says.
fn start(guardd: &Guardd, arguments: &[&str]) -> (Child, Receiver<String>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_guardctl"))
        .args(["export", "otlp"])
        .args(arguments)
        .env("GUARD_SOCKET", guardd.socket())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue%20team")
        .env("OTEL_SERVICE_NAME", "build-7")
        .stderr(Stdio::piped())
        .spawn()
        .expect("guardctl runs");
    let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let (tell, told) = channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
    (child, told)
}

/// Ends it as systemd does.
fn end(mut child: Child) {
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).expect("it still runs");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            break status;
        }
        assert!(Instant::now() < deadline, "it goes on");
        thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(0));
}

fn says(lines: &Receiver<String>, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    let left = || deadline.saturating_duration_since(Instant::now());
    while !lines.recv_timeout(left()).unwrap_or_else(|_| panic!("nothing says {wanted}")).contains(wanted) {}
}

fn spans(body: &Value) -> &Vec<Value> {
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans")
}

#[test]
fn what_was_held_before_it_began_is_sent_when_it_is_over_and_once() {
    let guardd = deciding();
    let (listener, endpoint) = listener();
    let got = collector(listener, &["503 X\r\nretry-after: 1", "200 OK"]);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("state");
    let state = file.to_str().expect("UTF-8");
    let (child, lines) = start(&guardd, &["--endpoint", &endpoint, "--state", state, "--header", "X-Key=secret"]);
    says(&lines, &format!("sending to {endpoint}/v1/traces what comes after record 6"));
    let (first, second) = (got.recv_timeout(PATIENCE).expect("a request"), got.recv_timeout(PATIENCE).expect("again"));
    says(&lines, "503 Service Unavailable; trying again");
    says(&lines, "the collector answers again");
    assert_eq!(first.1, second.1, "the same, until it is taken");
    let (head, body) = second;
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    for header in ["content-type: application/json", "x-key: secret", "x-tenant: blue team"] {
        assert!(head.contains(header), "{head}");
    }
    assert!(body["resourceSpans"][0]["resource"].to_string().contains("build-7"));
    let [span] = &spans(&body)[..] else { panic!("one span: {body}") };
    assert_eq!(span["name"], "guard.hold unlink");
    assert_eq!(
        (&span["startTimeUnixNano"], &span["endTimeUnixNano"]),
        (&json!("1772452786000000000"), &json!("1772452788000000000"))
    );
    assert_eq!(span["status"]["message"], "denied by uid 0 (root), pid 77: not this week");
    end(child);
    assert_eq!(fs::read_to_string(&file).expect("it is kept"), "8\n");

    // Only the log is asked: what is held has secrets that the log has not.
    assert!(guardd.asked().iter().all(|line| line.starts_with("GET /v1/log?")), "{:?}", guardd.asked());
    let (child, lines) = start(&guardd, &["--endpoint", &endpoint, "--state", state]);
    says(&lines, "what comes after record 8");
    end(child);
    assert!(got.try_recv().is_err(), "it was delivered before");

    fs::write(&file, "6").expect("written");
    let (child, _lines) = start(&guardd, &["--endpoint", &endpoint, "--state", state]);
    let (_, again) = got.recv_timeout(PATIENCE).expect("what came since");
    assert_eq!(spans(&again), spans(&body), "with the same ids");
    end(child);

    fs::write(&file, "99").expect("written");
    let (child, lines) = start(&guardd, &["--endpoint", &endpoint, "--state", state]);
    says(&lines, "record 99 was delivered and the log ends with 8: it is another log");
    end(child);
}

#[test]
fn a_collector_that_is_away_is_waited_for() {
    let (listener, endpoint) = listener();
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let guardd = deciding();
    let (child, lines) = start(&guardd, &["--endpoint", &endpoint]);
    says(&lines, "Connection refused");
    let got = collector(TcpListener::bind(address).expect("the same port"), &["200 OK"]);
    let (_, body) = got.recv_timeout(PATIENCE).expect("it asks again");
    assert_eq!(spans(&body).len(), 1);
    says(&lines, "the collector answers again");
    end(child);
}

#[test]
fn what_a_collector_refuses_is_said_and_not_sent_again() {
    let (listener, endpoint) = listener();
    let got = collector(listener, &["400 X"]);
    let guardd = deciding();
    let (child, lines) = start(&guardd, &["--endpoint", &endpoint]);
    says(&lines, "1 spans are lost: the collector refused them: 400 Bad Request");
    end(child);
    assert_eq!(got.try_iter().count(), 1);
}

#[test]
fn without_a_collector_it_says_what_to_do() {
    guardctl(&["export", "otlp"]).assert().code(2).stderr(contains("--endpoint http://localhost:4318"));
    guardctl(&["export", "otlp", "--endpoint", "https://x"]).assert().code(2).stderr(contains("speaks no TLS"));
    guardctl(&["export", "otlp", "--endpoint", "http://x", "--header", "x"])
        .assert()
        .code(2)
        .stderr(contains("NAME=VALUE"));
    let (_listener, endpoint) = listener();
    guardctl(&["export", "otlp", "--endpoint", &endpoint, "--socket", "/nonexistent/guard.sock"])
        .assert()
        .code(3)
        .stderr(contains("guardd is not running"));
}
