//! Operations on files: each is held before it takes effect, happens after approval, and fails cleanly after denial.
//! A case is a command and two questions to the file system.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::{
    guard::Guard,
    patience::{never, until},
};

/// The watched directory, made anew for each case.
pub(super) const GUARDED: &str = "/srv/guarded";

/// One operation.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// Name of the operation in the API.
    pub(super) op: &'static str,
    pub(super) name: &'static str,
    /// What the agent executes; its exit code decides.
    pub(super) command: &'static str,
    /// Whether it has taken effect.
    pub(super) happened: fn() -> bool,
}

pub(super) const CASES: &[Case] = &[
    Case { op: "unlink", name: "unlink", command: "rm /srv/guarded/file", happened: || gone("file") },
    Case { op: "rmdir", name: "rmdir", command: "rmdir /srv/guarded/empty", happened: || gone("empty") },
    Case {
        op: "rename",
        name: "rename_over_a_file",
        command: "mv -f /srv/guarded/other /srv/guarded/file",
        happened: || text("file") == "other\n",
    },
    Case { op: "rename", name: "move_away", command: "mv /srv/guarded/file /srv/taken", happened: || gone("file") },
    Case {
        op: "link",
        name: "link",
        command: "ln /srv/guarded/file /srv/guarded/linked",
        happened: || !gone("linked"),
    },
    Case { op: "symlink", name: "symlink", command: "ln -s /etc/passwd /srv/guarded/soft", happened: || !gone("soft") },
    Case { op: "mknod", name: "create", command: "touch /srv/guarded/created", happened: || !gone("created") },
    Case {
        op: "mknod",
        name: "mkfifo",
        command: "mkfifo /srv/guarded/fifo",
        happened: || kind("fifo", |kind| kind.is_fifo()),
    },
    Case { op: "chmod", name: "chmod", command: "chmod 600 /srv/guarded/file", happened: || mode("file") == 0o600 },
    Case { op: "chown", name: "chown", command: "chown 1000 /srv/guarded/file", happened: || owner("file") == 1000 },
    Case {
        op: "truncate",
        name: "truncate",
        command: "python3 -c 'import os; os.truncate(\"/srv/guarded/file\", 1)'",
        happened: || text("file") != "file\n",
    },
    Case {
        op: "open_write",
        name: "append",
        command: "echo more >> /srv/guarded/file",
        happened: || text("file").contains("more"),
    },
    Case {
        op: "open_write",
        name: "overwrite_by_redirection",
        command: "echo less > /srv/guarded/file",
        happened: || text("file") == "less\n",
    },
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for case in CASES.iter().copied() {
        let name = case.name;
        scenarios.push(gate(format!("{name}_is_held_and_untouched_and_happens_after_approval"), move |guard| {
            approved(guard, case)
        }));
        scenarios
            .push(gate(format!("{name}_is_held_and_fails_cleanly_after_denial"), move |guard| denied(guard, case)));
        scenarios
            .push(gate(format!("{name}_never_happens_when_the_process_is_killed"), move |guard| killed(guard, case)));
    }
    scenarios.push(gate("reading_a_secret_is_held_until_approved", reading));
    scenarios.push(gate("a_recursive_delete_asks_once_and_then_completes", recursive_delete));
    scenarios.push(gate("a_new_file_in_the_workspace_is_not_held", free_work));
    scenarios.push(gate("an_exchange_of_two_files_is_held", exchange));
    scenarios
}

fn approved(guard: &Guard, case: Case) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&script(case))?;
    drive(guard, &mut agent, case, "approve", true)?;
    let output = agent.ends_with(0)?;
    ensure!((case.happened)(), "approved, and it did not happen: {output}");
    ensure!(output.contains("code 0\n"), "the command failed although approved: {output}");
    Ok(())
}

fn denied(guard: &Guard, case: Case) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&script(case))?;
    drive(guard, &mut agent, case, "deny", false)?;
    let output = agent.ends_with(0)?;
    ensure!(!(case.happened)(), "denied, and it happened: {output}");
    ensure!(!output.contains("code 0\n"), "the command should have failed: {output}");
    ensure!(
        output.contains("Operation not permitted") || output.contains("PermissionError"),
        "not a clean error: {output}"
    );
    ensure!(output.contains("and on\n"), "the script should have gone on: {output}");
    Ok(())
}

fn killed(guard: &Guard, case: Case) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&script(case))?;
    let hold = held_untouched(guard, case)?;
    guard.decide("kill", &hold)?;
    // The killed process may be the script itself, where the shell does the act without forking.
    agent.end()?;
    ensure!(!(case.happened)(), "its process was killed, and it happened");
    Ok(())
}

