//! Being an agent: it sticks, it spreads to children, and nobody else pays.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::guard::Guard;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_untagged_process_is_never_held", untagged),
        gate("a_process_that_left_its_cgroup_is_still_an_agent", moved_out),
        gate("a_daemonised_grandchild_is_still_an_agent", daemonised),
        gate("an_agent_may_not_move_itself_out_of_its_cgroup", move_itself),
        gate("an_agent_may_not_decide", decide),
        gate("an_agent_may_not_switch_the_kernel_hooks_off", ftrace),
        gate("suspend_stops_a_whole_agent_and_resume_lets_it_go_on", suspend),
        gate("what_waits_in_a_suspended_agent_is_approved_after_it_was_resumed", approve_suspended),
        gate("an_interactive_shell_with_job_control_is_held_and_goes_on", interactive),
    ]
}

fn untagged(_: &mut Guard) -> Result<()> {
    fresh()?;
    let status = Command::new("rm").args(["-rf", "/srv/guarded"]).status().context("cannot start rm")?;
    ensure!(status.success() && gone(""), "an untagged rm ended with {status}");
    Ok(())
}

fn moved_out(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent =
        guard.agent("echo ready; while [ ! -e go ]; do sleep 0.1; done; rm /srv/guarded/file; echo code $?")?;
    agent.says("ready")?;
    fs::write("/sys/fs/cgroup/cgroup.procs", agent.pid().to_string()).context("cannot move the agent")?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(!gone("file"), "it left its cgroup and was free");
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(!gone("file"), "denied, and gone");
    Ok(())
}

fn daemonised(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("setsid -f sh -c 'rm /srv/guarded/file' < /dev/null > /dev/null 2>&1; echo left")?;
    agent.ends_with(0)?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(!gone("file"), "a daemonised child was free");
    guard.decide("deny", &hold)
}

fn move_itself(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("echo $$ > /sys/fs/cgroup/cgroup.procs; echo code $?; cat /proc/self/cgroup")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 1") && !output.contains("0::/\n"), "it printed {output:?}");
    Ok(())
}

fn decide(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut victim = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let id = crate::guard::id(&hold)?;
    let mut agent = guard.agent(&format!("guardctl approve {id}; echo code $?; guardctl pending; echo code $?"))?;
    let output = agent.ends_with(0)?;
    ensure!(output.matches("code 4").count() == 2, "an agent was answered: {output:?}");
    ensure!(!gone("file"), "an agent approved");
    guard.decide("deny", &hold)?;
    victim.ends_with(0)?;
    Ok(())
}

fn ftrace(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("echo 0 > /proc/sys/kernel/ftrace_enabled; echo code $?")?;
    let output = agent.ends_with(0)?;
    let value = fs::read_to_string("/proc/sys/kernel/ftrace_enabled").context("cannot read ftrace_enabled")?;
    ensure!(output.contains("code 1") && value.trim() == "1", "it printed {output:?}; ftrace_enabled is {value}");
    Ok(())
}

fn suspend(guard: &mut Guard) -> Result<()> {
    let mut agent =
        guard.agent("for i in $(seq 1 400); do echo $i; sleep 0.05; [ -e stop ] && exit 0; done; exit 9")?;
    agent.says("3")?;
    let name = agent.name();
    let answer = guard.guardctl(&["suspend", &name])?;
    ensure!(answer.code == 0, "suspend ended with {}: {}", answer.code, answer.stderr);
    let before = agent.output()?;
    crate::patience::never("it went on", || Ok(agent.output()? != before))?;
    fs::write(agent.workspace().join("stop"), "").context("cannot tell the agent")?;
    let answer = guard.guardctl(&["resume", &name])?;
    ensure!(answer.code == 0, "resume ended with {}: {}", answer.code, answer.stderr);
    agent.ends_with(0)?;
    Ok(())
}

fn approve_suspended(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let answer = guard.guardctl(&["suspend", &agent.name()])?;
    ensure!(answer.code == 0, "suspend ended with {}: {}", answer.code, answer.stderr);
    let answer = guard.guardctl(&["approve", crate::guard::id(&hold)?])?;
    let refused = answer.code != 0 && answer.stderr.contains("Resume the agent first");
    ensure!(refused, "approve ended with {}: {}", answer.code, answer.stderr);
    let answer = guard.guardctl(&["resume", &agent.name()])?;
    ensure!(answer.code == 0, "resume ended with {}: {}", answer.code, answer.stderr);
    crate::patience::never("deleted before anybody decided", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 0") && gone("file"), "approved, and it printed {output:?}");
    Ok(())
}

fn interactive(guard: &mut Guard) -> Result<()> {
    fresh()?;
    // `script` gives the shell a terminal. Its job control takes the stopped rm for a job put aside: the shell goes on,
    // and after the approval the job does. A shell that still has a stopped job does not exit the first time.
    let typed = "rm /srv/guarded/file\\necho still here\\nuntil [ ! -e /srv/guarded/file ] && [ -z \"$(jobs -s)\" ]; \
                 do sleep 0.2; done\\nexit 3\\n";
    let mut agent = guard.agent(&format!("printf '{typed}' | script -qec 'bash -i' /dev/null"))?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    crate::patience::never("deleted before anybody decided", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    let ended = agent.end()?;
    ensure!(gone("file"), "approved, and still there: {ended:?}");
    ensure!(ended.output.contains("still here") && ended.code == Some(3), "the shell did not go on: {ended:?}");
    Ok(())
}
