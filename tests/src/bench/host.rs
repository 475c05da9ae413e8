//! What does not depend on the gate, on processors that are not emulated: guardd in the trip tier on the machine that measures,
//! where LSM programs may not load. A program is held there before its first instruction, as in the gate; from the record in the
//! kernel's map on, everything is the same.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, ensure};

use super::{Measure, latency, machine, nanoseconds, strain};
use crate::guard::{Guard, Tier};

const PLACE: &str = "/var/tmp/guard-bench";
/// What every figure of this part has in its name, so that it stands beside that of the machines.
const WHERE: &str = "own processors";
const METHOD: &str = "trip tier on the machine that measures, release build, operations are executions of a program";

pub(super) fn measure() -> Result<Vec<Measure>> {
    let place = Place::new()?;
    let mut measures = vec![machine::start_up("trip")?];
    let rules = strain::rules(&format!("{{op: exec, path: {PLACE}/held}}"), PLACE);
    let mut guard = Guard::start(Tier::Trip, Some(&rules))?;
    let execs = |count: u32| format!("exec guard-tests bench execs {PLACE}/held {count}");
    let (visible, complete) = latency::running(&guard, &execs(latency::TIMES))?;
    measures.extend(latency::figures("match to visible in guardctl pending --watch", visible, Some(10.0), METHOD));
    measures.extend(latency::figures("approval at the socket to the program's end", complete, Some(10.0), METHOD));
    measures.push(machine::kill_switch(&guard)?);
    guard.clear()?;
    let each = format!("for ((n = 0; n < {}; n++)); do {PLACE}/held $n & done; wait", strain::HOLDS);
    measures.push(strain::recovery(&mut guard, &each)?);
    guard.clear()?;
    measures.extend(strain::flood(&guard, PLACE, &execs(strain::TIMES))?);
    drop(guard);
    drop(place);
    let here = |measure: Measure| Measure { name: format!("{}, {WHERE}", measure.name), method: METHOD, ..measure };
    Ok(measures.into_iter().map(here).collect())
}

/// A directory with the program that is held, removed when dropped.
struct Place;

impl Place {
    fn new() -> Result<Self> {
        fs::create_dir_all(PLACE).with_context(|| format!("cannot make {PLACE}"))?;
        let held = Path::new(PLACE).join("held");
        fs::copy("/bin/true", &held).with_context(|| format!("cannot make {}", held.display()))?;
        Ok(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(PLACE) {
            eprintln!("{PLACE} stays: {error}");
        }
    }
}

/// `guard-tests bench execs PROGRAM COUNT`: runs it again and again and prints, for each, when it was started and when it had
/// ended.
pub(super) fn execs(program: &str, count: u32) -> Result<ExitCode> {
    for number in 0..count {
        let called = nanoseconds();
        let status = Command::new(program).arg(number.to_string()).status();
        let status = status.with_context(|| format!("cannot start {program}"))?;
        ensure!(status.success(), "{program} ended with {status}");
        println!("{called} {}", nanoseconds());
    }
    Ok(ExitCode::SUCCESS)
}
