//! `guardctl reload`: makes guardd read its rules again.

use clap::Args;

use super::{
    client::Client,
    error::{Error, Exit},
    render::Screen,
};

/// Make guardd read its rules again
///
/// Bad rules change nothing: the old ones stay, and the error names line and column.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardd --check && guardctl reload

Exit codes: 0 the new rules are in force; 2 they are bad, the old ones are.")]
pub(crate) struct Arguments {}

pub(super) async fn run(_: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    client.reload().await?;
    screen.answer(&serde_json::json!({ "reloaded": true }), |_| "the new rules are in force".to_owned())?;
    Ok(Exit::Success)
}
