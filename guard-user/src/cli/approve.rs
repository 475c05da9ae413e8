//! `guardctl approve`.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions, decide,
    error::{Error, Exit},
    render::Screen,
};
use crate::api::{Decide, Scope, Verdict};

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
    /// Ids of the holds
    #[arg(required = true, value_name = "ID", add = ArgValueCandidates::new(completions::holds))]
    ids: Vec<String>,

    /// Why; goes into the audit log
    #[arg(short = 'm', long = "message", value_name = "NOTE", default_value = "", hide_default_value = true)]
    note: String,

    /// Only this one operation, not what the process does next
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let decide = Decide {
        verdict: Verdict::Approve,
        scope: if arguments.once { Scope::Once } else { Scope::Process },
        note: arguments.note.clone(),
    };
    decide::all(client, screen, &arguments.ids, &decide).await
}
