//! Waiting for something to become true, with a deadline. The only place that lets time pass.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything in a scenario may take. An emulated machine beside another one is slow.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How long something that must not happen is given to happen.
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// The shortest time between two looks.
const INTERVAL: Duration = Duration::from_millis(10);

/// The longest.
const LONG: Duration = Duration::from_millis(500);

/// Lets time pass before the next look. Looking takes the processor from what is waited for, so little of the time goes to
/// it, and the less the longer it takes.
fn pause(look: Duration, waited: Duration) {
    thread::sleep((look * 4).max(waited / 16).clamp(INTERVAL, LONG));
}

/// Looks until `look` has an answer; `what` completes "waited for …" when it never has.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(DEADLINE, what, look)
}

/// The same with another deadline.
pub(crate) fn until_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        let looked = Instant::now();
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if started.elapsed() > limit {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        pause(looked.elapsed(), started.elapsed());
    }
}

/// Fails when `look` finds something while it is watched.
pub(crate) fn never(what: &str, look: impl FnMut() -> Result<bool>) -> Result<()> {
    never_within(QUIET, what, look)
}

/// The same, watched for longer.
pub(crate) fn never_within(limit: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < limit {
        let looked = Instant::now();
        if look()? {
            bail!("{what}");
        }
        pause(looked.elapsed(), Duration::ZERO);
    }
    Ok(())
}
