//! Installed, started, hardened, reloaded, watched over; the first agent is held.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    Story,
    host::{self, LOG, PINS, agent, asked, data, done, files, guardd, json, property, succeeded, tried},
};
use crate::patience::{never, never_within, until, until_within};

/// Whole numbers of `systemd-analyze security`: tenths of its figure.
const EXPOSURE: u32 = 40;

pub(super) fn installed(story: &mut Story) -> Result<()> {
    done(&["apt-get", "install", "--yes", &story.first])?;
    done(&["getent", "group", "guard"])?;
    ensure!(asked("is-enabled", "guardd.service")? == "disabled", "it was enabled by surprise");
    ensure!(asked("is-active", "guardd.service")? == "inactive", "it was started by surprise");
    ensure!(!Path::new(PINS).exists(), "kernel programs were loaded by surprise");
    let conffiles = done(&["dpkg-query", "--show", "--showformat=${Conffiles}", "guard"])?;
    for file in ["/etc/guard/guard.yaml", "/etc/guard/rules.d/guard.yaml", "/etc/guard/rules.d/git.yaml"] {
        ensure!(conffiles.contains(file), "{file} is no conffile: {conffiles}");
    }
    for file in [
        "/usr/share/man/man1/guardctl.1.gz",
        "/usr/share/man/man1/guardctl-approve.1.gz",
        "/usr/share/man/man8/guardd.8.gz",
        "/usr/share/bash-completion/completions/guardctl",
        "/usr/share/doc/guard/changelog.Debian.gz",
    ] {
        let packed = done(&["dpkg-query", "--listfiles", "guard"])?;
        ensure!(packed.lines().any(|line| line == file), "{file} is not in the package");
    }
    done(&["dpkg", "--verify", "guard"])?;
    done(&["guardd", "--check"])?;
    ensure!(tried(&["guardctl", "status"])?.code == 3, "no guardd runs, and guardctl does not say so");
    Ok(())
}

pub(super) fn started(_story: &mut Story) -> Result<()> {
    done(&["systemctl", "enable", "--now", "guardd.service"])?;
    ensure!(asked("is-active", "guardd.service")? == "active", "it is not active");
    let status = json(&["guardctl", "status", "-o", "json"])?;
    ensure!(status["tier"] == "gate" && status["protecting"] == true, "it does not protect: {status}");
    ensure!(Path::new(PINS).exists(), "nothing is pinned");
    // systemd before 253 stays with `notify`.
    let kind = property("guardd.service", "Type")?;
    ensure!(["notify", "notify-reload"].contains(&kind.as_str()), "it is of type {kind}");
    ensure!(property("guardd.service", "StatusText")?.starts_with("gate tier"), "systemd was told nothing");
    let mode = done(&["stat", "--format=%A %U %G", "/var/log/guard", LOG])?;
    ensure!(mode == "drwxr-s--- root guard\n-rw-r----- root guard\n", "the log is open to others: {mode}");
    Ok(())
}

pub(super) fn hardened(_story: &mut Story) -> Result<()> {
    let threshold = format!("--threshold={EXPOSURE}");
    let said = done(&["systemd-analyze", "security", "--no-pager", &threshold, "guardd.service"])?;
    println!("{}", said.lines().last().context("systemd-analyze said nothing")?.trim());
    Ok(())
}

pub(super) fn reloaded(_story: &mut Story) -> Result<()> {
    const WRONG: &str = "/etc/guard/rules.d/wrong.yaml";
    let old = guardd()?;
    let reloads = || -> Result<usize> {
        let log = fs::read_to_string(LOG).context("no log")?;
        Ok(log.lines().filter(|line| line.contains("\"kind\":\"reload\"")).count())
    };
    let before = reloads()?;
    done(&["systemctl", "reload", "guardd.service"])?;
    ensure!(reloads()? > before, "systemd says it is done, and no rules were read");
    fs::write(WRONG, "rules: none of them\n").context("cannot write rules")?;
    let answer = tried(&["systemctl", "reload", "guardd.service"])?;
    ensure!(answer.code != 0, "wrong rules, and the reload did not fail");
    ensure!(asked("is-active", "guardd.service")? == "active" && guardd()? == old, "wrong rules ended guardd");
    done(&["kill", "-HUP", &old.to_string()])?;
    until("systemd to be told", || {
        Ok(property("guardd.service", "StatusText")?.contains("the old rules stay").then_some(()))
    })?;
    fs::remove_file(WRONG).context("cannot remove rules")?;
    done(&["systemctl", "reload", "guardd.service"])?;
    ensure!(asked("is-active", "guardd.service")? == "active", "it is not active after a reload");
    Ok(())
}

