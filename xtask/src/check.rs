//! `cargo xtask check`: what must be right before any test runs. Every part runs, so that one call shows all there is
//! to put right.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    ebpf,
    program::{self, program, run, run_quiet},
    setup, tidy,
};

const TYPOS: &str = "1.52.0";
const CARGO_DENY: &str = "0.20.2";

/// One of the things that must be right.
type Part = fn() -> Result<()>;

pub(crate) fn run_all() -> Result<ExitCode> {
    setup::build_tools()?;
    let parts: [(&str, Part); 6] = [
        ("fmt", fmt),
        ("clippy", clippy),
        ("clippy for the eBPF target", clippy_ebpf),
        ("typos", typos),
        ("deny", deny),
        ("tidy", tidy::run),
    ];
    let mut failed = 0;
    for (name, part) in parts {
        match part() {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }
    println!("{} checks passed, {failed} failed", parts.len() - failed);
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn fmt() -> Result<()> {
    // The names of the files are enough: `cargo fmt` puts them right.
    run(program("cargo").args(["fmt", "--all", "--check", "--", "-l"]))?;
    run(program("cargo").args(["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check", "--", "-l"]))
}

fn clippy() -> Result<()> {
    run(program("cargo").args(["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]))
}

fn clippy_ebpf() -> Result<()> {
    for features in [&[][..], &["--no-default-features"]] {
        let mut command = ebpf::cargo("clippy");
        command.args(["--quiet", "--release"]).args(features).arg("--target-dir").arg(program::target().join("ebpf"));
        run(command.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Spelling. The program is published as a Python package too, which installs in a second instead of minutes.
fn typos() -> Result<()> {
    let environment = program::target().join("tools");
    let tool = environment.join("bin/typos");
    let present = program::read(program(&tool).arg("--version")).unwrap_or_default();
    if !present.trim().ends_with(TYPOS) {
        println!("check: installing typos {TYPOS}");
        setup::packages(&["python3-venv"])?;
        run_quiet(program("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = environment.join("bin/pip");
        run_quiet(program(pip).args(["install", "--quiet", "--retries", "3", &format!("typos=={TYPOS}")]))?;
    }
    run(&mut program(tool))
}

/// Licences, doubled and banned crates, and where crates come from. Advisories change without a commit, so they are
/// not part of a check that must give the same answer twice.
fn deny() -> Result<()> {
    let tool = setup::cargo_tool("cargo-deny", CARGO_DENY)?;
    run(program(tool).args(["--log-level", "error", "--workspace", "check", "bans", "licenses", "sources"]))
}
