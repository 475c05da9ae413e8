//! `guardctl rules`: works on rules files without guardd. Each verb below it is a file; `change` alone writes.

pub(super) mod change;
pub(crate) mod check;
mod explain;
mod list;
mod schema;
mod test;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use change::example;

use super::{
    error::{Error, Exit},
    render::Screen,
};
use crate::{
    daemon::config,
    rules::{
        compile::{Rules, Scope},
        error::RulesError,
        file,
    },
};

/// Check, list, explain, test and change rules, without guardd
///
/// Reads rules files as guardd would: those guardd is set to use, unless a path is given, and the rules that come with
/// guard where there are none. Nothing is sent to guardd; `guardctl reload` puts changed rules in force.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl rules check                       the rules guardd would read
  guardctl rules check ./my.yaml
  guardctl rules list
  guardctl rules explain git-force-push
  guardctl rules test cases.yaml
  guardctl rules schema > guard-rules.schema.json
  guardctl rules mode git-force-push observe && guardctl reload

Exit codes: 0 all is well; 1 a case failed; 2 bad rules or cases; 5 no such rule.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Check(check::Arguments),
    List(list::Arguments),
    Explain(explain::Arguments),
    Test(test::Arguments),
    Schema(schema::Arguments),
    /// Switch a rule on again
    ///
    /// Writes overrides.yaml in the directory of rules, whole or not at all. It takes effect with `guardctl reload`.
    #[command(after_long_help = example!("guardctl rules enable delete-outside-workspace"))]
    Enable(change::Which),
    /// Switch a rule off
    ///
    /// Writes overrides.yaml in the directory of rules, whole or not at all. It takes effect with `guardctl reload`.
    #[command(after_long_help = example!("guardctl rules disable delete-outside-workspace"))]
    Disable(change::Which),
    Mode(change::SetMode),
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    match &arguments.verb {
        Verb::Check(arguments) => check::run(arguments, screen),
        Verb::List(arguments) => list::run(arguments, screen),
        Verb::Explain(arguments) => explain::run(arguments, screen),
        Verb::Test(arguments) => test::run(arguments, screen),
        Verb::Schema(arguments) => schema::run(arguments, screen),
        Verb::Enable(which) => change::enable(which, screen, true),
        Verb::Disable(which) => change::enable(which, screen, false),
        Verb::Mode(arguments) => change::mode(arguments, screen),
    }
}

/// The path that was given, or the one guardd is set to use; `None` means what is built in.
fn place(given: Option<&Path>) -> Result<Option<PathBuf>, Error> {
    match given {
        Some(path) => Ok(Some(path.to_owned())),
        None => Ok(config::read(None).map_err(Error::Usage)?.resolve(config::Over::default()).rules),
    }
}

pub(super) fn load(given: Option<&Path>) -> Result<Rules, Error> {
    file::load(place(given)?.as_deref()).map_err(|error| wrong(&error))
}

/// Bad rules are wrong usage.
fn wrong(error: &RulesError) -> Error {
    Error::Usage(error.to_string())
}

/// An agent that the person at this terminal would start here: costs depend on its directories.
fn scope() -> Scope {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()).unwrap_or_default();
    let workspace = std::env::current_dir().unwrap_or_default();
    let is_free = workspace != Path::new("/") && workspace != home;
    Scope { home, workspace: if is_free { workspace } else { PathBuf::new() }, tmp: "/tmp".into(), ..Scope::default() }
}
