//! The agent: runs one command line after the other as it is told on standard input, and says when it has ended.
//! Whatever a line leaves running ends with it.

use std::{
    collections::BTreeMap,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, kill_process, kill_process_group, set_child_subreaper, test_kill_process_group, wait,
    },
};
use serde::Deserialize;

/// A line that has not ended by then waits for somebody, or never ends.
const LIMIT: Duration = Duration::from_secs(6);

/// How long what runs in the background may go on.
const BACKGROUND: Duration = Duration::from_secs(2);

/// A line of `rules/cases`.
#[derive(Deserialize)]
struct Line {
    argv: Option<Vec<String>>,
    shell: Option<String>,
    cwd: String,
    env: BTreeMap<String, String>,
}

/// `guard-tests act follow`: says for each line `after PID`, the number of the last process there was before it, then
/// `started PGID` and `done`.
pub(crate) fn run() -> Result<()> {
    set_child_subreaper(Some(rustix::process::getpid())).context("cannot adopt orphans")?;
    for line in std::io::stdin().lines() {
        let line = line.context("cannot read a line")?;
        let line: Line = serde_json::from_str(&line).context("cannot understand a line")?;
        say(&format!("after {}", last_process()?))?;
        let ended = one(&line)?;
        say(if ended { "done" } else { "done late" })?;
    }
    Ok(())
}

/// The process made last, as the kernel says at the end of this line.
fn last_process() -> Result<u32> {
    let line = std::fs::read_to_string("/proc/loadavg").context("cannot ask for the last process")?;
    let number = line.split_whitespace().last().and_then(|number| number.parse().ok());
    number.with_context(|| format!("no process in {line:?}"))
}

/// False when it had to be ended.
fn one(line: &Line) -> Result<bool> {
    let home = line.env.get("HOME").map_or("", String::as_str);
    let mut command = match (&line.argv, &line.shell) {
        (Some(argv), _) => {
            // In lists of arguments people write `~` where a shell would have replaced it; `guardctl check` reads it so.
            let mut words = argv.iter().map(|word| match word.strip_prefix('~') {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
                Some(_) | None => word.replace("${HOME}", home).replace("$HOME", home),
            });
            let mut command = Command::new(words.next().context("a command has a name")?);
            command.args(words);
            command
        }
        (None, text) => {
            let mut command = Command::new("/bin/bash");
            command.arg("-c").arg(text.as_deref().unwrap_or_default());
            command
        }
    };
    command.current_dir(&line.cwd).envs(&line.env).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // What cannot be started, because it was denied or is not there, has ended.
    let Ok(mut child) = command.spawn() else { return Ok(true) };
    let group = Pid::from_child(&child);
    say(&format!("started {}", group.as_raw_nonzero()))?;
    let deadline = Instant::now() + LIMIT;
    let ended = loop {
        if child.try_wait().context("cannot wait")?.is_some() {
            break true;
        }
        if Instant::now() > deadline {
            break false;
        }
        thread::sleep(Duration::from_millis(2));
    };
    // What it left in the background is a part of it, for a moment.
    let deadline = Instant::now() + BACKGROUND;
    while ended && Instant::now() < deadline && (test_kill_process_group(group).is_ok() || !children()?.is_empty()) {
        reap();
        thread::sleep(Duration::from_millis(2));
    }
    if_any(kill_process_group(group, Signal::KILL))?;
    if !ended {
        child.wait().context("cannot wait")?;
    }
    orphans()?;
    Ok(ended)
}

/// Ends what left its process group.
fn orphans() -> Result<()> {
    for child in children()?.split_whitespace().filter_map(|pid| pid.parse().ok()).filter_map(Pid::from_raw) {
        if_any(kill_process(child, Signal::KILL))?;
    }
    while wait(WaitOptions::empty()).is_ok() {}
    Ok(())
}

/// Numbers of its own children, and of those it adopted.
fn children() -> Result<String> {
    let me = std::process::id();
    std::fs::read_to_string(format!("/proc/{me}/task/{me}/children")).context("cannot list children")
}

/// Takes note of orphans that have ended.
fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Nobody to end is as good.
pub(super) fn if_any(killed: rustix::io::Result<()>) -> Result<()> {
    match killed {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("cannot end what a line left"),
    }
}

fn say(line: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").context("cannot answer")?;
    output.flush().context("cannot answer")
}
