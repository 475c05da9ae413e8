//! What an agent feels of `guardctl hook`: how much longer it takes than a program that does nothing, with a guardd that
//! answers at once, one that never does, and none. `cargo xtask bench` runs it with the guardctl that is shipped, on the
//! processors of the machine that measures, and reads the line it prints.
#![allow(clippy::print_stdout, reason = "the result is a line on standard output")]

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

/// Calls of each kind, one after the other of each.
const TIMES: usize = 300;

/// What starting any program takes.
const NOTHING: &str = "/bin/true";

/// What the hook of one kind of call is given, and how long it took.
struct Kind {
    name: &'static str,
    limit: Option<f64>,
    event: PathBuf,
    socket: PathBuf,
    spent: Vec<f64>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(guardctl), Some(directory)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: hook GUARDCTL DIRECTORY");
    };
    fs::create_dir_all(&directory)?;
    let (answering, silent) = (directory.join("answering.sock"), directory.join("silent.sock"));
    let listener = UnixListener::bind(&answering)?;
    thread::spawn(move || listener.incoming().filter_map(Result::ok).for_each(answer));
    let _silent = UnixListener::bind(&silent)?;

    let short = event(&directory, "short", 20)?;
    let long = event(&directory, "long", 20_000)?;
    let kind = |name, limit, event: &Path, socket: &Path| Kind {
        name,
        limit,
        event: event.to_owned(),
        socket: socket.to_owned(),
        spent: Vec::new(),
    };
    let mut kinds = [
        kind("hook: a call, transcript of 4 KiB", Some(20.0), &short, &answering),
        kind("hook: a call, transcript of 4 MiB", Some(20.0), &long, &answering),
        kind("hook: a call, guardd never answers", Some(20.0), &short, &silent),
        kind("hook: a call, no guardd", Some(20.0), &short, &directory.join("none.sock")),
    ];
    for _ in 0..TIMES {
        for kind in &mut kinds {
            let nothing = timed(&mut Command::new(NOTHING), &kind.event)?;
            let mut hook = Command::new(&guardctl);
            let hook = timed(hook.args(["hook", "claude-code"]).env("GUARD_AGENT_SOCKET", &kind.socket), &kind.event)?;
            kind.spent.push((hook.as_secs_f64() - nothing.as_secs_f64()) * 1_000.0);
        }
    }
    let measures: Vec<Value> = kinds.iter_mut().flat_map(measures).collect();
    println!("measures {}", serde_json::to_string(&measures)?);
    Ok(())
}

/// Median and 99th percentile.
fn measures(kind: &mut Kind) -> [Value; 2] {
    kind.spent.sort_by(f64::total_cmp);
    let figure = |part: &str, at: usize| {
        let value = kind.spent.get(at).map_or(f64::NAN, |value| (value * 100.0).round() / 100.0);
        json!({
            "name": format!("{}, {part}", kind.name), "value": value, "unit": "ms", "limit": kind.limit, "kernel": "",
            "method": format!("{TIMES} times, beyond what {NOTHING} takes right before, release build, own processors"),
        })
    };
    [figure("p50", TIMES / 2), figure("p99", TIMES * 99 / 100)]
}

/// From its start until it has ended.
fn timed(command: &mut Command, input: &Path) -> anyhow::Result<Duration> {
    command.stdin(File::open(input)?).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    let spent = started.elapsed();
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(spent)
}

/// An event of Claude Code whose transcript has a prompt and `count` answers of about 200 bytes after it.
fn event(directory: &Path, name: &str, count: usize) -> anyhow::Result<PathBuf> {
    let transcript = directory.join(name).with_extension("jsonl");
    let mut lines = json!({"type": "user", "message": {"role": "user", "content": "Do it."}}).to_string() + "\n";
    for number in 0..count {
        let text = format!("{number}: {}", "what an agent says of its work ".repeat(3));
        let content = json!([{"type": "text", "text": text}]);
        lines +=
            &(json!({"type": "assistant", "message": {"role": "assistant", "content": content}}).to_string() + "\n");
    }
    fs::write(&transcript, lines)?;
    let event = directory.join(name).with_extension("json");
    let said = json!({
        "session_id": "s", "transcript_path": transcript, "cwd": "/", "hook_event_name": "PreToolUse", "tool_name": "Bash",
        "tool_input": {"command": "make release"}, "tool_use_id": "c",
    });
    fs::write(&event, said.to_string())?;
    Ok(event)
}

/// Reads a request and refuses nothing.
fn answer(mut stream: UnixStream) {
    let mut request = Vec::new();
    let mut buffer = [0; 64 << 10];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        request.extend_from_slice(&buffer[..count]);
        // The JSON is all there is in braces.
        if request.ends_with(b"}") {
            break;
        }
    }
    let body = r#"{"refused":[]}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // A hook that was not answered in time has gone.
    drop(stream.write_all(answer.as_bytes()));
}
