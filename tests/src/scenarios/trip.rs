//! The trip tier: exec is stopped before the first instruction; anything else right after its first effect, with the
//! whole agent frozen. Run natively by CI, because tracepoints load where LSM programs do not.

mod entry;
mod other;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs;

use super::{
    Run, Scenario,
    file::{CASES, Case, fresh, gone},
};
use crate::{
    guard::{Guard, Tier},
    kept,
    patience::{never, until},
    setting::Setting,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = vec![
        trip("the_lines_left_of_the_trip_tiers_programs_are_told", |_| kept::print("trip")),
        trip("trip_stops_a_watched_program_before_its_first_instruction", exec),
        trip("trip_kills_a_stopped_program_that_another_process_of_its_agent_wakes", woken),
        trip("trip_stops_a_recursive_delete_right_after_its_first_effect", delete),
        trip("trip_freezes_the_whole_agent_until_somebody_decided", frozen),
        trip("trip_kills_the_process_when_it_is_denied", denied),
        trip("trip_lets_ordinary_work_pass", free_work),
        trip("trip_leaves_no_program_stopped_that_it_let_go", many),
    ];
    for case in CASES.iter().copied() {
        let name = format!("trip_stops_right_after_{}", case.name);
        scenarios.push(trip(name, move |guard| file(guard, case)));
    }
    scenarios.extend(other::scenarios());
    scenarios.extend(entry::scenarios());
    scenarios
}

/// A scenario that needs guardd at the trip tier.
fn trip(name: impl Into<String>, run: impl Fn(&mut Guard) -> Result<()> + 'static) -> Scenario {
    Scenario { name: name.into(), run: Run::Guard(Tier::Trip, Setting::Usual, Box::new(run)) }
}

/// Waits for a hold of the trip tier, and for what a person is told of it.
fn tripped(guard: &Guard, op: &str, about: &str) -> Result<Value> {
    let hold = guard.held(op, about)?;
    ensure!(hold["context"] == "tripped", "the context is {}", hold["context"]);
    let shown = guard.guardctl(&["show", crate::guard::id(&hold)?])?.stdout;
    ensure!(shown.contains("trip: it HAS ALREADY HAPPENED"), "a person is told: {shown}");
    Ok(hold)
}

/// Approves the hold and whatever else the same command runs into, until the agent has ended.
fn let_go_on(guard: &Guard, agent: &mut crate::agent::Agent, hold: &Value) -> Result<()> {
    guard.decide("approve", hold)?;
    until("the agent to end", || {
        if agent.has_ended()? {
            return Ok(Some(()));
        }
        for hold in guard.pending()? {
            // It may have ended, or been decided with the one before, since it was listed.
            guard.guardctl(&["approve", crate::guard::id(&hold)?])?;
        }
        Ok(None)
    })
    .with_context(|| format!("it said {:?}", agent.output().unwrap_or_default()))
}

fn file(guard: &Guard, case: Case) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&format!("{}; echo code $?; echo and on", case.command))?;
    let hold = tripped(guard, case.op, "/srv/guarded")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("and on")))?;
    // After an open for writing nothing is written yet.
    ensure!((case.happened)() || case.op == "open_write", "it was not the effect that stopped it");
    let_go_on(guard, &mut agent, &hold)?;
    let output = agent.ends_with(0)?;
    ensure!((case.happened)() && output.contains("code 0\n"), "approved, and it printed {output:?}");
    Ok(())
}

fn woken(guard: &mut Guard) -> Result<()> {
    let script = "/bin/echo destroy-everything & for n in $(seq 200); do kill -CONT $!; sleep 0.01; done 2> /dev/null; \
                  wait $!; echo code $?";
    let mut agent = guard.agent(script)?;
    let output = agent.ends_with(0)?;
    ensure!(output.ends_with("code 137\n"), "it printed {output:?}");
    ensure!(!output.lines().any(|line| line == "destroy-everything"), "it ran although nobody decided: {output:?}");
    Ok(())
}

fn frozen(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent =
        guard.agent("(while sleep 0.05; do echo tick; done) & sleep 0.5; rm /srv/guarded/file; echo gone")?;
    let hold = tripped(guard, "unlink", "/srv/guarded/file")?;
    let said = until("the agent to be still", || {
        let before = agent.output()?;
        Ok(never("it speaks", || Ok(agent.output()? != before)).is_ok().then_some(before))
    })?;
    ensure!(said.contains("tick") && !said.contains("gone"), "it said {said:?}");
    guard.decide("approve", &hold)?;
    agent.says("gone")?;
    until("the rest to go on", || Ok((agent.output()?.len() > said.len() + "gone\n".len()).then_some(())))?;
    guard.guardctl(&["kill", "--all"])?;
    agent.end()?;
    Ok(())
}

fn denied(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("(rm /srv/guarded/file /srv/guarded/other; echo not reached); echo and on")?;
    let hold = tripped(guard, "unlink", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(gone("file") && !gone("other"), "it went on although denied: {output:?}");
    ensure!(output.ends_with("and on\n"), "the rest should have gone on: {output:?}");
    Ok(())
}

fn exec(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("/bin/echo destroy-everything; echo code $?")?;
    let hold = guard.held("exec", "destroy-everything")?;
    ensure!(hold["context"] == "tripped", "the context is {}", hold["context"]);
    never("it ran before anybody decided", || Ok(agent.output()?.contains("destroy-everything")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "destroy-everything\ncode 0\n", "it printed {output:?}");
    Ok(())
}

fn delete(guard: &mut Guard) -> Result<()> {
    fresh()?;
    for number in 0..50 {
        fs::write(format!("/srv/guarded/n{number}"), "")?;
    }
    let mut agent = guard.agent("rm -rf /srv/guarded; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded")?;
    let left = || (0..50).filter(|number| !gone(&format!("n{number}"))).count();
    ensure!(left() >= 48, "{} of 50 files were deleted before it stopped", 50 - left());
    guard.decide("kill", &hold)?;
    agent.end()?;
    ensure!(left() >= 48, "it went on although killed");
    Ok(())
}

fn free_work(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("mkdir a && echo one > a/b && mv a/b a/c && cat a/c && rm -rf a && echo done")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "one\ndone\n", "the script printed {output:?}");
    Ok(())
}

/// Each of them stops for a moment, and guardd's answer may be there before the stop is.
fn many(guard: &mut Guard) -> Result<()> {
    let some = "(for n in $(seq 60); do /bin/true; done)";
    let mut agent = guard.agent(&format!("{some} & {some} & {some} & wait; echo done"))?;
    let output = agent.ends_with(0)?;
    ensure!(output == "done\n", "it printed {output:?}");
    Ok(())
}
