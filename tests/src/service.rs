//! `guard-tests service FIRST.deb SECOND.deb`: the life of the package on a host with systemd, from its installation to
//! its purge, in one story. Each chapter goes on where the last one ended, so the first failure ends it. What the chapters
//! look at is the world outside: files, units, exit codes, lines of the log.

mod exported;
mod host;
mod leaving;
mod living;
mod moving;

use std::{
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail};

use self::host::Held;

/// What one chapter leaves to the next.
struct Story {
    first: String,
    second: String,
    /// What waits while guardd is restarted and upgraded.
    held: Option<Held>,
}

impl Story {
    fn held(&self) -> Result<&Held> {
        self.held.as_ref().context("nothing was held in an earlier chapter")
    }
}

type Chapter = (&'static str, fn(&mut Story) -> Result<()>);

/// In the order of a package's life.
const CHAPTERS: [Chapter; 17] = [
    ("apt_installs_the_package_and_starts_nothing", living::installed),
    ("the_service_starts_and_holds_the_gate", living::started),
    ("systemd_finds_the_service_well_hardened", living::hardened),
    ("a_reload_waits_for_the_rules_and_fails_when_they_are_wrong", living::reloaded),
    ("a_guardd_that_hangs_is_ended_and_started_again", living::watched),
    ("a_service_is_an_agent_by_a_drop_in_and_never_runs_without_guard", living::served),
    ("an_agent_in_the_tagged_slice_is_held", living::held),
    ("the_export_is_off_until_it_is_set_and_sends_without_rights", exported::exported),
    ("a_hold_outlives_a_restart_of_the_service_under_its_id", moving::restarted),
    ("a_hold_outlives_a_guardd_that_was_killed", moving::killed),
    ("a_hold_outlives_an_upgrade_of_the_package_under_its_id", moving::upgraded),
    ("a_removal_that_a_person_does_not_want_changes_nothing", leaving::refused),
    ("what_was_held_all_along_is_approved_and_done", moving::approved),
    ("the_log_tells_it_all", moving::logged),
    ("a_fork_bomb_in_the_slice_is_killed", moving::bombed),
    ("a_removal_denies_what_is_held_and_leaves_the_log", leaving::removed),
    ("a_purge_leaves_the_log_alone", leaving::purged),
];

/// The chapters' names.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    CHAPTERS.iter().map(|(name, _)| *name)
}

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let [first, second] = arguments else { bail!("usage: guard-tests service FIRST.deb SECOND.deb") };
    let mut story = Story { first: first.clone(), second: second.clone(), held: None };
    println!("running {} scenarios", CHAPTERS.len());
    let (mut passed, mut failed) = (0, 0);
    for (name, chapter) in CHAPTERS {
        let started = Instant::now();
        // A chapter that panics has failed.
        let result =
            catch_unwind(AssertUnwindSafe(|| chapter(&mut story))).unwrap_or_else(|_| Err(anyhow!("panicked")));
        match result {
            Ok(()) => {
                passed += 1;
                println!("ok {name} {} ms", started.elapsed().as_millis());
            }
            Err(error) => {
                failed += 1;
                println!("FAILED {name}: {}", format!("{error:#}").replace('\n', " / "));
                println!("{}", host::aftermath());
                println!("the rest is not run");
                break;
            }
        }
        std::io::stdout().flush().context("cannot write")?;
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
