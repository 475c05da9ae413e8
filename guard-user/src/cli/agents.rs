//! `guardctl agents`: who is tagged.

use clap::Args;

use super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen, list},
};

/// List the agents
///
/// An agent is a tagged process tree. It stays in the list while its cgroup is tagged, even with no process left.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl agents
  guardctl agents -o json | jq -r '.[] | select(.state == \"suspended\") | .id'")]
pub(crate) struct Arguments {}

pub(super) async fn run(_: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let agents = client.agents().await?;
    if agents.is_empty() && screen.is_text() {
        render::note("there is no agent; `guardctl run -- CMD` starts one");
        return Ok(Exit::Success);
    }
    screen.answer(&agents, |look| list::agents(look, &agents))?;
    Ok(Exit::Success)
}
