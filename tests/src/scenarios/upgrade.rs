//! Kernel programs of another version: an older one's are replaced without a moment in which nothing is held, a newer one's
//! keep guardd from starting.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    guard::{Guard, id},
    patience::never,
};

/// Where guard pins.
const PINS: &str = "/sys/fs/bpf/guard";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("programs_of_an_older_version_are_replaced_and_hold_anew", older),
        gate("programs_of_a_newer_version_keep_guardd_from_starting", newer),
        gate("maps_of_another_layout_keep_guardd_from_starting", mixed),
        gate("what_was_held_is_held_anew_when_the_pins_are_gone", unpinned),
        gate("a_teardown_takes_programs_of_every_version_down", torn_down),
    ]
}

/// The directory of the version at work, and its number.
fn version() -> Result<(PathBuf, u32)> {
    let mut found = fs::read_dir(PINS).context("guard has pins")?;
    let path = found.next().context("guard has pins of a version")??.path();
    ensure!(found.next().is_none(), "there are pins of more than one version");
    let number = path.to_str().and_then(|path| path.rsplit_once('v')?.1.parse().ok());
    Ok((path.clone(), number.with_context(|| format!("{} has no number", path.display()))?))
}

/// Makes the version at work another one.
pub(super) fn pretend(by: i32) -> Result<(PathBuf, PathBuf)> {
    let (present, number) = version()?;
    let other = present.with_file_name(format!("v{}", number.saturating_add_signed(by)));
    fs::rename(&present, &other).with_context(|| format!("cannot rename {}", present.display()))?;
    Ok((present, other))
}

fn older(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let script = "echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/other; echo code $?";
    let mut left = guard.agent(script)?;
    left.says("ready")?;
    let before = guard.held("unlink", "/srv/guarded/file")?;
    // Nothing but its tag says that this one is an agent's.
    fs::write("/sys/fs/cgroup/cgroup.procs", left.pid().to_string()).context("cannot move the agent")?;
    guard.crash()?;
    let (present, old) = pretend(-1)?;
    guard.start_again()?;
    ensure!(!old.exists() && present.exists(), "the old programs are there still, or the new ones are not");
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(id(&hold)? != id(&before)?, "what was decided about may be another operation: {hold}");
    ensure!(guard.pending()?.len() == 1, "the hold is there more than once");
    let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
    ensure!(log.contains("were replaced") && log.contains("held under a new id"), "the log does not tell of it");
    never("it went through while the programs were replaced", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");

    fs::write(left.workspace().join("go"), "")?;
    let hold = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &hold)?;
    left.ends_with(0)?;
    ensure!(!gone("other"), "denied, and gone");
    Ok(())
}

fn newer(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    guard.held("unlink", "/srv/guarded/file")?;
    guard.crash()?;
    let (present, other) = pretend(1)?;
    let answer = guard.second()?;
    let said = answer.stdout + &answer.stderr;
    ensure!(
        answer.code == 1 && said.contains("of a newer guard") && said.contains("guardd --teardown"),
        "an older guardd ended with {} and said {said}",
        answer.code
    );
    never("it went through meanwhile", || Ok(gone("file")))?;
    fs::rename(&other, &present).context("cannot rename the pins back")?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    Ok(())
}

fn mixed(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    guard.held("unlink", "/srv/guarded/file")?;
    guard.crash()?;
    let (present, _) = version()?;
    let swap = || -> Result<()> {
        for (from, to) in [("HOLDS", "swapped"), ("TEXTS", "HOLDS"), ("swapped", "TEXTS")] {
            fs::rename(present.join(from), present.join(to)).with_context(|| format!("cannot rename {from}"))?;
        }
        Ok(())
    };
    swap()?;
    let answer = guard.second()?;
    let said = answer.stdout + &answer.stderr;
    ensure!(
        answer.code == 1 && said.contains("layout is another"),
        "guardd with other maps ended with {} and said {said}",
        answer.code
    );
    never("it went through meanwhile", || Ok(gone("file")))?;
    swap()?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    Ok(())
}

fn unpinned(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let mut second = guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/other")?;
    second.says("ready")?;
    guard.held("unlink", "/srv/guarded/file")?;
    fs::remove_dir_all(PINS).context("cannot remove the pins")?;
    // guardd itself keeps the programs at work.
    fs::write(second.workspace().join("go"), "")?;
    let hold = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &hold)?;
    second.end()?;
    ensure!(!gone("other"), "denied, and gone");
    // Now nothing does. What is stopped stays stopped, and no guardd knows of it.
    guard.crash()?;
    never("it went through although nobody woke it", || Ok(gone("file")))?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    never("it went through when it was woken", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    Ok(())
}

fn torn_down(guard: &mut Guard) -> Result<()> {
    fresh()?;
    guard.crash()?;
    let (present, other) = pretend(1)?;
    let answer = guard.teardown()?;
    ensure!(answer.code == 0, "it ended with {}: {}", answer.code, answer.stderr);
    ensure!(!present.exists() && !other.exists(), "something is pinned still");
    guard.start_again()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    Ok(())
}
