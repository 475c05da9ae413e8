//! `guardctl tag`: makes what runs already an agent.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen, list},
    run, select,
};
use crate::api::Tag;

/// Make a running cgroup, process or unit an agent
///
/// What is in the cgroup already is tagged, too, and the tag sticks to every descendant wherever it goes. With --pid
/// the process is moved into a fresh agent cgroup.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl tag --unit claude.service --workspace /srv/shop
  guardctl tag --pid 4242 --name helper
  guardctl tag --cgroup /user.slice/agents.slice")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Name of the agent
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,

    /// Directory the agent may work in freely [default: none]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    workspace: Option<PathBuf>,

    /// Policy of guardd's for this agent [default: none]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The cgroup, with all below it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    cgroup: Option<String>,

    /// The process
    #[arg(long)]
    pid: Option<u32>,

    /// The systemd unit
    #[arg(long)]
    unit: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let workspace = arguments.workspace.as_deref().map(run::workspace_text).transpose()?.unwrap_or_default();
    let agent = client
        .tag(&Tag {
            name: arguments.name.clone(),
            workspace,
            cgroup: arguments.target.cgroup.as_deref().map(select::below_root),
            pid: arguments.target.pid,
            unit: arguments.target.unit.clone(),
            rules: None,
            policy: arguments.policy.clone().unwrap_or_default(),
        })
        .await?;
    if let Some(note) = agent.open_before() {
        render::note(&format!("guardctl: {note}"));
    }
    screen.answer(&agent, |look| list::agents(look, std::slice::from_ref(&agent)))?;
    Ok(Exit::Success)
}
