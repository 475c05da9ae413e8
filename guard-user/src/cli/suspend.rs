//! `guardctl suspend`.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    render::Screen,
    state::{self, Whom},
};
use crate::api::Command;

/// Freeze whole agents, forks and all
///
/// Nothing of the agent runs until `guardctl resume`. What is held stays held and can be decided meanwhile.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl suspend a1
  guardctl suspend --all")]
pub(crate) struct Arguments {
    /// Agents: id, name or cgroup
    #[arg(required_unless_present = "all", value_name = "AGENT", add = ArgValueCandidates::new(completions::agents))]
    agents: Vec<String>,

    /// Every agent
    #[arg(long, conflicts_with = "agents")]
    all: bool,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let whom = if arguments.all { Whom::All } else { Whom::These(&arguments.agents) };
    state::set(client, screen, whom, Command::Suspend).await
}
