//! `guardctl audit-permissions`: what every agent may touch against what it does.

use clap::Args;
use serde::Serialize;

use super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen, footprint},
    seen::{Period, Seen},
};
use crate::rules::gap::{Gap, Part};

/// Show for every agent what it may touch and does not, worst first
///
/// Agents are compared by what the audit log has of them in this time. One that its policy limits in fewer of four ways
/// (reading, writing, running programs, connecting) is worse; of those that are limited in as many, the one that never used
/// more of what its policy names. `guardctl footprint` shows one of them, and `guardctl learn` writes a policy for it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl audit-permissions
  guardctl audit-permissions --since '30 days ago' -o json | jq -r '.[] | select(.unlimited == 4) | .name'")]
pub(crate) struct Arguments {
    #[command(flatten)]
    period: Period,
}

/// One agent.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) agents: Vec<String>,
    pub(crate) policy: String,
    /// In how many of four ways its policy limits nothing.
    pub(crate) unlimited: usize,
    /// Things its policy names, and those of them that were never used.
    pub(crate) allowed: usize,
    pub(crate) unused: usize,
    /// Of each way: how many things were used, how many are allowed (`null`: no limit), how many of those were not used.
    pub(crate) reads: Share,
    pub(crate) writes: Share,
    pub(crate) runs: Share,
    pub(crate) connects: Share,
    pub(crate) credentials: usize,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) used: usize,
    pub(crate) allowed: Option<usize>,
    pub(crate) unused: usize,
}

impl Row {
    pub(crate) fn of(seen: Seen, gap: &Gap) -> Self {
        let share = |part: &Part| Share {
            used: part.used.len(),
            allowed: part.allowed.as_ref().map(Vec::len),
            unused: part.unused(),
        };
        let (allowed, unused) = gap.allowed();
        Self {
            unlimited: gap.unlimited(),
            allowed,
            unused,
            reads: share(&gap.reads),
            writes: share(&gap.writes),
            runs: share(&gap.runs),
            connects: share(&gap.connects),
            credentials: seen.credentials.len(),
            name: seen.name,
            agents: seen.agents,
            policy: seen.policy,
        }
    }
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let rules = arguments.period.rules()?;
    let mut rows = Vec::new();
    for seen in arguments.period.seen(None, client).await? {
        let gap = seen.gap(&rules, &seen.footprint())?;
        rows.push(Row::of(seen, &gap));
    }
    worst_first(&mut rows);
    if rows.is_empty() && screen.is_text() {
        render::note("the audit log has nothing of what agents touched in this time");
        return Ok(Exit::Success);
    }
    screen.answer(&rows, |look| footprint::table_of(look, &rows))?;
    Ok(Exit::Success)
}

/// By ways that are not limited, then by the share of what is allowed and was never used.
pub(crate) fn worst_first(rows: &mut [Row]) {
    rows.sort_by(|one, other| {
        // a/b > c/d, without a division by nothing.
        let share = (other.unused * one.allowed.max(1)).cmp(&(one.unused * other.allowed.max(1)));
        other.unlimited.cmp(&one.unlimited).then(share).then_with(|| one.name.cmp(&other.name))
    });
}
