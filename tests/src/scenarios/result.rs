//! How approved operations ended: the error of the very call, in the log and to whoever asks; and nothing is attached to the
//! end of system calls once that is heard.

use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    Scenario,
    file::{fresh, gone},
    gate,
    net::PORT,
};
use crate::{
    guard::{Guard, id},
    log::Log,
    patience::{until, until_within},
};

const PROGRAM: &str = "/srv/bin/guarded-program";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_approved_unlink_is_said_to_have_succeeded", unlinked),
        gate("an_approved_rmdir_of_what_is_not_empty_is_said_to_have_failed", |guard| {
            let hold = failed(guard, "rmdir /srv/guarded; echo code $?", "rmdir", "guarded", 39)?;
            let said = guard.guardctl(&["show", id(&hold)?])?.stdout;
            ensure!(said.contains("and failed: Directory not empty (ENOTEMPTY)"), "it is shown as {said}");
            Ok(())
        }),
        gate("an_approved_connect_to_a_closed_port_is_said_to_have_been_refused", |guard| {
            failed(guard, &format!("(exec 3<>/dev/tcp/127.0.0.1/{PORT}); echo code $?"), "connect", "4242", 111)?;
            Ok(())
        }),
        gate("an_approved_exec_is_said_to_have_succeeded", |guard| {
            program(&fs::read("/bin/true").context("there is no true")?)?;
            approved(guard, &format!("{PROGRAM}; echo code $?"), "exec", "guarded-program", 0, "code 0\n")?;
            Ok(())
        }),
        gate("an_approved_exec_of_a_script_is_said_to_have_succeeded", |guard| {
            program(b"#!/bin/sh\nexit 3\n")?;
            approved(guard, &format!("{PROGRAM}; echo code $?"), "exec", "guarded-program", 0, "code 3\n")?;
            Ok(())
        }),
        gate("an_approved_exec_of_what_is_no_program_is_said_to_have_failed", |guard| {
            program(b"\0no program")?;
            failed(guard, &format!("{PROGRAM}; echo code $?"), "exec", "guarded-program", 8)?;
            Ok(())
        }),
        gate("an_approval_of_what_is_gone_meanwhile_has_no_result", too_late),
        gate("a_retry_after_approval_has_a_result_and_nothing_listens_after_it", retried),
        gate("results_are_heard_after_guardd_was_killed_while_it_listened", killed),
    ]
}

/// Has it held and approved; answers the hold once its result is this error.
fn approved(guard: &Guard, script: &str, op: &str, about: &str, errno: u64, output: &str) -> Result<Value> {
    let mut log = Log::from_now(guard)?;
    let mut agent = guard.agent(script)?;
    let hold = looked_at(guard, op, about)?;
    guard.decide("approve", &hold)?;
    let said = agent.ends_with(0)?;
    ensure!(said.ends_with(output), "it printed {said:?}");
    has_result(guard, &mut log, &hold, errno)
}

/// The same of what fails for its program.
fn failed(guard: &Guard, script: &str, op: &str, about: &str, errno: u64) -> Result<Value> {
    fresh()?;
    let mut log = Log::from_now(guard)?;
    let mut agent = guard.agent(script)?;
    let hold = looked_at(guard, op, about)?;
    guard.decide("approve", &hold)?;
    let said = agent.ends_with(0)?;
    ensure!(!said.contains("code 0"), "it printed {said:?}");
    has_result(guard, &mut log, &hold, errno)
}

/// Waits for a hold and looks at it, as a person does who then decides: guardd begins to listen, and an approval waits for
/// nothing.
fn looked_at(guard: &Guard, op: &str, about: &str) -> Result<Value> {
    let hold = guard.held(op, about)?;
    shown(guard, id(&hold)?)?;
    until("guardd to listen to the end of calls", || Ok(listens(guard)?.then_some(())))?;
    Ok(hold)
}

/// guardd and its log say that it ended so, once.
fn has_result(guard: &Guard, log: &mut Log, hold: &Value, errno: u64) -> Result<Value> {
    let id = id(hold)?;
    let shown = until(&format!("the result of {id}"), || {
        let shown = shown(guard, id)?;
        Ok((!shown["result"].is_null()).then_some(shown))
    })?;
    ensure!(shown["outcome"] == "released" && shown["result"]["errno"] == errno, "{shown}");
    let mut results = Vec::new();
    until("the result to be in the log", || {
        results.extend(log.records()?.into_iter().filter(|record| record["kind"] == "result"));
        Ok((!results.is_empty()).then_some(()))
    })?;
    let said: Vec<_> = results.iter().map(|record| (&record["hold"], &record["result"]["errno"])).collect();
    ensure!(said == [(&json!(id), &json!(errno))], "{results:?}");
    Ok(shown)
}

