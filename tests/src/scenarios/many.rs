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
    patience::{until, until_within},
};

/// Enough that a list of them is long; the machine has 2 GiB.
const HOLDS: usize = 1000;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_thousand_holds_at_once_are_all_kept_and_all_end", thousand),
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

fn fork_bomb(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("guard-tests act bomb 500")?;
    until("the bomb to grow", || Ok((processes("bomb")? >= 300).then_some(())))?;
    let started = Instant::now();
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    until("nobody to be left", || Ok((processes("bomb")? == 0).then_some(())))?;
    agent.end()?;
    ensure!(started.elapsed() < Duration::from_secs(10), "it took {:?}", started.elapsed());
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
