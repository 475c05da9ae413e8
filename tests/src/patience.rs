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

const INTERVAL: Duration = Duration::from_millis(10);

/// Looks until `look` has an answer; `what` completes "waited for …" when it never has.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_within(DEADLINE, what, look)
}

/// The same with another deadline.
pub(crate) fn until_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = look()? {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            bail!("waited {} s for {what}", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}

/// Fails when `look` finds something while it is watched.
pub(crate) fn never(what: &str, look: impl FnMut() -> Result<bool>) -> Result<()> {
    never_within(QUIET, what, look)
}

/// The same, watched for longer.
pub(crate) fn never_within(limit: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if look()? {
            bail!("{what}");
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}
