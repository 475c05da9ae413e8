//! `guardctl rules explain`: what a rule asks of the kernel and of guardd, and what it costs.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{
    super::{
        error::{Error, Exit},
        render::{Screen, rules},
    },
    load, scope,
};
use crate::{rules::error::nearest, text::shown};

/// Show what the kernel decides alone about a rule, what guardd does, and what it costs
///
/// The costs are those of an agent that is started here: the current directory is its workspace.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl rules explain git-force-push
  guardctl rules explain -o json

Exit codes: 0 shown; 2 bad rules; 5 no such rule.")]
pub(crate) struct Arguments {
    /// The rule [default: every one]
    #[arg(value_name = "RULE")]
    rule: Option<String>,

    /// Rules file or directory [default: what guardd would read]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let mut explained = load(arguments.rules.as_deref())?.explain(&scope());
    if let Some(name) = &arguments.rule {
        let names: Vec<String> = explained.iter().map(|one| one.rule.name.clone()).collect();
        explained.retain(|one| one.rule.name == *name);
        if explained.is_empty() {
            let hint = nearest(name, &names).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            return Err(Error::NotFound(format!(
                "there is no rule `{}`{hint} `guardctl rules list` lists them",
                shown(name)
            )));
        }
    }
    screen.answer(&explained, |look| rules::explained(look, &explained))?;
    Ok(Exit::Success)
}
