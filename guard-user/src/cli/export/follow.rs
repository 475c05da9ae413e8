//! Reads guardd's log as it grows, and puts the spans of what is over into the queue. The log alone is read: secrets are masked
//! there, and nowhere else.

use std::cell::RefCell;

use serde_json::Value;

use super::{
    super::{client::Client, error::Error, render::note},
    queue::Queue,
};
use crate::{audit::query::Query, otlp::Spans};

/// How many records are asked for: more when those do not reach back far enough. guardd gives no more than that.
const TAILS: [usize; 3] = [100, 1_000, 10_000];
/// Of tags and ends of agents.
const LIVES: usize = 10_000;

pub(super) struct Follower<'a> {
    client: &'a Client,
    queue: &'a RefCell<Queue>,
    spans: Spans,
    /// Number of the last record that was read.
    pub(super) last: u64,
}

impl<'a> Follower<'a> {
    /// Goes on behind a record, or from now on. What had begun by then is read again, so that its end is understood.
    pub(super) async fn start(
        client: &'a Client,
        queue: &'a RefCell<Queue>,
        after: Option<u64>,
    ) -> Result<Self, Error> {
        let newest = client.log(&Query::last(1)).await?.last().map_or(0, number);
        let last = match after {
            Some(after) if after > newest => {
                note(&format!(
                    "record {after} was delivered and the log ends with {newest}: it is another log; from now on"
                ));
                newest
            }
            after => after.unwrap_or(newest),
        };
        let lives = Query { kind: Some("tag,untag,agent_ended".to_owned()), ..Query::last(LIVES) };
        let mut records = client.log(&lives).await?;
        let recent = tail(client, None).await?;
        let first = recent.first().map_or(newest, number);
        records.retain(|record| number(record) < first);
        records.extend(recent);
        let mut follower = Self { client, queue, spans: Spans::default(), last };
        if first > last + 1 {
            note(&format!("records {} to {} are left out: they are too many", last + 1, first - 1));
        }
        follower.take(&records);
        Ok(follower)
    }

    /// What was added to the log.
    pub(super) async fn read(&mut self) -> Result<(), Error> {
        let records = tail(self.client, Some(self.last)).await?;
        if let Some(first) =
            records.first().map(number).filter(|first| records.len() >= TAILS[1] && *first > self.last + 1)
        {
            note(&format!("records {} to {} are left out: they are too many", self.last + 1, first - 1));
        }
        self.take(&records);
        Ok(())
    }

    fn take(&mut self, records: &[Value]) {
        let mut queue = self.queue.borrow_mut();
        for record in records {
            let over = self.spans.add(record);
            // The others are known already.
            if number(record) > self.last {
                self.last = number(record);
                over.iter().for_each(|span| queue.push(self.last, span.json().to_string()));
            }
        }
        queue.read_to(self.last);
    }
}

/// The records after number `after`: as many as are asked for last, or fewer where their texts are too large for one answer.
async fn tail(client: &Client, after: Option<u64>) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for n in TAILS {
        match client.log(&Query { n, after, ..Query::default() }).await {
            Ok(records) => {
                let is_all = records.len() < n;
                found = records;
                if is_all {
                    break;
                }
            }
            Err(_) if !found.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn number(record: &Value) -> u64 {
    record["seq"].as_u64().unwrap_or(0)
}
