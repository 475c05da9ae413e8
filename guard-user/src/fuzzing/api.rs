//! Any bytes as requests on the socket, to the real server and loop with a kernel made of maps. Every answer has a shape
//! that `openapi.yaml` names, nothing is released that was not approved, and guardd still answers afterwards.
//!
//! An input is a list of connections with `\n%%\n` between them. One that begins with a line such as `POST /v1/agents` is
//! a request with the rest as its body; any other is sent as it is. What is for the socket of agents goes there, as from
//! that agent; what begins with `@` goes there as it is.

use std::time::Duration;

use guard_common::{
    grant::APPROVE,
    notice::{self, Notice},
    record::HoldKey,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, oneshot},
};

use super::{place::Place, record::held};
use crate::{
    api::{Problem, ProblemKind},
    daemon::{
        run,
        testing::{FakeKernel, FakeRing, listeners, setup},
    },
};

/// Everything an input asks takes far less.
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a server that waits for more gets none, before the connection is ended.
const SILENCE: Duration = Duration::from_millis(20);
/// No input needs more connections.
const MOST: usize = 8;
/// Larger than any pid can be: what is decided about it reaches nobody.
const NOBODY: u32 = (1 << 22) + 1;

/// Sends `bytes` to a guardd that has one agent, `a1`, and one hold, `h1`.
pub fn api(bytes: &[u8]) {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(DEADLINE, daemon(&place, bytes)).await.expect("guardd hangs");
    });
    runtime.shutdown_timeout(DEADLINE);
}

async fn daemon(place: &Place, bytes: &[u8]) {
    let (kernel, (bell, rings)) = (FakeKernel::default(), mpsc::unbounded_channel());
    let listeners = listeners(place.path());
    let setup = setup(place.path(), kernel.clone(), FakeRing(rings));
    let (stop, stopped) = oneshot::channel::<()>();
    let (_reload, reloads) = mpsc::channel(1);
    let shutdown = async { stopped.await.expect("it is stopped") };
    let done = tokio::task::spawn_local(run::run(setup, listeners, reloads, || {}, shutdown));
    let mut asked = Asked { place, kernel: &kernel, agent: 0 };
    let agent = asked.json("POST /v1/agents", br#"{"cgroup":"/agent","name":"builder"}"#).await;
    let key = HoldKey { id: NOBODY, slot: 0 };
    let agent = agent["cgroup_id"].as_u64().expect("a number");
    asked.agent = agent;
    kernel.maps().records.insert(key, Box::new(held(agent, NOBODY, "/hold/a")));
    bell.send(Notice { key, hold: 1_000, kind: notice::HELD, tgid: NOBODY }).expect("it runs");
    while asked.json("GET /v1/holds?state=all", b"").await[0]["id"] != "h1" {
        tokio::task::yield_now().await;
    }
    let mut may_approve = false;
    for part in parts(bytes).into_iter().take(MOST) {
        may_approve |= asked.part(part).await;
    }
    let approved = kernel.maps().grants.values().any(|grant| grant.verdict == APPROVE);
    assert!(!approved || may_approve, "approved, and nobody did");
    assert_eq!(asked.json("GET /v1/status", b"").await["tier"], "gate");
    stop.send(()).expect("it runs");
    done.await.expect("no panic").expect("no error");
}

/// What is sent on one connection each.
fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n%%\n";
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        parts.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    parts.push(rest);
    parts
}

/// The request line of a part that is not sent as it is, and its body.
fn request(part: &[u8]) -> Option<(&str, &[u8])> {
    let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
    let line = std::str::from_utf8(&part[..end]).ok()?;
    let (method, route) = line.split_once(' ')?;
    let is_request = ["GET", "POST", "DELETE", "PUT"].contains(&method)
        && route.starts_with('/')
        && route.bytes().all(|byte| byte.is_ascii_graphic());
    is_request.then(|| (line, part.get(end + 1..).unwrap_or_default()))
}

fn is_of_agents(line: &str) -> bool {
    line.contains(" /v1/tool-calls") || line.contains(" /v1/refusals")
}

/// One answer of the server.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

/// Who asks.
struct Asked<'a> {
    place: &'a Place,
    kernel: &'a FakeKernel,
    /// Its cgroup.
    agent: u64,
}

