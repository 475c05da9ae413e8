//! guardd under strain: how soon it knows a thousand holds again after a crash, and what people wait for while agents do as
//! much as they can.

use std::{
    collections::BTreeSet,
    fs,
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Measure, kernel,
    latency::{Watcher, approve, figures},
    nanoseconds,
};
use crate::{
    guard::{Guard, Tier, id},
    patience::until_within,
};

/// Processes that wait when guardd is killed.
pub(super) const HOLDS: usize = 1_000;
/// Files that are removed one after the other during the flood, each of them held.
pub(super) const TIMES: u32 = 100;
/// Agents that do nothing but make and remove files: some of what guardd clears, the others of what no rule names.
const CLEARED: u32 = 2;
const PLAIN: u32 = 2;
const PLACE: &str = "/srv/strain";

/// Rules that hold what `held` says, and only observe what is removed below `place`/cleared.
pub(super) fn rules(held: &str, place: &str) -> String {
    format!(
        "rules:
  - name: strain
    text: Measured.
    action: hold
    reversibility: irreversible
    match: {held}
  - name: watched
    text: Measured, and never held.
    action: hold
    reversibility: irreversible
    mode: observe
    match: {{op: delete, path: {place}/cleared/**}}
"
    )
}

pub(super) fn measure() -> Result<Vec<Measure>> {
    let held = format!("{PLACE}/held");
    let rules = rules(&format!("{{op: delete, path: {held}/**}}"), PLACE);
    let mut guard = Guard::start(Tier::Gate, Some(&rules))?;
    fs::create_dir_all(&held).with_context(|| format!("cannot make {held}"))?;
    for number in 0..HOLDS {
        fs::write(format!("{held}/n{number}"), "").context("cannot make a file")?;
    }
    let mut measures = vec![recovery(&mut guard, &format!("exec guard-tests act unlink-each {held} n {HOLDS}"))?];
    let there = fs::read_dir(&held).with_context(|| format!("cannot read {held}"))?.count();
    ensure!(there == HOLDS, "{} files went with guardd", HOLDS - there);
    guard.clear()?;
    let flooded = format!("{held}/flooded");
    measures.extend(flood(&guard, PLACE, &format!("exec guard-tests bench unlinks {flooded} {TIMES}"))?);
    let left = fs::read_dir(&flooded).with_context(|| format!("cannot read {flooded}"))?.count();
    ensure!(left == 0, "{left} files are left");
    Ok(measures)
}

/// From starting guardd after `kill -9` until every operation of an agent, [`HOLDS`] of them that differ, is listed again. Ids
/// are kept over an orderly end; after this one they may be new.
pub(super) fn recovery(guard: &mut Guard, agent: &str) -> Result<Measure> {
    let _agent = guard.agent(agent)?;
    let listed = |guard: &Guard| -> Result<BTreeSet<String>> {
        guard.pending()?.iter().map(|hold| Ok(hold["operation"].to_string())).collect()
    };
    let patience = Duration::from_secs(300);
    until_within(patience, "every process to be held", || Ok((listed(guard)?.len() == HOLDS).then_some(())))?;
    let before = listed(guard)?;
    guard.crash()?;
    let started = Instant::now();
    guard.start_again()?;
    until_within(patience, "every hold to be found", || Ok((listed(guard)?.len() == HOLDS).then_some(())))?;
    let spent = started.elapsed();
    ensure!(listed(guard)? == before, "other operations wait than before");
    Ok(Measure {
        name: "guardd killed with 1,000 holds: from its start until all are listed".to_owned(),
        value: (spent.as_secs_f64() * 100.0).round() / 100.0,
        unit: "s",
        limit: Some(5.0),
        kernel: kernel(),
        method: "what waits is asked for until it is 1,000, operations compared, two emulated processors",
    })
}

/// [`TIMES`] holds of `agent` are seen and decided while others do below `place` what they can. Not one may be lost.
pub(super) fn flood(guard: &Guard, place: &str, agent: &str) -> Result<Vec<Measure>> {
    let mut agents = Vec::new();
    for (kind, count) in [("cleared", CLEARED), ("plain", PLAIN)] {
        for number in 0..count {
            let place = format!("{place}/{kind}/{number}");
            agents.push((kind, guard.agent(&format!("exec guard-tests bench churn {place}"))?));
        }
    }
    let cleared_before = guard.count("would_hold")?;
    let started = Instant::now();
    let mut watcher = guard.command();
    let watcher = watcher.args(["pending", "--watch", "-o", "json"]).stdout(Stdio::piped()).spawn();
    let mut watcher = Watcher(watcher.context("cannot start guardctl")?);
    let lines = watcher.lines()?;
    let mut agent = guard.agent(agent)?;
    let mut seen = Vec::new();
    while seen.len() < TIMES as usize {
        let (at, line) = lines.recv_timeout(Duration::from_secs(120)).context("a hold was lost")?;
        let event: Value = serde_json::from_str(&line).context("the watcher printed no JSON")?;
        if event["kind"] == "held" {
            seen.push(at);
            approve(guard, id(&event["hold"])?)?;
        }
    }
    let output = agent.ends_with(0)?;
    let spent = started.elapsed().as_secs_f64();
    let cleared = guard.count("would_hold")? - cleared_before;
    let called: Vec<u64> = output
        .lines()
        .map(|line| line.split_once(' ').context("no times")?.0.parse().context("not a time"))
        .collect::<Result<_>>()?;
    ensure!(called.len() == seen.len(), "{} calls, {} holds", called.len(), seen.len());
    let late: Vec<u64> = seen.iter().zip(&called).map(|(seen, called)| seen.saturating_sub(*called)).collect();
    let mut plain = 0;
    for (kind, agent) in &agents {
        let last = agent.output()?;
        let made: u64 = last.lines().last().unwrap_or("0").trim().parse().context("no number")?;
        if *kind == "plain" {
            plain += made;
        }
    }
    let rate = |name: &str, count: u64| Measure {
        name: name.to_owned(),
        value: (count as f64 / spent).round(),
        unit: "a second",
        limit: None,
        kernel: kernel(),
        method: FLOOD,
    };
    let mut measures = vec![
        rate("flood: operations no rule names, two agents", plain),
        rate("flood: operations guardd is asked about and logs, two agents", cleared),
    ];
    measures.extend(figures("flood: match to visible in guardctl pending --watch", late, Some(10.0), FLOOD));
    Ok(measures)
}

const FLOOD: &str = "as much as two emulated processors do, 100 holds meanwhile, all of them seen and decided";

/// `guard-tests bench churn DIRECTORY`: makes and removes a file again and again, and prints now and then how many operations
/// that were.
pub(super) fn churn(directory: &str) -> Result<ExitCode> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    let file = format!("{directory}/file");
    let (mut done, mut told) = (0_u64, nanoseconds());
    loop {
        fs::write(&file, "").with_context(|| format!("cannot write {file}"))?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {file}"))?;
        done += 2;
        if nanoseconds() - told > 200_000_000 {
            println!("{done}");
            told = nanoseconds();
        }
    }
}
