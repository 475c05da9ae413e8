//! `guardctl log`: the end of the audit log, once or as it grows.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    client::Client,
    error::{Error, Exit},
    events::Events,
    render::{Screen, log::record},
};

/// Show the audit log
///
/// The last records, oldest first. The whole of it is the file that `guardctl status` names: one JSON object per line.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl log -n 20
  guardctl log --follow
  guardctl log --follow -o json | jq 'select(.kind == \"decision\")'")]
pub(crate) struct Arguments {
    /// How many records
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 100)]
    count: u64,

    /// Go on with what is added
    #[arg(short, long)]
    follow: bool,
}

/// Not every record is an event, so the log is also looked at without one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Asked for first when following; more when that does not reach back to what was shown.
const TAIL: u64 = 100;

/// Beyond this a gap is said instead of filled.
const LONGEST_TAIL: u64 = 100_000;

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    if !arguments.follow {
        let records = client.log(arguments.count).await?;
        screen.answer(&records, |look| records.iter().map(|value| record(look, value) + "\n").collect())?;
        return Ok(Exit::Success);
    }
    let mut events = client.events().await?;
    // Something to go on from, even when nothing is to be shown.
    let mut records = client.log(arguments.count.max(1)).await?;
    let mut last = records.last().and_then(number);
    let surplus = records.len().saturating_sub(usize::try_from(arguments.count).unwrap_or(usize::MAX));
    show(screen, records.drain(surplus..))?;
    loop {
        wait(&mut events).await?;
        let new = since(client, last).await?;
        last = new.last().and_then(number).or(last);
        show(screen, new.into_iter())?;
    }
}

/// Until something happened, or a little while.
async fn wait(events: &mut Events) -> Result<(), Error> {
    events.next_until(Instant::now() + LOOK_AGAIN).await.map(drop)
}

/// The records after number `last`, however many they are.
async fn since(client: &Client, last: Option<u64>) -> Result<Vec<Value>, Error> {
    let mut tail = TAIL;
    loop {
        let records = client.log(tail).await?;
        let reaches = (records.len() as u64) < tail
            || last.is_none()
            || records.first().and_then(number).is_some_and(|first| Some(first) <= last.map(|last| last + 1));
        if reaches || tail >= LONGEST_TAIL {
            return Ok(records.into_iter().filter(|value| number(value) > last).collect());
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
