//! `guardctl rules test`: judges the operations of a case file and compares with what it expects.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueHint};

use super::{
    super::{
        error::{Error, Exit},
        render::{Screen, rules},
    },
    load, wrong,
};
use crate::rules::case::Cases;

/// Try rules on operations, and say where they do not do what a case file expects
///
/// A case file is YAML: `cases`, each with `do` (the operation), `expect` (allow, hold, deny, kill or observe) and, if it
/// matters, `rule`. `agent` names the directories all cases are about.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl rules test cases.yaml --rules my.yaml

A case file:
  agent: {home: /home/u, workspace: /home/u/work}
  cases:
    - do: {op: exec, argv: [git, push, --force]}
      expect: hold
      rule: git-force-push
    - do: {op: unlink, path: /home/u/work/a.o}
      expect: allow

Exit codes: 0 every case is as expected; 1 one is not; 2 bad rules or cases.")]
pub(crate) struct Arguments {
    /// The case file
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,

    /// Rules file or directory [default: what guardd would read]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let loaded = load(arguments.rules.as_deref())?;
    let text = read(&arguments.file)?;
    let cases = Cases::read(&text, &arguments.file.display().to_string(), &loaded).map_err(|error| wrong(&error))?;
    let tried = cases.run(&loaded).map_err(Error::Usage)?;
    screen.answer(&tried, |look| rules::tried(look, &tried))?;
    Ok(if tried.iter().all(|case| case.ok) { Exit::Success } else { Exit::Failure })
}

fn read(path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    text.map_err(|error| Error::Usage(format!("{error:#}")))
}
