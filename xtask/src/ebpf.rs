//! `cargo xtask ebpf`: builds the eBPF object with the pinned toolchain. Loading it is `stats`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::program;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Do not load it on the three test kernels, where each program's size and verified instructions come from.
    #[arg(long)]
    build_only: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    crate::setup::build_tools()?;
    let object = build()?;
    println!("{}", object.display());
    if arguments.build_only { Ok(()) } else { crate::stats::print() }
}

/// Builds the object and returns its absolute path.
pub(crate) fn build() -> Result<PathBuf> {
    let directory = program::target().join("ebpf");
    program::run(cargo("build").args(["--quiet", "--profile", "ebpf", "--target-dir"]).arg(&directory))?;
    let object = directory.join("bpfel-unknown-none/ebpf/guard-ebpf");
    object.canonicalize().with_context(|| format!("the build left no {}", object.display()))
}

/// Cargo on guard-ebpf alone, set up for the BPF target.
pub(crate) fn cargo(verb: &str) -> Command {
    let flags = [
        // aya-ebpf picks its bindings by it.
        "--cfg=bpf_target_arch=\"x86_64\"",
        // `bpf_loop` callbacks need function BTF, which comes from debug information.
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // 32-bit arithmetic and jumps: smaller programs, fewer verifier states.
        "-Ctarget-cpu=v3",
        // bpf-linker tries several names of the LLVM library and says so for each; a failure is an error anyway.
        "-Alinker_messages",
    ];
    let mut command = program::program("cargo");
    command.args([verb, "--package", "guard-ebpf", "--target", "bpfel-unknown-none", "-Z", "build-std=core"]);
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    command
}
