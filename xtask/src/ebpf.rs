//! `cargo xtask ebpf`: builds the eBPF object with the pinned toolchain. Loading it is not done here.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::program;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also load it on the three test kernels and print each program's size and verified instructions.
    #[arg(long)]
    stats: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    crate::setup::build_tools()?;
    let object = build()?;
    println!("{}", object.display());
    if arguments.stats {
        anyhow::bail!("--stats needs a guardd that can load programs");
    }
    Ok(())
}

/// Builds the object and returns its absolute path.
pub(crate) fn build() -> Result<PathBuf> {
    let directory = program::target().join("ebpf");
    // `bpf_loop` callbacks need function BTF, which comes from debug information; aya-ebpf picks its bindings by
    // the architecture in the cfg. v3 gives 32-bit ALU and jumps: smaller programs, fewer verifier states.
    let flags = ["--cfg=bpf_target_arch=\"x86_64\"", "-Cdebuginfo=2", "-Ctarget-cpu=v3", "-Clink-arg=--btf"].join("\x1f");
    program::run(
        program::program("cargo")
            .args(["build", "--quiet", "--package", "guard-ebpf", "--release"])
            .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--target-dir"])
            .arg(&directory)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", flags),
    )?;
    let object = directory.join("bpfel-unknown-none/release/guard-ebpf");
    object.canonicalize().with_context(|| format!("the build left no {}", object.display()))
}
