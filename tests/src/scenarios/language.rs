//! Whatever an agent writes its program in, and whichever way its library asks the kernel: it is held the same.

use anyhow::{Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate,
};
use crate::{
    guard::{Guard, id},
    patience::never,
};

/// Ways to delete two files one after the other, each printing what came of either. Starting node takes seconds, so one start
/// shows both answers.
const WAYS: &[(&str, &str)] = &[
    (
        "python_os_unlink",
        "python3 -c '
import os
for name in \"other\", \"file\":
    try:
        os.unlink(\"/srv/guarded/\" + name); print(\"done\", flush=True)
    except PermissionError as error:
        print(error, flush=True)'",
    ),
    (
        "python_in_a_thread",
        "python3 -c '
import os, threading
def delete():
    for name in \"other\", \"file\":
        try:
            os.unlink(\"/srv/guarded/\" + name); print(\"done\", flush=True)
        except PermissionError as error:
            print(error, flush=True)
thread = threading.Thread(target=delete)
thread.start(); thread.join()'",
    ),
    (
        "node_unlink_sync",
        "node -e '
for (const name of [\"other\", \"file\"])
    try { require(\"fs\").unlinkSync(\"/srv/guarded/\" + name); console.log(\"done\") }
    catch (error) { console.log(error.message) }'",
    ),
    (
        "node_promises_unlink",
        "node -e '
(async () => {
    for (const name of [\"other\", \"file\"])
        await require(\"fs\").promises.unlink(\"/srv/guarded/\" + name)
            .then(() => console.log(\"done\"), error => console.log(error.message))
})()'",
    ),
    ("perl_unlink", "perl -e 'for (qw(other file)) { print unlink(\"/srv/guarded/$_\") ? \"done\\n\" : \"$!\\n\" }'"),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let scenario = |(name, command): &(&str, &'static str)| {
        let command = *command;
        gate(format!("{name}_gets_a_clean_error_after_denial_and_deletes_after_approval"), move |guard| {
            both_answers(guard, command)
        })
    };
    WAYS.iter().map(scenario).collect()
}

fn both_answers(guard: &Guard, command: &str) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(command)?;
    let hold = guard.held("unlink", &format!("{GUARDED}/other"))?;
    never("deleted before anybody decided", || Ok(gone("other")))?;
    // A denial is for the whole process otherwise.
    let answer = guard.guardctl(&["deny", "--once", id(&hold)?])?;
    ensure!(answer.code == 0, "deny ended with {}: {}", answer.code, answer.stderr);
    let hold = guard.held("unlink", &format!("{GUARDED}/file"))?;
    never("deleted before anybody decided", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!gone("other") && gone("file"), "the wrong one is gone; it printed {output:?}");
    let clean = output.to_lowercase().lines().next().is_some_and(|line| line.contains("operation not permitted"));
    ensure!(clean && output.lines().nth(1) == Some("done"), "denied and then approved, it printed {output:?}");
    Ok(())
}
