//! A guardd of few lines: a real HTTP server on a real Unix socket that answers from a table and remembers what it
//! was asked. It decides nothing.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use assert_cmd::Command;
use serde_json::{Value, json};

pub(crate) struct Guardd {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

/// `GET /v1/status` → what to answer; asked again, the last answer stays.
type Answers = BTreeMap<String, Vec<Answer>>;

#[derive(Clone)]
pub(crate) struct Answer {
    code: u16,
    body: String,
    /// An event stream stays open until guardctl goes.
    stream: bool,
}

pub(crate) fn ok(body: Value) -> Answer {
    Answer { code: 200, body: body.to_string(), stream: false }
}

pub(crate) fn problem(code: u16, kind: &str, message: &str) -> Answer {
    Answer { code, body: json!({ "kind": kind, "message": message }).to_string(), stream: false }
}

impl Answer {
    /// Something that guardd would never say.
    pub(crate) fn set_body(&mut self, body: &str) {
        self.body = body.to_owned();
    }
}

/// Server-sent events, one for each value, named by its `kind`.
pub(crate) fn events(events: &[Value]) -> Answer {
    let body = events
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["kind"].as_str().expect("an event has a kind")))
        .collect();
    Answer { code: 200, body, stream: true }
}

impl Guardd {
    pub(crate) fn answering(answers: &[(&str, Vec<Answer>)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("guard.sock")).expect("a socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answers: Answers = answers.iter().map(|(route, answers)| ((*route).to_owned(), answers.clone())).collect();
        let (answers, record) = (Arc::new(Mutex::new(answers)), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, record) = (answers.clone(), record.clone());
                thread::spawn(move || serve(stream.expect("a connection"), &answers, &record));
            }
        });
        Self { dir, asked }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("guard.sock")
    }

    /// guardctl, told to talk to this one.
    pub(crate) fn guardctl(&self, arguments: &[&str]) -> Command {
        let mut command = guardctl(arguments);
        // One for people and one for agents in truth; here both are asked in the same way.
        command.env("GUARD_SOCKET", self.socket()).env("GUARD_AGENT_SOCKET", self.socket());
        command
    }

    /// `POST /v1/agents {"name":"x"}`, in the order they came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panicked holding it").clone()
    }
}

pub(crate) fn guardctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guardctl"));
    command
        .args(arguments)
        .env_remove("GUARD_SOCKET")
        .env_remove("GUARD_AGENT_SOCKET")
        .env_remove("TRACEPARENT")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("NO_COLOR")
        .timeout(std::time::Duration::from_secs(30));
    command
}

fn serve(stream: UnixStream, answers: &Mutex<Answers>, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        // A client that goes before its request is whole asked nothing.
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let route = head.split(" HTTP/").next().expect("a request line").to_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().expect("a number"));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let line = format!("{route} {}", String::from_utf8(body).expect("JSON is UTF-8"));
    asked.lock().expect("no test panicked holding it").push(line.trim_end().to_owned());
    let answer = {
        let mut answers = answers.lock().expect("no test panicked holding it");
        match answers.get_mut(&route) {
            Some(list) if list.len() > 1 => list.remove(0),
            Some(list) => list[0].clone(),
            None => problem(404, "not_found", &format!("the test has no answer to {route}")),
        }
    };
    let mut stream = stream;
    let kind = if answer.stream { "text/event-stream" } else { "application/json" };
    let length = if answer.stream { String::new() } else { format!("content-length: {}\r\n", answer.body.len()) };
    // guardctl may have got what it wanted and gone.
    let sent = write!(
        stream,
        "HTTP/1.1 {} X\r\ncontent-type: {kind}\r\n{length}connection: close\r\n\r\n{}",
        answer.code, answer.body
    );
    if sent.is_ok() && answer.stream {
        let gone = reader.read(&mut [0]);
        assert!(matches!(gone, Ok(0) | Err(_)), "guardctl sends nothing behind its request");
    }
}
