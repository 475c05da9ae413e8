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

/// How much longer the result of an operation that went on is waited for: of most it is there at once, and some last.
const RESULT_WITHIN: Duration = Duration::from_millis(200);

/// Completes `holds` with their outcomes and results as they come, until all are there or the deadline. A broken stream is
/// no error: the decisions are made.
pub(super) async fn outcomes(events: &mut Events, holds: &mut [Hold], deadline: Instant) {
    // A call that could not wait was refused long ago; its decision comes true when the agent tries again.
    let open = |hold: &Hold| hold.outcome.is_none() && hold.context != HoldContext::Denied;
    let went_on = |hold: &Hold| hold.outcome == Some(Outcome::Released) && hold.context == HoldContext::Held;
    let mut results_by = None;
    loop {
        let by = if holds.iter().any(open) {
            deadline
        } else if holds.iter().any(|hold| went_on(hold) && hold.result.is_none()) {
            *results_by.get_or_insert_with(|| deadline.min(Instant::now() + RESULT_WITHIN))
        } else {
            return;
        };
        let Ok(Some(event)) = events.next_until(by).await else {
            return;
        };
        if let Event::Finished { hold: later } | Event::Result { hold: later } = event
            && let Some(hold) = holds.iter_mut().find(|hold| hold.id == later.id)
        {
            *hold = *later;
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
