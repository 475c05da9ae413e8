//! What an agent does to processes: signals and tracing.

use std::{
    fs,
    process::{Child, Command},
};

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
        gate("tracing_a_process_outside_is_refused_and_shown", tracing),
        gate("the_log_says_what_was_refused_though_its_process_ended_at_once", ended),
    ]
}

/// A process no agent may touch.
pub(super) struct Bystander(pub(super) Child);

impl Bystander {
    pub(super) fn start() -> Result<Self> {
        Ok(Self(Command::new("sleep").arg("600").spawn().context("cannot start a bystander")?))
    }

    pub(super) fn is_alive(&mut self) -> Result<bool> {
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

/// Attaching cannot wait: it is refused at once, shown, and after approval the next attempt succeeds.
fn ended(guard: &mut Guard) -> Result<()> {
    let bystander = Bystander::start()?;
    let attach = "syscall(101, 16, 0 + shift, 0, 0); print \"$$ $!\\n\"";
    let mut agent = guard.agent(&format!("perl -e '{attach}' {}", bystander.0.id()))?;
    let output = agent.ends_with(0)?;
    let pid: u64 = output.split(' ').next().and_then(|pid| pid.parse().ok()).context("perl said no pid")?;
    let kinds = until("a line about the refused call", || {
        let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        let records = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let kinds: Vec<String> = records
            .filter(|record| record["pid"] == pid)
            .filter_map(|record| Some(record["kind"].as_str()?.to_owned()))
            // The shell, and what it became.
            .filter(|kind| kind != "exec")
            .collect();
        Ok((!kinds.is_empty()).then_some(kinds))
    })?;
    // A record that its process took along cannot be told, but that there was one can.
    ensure!(matches!(kinds[0].as_str(), "hold" | "error"), "the log begins with {kinds:?}");
    Ok(())
}

fn tracing(guard: &mut Guard) -> Result<()> {
    let mut bystander = Bystander::start()?;
    // 101 is ptrace, 16 attaches and 17 lets go.
    let attach = "$| = 1; $p = 0 + shift; for (1 .. 600) { \
                  if (syscall(101, 16, $p, 0, 0) == 0) \
                  { waitpid($p, 0); syscall(101, 17, $p, 0, 0); print \"attached\\n\"; exit 0 } \
                  print \"$!\\n\" if $_ == 1; select(undef, undef, undef, 0.1) } exit 1";
    let mut agent = guard.agent(&format!("perl -e '{attach}' {}", bystander.0.id()))?;
    let hold = guard.held("ptrace", &bystander.0.id().to_string())?;
    ensure!(hold["context"] == "denied", "it should be shown as refused: {hold}");
    ensure!(bystander.is_alive()?, "the bystander is gone");
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\nattached\n", "it printed {output:?}");
    Ok(())
}
