//! The registry of scenarios, and running them. A scenario is a sentence about behaviour and a function that makes it
//! happen on a real kernel and looks at the world afterwards.

mod adopted;
mod assault;
mod audited;
mod calls;
mod canary;
mod cli;
mod crash;
mod devices;
mod exec;
mod execution;
mod fault;
mod file;
mod footprint;
mod guards;
mod installed;
mod ioctl;
mod kernel;
mod language;
mod limit;
pub(crate) mod lists;
mod machine;
mod many;
mod midway;
mod mount;
mod names;
mod net;
mod own;
mod race;
mod remembered;
mod result;
mod reuse;
mod shield;
mod shipped;
mod switches;
mod tag;
mod task;
mod told;
mod tries;
mod trip;
mod unprotected;
mod upgrade;
mod uring;
mod ways;
mod work;

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    guard::{Guard, Tier},
    setting::Setting,
};

/// The rules the scenarios run under.
const RULES: &str = include_str!("../rules/scenarios.yaml");

/// Makes it happen and looks at the world.
type OnGuard = Box<dyn Fn(&mut Guard) -> Result<()>>;

/// What a scenario needs to have running.
pub(crate) enum Run {
    /// Only a kernel.
    Kernel(fn() -> Result<()>),
    /// guardd at this tier, set up like this.
    Guard(Tier, Setting, OnGuard),
}

/// One scenario.
pub(crate) struct Scenario {
    /// A sentence, with underscores.
    pub(crate) name: String,
    pub(crate) run: Run,
}

/// A scenario that needs guardd at the gate tier.
pub(crate) fn gate(name: impl Into<String>, run: impl Fn(&mut Guard) -> Result<()> + 'static) -> Scenario {
    short(Setting::Usual, name, run)
}

/// The same with a guardd that is set up in another way.
fn short(setting: Setting, name: impl Into<String>, run: impl Fn(&mut Guard) -> Result<()> + 'static) -> Scenario {
    Scenario { name: name.into(), run: Run::Guard(Tier::Gate, setting, Box::new(run)) }
}

