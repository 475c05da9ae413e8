//! `guardctl wait`: blocks until somebody decided.

use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCandidates;
use tokio::time::Instant;

use super::{
    client::Client,
    completions, decide,
    error::{Error, Exit},
    events::Events,
    render::{Screen, list},
};
use crate::api::{Event, Hold, Verdict};

/// Wait until somebody decided on a hold
///
/// Prints the decision and what came of it.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl wait h12
  guardctl wait h12 --timeout 10m || echo 'not approved'

Exit codes: 0 approved; 7 denied or killed; 124 nobody decided in time;
1 the operation ended before anybody decided; 5 no such hold.")]
pub(crate) struct Arguments {
    /// Id of the hold
    #[arg(add = ArgValueCandidates::new(completions::holds))]
    id: String,

    /// How long: seconds, or with a unit (`90s`, `10m`, `2h`) [default: as long as it takes]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// The outcome follows the decision within this.
const OUTCOME_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let deadline = arguments.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    // Subscribed before looking: what is decided in between is in the stream.
    let mut events = client.events().await?;
    let mut hold = client.hold(&arguments.id).await?;
    while hold.decision.is_none() && hold.outcome.is_none() {
        hold = match next_of(&mut events, &arguments.id, deadline).await? {
            Some(hold) => hold,
            None => {
                return Err(Error::TimedOut(format!("nobody decided {} in time; it is still held", hold.id)));
            }
        };
    }
    let outcome_by = Instant::now() + OUTCOME_WITHIN;
    decide::outcomes(
        &mut events,
        std::slice::from_mut(&mut hold),
        deadline.map_or(outcome_by, |deadline| outcome_by.min(deadline)),
    )
    .await;
    screen.answer(&hold, |look| list::decided_and_outcome(look, &hold))?;
    Ok(match hold.decision.as_ref().map(|decision| decision.verdict) {
        Some(Verdict::Approve) => Exit::Success,
        Some(Verdict::Deny | Verdict::Kill) => Exit::Denied,
        None => Exit::Failure,
    })
}

/// The hold as the next event about it shows it; `None` at the deadline.
async fn next_of(events: &mut Events, id: &str, deadline: Option<Instant>) -> Result<Option<Hold>, Error> {
    loop {
        let event = match deadline {
            None => events.next().await?,
            Some(deadline) => match events.next_until(deadline).await? {
                Some(event) => event,
                None => return Ok(None),
            },
        };
        match event {
            Event::Held { hold } | Event::Decided { hold } | Event::Finished { hold } | Event::Result { hold }
                if hold.id == id =>
            {
                return Ok(Some(*hold));
            }
            Event::Held { .. }
            | Event::Decided { .. }
            | Event::Finished { .. }
            | Event::Result { .. }
            | Event::Agent { .. }
            | Event::Status { .. }
            | Event::Ping => {}
        }
    }
}

/// `90`, `90s`, `10m`, `2h`
fn duration(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        _ => (text, 1),
    };
    let wrong = || "say how many seconds, or a number with s, m or h behind it".to_owned();
    let seconds: f64 = number.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds * f64::from(factor)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for wrong in ["", "s", "-1", "1d", "soon", "nan", "inf"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
