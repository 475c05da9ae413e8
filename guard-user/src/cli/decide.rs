//! Sends a decision on one or many holds and waits a little for what comes of it. Shared by the verbs that decide.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use tokio::time::Instant;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    events::Events,
    render::{self, Screen, list},
};
use crate::api::{Decide, Event, Hold, HoldContext, Outcome, Scope, Verdict};

/// A released operation normally ends in milliseconds.
const OUTCOME_WITHIN: Duration = Duration::from_secs(2);

// The holds a verb decides on, and how far the decision reaches. (A doc comment would replace the verb's help.)
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Ids of the holds
    #[arg(required = true, value_name = "ID", add = ArgValueCandidates::new(completions::holds))]
    ids: Vec<String>,

    /// Why; goes into the audit log
    #[arg(short = 'm', long = "message", value_name = "REASON", default_value = "", hide_default_value = true)]
    reason: String,

    /// Only this one operation, not what the process does next
    #[arg(long)]
    once: bool,
}

/// The same verdict on all of them.
pub(super) async fn these(client: &Client, screen: &Screen, which: &Which, verdict: Verdict) -> Result<Exit, Error> {
    let scope = if which.once { Scope::Once } else { Scope::Process };
    all(client, screen, &which.ids, &Decide { verdict, scope, note: which.reason.clone() }).await
}

/// Tries every id, prints one line for each, and returns the worst exit code.
pub(super) async fn all(client: &Client, screen: &Screen, ids: &[String], decide: &Decide) -> Result<Exit, Error> {
    // Subscribed before deciding, so that no outcome is missed. A decision does not depend on it.
    let mut events = client.events().await.ok();
    let mut holds = Vec::new();
    let mut worst = Exit::Success;
    for id in ids {
        match client.decide(id, decide).await {
            Ok(hold) => holds.push(hold),
            Err(error) => {
                render::error_about(id, &error);
                worst = worst.max(error.exit());
            }
        }
    }
    if let Some(events) = &mut events {
        outcomes(events, &mut holds, Instant::now() + OUTCOME_WITHIN).await;
    }
    for hold in &holds {
        screen.say(|look| list::decided_and_outcome(look, hold))?;
        worst = worst.max(exit_of(decide.verdict, hold));
    }
    if !screen.is_text() {
        screen.answer(&holds, |_| String::new())?;
    }
    Ok(worst)
}

/// Completes `holds` with their outcomes as they come, until all are there or the deadline. A broken stream is no
/// error: the decisions are made.
pub(super) async fn outcomes(events: &mut Events, holds: &mut [Hold], deadline: Instant) {
    // A call that could not wait was refused long ago; its decision comes true when the agent tries again.
    let open = |hold: &Hold| hold.outcome.is_none() && hold.context != HoldContext::Denied;
    while holds.iter().any(open) {
        let Ok(Some(event)) = events.next_until(deadline).await else {
            return;
        };
        if let Event::Finished { hold: finished } = event
            && let Some(hold) = holds.iter_mut().find(|hold| hold.id == finished.id)
        {
            *hold = *finished;
        }
    }
}

/// Approved and yet it did not happen: whoever approved must hear that.
fn exit_of(verdict: Verdict, hold: &Hold) -> Exit {
    match (verdict, hold.outcome) {
        (
            Verdict::Approve,
            Some(Outcome::Died | Outcome::Expired | Outcome::Killed | Outcome::Refused | Outcome::Unknown),
        ) => Exit::Failure,
        (Verdict::Approve, Some(Outcome::Released) | None) | (Verdict::Deny | Verdict::Kill, _) => Exit::Success,
    }
}
