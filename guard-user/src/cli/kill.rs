//! `guardctl kill`: the kill switch.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions, decide,
    error::{Error, Exit},
    render::Screen,
    select,
    state::{self, Whom},
};
use crate::api::{Command, Decide, Scope, Verdict};

/// End whole agents at once, or the process of one hold
///
/// With an AGENT: every process of it is killed, forks and all. With the ID of a hold: the process that is held is
/// killed and the rest of the agent goes on.
///
/// There is no question and no way back. Without guardd, the kernel does the same:
/// `echo 1 > /sys/fs/cgroup/guard-agents/a1/cgroup.kill`.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl kill a1
  guardctl kill h12
  guardctl kill --all")]
pub(crate) struct Arguments {
    /// Agents (id, name or cgroup) or ids of holds
    #[arg(required_unless_present = "all", value_name = "AGENT|ID", add = ArgValueCandidates::new(completions::agents_and_holds))]
    what: Vec<String>,

    /// Every agent
    #[arg(long, conflicts_with = "what")]
    all: bool,

    /// Why, when it is a hold; goes into the audit log
    #[arg(short = 'm', long = "message", value_name = "REASON", default_value = "", hide_default_value = true)]
    reason: String,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    if arguments.all {
        return state::set(client, screen, Whom::All, Command::Kill).await;
    }
    let (holds, agents): (Vec<String>, Vec<String>) =
        arguments.what.iter().cloned().partition(|typed| select::is_hold_id(typed));
    let mut worst = Exit::Success;
    // Agents first: they are what cannot wait.
    if !agents.is_empty() {
        worst = worst.max(state::set(client, screen, Whom::These(&agents), Command::Kill).await?);
    }
    if !holds.is_empty() {
        let decide = Decide { verdict: Verdict::Kill, scope: Scope::Once, note: arguments.reason.clone() };
        worst = worst.max(decide::all(client, screen, &holds, &decide).await?);
    }
    Ok(worst)
}
