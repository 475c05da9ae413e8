//! The host as its administrator has it: commands, units, files, and agents that run as services. Nothing is asserted
//! here but that a command works.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{
    agent::state,
    guard::{Answer, id},
    patience::until,
};

pub(super) const LOG: &str = "/var/log/guard/audit.jsonl";
pub(super) const PINS: &str = "/sys/fs/bpf/guard";

/// Something that waits for a decision: its id, and the process that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) id: String,
    pub(super) pid: u64,
    /// The file it is about.
    pub(super) path: String,
}

/// Runs to the end, whatever that is.
pub(super) fn tried(words: &[&str]) -> Result<Answer> {
    let (program, arguments) = words.split_first().context("a command has a name")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env("DEBIAN_FRONTEND", "noninteractive").env("PAGER", "cat");
    Ok(Answer::from(command.output().with_context(|| format!("cannot start {program}"))?))
}

/// Runs to an end that must be good; what it printed.
pub(super) fn done(words: &[&str]) -> Result<String> {
    let answer = tried(words)?;
    let said = format!("{} {}", answer.stdout.trim(), answer.stderr.trim());
    ensure!(answer.code == 0, "{} ended with {}: {said}", words.join(" "), answer.code);
    Ok(answer.stdout)
}

pub(super) fn json(words: &[&str]) -> Result<Value> {
    serde_json::from_str(&done(words)?).with_context(|| format!("{} printed no JSON", words.join(" ")))
}

/// `systemctl is-active`, `is-enabled` and their like, whose answer is a word.
pub(super) fn asked(verb: &str, unit: &str) -> Result<String> {
    Ok(tried(&["systemctl", verb, unit])?.stdout.trim().to_owned())
}

pub(super) fn property(unit: &str, name: &str) -> Result<String> {
    Ok(done(&["systemctl", "show", "--value", "--property", name, unit])?.trim().to_owned())
}

pub(super) fn guardd() -> Result<u64> {
    property("guardd.service", "MainPID")?.parse().context("systemd knows no process of guardd")
}

/// Another guardd than this one answers.
pub(super) fn succeeded(old: u64) -> Result<()> {
    until("another guardd to answer", || {
        let new = guardd()?;
        Ok((new != 0 && new != old && tried(&["guardctl", "status"])?.code == 0).then_some(()))
    })
}

/// Makes a directory with these many files below `/srv/dev`, for an agent to delete.
pub(super) fn data(place: &str, files: usize) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
    (0..files)
        .try_for_each(|number| fs::write(format!("{place}/{number}"), "precious").context("cannot make a file"))?;
    done(&["chown", "--recursive", "dev", "/srv/dev"]).map(drop)
}

pub(super) fn files(place: &str) -> usize {
    fs::read_dir(place).map_or(0, |entries| entries.flatten().count())
}

/// Starts a shell script in the slice of the agents, as the user `dev`.
pub(super) fn agent(name: &str, more: &[&str], script: &str) -> Result<()> {
    let mut child = Command::new("systemd-run")
        .args(["--scope", "--slice=guard-agents.slice", "--uid=dev", "--quiet", "--collect", "--unit", name])
        .args(["--property=Requires=guard-agents.service", "--property=After=guard-agents.service"])
        .args(more)
        .args(["/bin/bash", "-c", script])
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start systemd-run")?;
    // It becomes the script; what the script came to is for the files to say.
    thread::spawn(move || drop(child.wait()));
    Ok(())
}

pub(super) fn pending() -> Result<Vec<Value>> {
    let pending = json(&["guardctl", "pending", "-o", "json"])?;
    Ok(pending.as_array().context("a list")?.clone())
}

/// Waits for the hold of something below this place, and for its process to be stopped.
pub(super) fn held(place: &str) -> Result<Held> {
    let hold = until(&format!("something below {place} to be held"), || {
        let about = |hold: &Value| hold["operation"]["path"].as_str().is_some_and(|path| path.starts_with(place));
        Ok(pending()?.into_iter().find(|hold| about(hold) && hold["processes"][0]["pid"].is_u64()))
    })?;
    let pid = hold["processes"][0]["pid"].as_u64().context("a hold names its process")?;
    until("its process to be stopped", || Ok((state(pid) == Some('T')).then_some(())))?;
    let path = hold["operation"]["path"].as_str().context("a hold has a path")?.to_owned();
    Ok(Held { id: id(&hold)?.to_owned(), pid, path })
}

/// What waits is exactly this, and nothing of it has happened.
pub(super) fn still(held: &Held) -> Result<()> {
    let pending = until("the hold to be there", || {
        let pending = pending()?;
        Ok((!pending.is_empty() && pending[0]["processes"][0]["pid"].is_u64()).then_some(pending))
    })?;
    ensure!(pending.len() == 1, "{} operations wait: {pending:?}", pending.len());
    let hold = &pending[0];
    let pid = hold["processes"][0]["pid"].as_u64();
    let same = hold["operation"]["path"] == held.path.as_str() && pid == Some(held.pid);
    ensure!(same, "it was {held:?} and is {hold}");
    ensure!(state(held.pid) == Some('T'), "process {} is not stopped", held.pid);
    ensure!(Path::new(&held.path).exists(), "{} is gone", held.path);
    Ok(())
}

/// The same under the id a person knows.
pub(super) fn still_named(held: &Held) -> Result<()> {
    still(held)?;
    let id = id(&pending()?[0])?.to_owned();
    ensure!(id == held.id, "{} became {id}", held.id);
    Ok(())
}

/// For whoever looks for the cause of a failure.
pub(super) fn aftermath() -> String {
    let said = |words: &[&str]| tried(words).map(|answer| answer.stdout + &answer.stderr).unwrap_or_default();
    [
        said(&["systemctl", "--no-pager", "--full", "status", "guardd.service", "guard-agents.service"]),
        said(&["journalctl", "--no-pager", "--output=cat", "--lines=40"]),
        said(&["guardctl", "pending"]),
    ]
    .join("\n")
}
