//! What can change between the hold and the decision: nothing but the approved object may be touched.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{FileExt as _, symlink},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
};
use crate::{
    agent::state,
    guard::Guard,
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("a_rogue_sigcont_in_a_loop_changes_nothing", sigcont),
        gate("two_threads_are_held_at_once_and_each_gets_its_own_decision", threads),
        gate("eight_threads_held_over_and_over_never_see_the_restart", crowd),
        gate("a_directory_renamed_while_held_does_not_move_the_approval", renamed),
        gate("a_symlink_flipped_while_held_does_not_move_the_approval", flipped),
        gate("arguments_rewritten_while_held_do_not_run_under_the_approval", argv),
        gate("a_directory_made_where_a_harmless_one_was_removed_is_not_taken_for_it", reused),
        gate("a_held_process_killed_from_outside_leaves_no_hold", killed),
    ]
}

pub(super) fn held_pid(hold: &Value) -> Result<u64> {
    hold["processes"][0]["pid"].as_u64().context("a hold names its process")
}

/// A kernel gives memory and number of a removed directory to the next one.
fn reused(guard: &mut Guard) -> Result<()> {
    const ROUNDS: usize = 12;
    fresh()?;
    fs::create_dir_all("/srv/free").context("cannot make /srv/free")?;
    let script = format!(
        "for i in $(seq {ROUNDS}); do mkdir /srv/free/$i; : >/srv/free/$i/f; rm /srv/free/$i/f; rmdir /srv/free/$i; \
         echo gone $i; until [ -e /srv/guarded/$i/f ]; do sleep 0.05; done; rm /srv/guarded/$i/f & done; wait"
    );
    let agent = guard.agent(&script)?;
    for round in 1..=ROUNDS {
        agent.says(&format!("gone {round}"))?;
        let directory = format!("/srv/guarded/{round}");
        fs::create_dir(&directory).with_context(|| format!("cannot make {directory}"))?;
        fs::write(format!("{directory}/f"), "kept\n").with_context(|| format!("cannot write into {directory}"))?;
    }
    for round in 1..=ROUNDS {
        let file = format!("/srv/guarded/{round}/f");
        guard.held("unlink", &file)?;
        ensure!(fs::exists(&file)?, "{file} is gone");
    }
    Ok(())
}

fn sigcont(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    let pid = held_pid(&hold)?;
    for _ in 0..50 {
        Command::new("kill").args(["-CONT", &pid.to_string()]).status().context("cannot start kill")?;
        ensure!(!gone("file"), "SIGCONT let it through");
    }
    until("the process to be stopped again", || Ok((state(pid) == Some('T')).then_some(())))?;
    never("SIGCONT let it through", || Ok(gone("file")))?;
    ensure!(guard.pending()?.len() == 1, "one operation, one hold: {:?}", guard.pending()?.len());
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    Ok(())
}

