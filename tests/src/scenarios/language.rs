//! Whatever an agent writes its program in, and whichever way its library asks the kernel: it is held the same.

use anyhow::{Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate,
};
use crate::{guard::Guard, patience::never};

/// Ways to delete a file, each printing what came of it.
const WAYS: &[(&str, &str)] = &[
    ("python_os_unlink", "python3 -c 'import os; os.unlink(\"/srv/guarded/file\"); print(\"done\")'"),
    (
        "python_in_a_thread",
        "python3 -c '
import os, threading
def delete():
    try:
        os.unlink(\"/srv/guarded/file\"); print(\"done\", flush=True)
    except PermissionError as error:
        print(error, flush=True)
thread = threading.Thread(target=delete)
thread.start(); thread.join()'",
    ),
    ("node_unlink_sync", "node -e 'require(\"fs\").unlinkSync(\"/srv/guarded/file\"); console.log(\"done\")'"),
    (
        "node_promises_unlink",
        "node -e 'require(\"fs\").promises.unlink(\"/srv/guarded/file\").then(() => console.log(\"done\"), \
         error => console.log(error.message))'",
    ),
    ("perl_unlink", "perl -e 'unlink(\"/srv/guarded/file\") ? print(\"done\\n\") : print(\"$!\\n\")'"),
];

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for (name, command) in WAYS {
        scenarios
            .push(gate(format!("{name}_is_held_and_deletes_after_approval"), move |guard| approved(guard, command)));
        scenarios.push(gate(format!("{name}_gets_a_clean_error_after_denial"), move |guard| denied(guard, command)));
    }
    scenarios
}

fn approved(guard: &Guard, command: &str) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(command)?;
    let hold = guard.held("unlink", GUARDED)?;
    never("deleted before anybody decided", || Ok(gone("file")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(gone("file") && output == "done\n", "approved, and it printed {output:?}");
    Ok(())
}

fn denied(guard: &Guard, command: &str) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent(&format!("{command}; echo and on"))?;
    let hold = guard.held("unlink", GUARDED)?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!gone("file") && !output.contains("done\n"), "denied, and it printed {output:?}");
    let clean = ["Operation not permitted", "operation not permitted"].iter().any(|error| output.contains(error));
    ensure!(clean && output.ends_with("and on\n"), "not a clean error: {output:?}");
    Ok(())
}