/// Decides on the first hold, and the same way on whatever further holds the same command runs into (`mv` tries
/// another way after a refusal).
fn drive(guard: &Guard, agent: &mut crate::agent::Agent, case: Case, verb: &str, _approved: bool) -> Result<()> {
    let hold = held_untouched(guard, case)?;
    guard.decide(verb, &hold)?;
    crate::patience::until("the agent to end", || {
        if agent.has_ended()? {
            return Ok(Some(()));
        }
        for hold in guard.pending()? {
            // It may have ended, or been decided with the one before, since it was listed.
            guard.guardctl(&[verb, crate::guard::id(&hold)?])?;
        }
        Ok(None)
    })
}

fn held_untouched(guard: &Guard, case: Case) -> Result<serde_json::Value> {
    let hold = guard.held(case.op, GUARDED)?;
    never("it happened before anybody decided", || Ok((case.happened)()))?;
    Ok(hold)
}

fn script(case: Case) -> String {
    format!("{}; echo code $?; echo and on", case.command)
}

fn reading(guard: &mut Guard) -> Result<()> {
    fs::create_dir_all("/srv/secret").context("cannot make /srv/secret")?;
    fs::write("/srv/secret/key", "the key\n").context("cannot write the secret")?;
    let mut agent = guard.agent("cat /srv/secret/key")?;
    let hold = guard.held("open_read", "/srv/secret/key")?;
    never("the secret was read before anybody decided", || Ok(agent.output()?.contains("the key")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "the key\n", "cat printed {output:?}");
    Ok(())
}

fn recursive_delete(guard: &mut Guard) -> Result<()> {
    fresh()?;
    for number in 0..20 {
        fs::create_dir_all(format!("{GUARDED}/deep/{number}")).context("cannot make directories")?;
        fs::write(format!("{GUARDED}/deep/{number}/data"), "data").context("cannot write data")?;
    }
    let mut agent = guard.agent("rm -rf /srv/guarded/deep; echo code $?")?;
    let hold = guard.held("unlink", GUARDED)?;
    let count = || walk(Path::new("/srv/guarded/deep"));
    ensure!(count() == 40, "something was deleted before anybody decided");
    // The hold is shown at once; the count comes from the disk and follows.
    until("a blast radius of 20 files", || {
        Ok(guard.held("unlink", GUARDED)?["blast"].as_object().and_then(|blast| (blast["files"] == 20).then_some(())))
    })?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "rm printed {output:?}");
    ensure!(gone("deep"), "approved, and the directory is still there");
    Ok(())
}

fn free_work(guard: &mut Guard) -> Result<()> {
    let mut agent =
        guard.agent("mkdir a && echo one > a/b && mv a/b a/c && chmod 700 a && cat a/c && rm -rf a && echo done")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "one\ndone\n", "the script printed {output:?}");
    Ok(())
}

fn exchange(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("guard-tests act exchange /srv/guarded/file /srv/guarded/other")?;
    let hold = guard.held("rename", GUARDED)?;
    never("exchanged before anybody decided", || Ok(text("file") == "other\n"))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(text("file") == "other\n" && text("other") == "file\n", "approved, and not exchanged");
    Ok(())
}

/// Makes the watched directory anew.
pub(super) fn fresh() -> Result<()> {
    for path in [GUARDED, "/srv/taken"] {
        let path = Path::new(path);
        if path.is_dir() {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
        } else if path.exists() {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    fs::create_dir_all(format!("{GUARDED}/empty")).context("cannot make the watched directory")?;
    for name in ["file", "other"] {
        fs::write(format!("{GUARDED}/{name}"), format!("{name}\n")).context("cannot write a watched file")?;
    }
    Ok(())
}

pub(super) fn gone(name: &str) -> bool {
    fs::symlink_metadata(format!("{GUARDED}/{name}")).is_err()
}

fn text(name: &str) -> String {
    fs::read_to_string(format!("{GUARDED}/{name}")).unwrap_or_default()
}

fn kind(name: &str, is: impl Fn(fs::FileType) -> bool) -> bool {
    fs::symlink_metadata(format!("{GUARDED}/{name}")).is_ok_and(|metadata| is(metadata.file_type()))
}

fn mode(name: &str) -> u32 {
    fs::metadata(format!("{GUARDED}/{name}")).map_or(0, |metadata| metadata.permissions().mode() & 0o777)
}

fn owner(name: &str) -> u32 {
    fs::metadata(format!("{GUARDED}/{name}")).map_or(u32::MAX, |metadata| metadata.uid())
}

fn walk(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| 1 + if entry.path().is_dir() { walk(&entry.path()) } else { 0 }).sum()
}
