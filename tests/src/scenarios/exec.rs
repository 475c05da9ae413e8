//! Starting programs: held before the new program exists, and judged again on what it became.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use std::os::unix::fs::PermissionsExt as _;

use super::{Scenario, gate};
use crate::{guard::Guard, patience::never};

const PROGRAM: &str = "/srv/bin/guarded-program";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("exec_of_a_watched_program_is_held_and_runs_after_approval", approved),
        gate("exec_of_a_watched_program_fails_cleanly_after_denial", denied),
        gate("exec_with_a_watched_argument_shows_the_arguments", arguments),
        gate("exec_of_other_programs_is_not_held", others),
    ]
}

fn install() -> Result<()> {
    fs::create_dir_all("/srv/bin").context("cannot make /srv/bin")?;
    fs::write(PROGRAM, "#!/bin/sh\necho ran \"$@\"\n").context("cannot write the program")?;
    fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755)).context("cannot chmod the program")
}

fn approved(guard: &mut Guard) -> Result<()> {
    install()?;
    let mut agent = guard.agent("/srv/bin/guarded-program one; echo code $?")?;
    let hold = guard.held("exec", "guarded-program")?;
    never("it ran before anybody decided", || Ok(agent.output()?.contains("ran")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "ran one\ncode 0\n", "it printed {output:?}");
    Ok(())
}

fn denied(guard: &mut Guard) -> Result<()> {
    install()?;
    let mut agent = guard.agent("/srv/bin/guarded-program one; echo code $?; echo and on")?;
    let hold = guard.held("exec", "guarded-program")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!output.contains("ran"), "denied, and it ran: {output:?}");
    ensure!(
        output.contains("Operation not permitted") && output.contains("code 126\nand on\n"),
        "not a clean error: {output:?}"
    );
    Ok(())
}

fn arguments(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("/bin/echo destroy-everything now")?;
    let hold = guard.held("exec", "destroy-everything")?;
    ensure!(
        hold["operation"]["argv"] == serde_json::json!(["/bin/echo", "destroy-everything", "now"]),
        "argv is {}",
        hold["operation"]["argv"]
    );
    ensure!(hold["rule"] == "guarded-argument", "the rule is {}", hold["rule"]);
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    Ok(())
}

fn others(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("/bin/echo a && /bin/ls / > /dev/null && python3 -c 'print(1)'")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "a\n1\n", "it printed {output:?}");
    Ok(())
}
