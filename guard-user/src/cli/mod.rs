//! guardctl: the arguments, and which verb they call. One verb per file; `client` alone talks to guardd and `render`
//! alone prints.
#![forbid(unsafe_code)]

mod agent_socket;
mod agents;
mod approve;
mod audit_permissions;
mod check;
mod client;
mod completions;
mod decide;
mod deny;
mod doctor;
mod error;
mod events;
mod export;
mod footprint;
mod hook;
mod incident;
mod integrate;
mod kill;
mod learn;
pub(crate) mod log;
mod man;
mod metrics;
mod pending;
mod reload;
pub(crate) mod render;
mod resume;
pub(crate) mod rules;
mod run;
mod seen;
mod select;
mod show;
mod state;
mod status;
mod suspend;
mod tag;
mod timeline;
mod untag;
mod wait;
mod why;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};

use client::Client;
use error::{Error, Exit};
use render::{Format, Screen};

/// Decide on what AI agents are held for, and stop them
///
/// guard holds an agent's irreversible operations before they take effect until a person decides. guardctl shows what
/// is held, takes the decision, and starts, suspends and kills agents. It talks to guardd over a Unix socket; deciding
/// belongs to root and group `guard`.
#[derive(Debug, Parser)]
#[command(name = "guardctl", version, max_term_width = 100, after_long_help = AFTER)]
struct Cli {
    /// How the answer is written: for a person, the same with every column and nothing shortened, or for a program
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "table|wide|json|yaml",
        default_value = "table",
        hide_possible_values = true,
        help_heading = "Options of every verb",
        display_order = 100
    )]
    output: Format,

    /// Socket of guardd
    #[arg(
        long, global = true, env = "GUARD_SOCKET", value_name = "PATH", default_value = client::DEFAULT_SOCKET,
        hide_env_values = true, help_heading = "Options of every verb", display_order = 101
    )]
    socket: PathBuf,

    #[command(subcommand)]
    verb: Verb,
}

const AFTER: &str = "\
Examples:
  guardctl run -- claude          start an agent under guard
  guardctl pending                what waits for a decision
  guardctl show h12               everything about one of them
  guardctl approve h12            let it go on
  guardctl deny h12 -m 'not in production'
  guardctl kill --all             end every agent, at once

Exit codes:
    0  done                            5  no such hold or agent
    1  failed                          6  decided before
    2  wrong usage, bad rules file     7  denied (`wait`)
    3  guardd is not running           8  would be held (`check`)
    4  not permitted                 124  timed out
  `run` ends with the command's own code; 125 guard failed and the command was not started,
  126 it cannot be executed, 127 it was not found.

Environment:
  GUARD_SOCKET        the socket, when --socket is not given
  GUARD_AGENT_SOCKET  the agents' socket, when --agent-socket is not given
  NO_COLOR            no colours; there are none either when the output is not a terminal";

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Arguments),
    #[command(flatten)]
    Other(OtherVerb),
}

/// The verbs that do not become another program.
#[derive(Debug, Subcommand)]
enum OtherVerb {
    Pending(pending::Arguments),
    Show(show::Arguments),
    Approve(approve::Arguments),
    Deny(deny::Arguments),
    Wait(wait::Arguments),
    Agents(agents::Arguments),
    Suspend(suspend::Arguments),
    Resume(resume::Arguments),
    Kill(kill::Arguments),
    Tag(tag::Arguments),
    Untag(untag::Arguments),
    Log(log::Arguments),
    Incident(incident::Arguments),
    Timeline(timeline::Arguments),
    Footprint(footprint::Arguments),
    Learn(learn::Arguments),
    AuditPermissions(audit_permissions::Arguments),
    Status(status::Arguments),
    Doctor(doctor::Arguments),
    Metrics(metrics::Arguments),
    Export(export::Arguments),
    Reload(reload::Arguments),
    Rules(rules::Arguments),
    Check(check::Arguments),
    Integrate(integrate::Arguments),
    Hook(hook::Arguments),
    Why(why::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// The whole of guardctl, but for the exit.
#[must_use]
pub fn main() -> ExitCode {
    clap_complete::CompleteEnv::with_factory(command).complete();
    if std::env::args_os().len() <= 1 {
        render::note(&command().render_help().to_string());
        return Exit::Usage.into();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // The 2 of wrong usage would stop an agent's tool call.
        Err(error) if error.use_stderr() && std::env::args_os().nth(1).is_some_and(|verb| verb == "hook") => {
            render::note(&error.to_string());
            return Exit::Failure.into();
        }
        Err(error) => error.exit(),
    };
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            render::error(&error);
            error.exit().into()
        }
    }
}

