//! What an agent does to processes: signals and tracing.

use std::process::{Child, Command};

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::{
    guard::Guard,
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_signal_to_a_process_outside_is_held_and_arrives_after_approval", approved),
        gate("a_signal_to_a_process_outside_never_arrives_after_denial", denied),
        gate("a_signal_to_its_own_child_is_not_held", own),
        gate("tracing_a_process_outside_is_refused_and_logged", tracing),
    ]
}

/// A process no agent may touch.
struct Bystander(Child);

impl Bystander {
    fn start() -> Result<Self> {
        Ok(Self(Command::new("sleep").arg("600").spawn().context("cannot start a bystander")?))
    }

    fn is_alive(&mut self) -> Result<bool> {
        Ok(self.0.try_wait().context("cannot look at the bystander")?.is_none())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // Usually ended by the scenario already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn approved(guard: &mut Guard) -> Result<()> {
    let mut bystander = Bystander::start()?;
    let mut agent = guard.agent(&format!("kill -KILL {}; echo code $?", bystander.0.id()))?;
    let hold = guard.held("signal", &bystander.0.id().to_string())?;
    never("killed before anybody decided", || Ok(!bystander.is_alive()?))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    until("the bystander's end", || Ok((!bystander.is_alive()?).then_some(())))
}

fn denied(guard: &mut Guard) -> Result<()> {
    let mut bystander = Bystander::start()?;
    let mut agent = guard.agent(&format!("kill -KILL {}; echo code $?", bystander.0.id()))?;
    let hold = guard.held("signal", &bystander.0.id().to_string())?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("Operation not permitted") && output.contains("code 1"), "it printed {output:?}");
    ensure!(bystander.is_alive()?, "denied, and killed");
    Ok(())
}

fn own(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("sleep 600 & kill -KILL $!; wait $!; echo code $?")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 137"), "it printed {output:?}");
    Ok(())
}

/// `strace` gives up at once, so nothing stays pending: that it was refused, and is in the log, is what can be seen.
fn tracing(guard: &mut Guard) -> Result<()> {
    let mut bystander = Bystander::start()?;
    let pid = bystander.0.id();
    let mut agent = guard.agent(&format!("strace -p {pid} 2>&1; echo code $?"))?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("Operation not permitted"), "it printed {output:?}");
    until("the refusal in the audit log", || {
        let log = std::fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        Ok(log.lines().any(|line| line.contains("\"ptrace\"") && line.contains(&format!("pid {pid}"))).then_some(()))
    })?;
    ensure!(bystander.is_alive()?, "the bystander is gone");
    Ok(())
}
