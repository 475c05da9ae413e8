//! What the machine itself must be: without it, a passing scenario would prove nothing.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Run, Scenario, gate};
use crate::kept;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("the_lines_left_of_the_gates_programs_are_told", |_| kept::print("gate")),
        Scenario { name: "the_kernel_runs_bpf_lsm_programs".to_owned(), run: Run::Kernel(bpf_is_an_active_lsm) },
        Scenario { name: "the_kernel_describes_its_types".to_owned(), run: Run::Kernel(btf_is_there) },
        Scenario { name: "the_cgroup_tree_is_version_2_with_a_kill_switch".to_owned(), run: Run::Kernel(cgroups) },
    ]
}

fn bpf_is_an_active_lsm() -> Result<()> {
    let active = fs::read_to_string("/sys/kernel/security/lsm").context("cannot read the active LSMs")?;
    ensure!(active.trim().split(',').any(|name| name == "bpf"), "active LSMs are {active}");
    Ok(())
}

fn btf_is_there() -> Result<()> {
    let length = fs::metadata("/sys/kernel/btf/vmlinux").context("no BTF")?.len();
    ensure!(length > 100_000, "the kernel's BTF has {length} bytes");
    Ok(())
}

fn cgroups() -> Result<()> {
    let group = "/sys/fs/cgroup/guard-tests-probe";
    fs::create_dir(group).context("cannot make a cgroup")?;
    let files: Vec<_> = ["cgroup.procs", "cgroup.freeze", "cgroup.kill"]
        .into_iter()
        .filter(|file| !fs::exists(format!("{group}/{file}")).unwrap_or(false))
        .collect();
    fs::remove_dir(group).context("cannot remove a cgroup")?;
    ensure!(files.is_empty(), "a cgroup lacks {files:?}");
    Ok(())
}
