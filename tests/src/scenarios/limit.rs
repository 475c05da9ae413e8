//! guardd at its limits: a full ring buffer, a full table of holds, a log that cannot be written. Each time the answer
//! is to hold or to refuse, never to let through.

use std::{fs, path::Path, process};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate, short,
};
use crate::{
    agent::stopped,
    guard::{Guard, id},
    patience::{never, until},
    setting::{FEW, Setting},
};

/// More than the ring buffer holds: a notice takes 32 of its 262,144 bytes.
const NOTICES: u32 = 10_000;

/// What an agent does once `go` is in its workspace.
const WHEN_TOLD: &str = "echo ready; while [ ! -e go ]; do sleep 0.1; done;";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("holds_made_while_the_ring_buffer_is_full_are_all_found", ring_full),
        short(Setting::FewHolds, "what_finds_no_room_among_the_holds_is_refused_and_counted", holds_full),
        short(Setting::SmallLog, "nothing_is_approved_while_the_log_cannot_be_written", log_full),
        short(Setting::SmallLog, "rules_read_while_the_log_cannot_be_written_let_nothing_through", super::midway::full),
        short(
            Setting::FragileLog,
            "nothing_is_approved_once_the_logs_file_system_broke_and_is_read_only",
            log_read_only,
        ),
    ]
}

/// Makes files `n0`, `n1`, … in the watched directory.
fn numbered(count: usize) -> Result<()> {
    fresh()?;
    (0..count).try_for_each(|number| fs::write(format!("{GUARDED}/n{number}"), "").context("cannot make a file"))
}

/// How many of them are there.
fn there(count: usize) -> usize {
    (0..count).filter(|number| !gone(&format!("n{number}"))).count()
}

fn ring_full(guard: &mut Guard) -> Result<()> {
    const FILES: usize = 20;
    numbered(FILES)?;
    let lost = guard.count("notice_lost")?;
    // Each attempt at a ring is refused with a notice; see `uring.rs`.
    let flood = format!("perl -e '$p = \"\\0\" x 120; syscall(425, 8, $p) for 1 .. {NOTICES}; print \"flooded\\n\"'");
    let mut flood = guard.agent(&format!("{WHEN_TOLD} {flood}"))?;
    let mut agent = guard.agent(&format!("{WHEN_TOLD} guard-tests act unlink-each {GUARDED} n {FILES}"))?;
    flood.says("ready")?;
    agent.says("ready")?;
    let asleep = Asleep::new(guard)?;
    fs::write(flood.workspace().join("go"), "")?;
    flood.ends_with(0)?;
    fs::write(agent.workspace().join("go"), "")?;
    until("all to be stopped", || Ok((stopped("unlink")? == FILES).then_some(())))?;
    never("something was deleted while guardd slept", || Ok(there(FILES) < FILES))?;
    drop(asleep);
    let held = until("all holds to be found", || {
        let pending = guard.pending()?;
        Ok((pending.len() == FILES).then_some(pending))
    })?;
    ensure!(guard.count("notice_lost")? > lost, "no notice was lost: this proves nothing");
    ensure!(there(FILES) == FILES, "{} files are gone without a decision", FILES - there(FILES));
    for hold in &held[..FILES / 2] {
        guard.decide("approve", hold)?;
    }
    for hold in &held[FILES / 2..] {
        guard.decide("deny", hold)?;
    }
    agent.ends_with(0)?;
    ensure!(there(FILES) == FILES / 2, "half was approved, and {} are there", there(FILES));
    Ok(())
}

/// guardd stopped with SIGSTOP; it goes on when dropped.
struct Asleep(Pid);

impl Asleep {
    fn new(guard: &Guard) -> Result<Self> {
        let pid = Pid::from_raw(guard.pid().cast_signed()).context("guardd has a pid")?;
        kill_process(pid, Signal::STOP).context("cannot stop guardd")?;
        until("guardd to stop", || Ok((crate::agent::state(guard.pid().into()) == Some('T')).then_some(())))?;
        Ok(Self(pid))
    }
}

impl Drop for Asleep {
    fn drop(&mut self) {
        // Without this every further word to guardd would wait for ever.
        if let Err(error) = kill_process(self.0, Signal::CONT) {
            eprintln!("cannot wake guardd: {error}");
            process::abort();
        }
    }
}

fn holds_full(guard: &mut Guard) -> Result<()> {
    const FILES: usize = FEW + 2;
    numbered(FILES)?;
    let full = guard.count("holds_full")?;
    let mut agent = guard.agent(&format!("guard-tests act unlink-each {GUARDED} n {FILES}; echo and on"))?;
    let held = until("as many holds as fit, and the rest refused", || {
        let pending = guard.pending()?;
        let refused = agent.output()?.matches("Operation not permitted").count();
        Ok((pending.len() == FEW && refused == FILES - FEW).then_some(pending))
    })
    .with_context(|| format!("the agent said {:?}", agent.output().unwrap_or_default()))?;
    never("something was let through", || Ok(there(FILES) < FILES))?;
    ensure!(guard.count("holds_full")? >= full + 2, "the refusals were not counted: {}", guard.status()?["counts"]);
    for hold in &held {
        guard.decide("approve", hold)?;
    }
    let output = agent.ends_with(0)?;
    ensure!(output.ends_with("and on\n"), "it printed {output:?}");
    ensure!(there(FILES) == FILES - FEW, "{FEW} were approved, and {} of {FILES} are there", there(FILES));
    // There is room again.
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    Ok(())
}

