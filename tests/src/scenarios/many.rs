//! Many at once: nothing is lost, and the kill switch leaves nobody.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh},
    gate,
};
use crate::{
    guard::Guard,
    patience::{never, until, until_within},
};

/// Enough that a list of them is long; the machine has 2 GiB.
const HOLDS: usize = 1000;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_thousand_holds_at_once_are_all_kept_and_all_end", thousand),
        gate("many_small_deletes_are_one_large_one_and_one_prompt_covers_them", amount),
        gate("more_short_agents_in_a_row_than_fit_at_once_all_work_and_few_stay_listed", short_agents),
        gate("an_agent_ends_only_when_nobody_of_it_lives_anywhere", elsewhere),
        gate("the_kill_switch_ends_a_fork_bomb", fork_bomb),
    ]
}

fn thousand(guard: &mut Guard) -> Result<()> {
    fresh()?;
    for number in 0..HOLDS {
        fs::write(format!("{GUARDED}/n{number}"), "").context("cannot make a file")?;
    }
    let mut agent = guard.agent(&format!("guard-tests act unlink-each {GUARDED} n {HOLDS}"))?;
    until_within(Duration::from_secs(240), "a thousand holds", || Ok((guard.pending()?.len() == HOLDS).then_some(())))
        .with_context(|| format!("{} are pending", guard.pending().map_or(0, |pending| pending.len())))?;
    let there = (0..HOLDS).filter(|number| fs::exists(format!("{GUARDED}/n{number}")).unwrap_or(false)).count();
    ensure!(there == HOLDS, "{} files are gone without a decision", HOLDS - there);
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    agent.end()?;
    until("no hold to be left", || Ok(guard.pending()?.is_empty().then_some(())))?;
    let there = (0..HOLDS).filter(|number| fs::exists(format!("{GUARDED}/n{number}")).unwrap_or(false)).count();
    ensure!(there == HOLDS, "{} files are gone although all were killed", HOLDS - there);
    Ok(())
}

/// What the rule lets pass, and what there is.
const ENOUGH: usize = 200;
const MUCH: usize = 400;

fn amount(guard: &mut Guard) -> Result<()> {
    const PLACE: &str = "/srv/much";
    fs::create_dir_all(PLACE).context("cannot make a directory")?;
    for number in 0..MUCH {
        fs::write(format!("{PLACE}/n{number}"), "some").context("cannot make a file")?;
    }
    let left = || fs::read_dir(PLACE).map_or(0, Iterator::count);
    let (asked, cleared) = (guard.count("held")?, guard.count("cleared")?);
    // What it made itself does not count, however much it is.
    let own = format!("mkdir {PLACE}/own && touch {PLACE}/own/{{1..300}} && rm -r {PLACE}/own");
    let mut agent = guard.agent(&format!("{own} && rm {PLACE}/n*; echo code $?"))?;
    let hold = guard.held("unlink", PLACE)?;
    never("deleted before anybody decided", || Ok(left() != MUCH - ENOUGH))?;
    ensure!(hold["rule"] == "guarded-amount", "it was held by {}", hold["rule"]);
    let (asked, cleared) = (guard.count("held")? - asked, guard.count("cleared")? - cleared);
    ensure!(asked == cleared + 1, "guardd was asked {asked} times and cleared {cleared}");
    // The kernel let half of them pass without guardd, which is asked about some of the programs as well.
    let others = cleared as usize - ENOUGH / 2;
    ensure!(others < 10, "guardd cleared {cleared}");
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n" && left() == 0, "it printed {output:?}, and {} are left", left());
    Ok(())
}

/// More than the kernel's tables hold at once.
const AGENTS: usize = 280;

fn short_agents(guard: &mut Guard) -> Result<()> {
    for number in 0..AGENTS {
        let answer = guard.guardctl(&["run", "--no-workspace", "--", "true"])?;
        ensure!(answer.code == 0, "run {number} ended with {}: {}", answer.code, answer.stderr);
    }
    until("ended agents to be gone", || {
        let answer = guard.guardctl(&["agents", "-o", "json"])?;
        let agents: serde_json::Value = serde_json::from_str(&answer.stdout).context("no list of agents")?;
        Ok((agents.as_array().context("no list of agents")?.len() < 10).then_some(()))
    })?;
    // The canary's is there for as long as guardd runs.
    let left = fs::read_dir("/sys/fs/cgroup/guard-agents").context("cannot list the agents' cgroups")?;
    let left = left.flatten().filter(|entry| entry.path().is_dir() && entry.file_name() != "canary").count();
    ensure!(left < 10, "{left} cgroups of agents are left");
    ensure!(fs::read_to_string(guard.audit())?.contains("\"agent_ended\""), "the log does not say that they ended");
    Ok(())
}

/// An agent whose cgroup is empty, while its process lives in another.
fn elsewhere(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let script = "echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?";
    let mut agent = guard.agent(&format!("exec bash -c '{script}'"))?;
    agent.says("ready")?;
    let procs = "/sys/fs/cgroup/cgroup.procs";
    until("the agent's cgroup to be empty", || {
        let inside = fs::read_to_string(format!("{}/cgroup.procs", cgroup(guard, &agent.name())?))?;
        for pid in inside.lines() {
            // One that ended meanwhile is out, too.
            drop(fs::write(procs, pid));
        }
        Ok(inside.is_empty().then_some(()))
    })?;
    // An agent that ends later is gone: so the first was looked at, too.
    ensure!(guard.guardctl(&["run", "--no-workspace", "--name", "later", "--", "true"])?.code == 0, "run failed");
    until("the later agent to be gone", || Ok(cgroup(guard, "later").is_err().then_some(())))?;
    cgroup(guard, &agent.name()).context("it was forgotten while a process of it lives")?;
    fs::write(agent.workspace().join("go"), "")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    until("the agent to be gone", || Ok(cgroup(guard, &agent.name()).is_err().then_some(())))
}

/// Directory of a listed agent's cgroup.
fn cgroup(guard: &Guard, name: &str) -> Result<String> {
    let answer = guard.guardctl(&["agents", "-o", "json"])?;
    let agents: serde_json::Value = serde_json::from_str(&answer.stdout).context("no list of agents")?;
    let agents = agents.as_array().context("no list of agents")?;
    let agent = agents.iter().find(|agent| agent["name"] == name).with_context(|| format!("no agent {name}"))?;
    Ok(format!("/sys/fs/cgroup{}", agent["cgroup"].as_str().context("an agent has a cgroup")?))
}

/// That it ends, however fast it grows. How soon is a figure of the bench: here it depends on who else uses the machine.
fn fork_bomb(guard: &mut Guard) -> Result<()> {
    let started = Instant::now();
    let mut agent = guard.agent("guard-tests act bomb 1000")?;
    until_within(Duration::from_secs(240), "the bomb to grow", || Ok((processes("bomb")? >= 1000).then_some(())))?;
    let grew = started.elapsed();
    let started = Instant::now();
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    until("nobody to be left", || Ok((processes("bomb")? == 0).then_some(())))?;
    let took = started.elapsed();
    agent.end()?;
    println!("a fork bomb of 1000 processes grew for {} ms and was gone after {}", grew.as_millis(), took.as_millis());
    Ok(())
}

/// Processes that have this word among their arguments, and are not only waiting to be reaped.
fn processes(word: &str) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        // Processes end while they are listed.
        let Ok(bytes) = fs::read(entry?.path().join("cmdline")) else { continue };
        count += usize::from(bytes.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()));
    }
    Ok(count)
}
