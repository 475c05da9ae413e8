//! `guardctl export`: hands what the log says on to other systems. Each of them is a file.

mod collector;
mod follow;
mod otlp;
mod queue;
mod settings;
mod state;

use clap::{Args, Subcommand};

use super::{
    client::Client,
    error::{Error, Exit},
};

/// Send what the log says to other systems, as it grows
///
/// Runs until it is ended, as a member of group `guard`; it needs no root. guardd itself opens no network socket.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl export otlp --endpoint http://localhost:4318")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Otlp(otlp::Arguments),
}

pub(super) async fn run(arguments: &Arguments, client: &Client) -> Result<Exit, Error> {
    match &arguments.verb {
        Verb::Otlp(arguments) => otlp::run(arguments, client).await,
    }
}
