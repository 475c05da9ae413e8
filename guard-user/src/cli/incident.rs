//! `guardctl incident`: everything the audit log has about one hold, on a page.

use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    render::{Screen, incident},
};
use crate::{audit::query::Query, incident::Incident};

/// More records than this are of no hold.
const MOST: usize = 1_000;
/// Nor does an agent tell of more calls while one of its calls is under way.
const CALLS: usize = 10_000;

/// Show what happened around one hold, from the audit log
///
/// What the person asked the agent, what the agent reasoned, which tool call it made, which process that became, what it
/// tried, what that would have destroyed, which rule held it, who decided what and why, and what came of it, with the numbers
/// of the records that say so. What the agent says of itself stands apart and is not checked; how sure it is that the process
/// came from the call is said. Unlike `show` it needs nothing but the log: the hold may be months old. Arguments behind
/// `says:` are what a process claims of itself.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl incident h12
  guardctl incident h12 --markdown >h12.md
  guardctl incident h12 -o json

  guardctl log verify    whether the log it is from is whole")]
pub(crate) struct Arguments {
    /// Id of the hold
    #[arg(add = ArgValueCandidates::new(completions::holds))]
    id: String,

    /// As Markdown, for a report
    #[arg(long)]
    markdown: bool,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let about = Query { hold: Some(arguments.id.clone()), ..Query::last(MOST) };
    let records = client.log(&about).await?;
    let Some(mut incident) = Incident::of(&arguments.id, &records) else {
        return Err(Error::NotFound(format!("There is nothing about a hold {} in the audit log.", arguments.id)));
    };
    let since = incident.since();
    // An id is given again after guardd lost its state: the last tagging before the hold counts.
    let tagged =
        Query { agent: Some(incident.agent.clone()), kind: Some("tag".to_owned()), until: since, ..Query::last(1) };
    incident.tagged_by(&client.log(&tagged).await?);
    if let Some(cause) = &incident.cause {
        let told = Query {
            after: Some(cause.record.saturating_sub(1)),
            agent: Some(incident.agent.clone()),
            kind: Some("tool_call".to_owned()),
            until: since,
            ..Query::last(CALLS)
        };
        incident.told_in(&client.log(&told).await?);
    }
    screen.answer(&incident, |look| match arguments.markdown {
        true => incident::markdown(&incident),
        false => incident::page(look, &incident),
    })?;
    Ok(Exit::Success)
}