impl Asked<'_> {
    /// On the socket of agents this process is one as long as it is connected.
    async fn connected(&self, as_agent: bool) -> UnixStream {
        let own = std::process::id();
        if as_agent {
            self.kernel.maps().tags.insert(own, self.agent);
        } else {
            self.kernel.maps().tags.remove(&own);
        }
        let socket = if as_agent { "agent.sock" } else { "guard.sock" };
        UnixStream::connect(self.place.path().join(socket)).await.expect("connected")
    }

    /// True when it may have approved something.
    async fn part(&self, part: &[u8]) -> bool {
        let Some((line, body)) = request(part) else {
            for answer in self.raw(part).await {
                answer.check();
            }
            return true;
        };
        let answer = self.ask(line, body).await;
        answer.check();
        answer.status == 200 && line.contains("/decision") && !is_of_agents(line)
    }

    async fn json(&self, line: &str, body: &[u8]) -> Value {
        let answer = self.ask(line, body).await;
        assert_eq!(answer.status, 200, "{line}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).expect("it is JSON")
    }

    /// A well-formed request.
    async fn ask(&self, line: &str, body: &[u8]) -> Answer {
        let mut stream = self.connected(is_of_agents(line)).await;
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n");
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("sent");
        let mut answer = Vec::new();
        // The events go on for ever: the first one is enough.
        while !(answer.ends_with(b"\r\n")
            && find(&answer, b"text/event-stream").is_some_and(|_| find(&answer, b"\ndata:").is_some()))
        {
            let mut buffer = [0; 4_096];
            match stream.read(&mut buffer).await.expect("answered") {
                0 => break,
                count => answer.extend_from_slice(&buffer[..count]),
            }
        }
        let mut answers = answers(&answer);
        assert_eq!(answers.len(), 1, "{line}: {}", String::from_utf8_lossy(&answer));
        answers.remove(0)
    }

    /// Bytes as they are, and the answers to them.
    async fn raw(&self, bytes: &[u8]) -> Vec<Answer> {
        let (as_agent, bytes) = match bytes.strip_prefix(b"@") {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let mut stream = self.connected(as_agent).await;
        // A server that has seen enough closes, and the rest cannot be sent.
        if stream.write_all(bytes).await.is_err() {
            return Vec::new();
        }
        let mut said = Vec::new();
        let mut buffer = [0; 4_096];
        while let Ok(Ok(count @ 1..)) = tokio::time::timeout(SILENCE, stream.read(&mut buffer)).await {
            said.extend_from_slice(&buffer[..count]);
        }
        if stream.shutdown().await.is_ok() {
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                said.extend_from_slice(&buffer[..count]);
            }
        }
        answers(&said)
    }
}

impl Answer {
    /// It is what `openapi.yaml` says, or what HTTP itself answers to what is no request.
    fn check(&self) {
        let text = String::from_utf8_lossy(&self.body);
        let problem: Result<Problem, _> = serde_json::from_slice(&self.body);
        let expected = problem.as_ref().ok().map(|problem| match problem.kind {
            ProblemKind::BadRequest => 400,
            ProblemKind::NotPermitted => 403,
            ProblemKind::NotFound => 404,
            ProblemKind::AlreadyDecided => 409,
            ProblemKind::AuditUnavailable => 503,
            ProblemKind::Internal => 500,
        });
        match self.status {
            100 => assert!(self.body.is_empty()),
            200 => {
                let is_known = self.body.is_empty() || text.starts_with("openapi:") || text.contains("event: status");
                assert!(is_known || serde_json::from_str::<Value>(&text).is_ok(), "no shape: {text}");
            }
            // Too long a head or address, or no HTTP at all: no route was asked. `HEAD` has no body either.
            _ if self.body.is_empty() => {}
            status => {
                assert_eq!(expected, Some(status), "{status} is no problem as documented: {text}");
                assert!(problem.is_ok_and(|problem| !problem.message.is_empty()), "{text}");
            }
        }
    }
}

/// The answers that one connection got, one behind the other.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(end) = find(bytes, b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        bytes = &bytes[end + 4..];
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let length = match header("content-length:") {
            Some(length) => length.parse().expect("a number"),
            // Of a stream, all there is.
            None if header("transfer-encoding:").is_some() => bytes.len(),
            None => 0,
        };
        // The answer to `HEAD` says how long it would be, and is not sent.
        let is_there = length <= bytes.len() && !bytes.starts_with(b"HTTP/1.1 ");
        let (body, rest) = bytes.split_at(if is_there { length } else { 0 });
        answers.push(Answer { status, body: body.to_vec() });
        bytes = rest;
    }
    answers
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
