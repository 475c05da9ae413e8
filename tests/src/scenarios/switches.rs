//! Switches of the kernel and of cgroups, which the shipped rules refuse every agent. Somebody else turns them, but for those
//! that would end guard. guard's own files are `installed`.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario, short,
    task::Bystander,
    tries::{Asked, Logged, Otherwise, Refused, refused},
};
use crate::{guard::Guard, setting::Setting};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![short(Setting::Shipped, "an_agent_that_is_root_may_not_turn_the_switches_of_the_kernel", switches)]
}

/// What is in a file, without the space around it.
pub(super) fn read(file: &str) -> Result<String> {
    Ok(fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?.trim().to_owned())
}

const PLACE: &str = "/sys/fs/cgroup/place-of-guardd";
const OTHER: &str = "/sys/fs/cgroup/others";
const OLD: &str = "/sys/fs/cgroup/old";

/// guardd in a cgroup of its own, and a hierarchy of cgroups of version 1; undone when dropped.
struct Groups;

impl Groups {
    fn new(guard: &Guard, other: &Bystander) -> Result<Self> {
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids +cpu").context("cannot have them counted")?;
        for (place, pid) in [(PLACE, guard.pid()), (OTHER, other.0.id())] {
            fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
            fs::write(format!("{place}/cgroup.procs"), pid.to_string())
                .with_context(|| format!("cannot fill {place}"))?;
        }
        fs::create_dir_all(OLD).with_context(|| format!("cannot make {OLD}"))?;
        let mount = Command::new("mount").args(["-t", "cgroup", "-o", "none,name=old", "none", OLD]).output()?;
        ensure!(mount.status.success(), "no cgroups of version 1: {}", String::from_utf8_lossy(&mount.stderr));
        Ok(Self)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // Whoever is there goes up, guardd first of all.
        for pid in fs::read_to_string(format!("{PLACE}/cgroup.procs")).unwrap_or_default().lines() {
            drop(fs::write("/sys/fs/cgroup/cgroup.procs", pid));
        }
        drop(Command::new("umount").arg(OLD).status());
        for place in [PLACE, OTHER, OLD] {
            drop(fs::remove_dir(place));
        }
    }
}

fn switches(guard: &mut Guard) -> Result<()> {
    let other = Bystander::start()?;
    let _groups = Groups::new(guard, &other)?;
    let pid = guard.pid();
    let (bystander, back) = (other.0.id(), format!("echo {pid} >{PLACE}/cgroup.procs"));
    let back: &'static str = back.leak();
    let switch = |file: &str, text: &str, otherwise: Otherwise, happened: Asked| Refused {
        command: format!("echo {text} >{file}"),
        logged: Logged::Either(
            "kernel-switches",
            file.to_owned(),
            "to write to cgroups, BPF pins, tracing or debugging",
        ),
        happened,
        otherwise,
    };
    // What was written can be read.
    let set = |file: &str, text: &str, undo: &'static str| {
        let (asked, wanted) = (file.to_owned(), text.trim_matches('\'').to_owned());
        switch(file, text, Otherwise::Works(undo), Box::new(move |_| Ok(read(&asked)? == wanted)))
    };
    let never = |file: &str, text: &str| switch(file, text, Otherwise::Differs, Box::new(|_| Ok(false)));
    let tries = [
        never("/sys/fs/cgroup/cgroup.procs", "$BASHPID"),
        never("/sys/fs/cgroup/cgroup.threads", "$BASHPID"),
        never(&format!("{OLD}/tasks"), "$BASHPID"),
        set(&format!("{OLD}/release_agent"), "/srv/helper", "echo >/sys/fs/cgroup/old/release_agent"),
        set(&format!("{PLACE}/cgroup.freeze"), "1", "echo 0 >/sys/fs/cgroup/place-of-guardd/cgroup.freeze"),
        set(&format!("{PLACE}/memory.max"), "1073741824", "echo max >/sys/fs/cgroup/place-of-guardd/memory.max"),
        set(&format!("{PLACE}/pids.max"), "4000", "echo max >/sys/fs/cgroup/place-of-guardd/pids.max"),
        set(&format!("{PLACE}/cpu.max"), "'90000 100000'", "echo max >/sys/fs/cgroup/place-of-guardd/cpu.max"),
        switch(
            "/sys/fs/cgroup/cgroup.procs",
            &pid.to_string(),
            Otherwise::Works(back),
            Box::new(move |_| Ok(read(&format!("/proc/{pid}/cgroup"))?.lines().any(|line| line == "0::/"))),
        ),
        switch(
            &format!("{PLACE}/cgroup.kill"),
            "1",
            Otherwise::Untried,
            Box::new(move |_| Ok(!fs::exists(format!("/proc/{pid}/fd/0"))?)),
        ),
        switch(
            &format!("{OTHER}/cgroup.kill"),
            "1",
            Otherwise::Works("true"),
            Box::new(move |_| Ok(fs::read(format!("/proc/{bystander}/cmdline")).unwrap_or_default().is_empty())),
        ),
        set("/proc/sys/kernel/core_pattern", "'|/srv/helper'", "echo core >/proc/sys/kernel/core_pattern"),
        set("/proc/sys/kernel/modprobe", "/srv/helper", "echo /sbin/modprobe >/proc/sys/kernel/modprobe"),
        set("/sys/kernel/tracing/tracing_on", "0", "echo 1 >/sys/kernel/tracing/tracing_on"),
        never("/sys/kernel/debug/clear_warn_once", "1"),
        switch("/proc/sysrq-trigger", "h", Otherwise::Works("true"), Box::new(|_| helped())),
    ];
    refused(guard, &tries)?;
    ensure!(guard.status()?["pid"] == pid, "guardd is another one");
    Ok(())
}

/// Whether the kernel was asked for its keys.
fn helped() -> Result<bool> {
    let output = Command::new("dmesg").output().context("cannot start dmesg")?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("sysrq: HELP"))
}
