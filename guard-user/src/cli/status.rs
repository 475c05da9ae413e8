//! `guardctl status`: what guardd protects right now.

use clap::Args;

use super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen},
};

/// Say what guard protects right now, and what it does not
///
/// The first line is the answer: PROTECTING, TRIP ONLY or NOT PROTECTING.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl status
  guardctl status -o json | jq .protecting")]
pub(crate) struct Arguments {}

pub(super) async fn run(_: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let status = client.status().await?;
    screen.answer(&status, |look| render::status::status(look, &status))?;
    Ok(Exit::Success)
}