/// With less patience than the unit has, so that the test needs less, too.
pub(super) fn watched(_story: &mut Story) -> Result<()> {
    const LESS: &str = "/run/systemd/system/guardd.service.d/less.conf";
    fs::create_dir_all("/run/systemd/system/guardd.service.d").context("cannot make a drop-in")?;
    fs::write(LESS, "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\n").context("cannot write a drop-in")?;
    done(&["systemctl", "daemon-reload"])?;
    done(&["systemctl", "restart", "guardd.service"])?;
    let old = guardd()?;
    // Twice the patience: a guardd that is alive is left alone.
    never_within(Duration::from_secs(12), "it was taken for dead while it lived", || Ok(guardd()? != old))?;
    let pid = i32::try_from(old).ok().and_then(Pid::from_raw).context("guardd has a pid")?;
    kill_process(pid, Signal::STOP).context("cannot stop guardd")?;
    until_within(Duration::from_secs(120), "systemd to notice", || Ok((guardd()? != old).then_some(())))?;
    succeeded(old)?;
    ensure!(property("guardd.service", "NRestarts")? == "1", "systemd did not restart it");
    fs::remove_file(LESS).context("cannot remove the drop-in")?;
    done(&["systemctl", "daemon-reload"])?;
    done(&["systemctl", "restart", "guardd.service"])?;
    ensure!(property("guardd.service", "WatchdogUSec")? == "30s", "the unit's own patience is another");
    Ok(())
}

/// The directory agents may work in, as the README says it.
const WORKSPACE: &str = "[Service]\nExecStart=\n\
     ExecStart=/usr/bin/guardctl tag --unit guard-agents.slice --name guard-agents --workspace /srv/dev/project\n";

pub(super) fn held(story: &mut Story) -> Result<()> {
    written("/etc/systemd/system/guard-agents.service.d/workspace.conf", WORKSPACE)?;
    done(&["systemctl", "daemon-reload"])?;
    data("/srv/dev/project", 1)?;
    data("/srv/dev/data", 20)?;
    let work = "cd /srv/dev/project && touch scratch && rm scratch && echo worked > /tmp/first.work";
    agent("first", &[], &format!("{work}; rm -rf /srv/dev/data; echo $? > /tmp/first.code"))?;
    let found = host::held("/srv/dev/data/")?;
    never("something was deleted", || Ok(files("/srv/dev/data") < 20))?;
    ensure!(Path::new("/tmp/first.work").exists(), "it could not work in its workspace");
    // An agent of before that has ended is listed for a moment.
    until("the slice to be the first agent", || {
        let agents = json(&["guardctl", "agents", "-o", "json"])?;
        Ok((agents[0]["cgroup"] == "/guard.slice/guard-agents.slice").then_some(()))
    })?;
    ensure!(tried(&["systemctl", "stop", "guard-agents.slice"])?.code != 0, "the slice could be stopped, tag and all");
    story.held = Some(found);
    Ok(())
}

/// Somebody's service, and what makes it an agent, as the README says it.
const BUILDER: &str = "[Service]\nUser=dev\nWorkingDirectory=/srv/dev/project\nExecStart=/bin/bash agent.sh\n";
const DROP_IN: &str = "[Unit]\nWants=guardd.service\nAfter=guardd.service\n\n[Service]\nExecStart=\n\
     ExecStart=/usr/bin/guardctl run --name builder -- /bin/bash agent.sh\n\
     ExecStopPost=+/usr/bin/guardctl kill builder\n";

pub(super) fn served(_story: &mut Story) -> Result<()> {
    const FILE: &str = "/srv/dev/other/0";
    data("/srv/dev/other", 1)?;
    written("/etc/systemd/system/builder.service", BUILDER)?;
    written("/etc/systemd/system/builder.service.d/guard.conf", DROP_IN)?;
    written("/srv/dev/project/agent.sh", &format!("sleep 1000 & rm {FILE}\n"))?;
    done(&["systemctl", "daemon-reload"])?;
    done(&["systemctl", "start", "builder.service"])?;
    let held = host::held(FILE)?;
    let agents = json(&["guardctl", "agents", "-o", "json"])?;
    let own = agents.as_array().and_then(|agents| agents.iter().find(|agent| agent["name"] == "builder"));
    let own = own.with_context(|| format!("it is no agent: {agents}"))?;
    ensure!(own["workspace"] == "/srv/dev/project" && own["processes"] == 3, "it is another agent: {own}");
    done(&["systemctl", "stop", "builder.service"])?;
    until("all of it to be gone", || Ok(crate::agent::state(held.pid).is_none().then_some(())))?;
    ensure!(tried(&["pgrep", "--exact", "sleep"])?.code == 1, "a process of the service is left");
    ensure!(Path::new(FILE).exists(), "stopping the service let something through");
    // Without guard it does not start.
    done(&["systemctl", "stop", "guardd.service"])?;
    let drop_in = DROP_IN.replace("Wants=guardd.service\n", "");
    written("/etc/systemd/system/builder.service.d/guard.conf", &drop_in)?;
    done(&["systemctl", "daemon-reload"])?;
    tried(&["systemctl", "start", "builder.service"])?;
    until("it to give up", || Ok((asked("is-active", "builder.service")? == "failed").then_some(())))?;
    ensure!(Path::new(FILE).exists(), "it ran without guard");
    done(&["systemctl", "start", "guardd.service"]).map(drop)
}

fn written(file: &str, text: &str) -> Result<()> {
    let directory = Path::new(file).parent().context("it is in a directory")?;
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    fs::write(file, text).with_context(|| format!("cannot write {file}"))
}