fn shown(guard: &Guard, id: &str) -> Result<Value> {
    serde_json::from_str(&guard.guardctl(&["show", id, "-o", "json"])?.stdout).context("show prints JSON")
}

fn program(bytes: &[u8]) -> Result<()> {
    fs::create_dir_all("/srv/bin").context("cannot make /srv/bin")?;
    fs::write(PROGRAM, bytes).context("cannot write the program")?;
    fs::set_permissions(PROGRAM, fs::Permissions::from_mode(0o755)).context("cannot chmod the program")
}

/// Does guardd have a program attached to the end of system calls? Whose descriptor it is ends with guardd.
fn listens(guard: &Guard) -> Result<bool> {
    let directory = format!("/proc/{}/fdinfo", guard.pid());
    for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {directory}"))? {
        // It may be closed meanwhile.
        let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
        if text.lines().any(|line| line.starts_with("tp_name:") && line.ends_with("sys_exit")) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn listens_no_more(guard: &Guard) -> Result<()> {
    // Longer than for the one approval of another scenario whose call never ended.
    until_within(Duration::from_secs(90), "nothing to listen to the end of calls", || {
        Ok((!listens(guard)?).then_some(()))
    })
}

fn unlinked(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let hold = approved(guard, "rm /srv/guarded/file; echo code $?", "unlink", "/srv/guarded/file", 0, "code 0\n")?;
    ensure!(gone("file"), "it is there still");
    let said = guard.guardctl(&["show", id(&hold)?])?.stdout;
    ensure!(said.contains("released: the operation went on and succeeded"), "it is shown as {said}");
    let told = guard.guardctl(&["incident", id(&hold)?])?.stdout;
    ensure!(told.contains("the operation succeeded"), "it is told as {told}");
    listens_no_more(guard)
}

/// The kernel finds out that there is nothing to remove before it asks.
fn too_late(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    fs::remove_file("/srv/guarded/file").context("cannot remove it")?;
    // Nothing comes of it, and guardctl says so.
    guard.guardctl(&["approve", id(&hold)?])?;
    ensure!(agent.ends_with(0)?.contains("code 1"), "there was nothing, and it was removed");
    let shown = until("the hold to be over", || {
        let shown = shown(guard, id(&hold)?)?;
        Ok((shown["state"] == "done").then_some(shown))
    })?;
    ensure!(shown["outcome"] == "died" && shown["result"].is_null(), "{shown}");
    listens_no_more(guard)
}

fn retried(guard: &mut Guard) -> Result<()> {
    let mut log = Log::from_now(guard)?;
    let mut bystander = std::process::Command::new("sleep").arg("60").spawn().context("cannot start a bystander")?;
    // 101 is ptrace, 16 attaches. It goes on asking until it may.
    let attach = "for (1 .. 600) { exit 0 if syscall(101, 16, 0 + $ARGV[0], 0, 0) == 0; select(undef, undef, undef, 0.1) } exit 1";
    let mut agent = guard.agent(&format!("perl -e '{attach}' {}; echo code $?", bystander.id()))?;
    listens_no_more(guard)?;
    let hold = looked_at(guard, "ptrace", &bystander.id().to_string())?;
    guard.decide("approve", &hold)?;
    let said = agent.ends_with(0);
    bystander.kill().context("cannot end the bystander")?;
    bystander.wait().context("cannot wait for the bystander")?;
    ensure!(said?.contains("code 0"), "it could not attach");
    has_result(guard, &mut log, &hold, 0)?;
    listens_no_more(guard)
}

/// What was noted for one guardd is not another's to hear.
fn killed(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; rm /srv/guarded/other; echo code $?")?;
    let first = looked_at(guard, "unlink", "/srv/guarded/file")?;
    let answer = guard.guardctl(&["approve", "--once", id(&first)?])?;
    ensure!(answer.code == 0, "{}", answer.stderr);
    guard.crash()?;
    guard.start_again()?;
    ensure!(!listens(guard)?, "it listens for what another guardd wanted to hear");
    let mut log = Log::from_now(guard)?;
    let second = looked_at(guard, "unlink", "/srv/guarded/other")?;
    guard.decide("approve", &second)?;
    ensure!(agent.ends_with(0)?.contains("code 0"), "approved, and not removed");
    has_result(guard, &mut log, &second, 0)?;
    listens_no_more(guard)
}
