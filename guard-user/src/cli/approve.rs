//! `guardctl approve`.

use clap::Args;

use super::{
    client::Client,
    decide,
    error::{Error, Exit},
    render::Screen,
};
use crate::api::Verdict;

/// Let held operations go on
///
/// The call completes as if it had merely been slow. Without --once this also covers what the same process does under
/// the same rule and below the same directory until it ends, so that `rm -rf` asks once and not for each file; `show`
/// says in words what is covered. Waits up to 2 s for the outcome and prints it.
///
/// Several ids are all tried; the worst exit code is the result.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl approve h12 -m 'agreed in the review'
  guardctl approve --once h12 h13

Exit codes: 0 approved; 1 approved, but the process ended or the permission expired first;
5 no such hold; 6 decided before.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: decide::Which,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    decide::these(client, screen, &arguments.which, Verdict::Approve).await
}