/// The arguments of guardctl, as data for completions, man pages and tests.
fn command() -> clap::Command {
    Cli::command()
}

fn start(cli: Cli) -> Result<Exit, Error> {
    let client = Client::new(cli.socket);
    let screen = Screen::new(cli.output);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")?;
    match cli.verb {
        Verb::Run(arguments) => {
            let tagged = runtime.block_on(run::tag(&arguments, &client));
            // The command takes our place in this process: nothing of ours may be left in it.
            drop(runtime);
            tagged.map_err(|error| Error::GuardFailed(Box::new(error)))?;
            Err(run::execute(&arguments))
        }
        Verb::Other(verb) => runtime.block_on(dispatch(verb, &client, &screen)),
    }
}

async fn dispatch(verb: OtherVerb, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    match verb {
        OtherVerb::Pending(arguments) => pending::run(&arguments, client, screen).await,
        OtherVerb::Show(arguments) => show::run(&arguments, client, screen).await,
        OtherVerb::Approve(arguments) => approve::run(&arguments, client, screen).await,
        OtherVerb::Deny(arguments) => deny::run(&arguments, client, screen).await,
        OtherVerb::Wait(arguments) => wait::run(&arguments, client, screen).await,
        OtherVerb::Agents(arguments) => agents::run(&arguments, client, screen).await,
        OtherVerb::Suspend(arguments) => suspend::run(&arguments, client, screen).await,
        OtherVerb::Resume(arguments) => resume::run(&arguments, client, screen).await,
        OtherVerb::Kill(arguments) => kill::run(&arguments, client, screen).await,
        OtherVerb::Tag(arguments) => tag::run(&arguments, client, screen).await,
        OtherVerb::Untag(arguments) => untag::run(&arguments, client, screen).await,
        OtherVerb::Log(arguments) => log::run(&arguments, client, screen).await,
        OtherVerb::Incident(arguments) => incident::run(&arguments, client, screen).await,
        OtherVerb::Timeline(arguments) => timeline::run(&arguments, client, screen).await,
        OtherVerb::Footprint(arguments) => footprint::run(&arguments, client, screen).await,
        OtherVerb::Learn(arguments) => learn::run(&arguments, client, screen).await,
        OtherVerb::AuditPermissions(arguments) => audit_permissions::run(&arguments, client, screen).await,
        OtherVerb::Status(arguments) => status::run(&arguments, client, screen).await,
        OtherVerb::Metrics(arguments) => metrics::run(&arguments, client, screen).await,
        OtherVerb::Export(arguments) => export::run(&arguments, client).await,
        OtherVerb::Doctor(arguments) => doctor::run(&arguments, client, screen).await,
        OtherVerb::Reload(arguments) => reload::run(&arguments, client, screen).await,
        OtherVerb::Rules(arguments) => rules::run(&arguments, screen),
        OtherVerb::Check(arguments) => check::run(&arguments, screen),
        OtherVerb::Integrate(arguments) => integrate::run(&arguments, screen),
        OtherVerb::Hook(arguments) => hook::run(&arguments, screen).await,
        OtherVerb::Why(arguments) => why::run(&arguments, screen).await,
        OtherVerb::Completions(arguments) => completions::run(&arguments, screen),
        OtherVerb::Man(arguments) => man::run(&arguments, screen),
    }
}

#[cfg(test)]
mod tests;
