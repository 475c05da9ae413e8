//! The hold goes through everything that may happen to guardd, and is approved; then what else an agent may get up to.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Story,
    host::{LOG, agent, asked, done, files, guardd, still, still_named, succeeded},
};
use crate::patience::{until, until_within};

/// Tasks the fork bomb may have at once.
const BOMB: usize = 500;

/// A rule of the administrator's.
const OWN: &str = "rules:
  - {name: own, text: T., action: hold, reversibility: partial, match: {op: exec, program: nobody-has-this}}
";

pub(super) fn restarted(story: &mut Story) -> Result<()> {
    let old = guardd()?;
    done(&["systemctl", "restart", "guardd.service"])?;
    ensure!(guardd()? != old, "the same guardd runs");
    still_named(story.held()?)?;
    // While none runs it is held as well.
    done(&["systemctl", "stop", "guardd.service"])?;
    ensure!(files("/srv/dev/data") == 20, "stopping the service let something through");
    done(&["systemctl", "start", "guardd.service"])?;
    still_named(story.held()?)
}

pub(super) fn killed(story: &mut Story) -> Result<()> {
    let old = guardd()?;
    done(&["kill", "-KILL", &old.to_string()])?;
    succeeded(old)?;
    still(story.held()?)
}

pub(super) fn upgraded(story: &mut Story) -> Result<()> {
    let version = || done(&["dpkg-query", "--show", "--showformat=${Version}", "guard"]);
    let (old, before) = (guardd()?, version()?);
    fs::write("/etc/guard/rules.d/own.yaml", OWN).context("cannot write rules")?;
    done(&["apt-get", "install", "--yes", &story.second])?;
    ensure!(version()? != before, "it is still {before}");
    ensure!(asked("is-active", "guardd.service")? == "active", "it is not active after the upgrade");
    ensure!(asked("is-enabled", "guardd.service")? == "enabled", "it is not enabled any more");
    ensure!(guardd()? != old, "the old guardd runs");
    let exe = fs::read_link(format!("/proc/{}/exe", guardd()?)).context("guardd has a program")?;
    ensure!(exe == Path::new("/usr/sbin/guardd"), "it runs {}", exe.display());
    ensure!(Path::new("/etc/guard/rules.d/own.yaml").exists(), "rules of the administrator's are gone");
    still_named(story.held()?)
}

pub(super) fn approved(story: &mut Story) -> Result<()> {
    let held = story.held()?;
    done(&["guardctl", "approve", &held.id, "--message", "agreed"])?;
    until("the agent to end", || Ok(fs::read_to_string("/tmp/first.code").ok().filter(|code| !code.is_empty())))
        .and_then(|code| {
            ensure!(code == "0\n", "rm ended with {code}");
            Ok(())
        })?;
    ensure!(!Path::new("/srv/dev/data").exists(), "approved, and still there");
    until("the unit to end", || Ok((asked("is-active", "first.scope")? == "inactive").then_some(())))
}

pub(super) fn logged(story: &mut Story) -> Result<()> {
    let id = story.held()?.id.clone();
    let text = fs::read_to_string(LOG).context("no log")?;
    let lines: Vec<Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a line is no JSON")?;
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    ensure!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "lines are missing: {numbers:?}");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    for kind in ["start", "stop", "reload", "tag"] {
        ensure!(of(kind) > 0, "no {kind} in the log");
    }
    let about = |kind: &str| lines.iter().any(|line| line["kind"] == kind && line["hold"] == id.as_str());
    ensure!(about("hold") && about("decision") && about("outcome"), "the life of {id} is not in the log");
    let decision = lines.iter().find(|line| line["kind"] == "decision" && line["hold"] == id.as_str());
    let decision = decision.context("there is one")?;
    ensure!(decision["verdict"] == "approve" && decision["note"] == "agreed", "it says {decision}");
    ensure!(done(&["guardctl", "log"])?.contains(&id), "guardctl log does not show {id}");
    Ok(())
}

/// Processes in the slice, however deep.
fn tasks() -> Result<usize> {
    let answer = Command::new("find").args(["/sys/fs/cgroup/guard.slice", "-name", "cgroup.procs"]).output();
    let found = String::from_utf8(answer.context("cannot start find")?.stdout).context("paths are text")?;
    Ok(found.lines().map(|file| fs::read_to_string(file).map_or(0, |text| text.lines().count())).sum())
}

pub(super) fn bombed(_story: &mut Story) -> Result<()> {
    let before = guardd()?;
    let limit = format!("--property=TasksMax={BOMB}");
    agent("bomb", &[&limit], "bomb() { bomb | bomb & }; bomb; wait")?;
    until_within(Duration::from_secs(180), "the bomb to grow", || Ok((tasks()? >= BOMB * 8 / 10).then_some(())))?;
    let started = Instant::now();
    done(&["guardctl", "kill", "guard-agents"])?;
    until("nobody to be left", || Ok((tasks()? == 0).then_some(())))?;
    println!("fork bomb: nobody is left after {} ms", started.elapsed().as_millis());
    ensure!(guardd()? == before, "guardd did not survive it");
    Ok(())
}
