//! The real server and loop on a real socket, with a kernel made of maps.

mod lost;
mod told;

use std::{path::Path, process::Child, time::Duration};

use guard_common::{
    grant::APPROVE,
    notice::{self, Notice},
    record::{ADDRESS_MAX, COMM_LEN, HoldKey, HoldRecord, INLINE_MAX, NAME_MAX, Object, context},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, oneshot},
};

use crate::daemon::{
    run,
    testing::{FakeKernel, FakeRing, listeners, setup},
};

const DEADLINE: Duration = Duration::from_secs(20);

struct Bench {
    directory: tempfile::TempDir,
    kernel: FakeKernel,
    bell: mpsc::UnboundedSender<Notice>,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// Runs a test against a daemon with one empty cgroup, `/agent`.
fn with_daemon(test: impl AsyncFnOnce(&Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (kernel, (bell, rings)) = (FakeKernel::default(), mpsc::unbounded_channel());
        let listeners = listeners(directory.path());
        let setup = setup(directory.path(), kernel.clone(), FakeRing(rings));
        let (stop, stopped) = oneshot::channel::<()>();
        let (_reload, reloads) = mpsc::channel(1);
        let shutdown = async { stopped.await.expect("the test stops it") };
        let done = tokio::task::spawn_local(run::run(setup, listeners, reloads, || {}, shutdown));
        let bench = Bench { directory, kernel, bell, stop, done };
        tokio::time::timeout(DEADLINE, test(&bench)).await.expect("in time");
        bench.stop.send(()).expect("it runs");
        tokio::time::timeout(DEADLINE, bench.done).await.expect("in time").expect("no panic").expect("no error");
    });
}

impl Bench {
    async fn send(&self, method: &str, route: &str, body: &str) -> (u16, Value) {
        self.send_to("guard.sock", method, route, body).await
    }

