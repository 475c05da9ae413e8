//! What guard refuses every agent, root or not, whatever the rules say.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::{guard::Guard, patience::until};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_agent_that_is_root_may_not_touch_guardd_or_lift_it_off_the_kernel", touch),
        gate("an_agent_may_still_change_itself", itself),
    ]
}

/// What an agent tries, and what the log must say of it. `PID` is guardd's, `ME` this program.
const TRIES: [(&str, &str); 9] = [
    ("kill -TERM PID", "to signal guardd"),
    ("kill -STOP PID", "to signal guardd"),
    ("prlimit --pid PID --nofile=9:9", "to change guardd's resource limits"),
    ("renice -n 19 -p PID", "to change how guardd is scheduled"),
    ("ionice -c 3 -p PID", "to change how guardd is scheduled"),
    ("chrt -b -p 0 PID", "to change how guardd is scheduled"),
    ("taskset -p 1 PID", "to change how guardd is scheduled"),
    ("date -s 2001-01-01", "to set the clock"),
    ("ME act load-module /etc/hostname", "to load a kernel module"),
];

/// What of guardd an agent could have changed.
fn state(pid: u32) -> Result<String> {
    let read = |name: &str| {
        let file = format!("/proc/{pid}/{name}");
        fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))
    };
    let stat = read("stat")?;
    // After the name: state, then 15 fields to priority and nice, and policy far behind.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let scheduling = [15, 16, 38].map(|index| fields.get(index).copied().unwrap_or("?")).join(" ");
    let status = read("status")?;
    let allowed = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap_or("?").to_owned();
    Ok(format!("{}{scheduling}\n{allowed}", read("limits")?))
}

fn touch(guard: &mut Guard) -> Result<()> {
    let pid = guard.pid();
    let me = std::env::current_exe().context("cannot find this program")?;
    let before = state(pid)?;
    for (command, says) in TRIES {
        let command = command.replace("PID", &pid.to_string()).replace("ME", &me.display().to_string());
        let mut agent = guard.agent(&format!("{command}; echo code $?"))?;
        let output = agent.ends_with(0)?;
        ensure!(!output.contains("code 0"), "`{command}` worked: {output}");
        until(&format!("the log to say that an agent tried {says}"), || {
            let log = fs::read_to_string(guard.audit()).unwrap_or_default();
            let line = log.lines().find(|line| line.contains(r#""kind":"shielded""#) && line.contains(&agent.name()));
            Ok(line.is_some_and(|line| line.contains(says)).then_some(()))
        })?;
        ensure!(state(pid)? == before, "`{command}` changed guardd:\n{before}\n{}", state(pid)?);
    }
    ensure!(guard.status()?["pid"] == pid, "guardd is another one");
    let now = fs::metadata(guard.audit())?.modified()?.duration_since(std::time::UNIX_EPOCH)?;
    ensure!(now.as_secs() > 1_500_000_000, "the clock was set: {now:?}");
    let modules = fs::read_to_string("/proc/modules").context("cannot read the modules")?;
    ensure!(!modules.contains("hostname") && Path::new("/etc/hostname").exists(), "{modules}");
    Ok(())
}

fn itself(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent(
        "ulimit -n 99 && [ $(ulimit -n) = 99 ] && renice -n 5 -p $$ && ionice -c 3 -p $$ && taskset -p 1 $$ && \
         kill -CONT $$; echo code $?",
    )?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 0"), "it printed {output}");
    Ok(())
}
