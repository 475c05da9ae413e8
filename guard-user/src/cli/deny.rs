//! `guardctl deny`.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions, decide,
    error::{Error, Exit},
    render::Screen,
};
use crate::api::{Decide, Scope, Verdict};

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
    /// Ids of the holds
    #[arg(required = true, value_name = "ID", add = ArgValueCandidates::new(completions::holds))]
    ids: Vec<String>,

    /// Why; goes into the audit log
    #[arg(short = 'm', long = "message", value_name = "REASON", default_value = "", hide_default_value = true)]
    reason: String,

    /// Only this one operation, not what the process tries next
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let decide = Decide {
        verdict: Verdict::Deny,
        scope: if arguments.once { Scope::Once } else { Scope::Process },
        note: arguments.reason.clone(),
    };
    decide::all(client, screen, &arguments.ids, &decide).await
}
