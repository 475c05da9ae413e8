//! `guardctl rules enable|disable|mode`: writes `overrides.yaml` in the directory of rules. guardd is not told.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use serde::Serialize;

use super::{
    super::{
        error::{Error, Exit},
        render::{Screen, rules},
    },
    place, wrong,
};
use crate::{
    daemon::config,
    rules::{
        error::{RulesError, unknown},
        file,
        overrides::Change,
        syntax::Mode,
    },
};

/// What `after_long_help` says of a verb that writes overrides.
macro_rules! example {
    ($line:literal) => {
        concat!(
            "Example:\n  ",
            $line,
            " && guardctl reload\n\nExit codes: 0 written; 2 bad rules; 4 not permitted; 5 no such rule."
        )
    };
}
pub(super) use example;

/// Let a rule stop what it matches, or only log it
///
/// A rule that observes writes `would_hold` lines into the audit log and stops nothing. Writes overrides.yaml in the
/// directory of rules, whole or not at all. It takes effect with `guardctl reload`.
#[derive(Debug, Args)]
#[command(after_long_help = example!("guardctl rules mode git-force-push observe"))]
pub(crate) struct SetMode {
    #[command(flatten)]
    which: Which,

    /// enforce: stop it; observe: log it and let it go on
    #[arg(value_enum, value_name = "enforce|observe", hide_possible_values = true)]
    mode: Word,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The rule
    #[arg(value_name = "RULE")]
    rule: String,

    /// Directory of rules [default: the one guardd is set to use]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    rules: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Word {
    Enforce,
    Observe,
}

/// What was written, as `-o json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    pub(crate) rule: String,
    #[serde(flatten)]
    pub(crate) change: Change,
    pub(crate) file: String,
}

pub(super) fn enable(which: &Which, screen: &Screen, enabled: bool) -> Result<Exit, Error> {
    change(which, screen, |change| Change { enabled: Some(enabled), ..change })
}

pub(super) fn mode(arguments: &SetMode, screen: &Screen) -> Result<Exit, Error> {
    let mode = match arguments.mode {
        Word::Enforce => Mode::Enforce,
        Word::Observe => Mode::Observe,
    };
    change(&arguments.which, screen, |change| Change { mode: Some(mode), ..change })
}

fn change(which: &Which, screen: &Screen, new: impl Fn(Change) -> Change) -> Result<Exit, Error> {
    let directory = place(which.rules.as_deref())?.unwrap_or_else(|| Path::new(config::RULES).to_owned());
    let changed = file::change(&directory, &which.rule, new).map_err(|error| failed(&error, &which.rule))?;
    let changed = Changed { rule: which.rule.clone(), change: changed.0, file: changed.1.display().to_string() };
    screen.answer(&changed, |_| rules::changed(&changed))?;
    Ok(Exit::Success)
}

fn failed(error: &RulesError, rule: &str) -> Error {
    match error {
        RulesError::NoRule { names } => {
            Error::NotFound(format!("{} (`guardctl rules list` says more)", unknown("rule", rule, names)))
        }
        RulesError::Unwritable { error: cause, .. } if cause.kind() == std::io::ErrorKind::PermissionDenied => {
            Error::Problem(crate::api::Problem {
                kind: crate::api::ProblemKind::NotPermitted,
                message: format!("{error}: try with `sudo`"),
            })
        }
        RulesError::Unwritable { .. } => Error::Other(anyhow::anyhow!("{error}")),
        RulesError::Unreadable { .. }
        | RulesError::NotRules { .. }
        | RulesError::Invalid(_)
        | RulesError::Duplicate { .. } => wrong(error),
    }
}
