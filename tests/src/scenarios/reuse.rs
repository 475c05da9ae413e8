//! Numbers that are used again between a hold and its decision, and agents that leave nothing of the machine to others.

use std::{fs, os::unix::fs::MetadataExt as _, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Scenario,
    fault::decided_while_busy,
    file::{GUARDED, fresh, gone},
    gate,
};
use crate::{
    agent::state,
    guard::{Guard, id},
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_answer_for_a_process_that_ended_goes_to_nobody_who_has_its_number", process),
        gate("a_file_with_the_inode_number_of_the_held_one_is_held_anew", inode),
        gate("an_agent_that_keeps_every_processor_busy_is_held_decided_about_and_suspended", processors),
    ]
}

fn held_pid(hold: &Value) -> Result<u32> {
    Ok(u32::try_from(hold["processes"][0]["pid"].as_u64().context("a hold names its process")?)?)
}

/// The next process has this number.
fn next_is(pid: u32) -> Result<()> {
    fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).context("cannot choose the next number")
}

/// While it lives, the kernel frees tasks as late as it can: long after their numbers.
struct LateFrees(Vec<(&'static str, String)>);

impl LateFrees {
    fn new() -> Result<Self> {
        const WAITS: [&str; 2] = [
            "/sys/module/rcutree/parameters/jiffies_till_first_fqs",
            "/sys/module/rcutree/parameters/jiffies_till_next_fqs",
        ];
        let mut before = Vec::new();
        for file in WAITS {
            before.push((file, fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?));
        }
        let late = Self(before);
        for (file, _) in &late.0 {
            fs::write(file, "250").with_context(|| format!("cannot write {file}"))?;
        }
        Ok(late)
    }
}

impl Drop for LateFrees {
    fn drop(&mut self) {
        for (file, before) in &self.0 {
            if let Err(error) = fs::write(file, before) {
                eprintln!("{file} stays changed: {error}");
            }
        }
    }
}

fn process(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut first = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let shown = guard.held("unlink", "/srv/guarded/file")?;
    let pid = held_pid(&shown)?;
    let mut second =
        guard.agent("echo ready; until [ -e go ]; do :; done; rm /srv/guarded/other & wait $!; echo code $?")?;
    second.says("ready")?;
    let late = LateFrees::new()?;
    Command::new("kill").args(["-KILL", &pid.to_string()]).status().context("cannot start kill")?;
    first.end()?;
    until("the number to be free", || Ok(state(pid.into()).is_none().then_some(())))?;
    next_is(pid)?;
    fs::write(second.workspace().join("go"), "").context("cannot tell the agent")?;
    // Asking guardd makes processes as well.
    until("somebody to have the number", || Ok(state(pid.into()).is_some().then_some(())))?;
    let other = guard.held("unlink", "/srv/guarded/other")?;
    ensure!(
        held_pid(&other)? == pid,
        "the number {pid} is not used again, but {}: this proves nothing",
        held_pid(&other)?
    );
    let answer = guard.guardctl(&["approve", id(&shown)?])?;
    ensure!(
        answer.code == 5 || answer.code == 6,
        "approve ended with {}: {}{}",
        answer.code,
        answer.stdout,
        answer.stderr
    );
    never("an approval for another process let it through", || Ok(gone("other") || gone("file")))?;
    ensure!(guard.pending()?.len() == 1, "{:?} wait", guard.pending()?);
    drop(late);
    guard.decide("deny", &other)?;
    let output = second.ends_with(0)?;
    ensure!(output.contains("code 1") && !gone("other"), "denied, and it printed {output:?}");
    Ok(())
}

fn inode(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let file = format!("{GUARDED}/file");
    let mut agent = guard.agent(&format!("rm {file}; echo code $?"))?;
    let first = guard.held("unlink", &file)?;
    let number = fs::metadata(&file)?.ino();
    fs::remove_file(&file).context("cannot remove the file")?;
    // Whoever else makes a file meanwhile may get the number.
    let mut others = Vec::new();
    until("the number to be used again", || {
        let name = format!("{GUARDED}/new-{}", others.len());
        fs::write(&name, "another\n").context("cannot make a file")?;
        if fs::metadata(&name)?.ino() == number {
            fs::rename(&name, &file).context("cannot rename it")?;
            return Ok(Some(()));
        }
        ensure!(others.len() < 1_000, "{number} is not used again: this proves nothing");
        others.push(name);
        Ok(None)
    })?;
    // The answer is taken, and good for nothing that is there. Without `--once` it would cover what the process does next.
    let answer = guard.guardctl(&["approve", "--once", id(&first)?])?;
    ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    let second = guard.held("unlink", &file)?;
    ensure!(id(&second)? != id(&first)?, "it is still the first hold");
    never("the approval of another file removed it", || Ok(gone("file")))?;
    guard.decide("deny", &second)?;
    agent.ends_with(0)?;
    ensure!(fs::read_to_string(&file)? == "another\n", "denied, and changed");
    Ok(())
}

fn processors(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut busy = guard.agent("echo ready; for i in 1 2 3 4 5 6 7 8; do while :; do :; done & done; wait")?;
    busy.says("ready")?;
    decided_while_busy(guard)?;
    let used = || -> Result<u64> {
        let stat = fs::read_to_string("/proc/stat").context("cannot read what the processors did")?;
        let fields: Vec<u64> =
            stat.lines().next().context("a first line")?.split(' ').filter_map(|field| field.parse().ok()).collect();
        fields.first().copied().context("time of users")
    };
    let answer = guard.guardctl(&["suspend", &busy.name()])?;
    ensure!(answer.code == 0, "suspend ended with {}: {}", answer.code, answer.stderr);
    let before = used()?;
    never("it goes on", || Ok(used()? > before + 30))?;
    let answer = guard.guardctl(&["kill", &busy.name()])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    busy.end()?;
    Ok(())
}
