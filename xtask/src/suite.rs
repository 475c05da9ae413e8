//! Machines that print results: one boot counted line by line, and several machines side by side. What is in a machine is
//! not known here.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
};

use anyhow::{Result, bail};

use crate::{
    report::Report,
    vm::machine::{Ending, Machine, Screen},
};

/// A name and what is to be done under it.
pub(crate) type Job<'a> = (String, Box<dyn FnOnce() -> Result<Report> + Send + 'a>);

/// Machines that run at once on two processors: scenarios wait for clocks, too, and two left a third of both idle.
const SIDE_BY_SIDE: usize = 3;

/// Does the jobs, the first ones first, and answers what came of each.
pub(crate) fn run(jobs: Vec<Job<'_>>) -> Vec<(String, Result<Report>)> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((name, job)) = next else { return };
            let result = job();
            done.lock().unwrap_or_else(PoisonError::into_inner).push((name, result));
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..(processors + 1).min(SIDE_BY_SIDE) {
            scope.spawn(worker);
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Boots once, shows the lines and counts them. `None` when the kernel died half-way, which is said.
///
/// # Errors
/// When the program inside ended without its closing line, or the time was up.
pub(crate) fn boot(machine: &Machine<'_>, place: &str, sum: &mut Report) -> Result<Option<()>> {
    let mut closed = false;
    let mut take = |line: &str| {
        closed |= line.ends_with(" failed") && line.contains(" passed, ");
        if sum.line(place, line) {
            println!("[{place}] {line}");
        }
        Ok(())
    };
    match machine.boot_once(&mut Screen::Lines(&mut take))? {
        Ending::Exit(code) if !closed || (code != 0 && sum.failed == 0) || sum.passed + sum.failed == 0 => {
            bail!("the machine ended with {code} and without a closing line")
        }
        Ending::Exit(_) => Ok(Some(())),
        Ending::TimedOut => bail!("the machine was not done after {} s", machine.timeout.as_secs()),
        Ending::Died(reason) => {
            println!("[{place}] the machine died: {reason}");
            Ok(None)
        }
    }
}