fn threads(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let script = "python3 -c '
import os, threading
def delete(name):
    try:
        os.unlink(\"/srv/guarded/\" + name); print(name, \"deleted\", flush=True)
    except OSError as error:
        print(name, \"refused\" if error.errno == 1 else repr(error), flush=True)
ts = [threading.Thread(target=delete, args=(n,)) for n in (\"file\", \"other\")]
[t.start() for t in ts]; [t.join() for t in ts]'";
    let mut agent = guard.agent(script)?;
    let first = guard.held("unlink", "/srv/guarded/")?;
    let path = first["operation"]["path"].as_str().unwrap_or_default().to_owned();
    let answer = guard.guardctl(&["approve", "--once", crate::guard::id(&first)?])?;
    ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    let other = if path.ends_with("/file") { "/srv/guarded/other" } else { "/srv/guarded/file" };
    let second = guard.held("unlink", other).with_context(|| {
        let output = agent.output().unwrap_or_default();
        format!("{other} is there: {:?}, the agent printed {output:?}", fs::exists(other))
    })?;
    let answer = guard.guardctl(&["deny", "--once", crate::guard::id(&second)?])?;
    ensure!(answer.code <= 1, "deny ended with {}: {}", answer.code, answer.stderr);
    let output = agent.ends_with(0)?;
    ensure!(output.contains("deleted") && output.contains("refused"), "it printed {output:?}");
    ensure!(!fs::exists(&path)? && fs::exists(other)?, "the wrong file is gone");
    Ok(())
}

/// Threads that are stopped and woken together: each stop must reach the thread whose call is undone.
fn crowd(guard: &mut Guard) -> Result<()> {
    const THREADS: usize = 8;
    const FILES: usize = 12;
    fresh()?;
    for number in 0..THREADS * FILES {
        fs::write(format!("/srv/guarded/crowd{number}"), "").context("cannot make a file")?;
    }
    let script = format!(
        "python3 -c '
import os, threading
def delete(first):
    for number in range(first, {THREADS} * {FILES}, {THREADS}):
        try:
            os.unlink(\"/srv/guarded/crowd%d\" % number)
        except OSError as error:
            print(repr(error), flush=True)
ts = [threading.Thread(target=delete, args=(n,)) for n in range({THREADS})]
[t.start() for t in ts]; [t.join() for t in ts]; print(\"all joined\")'"
    );
    let mut agent = guard.agent(&script)?;
    // One at a time, so that every approval wakes the others for nothing.
    for _ in 0..THREADS * 2 {
        let hold =
            until("an undecided hold", || Ok(guard.pending()?.into_iter().find(|hold| hold["state"] == "pending")))?;
        let answer = guard.guardctl(&["approve", "--once", crate::guard::id(&hold)?])?;
        ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    }
    let hold = until("an undecided hold", || Ok(guard.pending()?.into_iter().find(|hold| hold["state"] == "pending")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.trim() == "all joined", "it printed {output:?}");
    let left = (0..THREADS * FILES).filter(|number| !gone(&format!("crowd{number}"))).count();
    ensure!(left == 0, "{left} approved files are still there");
    Ok(())
}

fn renamed(guard: &mut Guard) -> Result<()> {
    fresh()?;
    for (name, text) in [("cheap", "cheap"), ("dear", "dear")] {
        fs::create_dir(format!("/srv/guarded/{name}")).context("cannot make a directory")?;
        fs::write(format!("/srv/guarded/{name}/data"), text).context("cannot write data")?;
    }
    let mut agent = guard.agent("rm /srv/guarded/cheap/data; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/cheap/data")?;
    // While it is held, another directory takes the approved one's place.
    fs::rename("/srv/guarded/cheap", "/srv/guarded/was-cheap").context("cannot rename")?;
    fs::rename("/srv/guarded/dear", "/srv/guarded/cheap").context("cannot rename")?;
    let answer = guard.guardctl(&["approve", "--once", crate::guard::id(&hold)?])?;
    ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    let second = guard.held("unlink", "/srv/guarded/cheap/data")?;
    ensure!(fs::exists("/srv/guarded/cheap/data")?, "the approval moved to another object");
    guard.decide("deny", &second)?;
    agent.ends_with(0)?;
    ensure!(fs::exists("/srv/guarded/cheap/data")?, "denied, and gone");
    Ok(())
}

fn flipped(guard: &mut Guard) -> Result<()> {
    fresh()?;
    symlink("/srv/guarded/file", "/srv/link")
        .or_else(|_| fs::remove_file("/srv/link").and_then(|()| symlink("/srv/guarded/file", "/srv/link")))
        .context("cannot link")?;
    let mut agent = guard.agent("echo changed >> /srv/link; echo code $?")?;
    let hold = guard.held("open_write", "/srv/guarded/file")?;
    fs::remove_file("/srv/link").context("cannot remove the link")?;
    symlink("/srv/guarded/other", "/srv/link").context("cannot link")?;
    let answer = guard.guardctl(&["approve", "--once", crate::guard::id(&hold)?])?;
    ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    let second = guard.held("open_write", "/srv/guarded/other")?;
    ensure!(fs::read_to_string("/srv/guarded/other")? == "other\n", "the approval moved to another object");
    guard.decide("deny", &second)?;
    agent.ends_with(0)?;
    ensure!(fs::read_to_string("/srv/guarded/other")? == "other\n", "denied, and written");
    Ok(())
}

/// The held process's own memory is changed, as a thread that shares it could, between the hold and the approval.
fn argv(guard: &mut Guard) -> Result<()> {
    let marker = "harmless-argument-4711";
    let mut agent = guard.agent(&format!("exec /bin/echo destroy-everything {marker}"))?;
    let hold = guard.held("exec", marker)?;
    let pid = held_pid(&hold)?;
    let changed = rewrite(pid, marker.as_bytes(), b"DANGEROUS-argument-4711")?;
    ensure!(changed > 0, "the argument was not found in the process");
    let answer = guard.guardctl(&["approve", "--once", crate::guard::id(&hold)?])?;
    ensure!(answer.code <= 1, "approve ended with {}: {}", answer.code, answer.stderr);
    never("changed arguments ran under the approval", || Ok(agent.output()?.contains("DANGEROUS")))?;
    let second = guard.held("exec", "DANGEROUS")?;
    guard.decide("deny", &second)?;
    ensure!(!agent.end()?.output.contains("DANGEROUS"), "denied, and it ran");
    Ok(())
}

/// Overwrites a text wherever it stands in a process's writable memory; the count.
pub(super) fn rewrite(pid: u64, from: &[u8], to: &[u8]) -> Result<usize> {
    let memory =
        OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).context("cannot open the memory")?;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("cannot read the maps")?;
    let mut changed = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let Some((start, end)) = range
            .and_then(|(start, end)| Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?)))
        else {
            continue;
        };
        let mut bytes = vec![0; usize::try_from(end - start).context("a mapping fits")?];
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        for at in bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from).map(|(at, _)| at) {
            memory.write_all_at(&to[..from.len()], start + at as u64).context("cannot write the memory")?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn killed(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    Command::new("kill").args(["-KILL", &held_pid(&hold)?.to_string()]).status().context("cannot start kill")?;
    agent.end()?;
    until("the hold to end", || Ok(guard.pending()?.is_empty().then_some(())))?;
    ensure!(!gone("file"), "killed, and gone");
    Ok(())
}
