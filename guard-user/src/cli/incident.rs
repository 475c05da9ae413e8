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

/// Show what happened around one hold, from the audit log
///
/// Which process it was and where it came from, what it tried, what that would have destroyed, which rule held it, who
/// decided what and why, and what came of it, with the numbers of the records that say so. Unlike `show` it needs nothing
/// but the log: the hold may be months old. Arguments behind `says:` are what a process claims of itself.
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
    // An id is given again after guardd lost its state: the last tagging before the hold counts.
    let tagged = Query {
        agent: Some(incident.agent.clone()),
        kind: Some("tag".to_owned()),
        until: incident.since(),
        ..Query::last(1)
    };
    incident.tagged_by(&client.log(&tagged).await?);
    screen.answer(&incident, |look| match arguments.markdown {
        true => incident::markdown(&incident),
        false => incident::page(look, &incident),
    })?;
    Ok(Exit::Success)
}
