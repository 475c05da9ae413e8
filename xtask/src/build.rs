//! `cargo xtask build`: the eBPF objects, then the static binaries with them inside.

use std::path::PathBuf;

use anyhow::Result;

use crate::{ebpf, program, setup};

pub(crate) const TARGET: &str = "x86_64-unknown-linux-musl";

/// Of what runs in machines: emulated processors are slow enough, and guardd reads megabytes of BTF and rules at its start.
const OPT_LEVEL: (&str, &str) = ("CARGO_PROFILE_DEV_OPT_LEVEL", "1");

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Optimised and small, as it is shipped.
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::build_tools()?;
    binaries(arguments.release)?;
    for name in ["guardd", "guardctl"] {
        println!("{}", output(arguments.release).join(name).display());
    }
    Ok(())
}

/// Builds guardd and guardctl with the eBPF object embedded.
pub(crate) fn binaries(release: bool) -> Result<()> {
    let objects = ebpf::build()?;
    let mut command = program::program("cargo");
    command.args(["build", "--quiet", "--package", "guard-user", "--bins", "--target", TARGET]);
    if release {
        command.arg("--release");
    } else {
        command.env(OPT_LEVEL.0, OPT_LEVEL.1);
    }
    program::run(command.env("GUARD_EBPF_GATE", objects.gate).env("GUARD_EBPF_TRIP", objects.trip))
}

/// The program that runs inside the machines.
pub(crate) fn guard_tests() -> Result<PathBuf> {
    let mut command = program::program("cargo");
    command.args(["build", "--quiet", "--package", "guard-tests", "--target", TARGET]);
    program::run(command.env(OPT_LEVEL.0, OPT_LEVEL.1))?;
    Ok(output(false).join("guard-tests"))
}

/// A program that measures: `judge` the rules, `log` and `month` the audit log, `hook` what agents run.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    let words = ["build", "--quiet", "--release", "--package", "guard-user", "--example", name, "--target", TARGET];
    program::run(program::program("cargo").args(words))?;
    Ok(output(true).join("examples").join(name))
}

/// What goes into a machine: guard-tests, guardd and guardctl.
pub(crate) fn for_vm(build: bool) -> Result<Vec<PathBuf>> {
    if build {
        setup::build_tools()?;
        binaries(false)?;
        guard_tests()?;
    }
    Ok(["guard-tests", "guardd", "guardctl"].iter().map(|name| output(false).join(name)).collect())
}

/// The same with guardd and guardctl as they are shipped.
pub(crate) fn for_bench() -> Vec<PathBuf> {
    vec![output(false).join("guard-tests"), output(true).join("guardd"), output(true).join("guardctl")]
}

/// Where the binaries are.
pub(crate) fn output(release: bool) -> PathBuf {
    program::target().join(TARGET).join(if release { "release" } else { "debug" })
}