    async fn send_to(&self, socket: &str, method: &str, route: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(self.directory.path().join(socket)).await.expect("connected");
        let length = body.len();
        let head = format!("{method} {route} HTTP/1.1\r\nHost: guard\r\nConnection: close\r\n");
        let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        // A body that is too large is refused before it is read to its end.
        if stream.write_all(body.as_bytes()).await.is_err() {
            return (0, Value::Null);
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        let text = String::from_utf8(answer).expect("text");
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn get(&self, route: &str) -> Value {
        let (status, body) = self.send("GET", route, "").await;
        assert_eq!(status, 200, "{route}: {body}");
        body
    }

    /// Tags `/agent` and answers its cgroup id.
    async fn tag(&self) -> u64 {
        let (status, agent) = self.send("POST", "/v1/agents", r#"{"cgroup":"/agent","name":"builder"}"#).await;
        assert_eq!((status, &agent["id"], &agent["state"]), (200, &json!("a1"), &json!("empty")), "{agent}");
        agent["cgroup_id"].as_u64().expect("a number")
    }

    /// The kernel stops `unlink(path)` of a process.
    fn hold(&self, agent: u64, pid: u32, path: &str) -> HoldKey {
        let key = HoldKey { id: pid, slot: 0 };
        self.kernel.maps().records.insert(key, record(agent, pid, path));
        self.ring(key, notice::HELD);
        key
    }

    fn ring(&self, key: HoldKey, kind: u32) {
        self.bell.send(Notice { key, hold: 1_000, kind, tgid: key.id }).expect("the daemon runs");
    }

    async fn until(&self, route: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let body = self.get(route).await;
            if wanted(&body) {
                return body;
            }
            tokio::task::yield_now().await;
        }
    }

    fn audit(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("audit.jsonl")).expect("it is there")
    }
}

fn record(agent: u64, pid: u32, path: &str) -> Box<HoldRecord> {
    let object = Object {
        ino: 9,
        parent_ino: 2,
        size: 3,
        dev: 1,
        generation: 0,
        mode: 0o100_644,
        rdev: 0,
        nlink: 1,
        uid: 0,
        magic: 0,
        own: 0,
        name: [0; NAME_MAX],
    };
    let mut record = Box::new(HoldRecord {
        hold: 1_000,
        agent,
        start_boottime: 0,
        tid: pid,
        tgid: pid,
        uid: 0,
        gid: 0,
        op: 0,
        flags: 0,
        context: context::HELD,
        stops: 1,
        doubt: 0,
        path_len: u32::try_from(path.len()).expect("short"),
        other_path_len: 0,
        address_len: 0,
        argv_len: 0,
        argc: 0,
        detail: [0; 4],
        target: object,
        other: object,
        address: [0; ADDRESS_MAX],
        comm: [0; COMM_LEN],
        text: [0; INLINE_MAX],
        passed_files: 0,
        passed_bytes: 0,
        seal: 1_000,
    });
    record.text[..path.len()].copy_from_slice(path.as_bytes());
    record
}

fn sleeper() -> Child {
    std::process::Command::new("sleep").arg("60").stdout(std::process::Stdio::null()).spawn().expect("sleep starts")
}

#[test]
fn a_hold_is_shown_decided_logged_and_released() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        assert!(bench.kernel.maps().agents.contains_key(&agent));
        let mut child = sleeper();
        let key = bench.hold(agent, child.id(), "/hold/\u{1b}[2Jdata");
        let holds = bench.until("/v1/holds", |holds| holds[0]["id"] == "h1").await;
        assert_eq!(holds[0]["operation"]["path"], "/hold/\u{1b}[2Jdata");
        assert!(bench.kernel.maps().grants.is_empty());
        let body = r#"{"verdict":"approve","note":"fine"}"#;
        let (status, hold) = bench.send("POST", "/v1/holds/h1/decision", body).await;
        assert_eq!((status, &hold["state"], &hold["decision"]["note"]), (200, &json!("deciding"), &json!("fine")));
        assert_eq!(bench.kernel.maps().grants.get(&key).map(|grant| grant.verdict), Some(APPROVE));
        assert!(bench.audit().contains(r#""kind":"decision""#), "the line was on the disk before the answer");
        bench.ring(key, notice::APPROVED);
        bench.until("/v1/holds/h1", |hold| hold["outcome"] == "released").await;
        let (status, problem) = bench.send("POST", "/v1/holds/h1/decision", r#"{"verdict":"deny"}"#).await;
        assert_eq!((status, &problem["kind"]), (409, &json!("already_decided")));
        assert_eq!(bench.get("/v1/holds").await, json!([]));
        assert_eq!(bench.get("/v1/holds?state=all").await[0]["id"], "h1");
        let log = bench.until("/v1/log?n=1", |log| log[0]["kind"] == "outcome").await;
        let asked = bench.until("/v1/log?kind=outcome&path=/hold", |log| log.as_array().is_some()).await;
        assert_eq!(asked, log, "one of this kind there");
        assert_eq!(log.as_array().map(Vec::len), Some(1));
        child.kill().expect("killed");
        child.wait().expect("waited");
    });
}

#[test]
fn a_denial_kills_nothing_and_a_kill_ends_the_process() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let mut child = sleeper();
        bench.hold(agent, child.id(), "/hold/a");
        bench.until("/v1/holds", |holds| holds[0]["id"] == "h1").await;
        let (status, _) = bench.send("POST", "/v1/holds/h1/decision", r#"{"verdict":"kill"}"#).await;
        assert_eq!(status, 200);
        bench.until("/v1/holds/h1", |hold| hold["outcome"] == "killed").await;
        assert!(!child.wait().expect("it ended").success());
    });
}

