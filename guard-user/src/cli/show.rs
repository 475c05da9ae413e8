//! `guardctl show`: everything about one hold.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    render::{self, Screen},
};

/// Show one held operation, so that you can decide
///
/// Who wants to do what, how much it would destroy, why and since when it is held, and what to type. Text that the
/// agent wrote (names, paths, arguments) is escaped; arguments behind `says:` are what the process claims of itself.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl show h12")]
pub(crate) struct Arguments {
    /// Id of the hold
    #[arg(add = ArgValueCandidates::new(completions::holds))]
    id: String,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let hold = client.hold(&arguments.id).await?;
    screen.answer(&hold, |look| render::hold::hold(look, &hold))?;
    Ok(Exit::Success)
}
