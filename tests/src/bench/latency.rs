//! How long people and agents wait: from the match until a person sees it, and from the decision to the end of the call.
//! Once with what runs already (`guardctl pending --watch`, a client of the socket), and once as a person types it,
//! where starting guardctl is most of the figure. Beside it a seccomp supervisor's round trip, on the same machine.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Child, ExitCode, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Measure, kernel, machine, nanoseconds, seccomp};
use crate::{
    guard::{Guard, Tier, id},
    patience::{until, until_within},
    socket::ask,
};

pub(super) const TIMES: u32 = 100;
const PLACE: &str = "/srv/latency";
const RULES: &str = "rules:
  - name: latency
    text: Measured.
    action: hold
    reversibility: irreversible
    match:
      op: delete
      path: /srv/latency/**
";

const RUNNING: &str = "two emulated processors, 100 times, whoever looks and decides runs already";
const TYPED: &str = "two emulated processors, 100 times, includes starting guardctl";
const SECCOMP: &str = "two emulated processors, 100 times, the supervisor reads the path and lets the call go on";

pub(super) fn measure() -> Result<Vec<Measure>> {
    let mut measures = vec![machine::start_up("gate")?];
    let guard = Guard::start(Tier::Gate, Some(RULES))?;
    fs::create_dir_all(PLACE).with_context(|| format!("cannot make {PLACE}"))?;
    let (visible, complete) = running(&guard, &format!("exec guard-tests bench unlinks {PLACE}/running {TIMES}"))?;
    measures.extend(figures("match to visible in guardctl pending --watch", visible, Some(10.0), RUNNING));
    measures.extend(figures("approval at the socket to the call's completion", complete, Some(10.0), RUNNING));
    let (visible, complete) = typed(&guard)?;
    measures.extend(figures("match to visible in guardctl pending", visible, Some(10.0), TYPED));
    measures.extend(figures("guardctl approve to the call's completion", complete, Some(10.0), TYPED));
    measures.extend(figures("for comparison: a seccomp supervisor", seccomp::round_trips(PLACE)?, None, SECCOMP));
    measures.extend(machine::measure(&guard)?);
    Ok(measures)
}

/// Nanoseconds from the call to the watcher's line, and from the request to the end of the call. `agent` prints both ends of
/// each of its [`TIMES`] calls.
pub(super) fn running(guard: &Guard, agent: &str) -> Result<(Vec<u64>, Vec<u64>)> {
    let mut watcher = guard.command();
    let watcher = watcher.args(["pending", "--watch", "-o", "json"]).stdout(Stdio::piped()).spawn();
    let mut watcher = Watcher(watcher.context("cannot start guardctl")?);
    let lines = watcher.lines()?;
    let mut agent = guard.agent(agent)?;
    let (mut seen, mut asked) = (Vec::new(), Vec::new());
    while seen.len() < TIMES as usize {
        let (at, line) = lines.recv_timeout(Duration::from_secs(60)).context("nothing was held")?;
        let event: Value = serde_json::from_str(&line).context("the watcher printed no JSON")?;
        if event["kind"] == "held" {
            seen.push(at);
            asked.push(nanoseconds());
            approve(guard, id(&event["hold"])?)?;
        }
    }
    let output = agent.ends_with(0)?;
    let (mut called, mut done) = (Vec::new(), Vec::new());
    for line in output.lines() {
        let (start, end) = line.split_once(' ').context("the agent printed no times")?;
        called.push(start.parse::<u64>().context("not a time")?);
        done.push(end.parse::<u64>().context("not a time")?);
    }
    ensure!(called.len() == seen.len(), "{} calls, {} holds", called.len(), seen.len());
    let since = |later: &[u64], earlier: &[u64]| {
        later.iter().zip(earlier).map(|(later, earlier)| later.saturating_sub(*earlier)).collect()
    };
    Ok((since(&seen, &called), since(&done, &asked)))
}

/// The same as a person at a shell does it, one command after the other.
fn typed(guard: &Guard) -> Result<(Vec<u64>, Vec<u64>)> {
    let (mut visible, mut complete) = (Vec::new(), Vec::new());
    for number in 0..TIMES {
        let place = format!("{PLACE}/typed-{number}");
        let mut agent = guard.agent(&format!("exec guard-tests bench unlinks {place} 1"))?;
        let hold = until("guardctl pending to show it", || listed(guard, &place))?;
        let seen = nanoseconds();
        let asked = nanoseconds();
        guard.decide("approve", &hold)?;
        let file = format!("{place}/0");
        until_within(Duration::from_secs(10), "the call to complete", || Ok((!fs::exists(&file)?).then_some(())))?;
        let output = agent.ends_with(0)?;
        let (called, done) = output.trim().split_once(' ').context("the agent printed no times")?;
        visible.push(seen.saturating_sub(called.parse().context("not a time")?));
        complete.push(done.parse::<u64>().context("not a time")?.saturating_sub(asked));
    }
    Ok((visible, complete))
}

/// What `guardctl pending` shows of a place.
fn listed(guard: &Guard, place: &str) -> Result<Option<Value>> {
    let answer = guard.guardctl(&["pending", "-o", "json"])?;
    ensure!(answer.code == 0, "guardctl pending ended with {}: {}", answer.code, answer.stderr.trim());
    let holds: Vec<Value> = serde_json::from_str(&answer.stdout).context("guardctl pending printed no list")?;
    Ok(holds.into_iter().find(|hold| hold["operation"].to_string().contains(place)))
}

/// `guard-tests bench unlinks DIRECTORY COUNT`: removes files one after the other and prints, for each, when the call was
/// made and when it returned.
pub(super) fn unlinks(directory: &str, count: u32) -> Result<ExitCode> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    let files: Vec<String> = (0..count).map(|number| format!("{directory}/{number}")).collect();
    for file in &files {
        fs::write(file, "").with_context(|| format!("cannot write {file}"))?;
    }
    for file in &files {
        let called = nanoseconds();
        fs::remove_file(file).with_context(|| format!("cannot remove {file}"))?;
        println!("{called} {}", nanoseconds());
    }
    Ok(ExitCode::SUCCESS)
}

/// `guardctl pending --watch`, ended when dropped.
pub(super) struct Watcher(pub(super) Child);

impl Watcher {
    /// What it prints, each line with the moment it came. A thread reads, so that nothing waits in the pipe.
    pub(super) fn lines(&mut self) -> Result<Receiver<(u64, String)>> {
        let output = self.0.stdout.take().context("the watcher has no output")?;
        let (send, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if send.send((nanoseconds(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(lines)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to end.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(super) fn approve(guard: &Guard, id: &str) -> Result<()> {
    let path = format!("/v1/holds/{id}/decision");
    let (status, answer) = ask(&guard.socket(), "POST", &path, r#"{"verdict":"approve","scope":"once"}"#)?;
    ensure!(status == 200, "guardd answered {answer}");
    Ok(())
}

pub(super) fn figures(name: &str, mut values: Vec<u64>, limit: Option<f64>, method: &'static str) -> Vec<Measure> {
    values.sort_unstable();
    let figure = |(percentile, limit): (usize, Option<f64>)| {
        let at = (values.len() * percentile / 100).min(values.len().saturating_sub(1));
        let value = values.get(at).map_or(f64::NAN, |value| Duration::from_nanos(*value).as_secs_f64() * 1000.0);
        Measure {
            name: format!("{name}, p{percentile}"),
            value: (value * 100.0).round() / 100.0,
            unit: "ms",
            limit,
            kernel: kernel(),
            method,
        }
    };
    [(50, None), (99, limit)].map(figure).into()
}
