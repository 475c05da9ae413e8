//! Calls to the machine itself, by an agent that is root. What has files is in other scenarios.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::{guard::Guard, patience::until};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![gate("an_agent_that_is_root_reaches_neither_power_nor_registers_of_the_machine", machine)]
}

/// System calls by number and arguments, and what the log must say. Each does little harm should it work: the first one lets
/// Ctrl-Alt-Del be a signal.
const CALLS: [(&str, &str); 5] = [
    ("169, 0xfee1dead, 672274793, 0, 0", "to restart or stop the machine"),
    ("159, $clock", "to set the clock"),
    ("305, 0, $clock", "to set the clock"),
    ("172, 3", "to reach ports, registers or memory of the machine"),
    ("163, $account", "to change where the kernel writes its process accounting"),
];

fn machine(guard: &mut Guard) -> Result<()> {
    let account = Path::new("/srv/account");
    fs::write(account, "").context("cannot make a file")?;
    for (call, says) in CALLS {
        // The kernel may write to what it is given, so none of it is a constant.
        let given = format!("$clock = pack(\"L x204\", 0x4000); $account = \"{}\"", account.display());
        let script = format!("{given}; print syscall({call}) < 0 ? \"$!\" : \"it worked\"");
        let mut agent = guard.agent(&format!("perl -e '{script}'"))?;
        let output = agent.ends_with(0)?;
        ensure!(output == "Operation not permitted", "syscall({call}): {output}");
        until(&format!("the log to say that an agent tried {says}"), || {
            let log = fs::read_to_string(guard.audit()).unwrap_or_default();
            let mut lines = log.lines().filter(|line| line.contains(r#""kind":"shielded""#));
            Ok(lines.any(|line| line.contains(&agent.name()) && line.contains(says)).then_some(()))
        })?;
    }
    let written = fs::metadata(account).context("the file is there")?.len();
    ensure!(written == 0, "the kernel wrote of processes: {written} bytes");
    let mut agent = guard.agent("head -c 4096 /proc/kcore | wc -c")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("Operation not permitted") && output.ends_with("0\n"), "kcore: {output}");
    Ok(())
}
