//! guardd is killed while it changes something: while rules are read, while it takes over from another version; and the disk is
//! full while rules are read. Nothing held happens, and the rules are the old ones or the new ones.

use std::{fs, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
    limit::{fill, whole},
    upgrade::pretend,
};
use crate::{
    agent::Agent,
    guard::{Guard, id},
    patience::{never, until, until_within},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("guardd_killed_while_it_reads_rules_lets_nothing_through", reloading),
        gate("guardd_killed_while_it_takes_over_lets_nothing_through", taking_over),
    ]
}

/// Milliseconds into what is cut short.
const MOMENTS: [u64; 4] = [0, 15, 40, 90];

/// Removes one file, and another when it is told to.
const TWO: &str =
    "rm /srv/guarded/file; echo code $?; until [ -e go ]; do sleep 0.1; done; rm /srv/guarded/other; echo code $?";

/// What waits is approved and happens; what the agent does next is denied and does not.
fn approved_and_denied(guard: &Guard, agent: &mut Agent, hold: &Value) -> Result<()> {
    guard.decide("approve", hold)?;
    until("the approved one to be gone", || Ok(gone("file").then_some(())))?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    let hold = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("other"), "denied, and gone");
    Ok(())
}

fn reloading(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(TWO)?;
    let mut hold = guard.held("unlink", "/srv/guarded/file")?;
    for moment in MOMENTS {
        let mut reload = guard.command();
        let mut reload = reload
            .arg("reload")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start guardctl")?;
        thread::sleep(Duration::from_millis(moment));
        guard.crash()?;
        reload.wait().context("cannot wait for guardctl")?;
        never("it went through", || Ok(gone("file")))?;
        guard.start_again()?;
        hold = guard.held("unlink", "/srv/guarded/file")?;
        ensure!(guard.pending()?.len() == 1, "{:?} wait", guard.pending()?);
    }
    approved_and_denied(guard, &mut agent, &hold)?;
    whole(guard)
}

fn taking_over(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(TWO)?;
    guard.held("unlink", "/srv/guarded/file")?;
    guard.crash()?;
    pretend(-1)?;
    // It takes some seconds here to load its programs; each time it comes further.
    let (mut ended, mut wait) = (0, Duration::from_millis(200));
    loop {
        guard.spawn_again()?;
        if until_within(wait, "guardd to answer", || Ok(guard.status().ok())).is_ok() {
            break;
        }
        guard.crash()?;
        ended += 1;
        never("it went through", || Ok(gone("file")))?;
        wait = wait * 5 / 2;
    }
    ensure!(ended > 1, "guardd was killed {ended} times on the way: this proves nothing");
    guard.wait_until_ready()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(guard.pending()?.len() == 1, "the hold is there more than once");
    never("it went through", || Ok(gone("file")))?;
    approved_and_denied(guard, &mut agent, &hold)
}

/// The log is alone on a small disk.
pub(super) fn full(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(TWO)?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let balloon = guard.audit().with_file_name("balloon");
    fill(&balloon)?;
    // Whether the rules are taken is guardd's to say; several lines do not find room.
    for _ in 0..20 {
        guard.guardctl(&["reload"])?;
    }
    let answer = guard.guardctl(&["approve", "-m", &"agreed ".repeat(1000), id(&hold)?])?;
    ensure!(answer.code == 1, "approve ended with {}: {}{}", answer.code, answer.stdout, answer.stderr);
    never("it went through", || Ok(gone("file")))?;
    ensure!(guard.pending()?.len() == 1, "{:?} wait", guard.pending()?);
    fs::remove_file(&balloon).context("cannot make room")?;
    until("the log to be written again", || Ok((guard.status()?["audit_ok"] == true).then_some(())))?;
    let answer = guard.guardctl(&["reload"])?;
    ensure!(answer.code == 0, "reload ended with {}: {}", answer.code, answer.stderr);
    approved_and_denied(guard, &mut agent, &hold)?;
    whole(guard)
}
