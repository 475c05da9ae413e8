//! How much longer ordinary work takes under guard with the rules that come with it: the work of `tests/work/`, untagged
//! and as an agent in turns, and before that without any guard. Only where instructions are counted does a ratio of one
//! in a hundred mean something.

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, mount};

use super::{Measure, cost::median, kernel, nanoseconds};
use crate::{
    guard::{Guard, Tier},
    work::{self, Work},
};

/// The others take a quarter of an hour each while instructions are counted.
pub(super) const WORK: [&str; 3] = ["git", "make", "files"];

const ROUNDS: usize = 3;

const METHOD: &str = "ratio of guest instructions, QEMU -icount shift=0, tmpfs, medians of 3 rounds that take turns, each by a \
                      new agent, its start apart";

pub(super) fn measure(names: &[&str]) -> Result<Vec<Measure>> {
    // Waiting for a disk counts as time; memory does not wait.
    mount("none", work::HOME, "tmpfs", MountFlags::empty(), None).context("cannot mount a home")?;
    let chosen = || work::ALL.into_iter().filter(|work| names.contains(&work.name));
    let mut bare = Vec::new();
    for work in chosen() {
        // The first loads programs from the disk.
        round(None, work)?;
        let rounds: Result<Vec<f64>> = (0..ROUNDS).map(|_| round(None, work)).collect();
        bare.push(median(rounds?));
    }
    let guard = Guard::start(Tier::Gate, None)?;
    let mut measures = Vec::new();
    for (work, bare) in chosen().zip(bare) {
        round(Some(&guard), work)?;
        let (mut alone, mut watched) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            alone.push(round(None, work)?);
            let before = asked(&guard)?;
            watched.push(round(Some(&guard), work)?);
            let after = asked(&guard)?;
            let [held, remembered, other] = [0, 1, 2].map(|index| after[index] - before[index]);
            eprintln!("{}: asked {held} times, remembered {remembered} execs, {other} had other arguments", work.name);
        }
        let (alone, watched) = (median(alone), median(watched));
        measures.push(ratio(&format!("work with {}, agent to untagged", work.name), watched / alone, 1.02));
        measures.push(ratio(&format!("work with {}, untagged to no guard", work.name), alone / bare, 1.005));
    }
    measures.push(start(&guard)?);
    Ok(measures)
}

/// Operations guardd was asked about, execs that were remembered, and those no rule could match.
fn asked(guard: &Guard) -> Result<[u64; 3]> {
    Ok([guard.count("held")?, guard.count("remembered")?, guard.count("other_arguments")?])
}

/// What is spent once: `guardctl run`, the agent's rules and its tables.
fn start(guard: &Guard) -> Result<Measure> {
    let once = |_round| {
        let started = nanoseconds();
        let status = guard
            .command()
            .args(["run", "--", "/bin/true"])
            .current_dir(work::HOME)
            .status()
            .context("cannot start guardctl")?;
        ensure!(status.success(), "guardctl run ended with {status}");
        Ok((nanoseconds() - started) as f64)
    };
    once(0)?;
    let rounds: Result<Vec<f64>> = (0..ROUNDS).map(once).collect();
    Ok(Measure {
        name: "starting an agent that does nothing (whole machine)".to_owned(),
        value: median(rounds?).round(),
        unit: "instructions",
        limit: None,
        kernel: kernel(),
        method: "guest instructions, QEMU -icount shift=0, median of 3",
    })
}

/// Nanoseconds, which are instructions.
fn round(guard: Option<&Guard>, work: Work) -> Result<f64> {
    let mut stopped = Vec::new();
    let (done, spent) = work.timed(guard, &mut stopped)?;
    #[expect(clippy::cast_precision_loss, reason = "a round takes minutes: far below 2^53 ns")]
    let spent = spent as f64;
    ensure!(done.code == Some(0) && stopped.is_empty(), "{} ended with {done:?}, stopped {stopped:?}", work.name);
    Ok(spent)
}

fn ratio(name: &str, value: f64, limit: f64) -> Measure {
    Measure {
        name: name.to_owned(),
        value: (value * 10_000.0).round() / 10_000.0,
        unit: "times",
        limit: Some(limit),
        kernel: kernel(),
        method: METHOD,
    }
}
