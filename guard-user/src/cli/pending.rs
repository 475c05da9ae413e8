//! `guardctl pending`: what waits for a decision, once or as it changes.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use tokio::time::Instant;

use super::{
    client::Client,
    error::{Error, Exit},
    events::Events,
    render::{self, Screen, list},
};
use crate::api::{Event, Hold};

/// List what waits for a decision
///
/// Oldest first. `guardctl show ID` has everything about one of them.
///
/// With --watch it goes on: on a terminal the list is drawn again whenever something changes; elsewhere each event is a
/// line (with -o json: an object with `kind` held, decided, finished or result, and `hold`), beginning with what is held now.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl pending
  guardctl pending --watch
  guardctl pending --watch -o json | jq -r 'select(.kind == \"held\") | .hold.id'")]
pub(crate) struct Arguments {
    /// Go on and show what changes
    #[arg(short, long)]
    watch: bool,
}

/// Ages are drawn again this often.
const REDRAW: Duration = Duration::from_secs(5);

/// Events that come together are drawn together.
const TOGETHER: Duration = Duration::from_millis(20);

/// guardd sends something every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    if !arguments.watch {
        return once(client, screen).await;
    }
    // Subscribed before listing: what is held in between is in the stream.
    let events = client.events().await?;
    if screen.is_live() { redraw(client, screen, events).await } else { follow(client, screen, events).await }
}

async fn once(client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let holds = client.pending().await?;
    if holds.is_empty() && screen.is_text() {
        render::note("nothing is waiting");
    } else {
        screen.answer(&holds, |look| list::holds(look, &holds))?;
    }
    Ok(Exit::Success)
}

/// On a terminal: the list, drawn again. Ends only by a signal or an error.
async fn redraw(client: &Client, screen: &Screen, mut events: Events) -> Result<Exit, Error> {
    let mut heard = Instant::now();
    loop {
        let holds = client.pending().await?;
        screen.redraw(|look| {
            if holds.is_empty() {
                "nothing is waiting\n".to_owned()
            } else {
                format!("{}\nguardctl show ID · guardctl approve ID · guardctl deny ID\n", list::holds(look, &holds))
            }
        })?;
        if events.next_until(Instant::now() + REDRAW).await?.is_some() {
            heard = Instant::now();
            let together = Instant::now() + TOGETHER;
            while events.next_until(together).await?.is_some() {}
        } else if heard.elapsed() > SILENCE {
            return Err(Error::TimedOut("guardd has been silent for too long; what was shown is old".to_owned()));
        }
    }
}

/// Into a pipe: one line per event about a hold.
async fn follow(client: &Client, screen: &Screen, mut events: Events) -> Result<Exit, Error> {
    let mut shown = BTreeSet::new();
    for hold in client.pending().await? {
        shown.insert(hold.id.clone());
        show(screen, &Event::Held { hold: Box::new(hold) })?;
    }
    loop {
        let event = events.next().await?;
        match &event {
            Event::Held { hold } => {
                if shown.insert(hold.id.clone()) {
                    show(screen, &event)?;
                }
            }
            Event::Decided { .. } | Event::Result { .. } => show(screen, &event)?,
            Event::Finished { hold } => {
                let Hold { id, .. } = hold.as_ref();
                shown.remove(id);
                show(screen, &event)?;
            }
            Event::Agent { .. } | Event::Status { .. } | Event::Ping => {}
        }
    }
}

fn show(screen: &Screen, event: &Event) -> Result<(), Error> {
    screen.item(event, |look| list::event(look, event))
}