fn log_full(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let balloon = guard.audit().with_file_name("balloon");
    fill(&balloon)?;
    // The log's last page has room for some lines still, but not for one with a note as long as this: the disk fails
    // the first approval after guardd took it, and the next one is not even taken.
    let long = "agreed ".repeat(1000);
    for (attempt, note) in [("the first", long.as_str()), ("the next", "agreed")] {
        let answer = guard.guardctl(&["approve", "-m", note, id(&hold)?])?;
        ensure!(
            answer.code == 1 && answer.stderr.contains("audit log cannot be written"),
            "{attempt} approve ended with {}: {}{}",
            answer.code,
            answer.stdout,
            answer.stderr
        );
        never("it went through without a log", || Ok(gone("file")))?;
    }
    ensure!(guard.status()?["audit_ok"] == false, "the status says nothing: {}", guard.status()?);
    // What comes now is held as well, and may be refused: that releases nothing.
    let mut other = guard.agent("rm /srv/guarded/other; echo code $?")?;
    let refused = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &refused)?;
    let output = other.ends_with(0)?;
    ensure!(output.contains("code 1") && !gone("other"), "denied, and it printed {output:?}");

    fs::remove_file(&balloon).context("cannot make room")?;
    until("the log to be written again", || Ok((guard.status()?["audit_ok"] == true).then_some(())))?;
    never("the approval that was not logged came true", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    whole(guard)
}

fn log_read_only(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    break_file_system(guard)?;
    // guardd may hear of it with the first approval only; the next one it does not even take.
    for attempt in ["the first", "the next"] {
        let answer = guard.guardctl(&["approve", id(&hold)?])?;
        ensure!(
            answer.code == 1 && answer.stderr.contains("audit log cannot be written"),
            "{attempt} approve ended with {}: {}{}",
            answer.code,
            answer.stdout,
            answer.stderr
        );
        never("it went through without a log", || Ok(gone("file")))?;
    }
    ensure!(guard.status()?["audit_ok"] == false, "the status says nothing: {}", guard.status()?);
    let loud = guard.guardctl(&["status"])?.stdout;
    ensure!(loud.contains("CANNOT BE WRITTEN"), "a person is told: {loud}");
    let mut other = guard.agent("rm /srv/guarded/other; echo code $?")?;
    let refused = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &refused)?;
    let output = other.ends_with(0)?;
    ensure!(output.contains("code 1") && !gone("other"), "denied, and it printed {output:?}");
    // The kill switch needs no disk.
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    agent.end()?;
    ensure!(!gone("file"), "it was deleted although nobody's approval was ever logged");
    Ok(())
}

/// Tells the kernel that the log's file system has an error, as a broken disk would.
fn break_file_system(guard: &Guard) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let place = guard.audit().parent().context("a log has a directory")?.to_string_lossy().into_owned();
    let device = mounts.lines().find(|line| line.split(' ').nth(1) == Some(&place)).context("the log is mounted")?;
    let name = device.split(' ').next().and_then(|device| device.strip_prefix("/dev/")).context("on a device")?;
    fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").context("cannot break the file system")?;
    let error = fs::write(guard.audit().with_file_name("probe"), "").err().context("it can still be written to")?;
    // Newer kernels leave the mount as it is and fail what reaches the disk.
    let io_error = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
    ensure!(error.kind() == std::io::ErrorKind::ReadOnlyFilesystem || io_error, "writing ended with {error}");
    Ok(())
}

/// Leaves no page for the log.
pub(super) fn fill(balloon: &Path) -> Result<()> {
    let mut file = fs::File::create(balloon).context("cannot make the balloon")?;
    let error = loop {
        if let Err(error) = std::io::Write::write_all(&mut file, &[0; 4096]) {
            break error;
        }
    };
    ensure!(error.kind() == std::io::ErrorKind::StorageFull, "the balloon stopped at {error}");
    Ok(())
}

/// The log is a chain without a gap.
pub(super) fn whole(guard: &Guard) -> Result<()> {
    let log = guard.audit();
    let answer = guard.guardctl(&["log", "verify", "-o", "json", &log.to_string_lossy()])?;
    let said: Value = serde_json::from_str(&answer.stdout)
        .with_context(|| format!("verify ended with {}: {}{}", answer.code, answer.stdout, answer.stderr))?;
    ensure!(answer.code == 0 && said["whole"] == true, "the log is not whole: {said}");
    let lost = said["findings"].as_array().into_iter().flatten().find(|finding| finding["what"] == "lost");
    ensure!(lost.is_none(), "records are missing: {said}");
    Ok(())
}
