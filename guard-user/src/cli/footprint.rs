//! `guardctl footprint`: what an agent touched, against what it may touch.

use clap::Args;
use clap_complete::ArgValueCandidates;
use serde::Serialize;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    render::{Screen, footprint},
    seen::{Period, Seen},
};
use crate::{rules::gap::Gap, text::shown};

/// Show what an agent touched, and what it may touch besides
///
/// Directories read and written, programs run, hosts and sockets reached, and secrets it wanted, from the audit log, with how
/// often at least; beside each what the rules say to it now. Below that the gap: what its policy allows and it never used.
/// Without a limit in `policies.yaml` everything is allowed that no rule stops, which is the largest gap there is;
/// `guardctl learn` writes one. What an agent was refused is no part of it. Of each it shows what
/// was used most; `-o wide` and `-o json` have all. What it uses of capabilities is not seen.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl footprint builder
  guardctl footprint a3 --since yesterday
  guardctl footprint builder -o json | jq '.gap.connects.used'
  guardctl learn builder    a policy that allows this and holds the rest")]
pub(crate) struct Arguments {
    /// Id or name of the agent; of a name all that had it
    #[arg(add = ArgValueCandidates::new(completions::agents))]
    agent: String,

    #[command(flatten)]
    period: Period,
}

/// As `-o json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(flatten)]
    pub(crate) seen: Seen,
    pub(crate) gap: Gap,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let rules = arguments.period.rules()?;
    let seen = one(&arguments.agent, &arguments.period, client).await?;
    let gap = seen.gap(&rules, &seen.footprint())?;
    let report = Report { seen, gap };
    screen.answer(&report, |look| footprint::page(look, &report))?;
    Ok(Exit::Success)
}

/// What the one agent of this id or name touched.
pub(super) async fn one(agent: &str, period: &Period, client: &Client) -> Result<Seen, Error> {
    let mut seen = period.seen(Some(agent), client).await?;
    match seen.len() {
        1 => Ok(seen.remove(0)),
        0 => Err(Error::NotFound(format!(
            "The audit log has nothing of what an agent {} touched in this time; `guardctl agents` lists those there are.",
            shown(agent)
        ))),
        _ => {
            let names: Vec<String> = seen.iter().map(|seen| shown(&seen.name)).collect();
            Err(Error::Usage(format!("{} is several agents: say which of {}", shown(agent), names.join(", "))))
        }
    }
}
