//! `cargo xtask ebpf`: builds the eBPF object with the pinned toolchain. Loading it is `stats`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{program, vm::kernel::Series};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Do not load it on the three test kernels, where each program's size and verified instructions come from.
    #[arg(long)]
    build_only: bool,
    /// Load it on this kernel only: 6.1, 6.12 or newest; may be repeated.
    #[arg(long, conflicts_with = "build_only")]
    kernel: Vec<Series>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    crate::setup::build_tools()?;
    let objects = build()?;
    println!("{}\n{}", objects.gate.display(), objects.trip.display());
    if arguments.build_only { Ok(()) } else { crate::stats::print(&arguments.kernel) }
}

/// The object in its two forms.
pub(crate) struct Objects {
    /// Every program and map.
    pub(crate) gate: PathBuf,
    /// Without what only a kernel with BPF LSM has: where there is none, its maps cannot even be made.
    pub(crate) trip: PathBuf,
}

/// Builds both and returns their absolute paths.
pub(crate) fn build() -> Result<Objects> {
    Ok(Objects { trip: build_one("trip", &["--no-default-features"])?, gate: build_one("gate", &[])? })
}

fn build_one(name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let directory = program::target().join("ebpf");
    let mut command = cargo("build");
    command.args(["--quiet", "--profile", "ebpf"]).args(arguments).arg("--target-dir").arg(&directory);
    program::run(&mut command)?;
    let built = directory.join("bpfel-unknown-none/ebpf/guard-ebpf");
    let object = directory.join(format!("guard-{name}.o"));
    let stripped = object.with_extension("stripped");
    program::run(strip()?.arg(&built).arg(&stripped))?;
    // Written only when it is another one: what embeds it is built anew by its date.
    let bytes = fs::read(&stripped).with_context(|| format!("nothing is in {}", stripped.display()))?;
    if fs::read(&object).ok().as_ref() != Some(&bytes) {
        fs::write(&object, bytes).with_context(|| format!("cannot write {}", object.display()))?;
    }
    object.canonicalize().with_context(|| format!("the build left no {}", object.display()))
}

/// Takes the debug information out, which is four fifths of the object. What the kernel reads of it is in BTF already.
fn strip() -> Result<Command> {
    let sysroot = program::read(program::program("rustc").args(["--print", "sysroot"]))?;
    let sysroot = PathBuf::from(sysroot.trim());
    let mut command = program::program(sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-objcopy"));
    // rustc starts it with its own libraries in reach.
    command.env("LD_LIBRARY_PATH", sysroot.join("lib")).arg("--strip-debug");
    Ok(command)
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
