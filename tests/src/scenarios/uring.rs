//! `io_uring`: nothing in a ring can wait, so an agent gets none. A ring the kernel made would be a way round the gate.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Scenario, gate};
use crate::{guard::Guard, patience::until};

/// 425 is `io_uring_setup`; its parameters are 120 bytes.
const SETUP: &str = "$p = \"\\0\" x 120; $ring = syscall(425, 8, $p); print $ring < 0 ? \"$!\\n\" : \"a ring\\n\"";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("an_agent_gets_no_io_uring_and_the_refusal_is_shown", refused),
        gate("an_untagged_process_gets_its_io_uring", untagged),
    ]
}

fn refused(guard: &mut Guard) -> Result<()> {
    let before = guard.count("denied_context")?;
    let mut agent = guard.agent(&format!("perl -e '{SETUP}'; echo and on"))?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\nand on\n", "it printed {output:?}");
    ensure!(guard.count("denied_context")? > before, "nothing was counted");
    let line = until("the refusal in the log", || {
        let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(records.filter(|record| record["kind"] == "outcome").find(|record| record["operation"]["op"] == "io_uring"))
    })?;
    ensure!(line["rule"] == "guarded-io-uring" && line["outcome"] == "refused", "the log says {line}");
    Ok(())
}

fn untagged(_: &mut Guard) -> Result<()> {
    let output = Command::new("perl").args(["-e", SETUP]).output().context("cannot start perl")?;
    ensure!(output.stdout == b"a ring\n", "it printed {:?}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