/// Every scenario, those of one subject together.
fn all() -> Vec<Scenario> {
    [
        kernel::scenarios(),
        file::scenarios(),
        language::scenarios(),
        ioctl::scenarios(),
        exec::scenarios(),
        execution::scenarios(),
        footprint::scenarios(),
        net::scenarios(),
        mount::scenarios(),
        task::scenarios(),
        uring::scenarios(),
        tag::scenarios(),
        adopted::scenarios(),
        shield::scenarios(),
        guards::scenarios(),
        assault::scenarios(),
        calls::scenarios(),
        devices::scenarios(),
        machine::scenarios(),
        names::scenarios(),
        own::scenarios(),
        race::scenarios(),
        reuse::scenarios(),
        ways::scenarios(),
        remembered::scenarios(),
        result::scenarios(),
        many::scenarios(),
        crash::scenarios(),
        audited::scenarios(),
        upgrade::scenarios(),
        fault::scenarios(),
        midway::scenarios(),
        canary::scenarios(),
        cli::scenarios(),
        told::scenarios(),
        work::scenarios(),
        ways::shipped(),
        lists::scenarios(),
        shipped::scenarios(),
        installed::scenarios(),
        switches::scenarios(),
        limit::scenarios(),
        trip::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The names of all, but for those that only one kernel has.
#[cfg(test)]
pub(crate) fn names() -> Vec<String> {
    all().into_iter().chain(unprotected::scenarios()).map(|scenario| scenario.name).collect()
}

/// `guard-tests scenarios [--only TEXT[,TEXT…]] [--tier gate|trip] [--part K/N] [--after NAME] [--soak|--unprotected] [--list]`:
/// prints a line for each and a closing line.
pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let only = value(arguments, "--only");
    let tier = value(arguments, "--tier");
    let soak = arguments.iter().any(|argument| argument == "--soak");
    let unprotected = arguments.iter().any(|argument| argument == "--unprotected");
    let known = match (soak, unprotected) {
        (true, _) => fault::soak(),
        (false, true) => unprotected::scenarios(),
        (false, false) => all(),
    };
    let mut wanted: Vec<Scenario> = known
        .into_iter()
        .filter(|scenario| only.is_none_or(|only| only.split(',').any(|part| scenario.name.contains(part))))
        .filter(|scenario| match (&scenario.run, tier) {
            (_, None) => true,
            (Run::Guard(Tier::Trip, ..), Some(tier)) => tier == "trip",
            (Run::Guard(Tier::Gate | Tier::Best, ..) | Run::Kernel(_), Some(tier)) => tier == "gate",
        })
        .collect();
    if let Some(part) = value(arguments, "--part") {
        wanted = part_of(wanted, part)?;
    }
    if let Some(last) = value(arguments, "--after") {
        let at = wanted.iter().position(|scenario| scenario.name == last);
        let at = at.with_context(|| format!("there is no scenario {last} to go on after"))?;
        wanted.drain(..=at);
        if wanted.is_empty() {
            println!("0 passed, 0 failed");
            return Ok(ExitCode::SUCCESS);
        }
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for scenario in &wanted {
            println!("{}", scenario.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    println!("running {} scenarios", wanted.len());
    let (mut passed, mut failed) = (0, 0);
    let mut running = None;
    for scenario in &wanted {
        let started = Instant::now();
        let result = one(scenario, &mut running);
        let milliseconds = started.elapsed().as_millis();
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok {} {milliseconds} ms", scenario.name);
            }
            Err(error) => {
                failed += 1;
                let started = running.is_some() || matches!(scenario.run, Run::Kernel(_));
                println!("FAILED {}: {}", scenario.name, format!("{error:#}").replace('\n', " / "));
                if let Some(Running { guard, .. }) = running.take() {
                    println!("guardd's log:\n{}\nthe end of its audit log:\n{}", guard.log(), guard.audited());
                }
                if !started {
                    // Every other scenario would say the same.
                    println!("guardd does not start: the rest is not run");
                    break;
                }
            }
        }
        std::io::stdout().flush().context("cannot write")?;
    }
    println!("{passed} passed, {failed} failed");
    // Nothing run proves nothing.
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The `K`th of `N` parts of about the same size; the order stays, and what is of one subject stays together.
fn part_of(mut all: Vec<Scenario>, part: &str) -> Result<Vec<Scenario>> {
    let numbers = part.split_once('/').and_then(|(which, of)| Some((which.parse().ok()?, of.parse().ok()?)));
    let numbers = numbers.filter(|(which, of): &(usize, usize)| (1..=*of).contains(which));
    let Some((which, of)) = numbers else { bail!("`{part}` is no part: `1/2` is one") };
    let (from, until) = (all.len() * (which - 1) / of, all.len() * which / of);
    Ok(all.drain(from..until).collect())
}

/// The guardd that the last scenario left for the next one.
struct Running {
    tier: Tier,
    setting: Setting,
    guard: Guard,
}

fn one(scenario: &Scenario, running: &mut Option<Running>) -> Result<()> {
    // A scenario that panics has failed; the next one still runs.
    let caught = catch_unwind(AssertUnwindSafe(|| match &scenario.run {
        Run::Kernel(run) => run(),
        Run::Guard(tier, setting, run) => {
            let (tier, setting) = (*tier, *setting);
            if running.as_ref().is_none_or(|present| (present.tier, present.setting) != (tier, setting)) {
                if let Some(mut present) = running.take()
                    && present.tier == tier
                    && present.setting.has_same_maps(setting)
                {
                    present.guard.leave_programs();
                }
                *running =
                    Some(Running { tier, setting, guard: Guard::start_with(tier, setting, setting.rules(RULES))? });
            }
            let Some(Running { guard, .. }) = running else { return Err(anyhow!("guardd was started above")) };
            run(guard)?;
            guard.clear()
        }
    }));
    caught.unwrap_or_else(|_| Err(anyhow!("panicked")))
}

fn value<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}
