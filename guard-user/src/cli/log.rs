//! `guardctl log`: the end of the audit log, once or as it grows.

pub(crate) mod verify;
pub(super) mod wanted;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    client::Client,
    error::{Error, Exit},
    events::Events,
    render::{Screen, log::record},
};
use crate::audit::query::Query;

/// Show the audit log, or prove that it is whole
///
/// The last records, oldest first. The whole of it is the file that `guardctl status` names, with the closed segments beside
/// it: one JSON object per line.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Examples:
  guardctl log -n 20
  guardctl log --agent claude --since '2h ago'
  guardctl log --kind decision --decision approve --since yesterday
  guardctl log --path /srv/customers --rule 'delete-*'
  guardctl log --follow
  guardctl log --follow -o json | jq 'select(.kind == \"decision\")'
  guardctl log verify"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// How many records
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 100)]
    count: u64,

    /// Go on with what is added
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    wanted: wanted::Wanted,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Verify(verify::Arguments),
}

/// Not every record is an event, so the log is also looked at without one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Asked for first when following; more when that does not reach back to what was shown.
const TAIL: usize = 100;

/// Beyond this a gap is said instead of filled.
const LONGEST_TAIL: usize = 10_000;

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    if let Some(Verb::Verify(arguments)) = &arguments.verb {
        return verify::run(arguments, client, screen).await;
    }
    let query = arguments.wanted.query(arguments.count)?;
    if !arguments.follow {
        let records = client.log(&query).await?;
        screen.answer(&records, |look| records.iter().map(|value| record(look, value) + "\n").collect())?;
        return Ok(Exit::Success);
    }
    let mut events = client.events().await?;
    // Something to go on from, even when nothing is to be shown.
    let mut records = client.log(&Query { n: query.n.max(1), ..query.clone() }).await?;
    let mut last = records.last().and_then(number);
    if last.is_none() {
        // None is wanted so far: from here on.
        last = client.log(&Query::last(1)).await?.last().and_then(number);
    }
    let surplus = records.len().saturating_sub(usize::try_from(arguments.count).unwrap_or(usize::MAX));
    show(screen, records.drain(surplus..))?;
    loop {
        wait(&mut events).await?;
        let new = since(client, &query, last).await?;
        last = new.last().and_then(number).or(last);
        show(screen, new.into_iter())?;
    }
}

/// Until something happened, or a little while.
async fn wait(events: &mut Events) -> Result<(), Error> {
    events.next_until(Instant::now() + LOOK_AGAIN).await.map(drop)
}

/// The records after number `last`, however many they are.
async fn since(client: &Client, query: &Query, last: Option<u64>) -> Result<Vec<Value>, Error> {
    let mut tail = TAIL;
    loop {
        let records = client.log(&Query { n: tail, after: last, ..query.clone() }).await?;
        if records.len() < tail || tail >= LONGEST_TAIL {
            return Ok(records);
        }
        tail *= 10;
    }
}

fn show(screen: &Screen, records: impl Iterator<Item = Value>) -> Result<(), Error> {
    for value in records {
        screen.item(&value, |look| record(look, &value))?;
    }
    Ok(())
}

fn number(record: &Value) -> Option<u64> {
    record.get("seq").and_then(Value::as_u64)
}
