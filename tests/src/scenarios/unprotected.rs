//! On a kernel whose BPF programs may not hold anything: guardd says so everywhere, and does what it says. Needs a machine of its
//! own, which boots without `bpf` among its security modules.

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    RULES, Run, Scenario,
    file::{fresh, gone},
};
use crate::{
    guard::{Guard, Tier},
    patience::until,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    let name = "guardd_on_a_kernel_without_bpf_lsm_says_that_it_prevents_nothing";
    vec![Scenario { name: name.into(), run: Run::Kernel(without) }]
}

fn without() -> Result<()> {
    let list = fs::read_to_string("/sys/kernel/security/lsm").context("cannot read the security modules")?;
    ensure!(list.split(',').all(|name| name.trim() != "bpf"), "this kernel has it: {list}");
    // Who insists on the gate gets none, and is told what to do.
    match Guard::start(Tier::Gate, Some(RULES)) {
        Ok(_) => bail!("it started"),
        Err(error) => {
            let said = format!("{error:#}");
            ensure!(said.contains("guardd ended with exit status: 1") && said.contains("add `lsm=…,bpf`"), "{said}");
        }
    }
    let guard = Guard::start(Tier::Best, Some(RULES))?;
    let status = guard.status()?;
    ensure!(status["tier"] == "trip" && status["reason"].to_string().contains("lsm=…,bpf"), "it says {status}");
    for (verb, wanted) in [("status", 0), ("doctor", 1)] {
        let answer = guard.guardctl(&[verb])?;
        ensure!(answer.code == wanted, "guardctl {verb} ended with {}: {}", answer.code, answer.stderr);
        ensure!(answer.stdout.contains("only after its first effect"), "guardctl {verb} says {}", answer.stdout);
    }
    // What it says is what it does: the first file goes, and then the agent stands still.
    fresh()?;
    let mut agent = guard.agent("rm /srv/guarded/file; rm /srv/guarded/other; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    ensure!(hold["context"] == "tripped", "it claims to hold: {hold}");
    until("the first file to be gone", || Ok(gone("file").then_some(())))?;
    ensure!(!gone("other"), "it went on");
    let answer = guard.guardctl(&["kill", &agent.name()])?;
    ensure!(answer.code == 0, "guardctl kill ended with {}: {}", answer.code, answer.stderr);
    agent.end()?;
    ensure!(!gone("other"), "killed, and it went on");
    Ok(())
}
