//! What guard itself takes: memory, and how fast the kill switch is.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Measure, kernel};
use crate::{guard::Guard, patience::until_within};

/// Processes of the fork bomb.
const BOMB: usize = 1000;

pub(super) fn measure(guard: &Guard) -> Result<Vec<Measure>> {
    let status = fs::read_to_string(format!("/proc/{}/status", guard.pid())).context("cannot read guardd's status")?;
    let resident: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("guardd's status has no VmRSS")?;
    Ok(vec![
        Measure {
            name: "guardd, resident memory".to_owned(),
            value: (resident / 1024.0 * 10.0).round() / 10.0,
            unit: "MiB",
            limit: Some(32.0),
            kernel: kernel(),
            method: "VmRSS after the latency measures",
        },
        kill_switch(guard)?,
    ])
}

fn kill_switch(guard: &Guard) -> Result<Measure> {
    let mut agent = guard.agent(&format!("exec guard-tests act bomb {BOMB}"))?;
    let group = || -> Result<usize> {
        let agents = fs::read_dir("/sys/fs/cgroup/guard-agents").context("no agents' cgroup")?;
        let groups = agents.filter_map(Result::ok).map(|entry| entry.path().join("cgroup.procs"));
        Ok(groups.map(|procs| fs::read_to_string(procs).map_or(0, |text| text.lines().count())).sum())
    };
    until_within(Duration::from_secs(120), "the bomb to grow", || Ok((group()? >= BOMB * 9 / 10).then_some(())))?;
    let started = Instant::now();
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    until_within(Duration::from_secs(60), "nobody to be left", || Ok((group()? == 0).then_some(())))?;
    let spent = started.elapsed();
    agent.end()?;
    Ok(Measure {
        name: "kill switch on a fork bomb of about 1,000 processes".to_owned(),
        value: spent.as_secs_f64(),
        unit: "s",
        limit: Some(1.0),
        kernel: kernel(),
        method: "guardctl kill --all until the cgroup is empty, two emulated processors",
    })
}
