//! `guardctl deny`.

use clap::Args;

use super::{
    client::Client,
    decide,
    error::{Error, Exit},
    render::Screen,
};
use crate::api::Verdict;

/// Refuse held operations
///
/// The program gets "Operation not permitted" and goes on with whatever it does then. Without --once this also refuses
/// what the same process tries under the same rule and below the same directory until it ends. In the trip tier the
/// process is killed instead: what it was stopped for has happened.
///
/// Several ids are all tried; the worst exit code is the result.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl deny h12 -m 'not in production'
  guardctl deny --once h12 h13

Exit codes: 0 denied; 5 no such hold; 6 decided before.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: decide::Which,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    decide::these(client, screen, &arguments.which, Verdict::Deny).await
}
