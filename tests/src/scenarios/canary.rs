//! Hooks that are switched off: guardd's canary notices, and whoever is tagged stops.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    guard::Guard,
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_canary_that_is_killed_is_replaced_and_said", killed),
        gate("hooks_that_are_switched_off_are_noticed_and_agents_suspended", noticed),
    ]
}

const SWITCH: &str = "/proc/sys/kernel/ftrace_enabled";

fn switch(on: bool) -> Result<()> {
    fs::write(SWITCH, if on { "1" } else { "0" }).with_context(|| format!("cannot write {SWITCH}"))
}

/// Waits for the canary to be in this state; answers the status.
fn canary(guard: &Guard, state: &str) -> Result<Value> {
    until(&format!("the canary to be {state}"), || {
        let status = guard.status()?;
        Ok((status["canary"]["state"] == state).then_some(status))
    })
}

fn killed(guard: &mut Guard) -> Result<()> {
    let status = canary(guard, "refused")?;
    ensure!(status["protecting"] == true, "the status says {status}");
    let pids = fs::read_to_string("/sys/fs/cgroup/guard-agents/canary/cgroup.procs").context("no canary")?;
    let before = guard.count("canary")?;
    fs::write("/sys/fs/cgroup/guard-agents/canary/cgroup.kill", "1").context("cannot kill it")?;
    let status = canary(guard, "silent")?;
    ensure!(status["protecting"] == false, "the status says {status}");
    let status = canary(guard, "refused")?;
    ensure!(status["protecting"] == true, "the status says {status}");
    until("the next one to be refused", || Ok((guard.count("canary")? > before).then_some(())))?;
    let now = fs::read_to_string("/sys/fs/cgroup/guard-agents/canary/cgroup.procs").context("no canary")?;
    ensure!(now != pids, "it is the same: {now}");
    Ok(())
}

fn noticed(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent =
        guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?")?;
    agent.says("ready")?;
    canary(guard, "refused")?;
    switch(false)?;
    let result = while_off(guard, &agent);
    switch(true)?;
    result?;
    // New programs are attached to the kernel as it is now.
    guard.crash()?;
    guard.start_again()?;
    let status = canary(guard, "refused")?;
    ensure!(status["protecting"] == true, "the status says {status}");
    let answer = guard.guardctl(&["resume", &agent.name()])?;
    ensure!(answer.code == 0, "resume says {}", answer.stderr);
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    ensure!(guard.audited().contains(r#""kind":"canary""#), "the log does not tell of it");
    Ok(())
}

fn while_off(guard: &Guard, agent: &crate::agent::Agent) -> Result<()> {
    let status = canary(guard, "passed")?;
    ensure!(status["protecting"] == false, "the status says {status}");
    until("the agent to be suspended", || {
        let agents = guard.guardctl(&["agents", "-o", "json"])?.stdout;
        Ok(agents.contains(r#""suspended""#).then_some(()))
    })?;
    fs::write(agent.workspace().join("go"), "").context("cannot write")?;
    never("an agent ran on while nothing stopped it", || Ok(gone("file")))?;
    let answer = guard.guardctl(&["resume", &agent.name()])?;
    ensure!(answer.code != 0, "it was resumed while nothing stops it");
    ensure!(answer.stderr.contains("ftrace_enabled"), "resume says {}", answer.stderr);
    Ok(())
}
