//! `cargo xtask setup`: installs what building and testing need. Everything goes through the machine's own package
//! manager or into cargo's directory; nothing is written into the repository. Every step first looks whether it is
//! needed, so a second run is quick and silent.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{
    program::{self, as_root, program, run_quiet},
    vm::qemu,
};

/// bpf-linker must use the LLVM of the pinned rustc; newer releases want one from the system.
const BPF_LINKER: &str = "0.10.3";

const CARGO_FUZZ: &str = "0.13.2";

/// What compiling needs besides rustup.
const BUILD_PACKAGES: &[&str] = &["gcc", "libc6-dev", "binutils", "git"];

/// What libFuzzer is compiled with, besides.
const FUZZ_PACKAGES: &[&str] = &["g++"];

/// What the virtual machines are made with.
const VM_PACKAGES: &[&str] = &["qemu-system-x86", "mmdebstrap", "e2fsprogs", "xz-utils", "zstd"];

pub(crate) fn run() -> Result<()> {
    build_tools()?;
    vm_tools()
}

/// Compiler, eBPF linker, targets.
pub(crate) fn build_tools() -> Result<()> {
    packages(BUILD_PACKAGES)?;
    toolchain()?;
    bpf_linker()
}

/// What `fuzz/` is built with, and the program that builds it.
pub(crate) fn fuzz_tools() -> Result<PathBuf> {
    packages(BUILD_PACKAGES)?;
    packages(FUZZ_PACKAGES)?;
    toolchain()?;
    cargo_tool("cargo-fuzz", CARGO_FUZZ)
}

/// QEMU and what makes its disks.
pub(crate) fn vm_tools() -> Result<()> {
    packages(VM_PACKAGES)?;
    qemu::get().map(drop)
}

/// Installs the Debian packages that are missing.
pub(crate) fn packages(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !program::exists("apt-get") {
        bail!("these packages are missing and there is no apt-get to install them with: {}", missing.join(" "));
    }
    println!("setup: installing {} with apt-get", missing.join(" "));
    let install = || {
        run_quiet(
            as_root("env")
                .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends"])
                .args(["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"])
                .args(&missing),
        )
    };
    // The lists may be absent (fresh container) or old (404): refresh, then install once more before giving up.
    run_quiet(as_root("apt-get").args(["update", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]))
        .unwrap_or_else(|error| println!("setup: {error:#}"));
    install().or_else(|_| install()).context("cannot install the packages")
}

/// Adds the components and targets of rust-toolchain.toml: a toolchain that is already there does not get them
/// from the file by itself.
fn toolchain() -> Result<()> {
    let components = program::read(program("rustup").args(["component", "list", "--installed"]))
        .context("rustup is needed: see https://rustup.rs")?;
    for component in ["rust-src", "clippy", "rustfmt"] {
        if !components.lines().any(|line| line.starts_with(component)) {
            println!("setup: adding the rustup component {component}");
            run_quiet(program("rustup").args(["component", "add", component]))?;
        }
    }
    let targets = program::read(program("rustup").args(["target", "list", "--installed"]))?;
    for target in ["x86_64-unknown-linux-musl"] {
        if !targets.lines().any(|line| line == target) {
            println!("setup: adding the rustup target {target}");
            run_quiet(program("rustup").args(["target", "add", target]))?;
        }
    }
    Ok(())
}

/// A program that cargo installs, below target/tools, in exactly this version. Not optimised: it runs for seconds, and takes
/// minutes more to compile.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let directory = program::target().join("tools");
    let tool = directory.join("bin").join(name);
    let present = program::read(program(&tool).arg("--version")).unwrap_or_default();
    if !present.trim().ends_with(version) {
        println!("setup: installing {name} {version} with cargo; this takes some minutes, once");
        let install = ["install", "--debug", "--quiet", "--locked", "--force", name, "--version", version, "--root"];
        program::run(program("cargo").args(install).arg(&directory))?;
    }
    Ok(tool)
}

fn bpf_linker() -> Result<()> {
    let present = program::read(program("bpf-linker").arg("--version")).unwrap_or_default();
    if present.trim() == format!("bpf-linker {BPF_LINKER}") {
        return Ok(());
    }
    println!("setup: installing bpf-linker {BPF_LINKER} with cargo; this takes a few minutes");
    program::run(program("cargo").args([
        "install",
        "--quiet",
        "--locked",
        "--force",
        "bpf-linker",
        "--version",
        BPF_LINKER,
    ]))
}

fn is_installed(package: &str) -> bool {
    program::read(program("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]))
        .is_ok_and(|status| status.trim() == "installed")
}
