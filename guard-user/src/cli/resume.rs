//! `guardctl resume`: thaws an agent, or lets one held operation go on.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions, decide,
    error::{Error, Exit},
    render::Screen,
    select,
    state::{self, Whom},
};
use crate::api::{Command, Decide, Scope, Verdict};

/// Let a suspended agent, or one held operation, go on
///
/// With an AGENT: thaws it after `guardctl suspend`. What is held of it stays held.
///
/// With the ID of a hold: the same as `guardctl approve --once ID`, so that one operation takes effect and nothing else.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl resume a1
  guardctl resume h12")]
pub(crate) struct Arguments {
    /// Agent (id, name or cgroup) or id of a hold
    #[arg(value_name = "AGENT|ID", add = ArgValueCandidates::new(completions::agents_and_holds))]
    what: String,

    /// Why, when it is a hold; goes into the audit log
    #[arg(short = 'm', long = "message", value_name = "REASON", default_value = "", hide_default_value = true)]
    note: String,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let what = std::slice::from_ref(&arguments.what);
    if select::is_hold_id(&arguments.what) {
        let decide = Decide { verdict: Verdict::Approve, scope: Scope::Once, note: arguments.note.clone() };
        return decide::all(client, screen, what, &decide).await;
    }
    state::set(client, screen, Whom::These(what), Command::Resume).await
}
