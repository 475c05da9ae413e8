//! The package is removed: first not, then with something held, then with everything but the log.

use std::{fs, io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Story,
    host::{self, LOG, PINS, agent, asked, data, done, files, still_named, tried},
};
use crate::patience::until;

/// Answers the question of the removal beforehand, as a person would in the dialogue.
fn answer(deny: bool) -> Result<()> {
    let mut child = Command::new("debconf-set-selections")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .context("cannot start debconf-set-selections")?;
    let mut stdin = child.stdin.take().context("it listens")?;
    writeln!(stdin, "guard guard/deny-held boolean {deny}").context("it does not listen")?;
    drop(stdin);
    ensure!(child.wait().context("it does not end")?.success(), "debconf does not take the answer");
    Ok(())
}

pub(super) fn refused(story: &mut Story) -> Result<()> {
    answer(false)?;
    let removal = tried(&["apt-get", "remove", "--yes", "guard"])?;
    let said = removal.stdout + &removal.stderr;
    ensure!(removal.code != 0, "it was removed");
    ensure!(said.contains("it stays installed"), "nobody says why: {said}");
    ensure!(asked("is-active", "guardd.service")? == "active", "guardd was stopped");
    let status = done(&["dpkg-query", "--show", "--showformat=${db:Status-Status}", "guard"])?;
    ensure!(status == "installed", "the package is {status}");
    still_named(story.held()?)
}

pub(super) fn removed(_story: &mut Story) -> Result<()> {
    data("/srv/dev/more", 5)?;
    agent("last", &[], "rm -rf /srv/dev/more; echo $? > /tmp/last.code")?;
    let held = host::held("/srv/dev/more/")?;
    answer(true)?;
    let said = done(&["apt-get", "remove", "--yes", "guard"])?;
    println!("{}", said.lines().last().unwrap_or_default());
    let code = until("the denied agent to go on", || {
        Ok(fs::read_to_string("/tmp/last.code").ok().filter(|code| !code.is_empty()))
    })?;
    ensure!(code == "1\n", "its rm ended with {code}");
    ensure!(files("/srv/dev/more") == 5, "a removal let something through: {} files are left", files("/srv/dev/more"));
    ensure!(!Path::new(PINS).exists(), "the kernel programs are still at work");
    ensure!(asked("is-active", "guardd.service")? != "active", "guardd still runs");
    ensure!(!Path::new("/usr/sbin/guardd").exists(), "guardd is still there");
    ensure!(Path::new("/etc/guard/rules.d/git.yaml").exists(), "a removal took the settings");
    let log = fs::read_to_string(LOG).context("the log is gone")?;
    let denial = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .any(|line| line["kind"] == "decision" && line["hold"] == held.id.as_str() && line["verdict"] == "deny");
    ensure!(denial, "the denial of {} is not in the log", held.id);
    // Nobody watches any more, and nothing is in anybody's way.
    done(&["runuser", "-u", "dev", "--", "rm", "-r", "/srv/dev/more/0"]).map(drop)
}

pub(super) fn purged(_story: &mut Story) -> Result<()> {
    let before = fs::read(LOG).context("the log is gone")?;
    done(&["apt-get", "purge", "--yes", "guard"])?;
    ensure!(!Path::new("/etc/guard").exists(), "/etc/guard is left");
    ensure!(!Path::new("/var/lib/guard").exists(), "/var/lib/guard is left");
    ensure!(fs::read(LOG).context("the log is gone")? == before, "the log is another");
    let units = tried(&["systemctl", "list-unit-files", "guardd*", "guard-agents*", "--no-legend"])?.stdout;
    ensure!(!units.contains("guardd.service") && !units.contains("guard-agents.slice"), "units are left: {units}");
    Ok(())
}
