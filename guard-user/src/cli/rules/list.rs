//! `guardctl rules list`: the rules there are, one line each.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{
    super::{
        error::{Error, Exit},
        render::{Screen, rules},
    },
    load,
};

/// List the rules, their action, reversibility and mode
///
/// With -o wide, each with the sentence it shows to the person who decides, and the file it is in.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Example:
  guardctl rules list -o wide")]
pub(crate) struct Arguments {
    /// Rules file or directory [default: what guardd would read]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let list = load(arguments.rules.as_deref())?.summary();
    screen.answer(&list, |look| rules::list(look, &list))?;
    Ok(Exit::Success)
}
