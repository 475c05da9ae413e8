//! `guardctl completions`, and what the shell is offered: ids of holds and agents come from guardd while it runs.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use clap_complete::{CompletionCandidate, env};

use super::{
    client::{Client, DEFAULT_SOCKET},
    error::{Error, Exit},
    render::{Screen, names, words},
};
use crate::text::shown;

/// Write the completion script of a shell
///
/// The script asks guardctl itself for what fits, so it also offers the ids of what is held and of the agents. Source
/// it where the shell starts, so that it never is older than guardctl.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  source <(guardctl completions bash)      in ~/.bashrc
  guardctl completions fish | source       in ~/.config/fish/config.fish")]
pub(crate) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Zsh,
}

/// What the script says to guardctl to be asked for completions; clap_complete reads it.
const VARIABLE: &str = "COMPLETE";

/// Somebody waits for the tab key.
const PATIENCE: Duration = Duration::from_millis(300);

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let shell: &dyn env::EnvCompleter = match arguments.shell {
        Shell::Bash => &env::Bash,
        Shell::Elvish => &env::Elvish,
        Shell::Fish => &env::Fish,
        Shell::Zsh => &env::Zsh,
    };
    let mut script = Vec::new();
    shell
        .write_registration(VARIABLE, "guardctl", "guardctl", "guardctl", &mut script)
        .context("cannot make the script")?;
    screen.raw(&script)?;
    Ok(Exit::Success)
}

/// Ids of what waits for a decision. No daemon, no offer: the shell shows no errors.
pub(super) fn holds() -> Vec<CompletionCandidate> {
    let holds = ask(async |client: &Client| client.pending().await);
    let candidate = |hold: crate::api::Hold| {
        let object = words::shorten(&words::object(&hold.operation), 60);
        CompletionCandidate::new(hold.id).help(Some(format!("{} {object}", shown(&hold.operation.op)).into()))
    };
    holds.unwrap_or_default().into_iter().map(candidate).collect()
}

pub(super) fn agents() -> Vec<CompletionCandidate> {
    let agents = ask(async |client: &Client| client.agents().await);
    let candidate = |agent: crate::api::Agent| {
        let help = format!("{} {}", words::quoted(&agent.name), names::agent_state(agent.state));
        CompletionCandidate::new(agent.id).help(Some(help.into()))
    };
    agents.unwrap_or_default().into_iter().map(candidate).collect()
}

pub(super) fn agents_and_holds() -> Vec<CompletionCandidate> {
    let mut all = agents();
    all.extend(holds());
    all
}

fn ask<T>(question: impl AsyncFnOnce(&Client) -> Result<T, Error>) -> Option<T> {
    let socket = std::env::var_os("GUARD_SOCKET").map_or_else(|| PathBuf::from(DEFAULT_SOCKET), PathBuf::from);
    let client = Client::new(socket).answering_within(PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(question(&client)).ok()
}
