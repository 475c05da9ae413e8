//! `cargo xtask coverage`: writes docs/coverage.md, which `guard-tests coverage` prints. What stands in it is
//! `tests/src/coverage/`'s.

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::program::{program, read, workspace};

const PAGE: &str = "docs/coverage.md";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail where the page is not current.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = program("cargo");
    command.args(["run", "--quiet", "--package", "guard-tests", "--", "coverage"]);
    if arguments.check {
        let status = command.args(["--check", PAGE]).status().context("cannot start cargo")?;
        return Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let page = read(&mut command)?;
    fs::write(workspace().join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("{PAGE}");
    Ok(ExitCode::SUCCESS)
}