#[test]
fn an_agent_may_not_speak_and_this_is_logged() {
    with_daemon(async |bench| {
        let threads = std::fs::read_dir("/proc/self/task").expect("threads");
        for thread in threads.flatten() {
            let tid = thread.file_name().to_str().and_then(|tid| tid.parse().ok()).expect("a number");
            bench.kernel.maps().tags.insert(tid, 5);
        }
        for (method, route, body) in [
            ("GET", "/v1/holds", ""),
            ("GET", "/v1/log", ""),
            ("GET", "/v1/events", ""),
            ("POST", "/v1/agents", "{}"),
            ("POST", "/v1/holds/h1/decision", r#"{"verdict":"approve"}"#),
            ("POST", "/v1/agents/*/state", r#"{"state":"resume"}"#),
        ] {
            let (status, problem) = bench.send(method, route, body).await;
            assert_eq!((status, &problem["kind"]), (403, &json!("not_permitted")), "{route}");
        }
        bench.kernel.maps().tags.clear();
        bench.until("/v1/log", |log| log.to_string().contains("refused_peer")).await;
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_a_problem() {
    with_daemon(async |bench| {
        for (method, route, body, expected) in [
            ("POST", "/v1/holds/h9/decision", r#"{"verdict":"approve"}"#, 404),
            ("POST", "/v1/holds/h9/decision", r#"{"verdict":"maybe"}"#, 400),
            ("POST", "/v1/holds/h9/decision", r#"{"verdict":"deny","extra":1}"#, 400),
            ("POST", "/v1/holds/h9/decision", "{", 400),
            ("GET", "/v1/holds/h01", "", 404),
            ("GET", "/v1/holds/%ff", "", 400),
            ("DELETE", "/v1/agents/%C0%80", "", 400),
            ("GET", "/v1/holds?state=some", "", 400),
            ("GET", "/v1/log?n=many", "", 400),
            ("GET", "/v1/log?grep=(", "", 400),
            ("GET", "/v1/log?since=soon", "", 400),
            ("GET", "/v1/log?colour=red", "", 400),
            ("GET", "/nothing", "", 404),
            ("PUT", "/v1/status", "", 400),
            ("POST", "/v1/agents", r#"{"cgroup":"/../etc"}"#, 400),
            ("POST", "/v1/agents", r#"{"cgroup":"/agent","pid":1}"#, 400),
            ("POST", "/v1/agents", r#"{"cgroup":"/agent","rules":"bad"}"#, 400),
            ("POST", "/v1/agents", r#"{"cgroup":"/agent","workspace":"here"}"#, 400),
            ("DELETE", "/v1/agents/a9", "", 404),
            ("POST", "/v1/agents/a9/state", r#"{"state":"kill"}"#, 404),
            ("POST", "/v1/reload", "", 400),
        ] {
            let (status, problem) = bench.send(method, route, body).await;
            assert_eq!(status, expected, "{method} {route} {body}: {problem}");
            assert!(problem["message"].as_str().is_some_and(|message| !message.is_empty()), "{route}: {problem}");
        }
        let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(300 << 10));
        let (status, _) = bench.send("POST", "/v1/agents", &large).await;
        assert!(status == 400 || status == 0, "{status}");
        assert_eq!(bench.get("/v1/agents").await, json!([]));
    });
}

#[test]
fn every_route_of_the_openapi_file_is_served() {
    with_daemon(async |bench| {
        for (method, route) in super::ROUTES.iter().filter(|(_, route)| *route != "/v1/events") {
            let (_, answer) = bench.send(&method.to_uppercase(), &route.replace("{id}", "a9"), "").await;
            let message = answer["message"].as_str().unwrap_or_default();
            assert!(!message.contains("openapi"), "{method} {route}: {message}");
        }
    });
}

#[test]
fn events_begin_with_the_status_and_tell_of_holds() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let mut stream = UnixStream::connect(bench.directory.path().join("guard.sock")).await.expect("connected");
        stream.write_all(b"GET /v1/events HTTP/1.1\r\nHost: guard\r\n\r\n").await.expect("sent");
        let mut seen = String::new();
        let mut buffer = [0; 4_096];
        let mut child = sleeper();
        for wanted in ["event: status", "event: held"] {
            while !seen.contains(wanted) {
                let count = stream.read(&mut buffer).await.expect("read");
                assert!(count > 0, "the stream ended: {seen}");
                seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            if wanted == "event: status" {
                bench.hold(agent, child.id(), "/hold/a");
            }
        }
        child.kill().expect("killed");
        child.wait().expect("waited");
    });
}

#[test]
fn an_untagged_cgroup_is_guarded_no_more_unless_something_waits() {
    with_daemon(async |bench| {
        let agent = bench.tag().await;
        let mut child = sleeper();
        let key = bench.hold(agent, child.id(), "/hold/a");
        bench.until("/v1/holds", |holds| holds[0]["id"] == "h1").await;
        assert_eq!(bench.send("DELETE", "/v1/agents/builder", "").await.0, 400);
        bench.ring(key, notice::GONE);
        bench.until("/v1/holds", |holds| *holds == json!([])).await;
        assert_eq!(bench.send("DELETE", "/v1/agents/builder", "").await.0, 200);
        assert!(bench.kernel.maps().agents.is_empty() && bench.kernel.maps().policies.is_empty());
        assert!(Path::new(&bench.directory.path().join("cgroup/agent")).is_dir(), "it was not guardd's to remove");
        child.kill().expect("killed");
        child.wait().expect("waited");
    });
}
