//! `guardctl metrics`: what a monitoring system reads.

use clap::Args;

use super::{
    client::Client,
    error::{Error, Exit},
    render::Screen,
};

/// Print guardd's state and counters as OpenMetrics text
///
/// guardd opens no network socket. Let the node exporter's textfile collector read this, or have a scraper ask
/// /v1/metrics on guardd's Unix socket.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl metrics | grep guard_canary
  guardctl metrics > /var/lib/prometheus/node-exporter/guard.prom")]
pub(crate) struct Arguments {}

pub(super) async fn run(_: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    screen.raw(&client.metrics().await?)?;
    Ok(Exit::Success)
}
