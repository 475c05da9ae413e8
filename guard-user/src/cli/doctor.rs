//! `guardctl doctor`: what this host can do for guard, asked from guardd or, when that is not possible, looked up.

use clap::Args;

use super::{
    client::Client,
    error::{Error, Exit},
    render::{
        Screen,
        doctor::{Report, doctor},
    },
};
use crate::{api::Tier, kernel::support};

/// Name the tier, what is missing for the better one, and how to fix it
///
/// Asks guardd. When it does not run, looks at this kernel itself, without loading anything.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl doctor -o wide

Exit codes: 0 the gate tier is there, complete; 1 something is missing.")]
pub(crate) struct Arguments {}

pub(super) async fn run(_: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let report = match client.status().await {
        Ok(status) => Report {
            running: true,
            not_asked: String::new(),
            tier: Some(status.tier),
            gate: status.tier == Tier::Gate && status.protecting && status.features.iter().all(|feature| feature.ok),
            reason: status.reason,
            summary: status.summary,
            features: status.features,
        },
        Err(error) => {
            let features = support::probe();
            Report {
                running: false,
                not_asked: error.to_string(),
                tier: None,
                reason: String::new(),
                summary: String::new(),
                gate: !features.is_empty() && features.iter().all(|feature| feature.ok),
                features,
            }
        }
    };
    screen.answer(&report, |look| doctor(look, &report))?;
    Ok(if report.gate { Exit::Success } else { Exit::Failure })
}
