//! Ordinary work under the rules that come with guard: nothing stops, nothing is refused, and it comes out the same as
//! without guard.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Scenario, short};
use crate::{
    guard::Guard,
    setting::Setting,
    work::{self, Work},
};

/// Counters of whatever is refused or goes wrong.
const REFUSALS: [&str; 12] = [
    "denied",
    "denied_context",
    "holds_full",
    "signal_failed",
    "scratch_busy",
    "tag_failed",
    "grant_void",
    "shielded",
    "exec_mismatch",
    "undecodable",
    "missed",
    "unknown_agent",
];

/// They take four minutes together and stop at rules, not at kernels: one kernel does them.
const KERNEL: &str = "6.12.";

pub(super) fn scenarios() -> Vec<Scenario> {
    if !rustix::system::uname().release().to_string_lossy().starts_with(KERNEL) {
        return Vec::new();
    }
    let scenario = |work: Work| {
        let name = format!("work_with_{}_is_never_stopped_and_comes_out_the_same", work.name);
        short(Setting::Shipped, name, move |guard| the_same(guard, work))
    };
    work::ALL.into_iter().map(scenario).collect()
}

fn the_same(guard: &Guard, work: Work) -> Result<()> {
    let mut stopped = Vec::new();
    let alone = work.run(None, &mut stopped)?;
    ensure!(alone.code == Some(0), "without guard it ended with {alone:?}");
    let refused = |guard: &Guard| REFUSALS.iter().map(|name| guard.count(name)).collect::<Result<Vec<u64>>>();
    let before = refused(guard)?;
    let watched = work.run(Some(guard), &mut stopped)?;
    ensure!(stopped.is_empty(), "{} stops: {}", stopped.len(), told(&stopped));
    let refusals: Vec<_> =
        REFUSALS.iter().zip(before).zip(refused(guard)?).filter(|((_, was), is)| was != is).collect();
    ensure!(refusals.is_empty(), "counted: {refusals:?}");
    ensure!(watched == alone, "as an agent {watched:?}, else {alone:?}");
    Ok(())
}

/// Rule and operation of each, once.
fn told(stopped: &[Value]) -> String {
    let mut lines: Vec<String> = stopped
        .iter()
        .map(|record| {
            let operation = &record["operation"];
            format!(
                "{} {} {} {} {}",
                record["rule"], operation["op"], operation["path"], operation["argv"], operation["address"]
            )
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines.join("; ")
}
