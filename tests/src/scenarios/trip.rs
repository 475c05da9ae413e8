//! The trip tier: exec is stopped before the first instruction; anything else right after its first effect, with the
//! whole agent frozen. Run natively by CI, because tracepoints load where LSM programs do not.

use anyhow::{Result, ensure};
use std::fs;

use super::{
    Run, Scenario,
    file::{fresh, gone},
};
use crate::{
    guard::{Guard, Tier},
    patience::never,
    setting::Setting,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let trip = |name: &str, run: fn(&mut Guard) -> Result<()>| Scenario {
        name: name.to_owned(),
        run: Run::Guard(Tier::Trip, Setting::Usual, Box::new(run)),
    };
    vec![
        trip("trip_stops_a_watched_program_before_its_first_instruction", exec),
        trip("trip_stops_a_recursive_delete_right_after_its_first_effect", delete),
        trip("trip_lets_ordinary_work_pass", free_work),
    ]
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
