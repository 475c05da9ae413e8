//! Ways out of the agent and ends of what waits: other processes' memory and descriptors, a core dump, a kill, an exec by
//! another thread.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{Way, destroy::said, disguise, each_is_held, free, gone, is_changed, way};
use crate::{
    guard::Guard,
    patience::until,
    scenarios::{
        Scenario,
        calls::stack,
        file::{GUARDED, fresh},
        gate,
        race::held_pid,
    },
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("neither_memory_nor_descriptors_of_others_are_reached_before_an_approval", reached),
        gate("a_core_dump_over_a_file_is_refused", dumped),
        gate("what_its_agent_kills_or_replaces_while_it_waits_is_undone", ended),
    ]
}

/// They cannot wait: each try is refused until one comes after the approval.
const WAYS: &[Way] = &[
    way(
        "process_vm_writev",
        "ptrace",
        r#"my ($pid, $at) = bystander($free); my $new = "new data";
           again($d, sub { call(PROCESS_VM_WRITEV, $pid, pack("P Q", $new, 8), 1, pack("Q2", $at, 8), 1, 0) })"#,
        is_written,
    )
    .prepared(bystander),
    // PIDFD_OPEN comes first: later kernels open a file without a root for it, which is a doubt. The bystander's output is the
    // file that is lost.
    way(
        "pidfd_getfd",
        "ptrace",
        r#"my ($pid) = bystander($free); my $process = syscall(PIDFD_OPEN, $pid, 0);
           again($d, sub { my $f = syscall(PIDFD_GETFD, $process, 1, 0); $f > 0 && call(PWRITE, $f, "new", 3, 0) })"#,
        is_changed,
    )
    .prepared(bystander)
    .through("open_write"),
];

/// Starts a process that no agent may touch; its number, and where it has eight bytes to spare, are said where agents look.
fn bystander(directory: &Path) -> Result<()> {
    let output = OpenOptions::new().write(true).open(directory.join("file")).context("cannot open its output")?;
    let child = Command::new("sleep").arg("600").stdout(Stdio::from(output)).spawn().context("cannot start sleep")?;
    fs::write(free(directory), format!("{} {}", child.id(), stack(child.id())?)).context("cannot say who it is")
}

/// The bystander of a try and its place.
fn told(directory: &Path) -> Result<(u32, u64)> {
    let text = fs::read_to_string(free(directory)).context("nobody said who it is")?;
    let (pid, at) = text.split_once(' ').context("two numbers")?;
    Ok((pid.parse()?, at.parse()?))
}

fn is_written(directory: &Path) -> bool {
    let read = || -> Result<bool> {
        let (pid, at) = told(directory)?;
        let mut bytes = [0; 8];
        File::open(format!("/proc/{pid}/mem"))?.read_exact_at(&mut bytes, at)?;
        Ok(&bytes == b"new data")
    };
    read().unwrap_or(false)
}

fn reached(guard: &mut Guard) -> Result<()> {
    let result = each_is_held(guard, WAYS);
    for entry in fs::read_dir(super::FREE).context("cannot list the bystanders")? {
        if let Ok((pid, _)) = told(&Path::new(GUARDED).join(entry?.file_name())) {
            Command::new("kill").args(["-KILL", &pid.to_string()]).status().context("cannot start kill")?;
        }
    }
    result
}

/// A dying task cannot wait. Without guard the same writes over the file.
fn dumped(guard: &mut Guard) -> Result<()> {
    const PATTERN: &str = "/proc/sys/kernel/core_pattern";
    const DIE: &str = "ulimit -c unlimited; cd /srv/guarded; perl -e 'kill ABRT => $$'; true";
    fresh()?;
    let file = Path::new(GUARDED).join("core");
    fs::write(&file, "no core\n").context("cannot make a file")?;
    let before = fs::read(PATTERN).context("cannot read the core pattern")?;
    fs::write(PATTERN, "core").context("cannot set the core pattern")?;
    let uses_pid = fs::read("/proc/sys/kernel/core_uses_pid").context("cannot read core_uses_pid")?;
    fs::write("/proc/sys/kernel/core_uses_pid", "0").context("cannot set core_uses_pid")?;
    let mut agent = guard.agent(DIE)?;
    let output = agent.ends_with(0)?;
    let kept = fs::read(&file).context("the file is there")?;
    let control = said(Command::new("bash").args(["-c", DIE]));
    let lost = fs::read(&file).context("the file is there")?;
    fs::write(PATTERN, before).context("cannot restore the core pattern")?;
    fs::write("/proc/sys/kernel/core_uses_pid", uses_pid).context("cannot restore core_uses_pid")?;
    control?;
    ensure!(kept == b"no core\n", "an agent's core is in the file: {output}");
    ensure!(lost.starts_with(b"\x7fELF"), "no core is written here at all");
    Ok(())
}

fn ended(guard: &mut Guard) -> Result<()> {
    disguise::compile()?;
    fresh()?;
    let none = || until("the hold to end", || Ok(guard.pending()?.is_empty().then_some(())));
    let mut agent = guard.agent(
        "rm /srv/guarded/file & echo ready; until [ -e go ]; do sleep 0.1; done; kill -KILL $!; wait $!; echo code $?",
    )?;
    guard.held("unlink", "/srv/guarded/file")?;
    fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 137"), "it was not killed: {output}");
    none()?;
    ensure!(!gone(Path::new(GUARDED), "file"), "killed while it waited, and the file is gone");

    // All threads are stopped; woken, each comes a little further before they are stopped again.
    let mut agent = guard.agent("exec /srv/entry replaced_beside /srv/guarded/file /bin/echo replaced")?;
    let pid = held_pid(&guard.held("unlink", "/srv/guarded/file")?)?;
    until("the other thread to replace the program", || {
        Command::new("kill").args(["-CONT", &pid.to_string()]).status().context("cannot start kill")?;
        if gone(Path::new(GUARDED), "file") {
            bail!("the file is gone");
        }
        Ok(agent.output()?.contains("replaced").then_some(()))
    })?;
    agent.ends_with(0)?;
    none()?;
    ensure!(!gone(Path::new(GUARDED), "file"), "replaced while it waited, and the file is gone");
    Ok(())
}
