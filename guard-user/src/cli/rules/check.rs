//! `guardctl rules check`: are these rules right, and what is worth a second look.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::Serialize;

use super::{
    super::{
        error::{Error, Exit},
        render::{Screen, rules},
    },
    load, scope,
};
use crate::rules::warning::Warning;

/// Check rules files, and name rules that never match or ask guardd about everything
///
/// A mistake is shown with file, line, column and what was expected. A warning does not make the rules wrong.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl rules check ./my.yaml

Exit codes: 0 right, with or without warnings; 2 wrong.")]
pub(crate) struct Arguments {
    /// Rules file or directory [default: what guardd would read]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    path: Option<PathBuf>,
}

/// What a check found, as `-o json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    pub(crate) rules: usize,
    pub(crate) warnings: Vec<Warning>,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let loaded = load(arguments.path.as_deref())?;
    let checked = Checked { rules: loaded.len(), warnings: loaded.warnings(&scope(), &elsewhere) };
    screen.answer(&checked, |look| rules::checked(look, &checked))?;
    Ok(Exit::Success)
}

/// Where `directory` really is, when a symbolic link leads there.
fn elsewhere(directory: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(directory).ok()?;
    (real != directory).then_some(real)
}
