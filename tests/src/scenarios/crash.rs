//! guardd dying: nothing is let through, and nothing held is forgotten.

use anyhow::{Result, ensure};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    guard::{Guard, id},
    patience::never,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_hold_outlives_guardd_and_is_decided_by_the_next_one", outlives),
        gate("what_happens_while_no_guardd_runs_is_held", unattended),
        gate("the_tables_of_an_earlier_guardd_are_removed_and_its_agents_stay_guarded", tables),
        gate("a_second_guardd_refuses_and_names_the_first", second),
    ]
}

fn outlives(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let before = guard.held("unlink", "/srv/guarded/file")?;
    never("nobody decided, and it went through", || Ok(gone("file")))?;
    guard.crash()?;
    never("a crash of guardd let it through", || Ok(gone("file")))?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(id(&hold)? == id(&before)?, "whoever knows it by its id finds another there: {hold}");
    ensure!(guard.pending()?.len() == 1, "the hold is there more than once");
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    Ok(())
}

fn unattended(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent =
        guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?")?;
    agent.says("ready")?;
    guard.crash()?;
    std::fs::write(agent.workspace().join("go"), "")?;
    never("it went through while no guardd was running", || Ok(gone("file")))?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    Ok(())
}

/// What guardd says when it removes tables.
const PURGED: &str = "entries of the last run are removed";

fn tables(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent =
        guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?")?;
    agent.says("ready")?;
    for _ in 0..2 {
        let before = guard.log().matches(PURGED).count();
        guard.crash()?;
        guard.start_again()?;
        let log = guard.log();
        ensure!(log.matches(PURGED).count() > before, "guardd says {log}");
    }
    std::fs::write(agent.workspace().join("go"), "")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(hold["rule"] == "guarded-tree", "its rules are not known: {hold}");
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    Ok(())
}

fn second(guard: &mut Guard) -> Result<()> {
    let answer = guard.second()?;
    ensure!(answer.code != 0, "a second guardd ran");
    let said = answer.stdout + &answer.stderr;
    ensure!(said.contains(&guard.pid().to_string()), "it should name pid {}: {said}", guard.pid());
    Ok(())
}
