//! "What would happen?": the operations a command line causes, and what the rules say to each. Nothing is run and
//! nothing is changed; the disk is looked at, read-only, to see what exists.
//!
//! This is a forecast for people. The daemon does not use it: it judges every real operation when it happens, by the
//! same rules and the same `judge`. What cannot be foreseen is held here, with the reason.

#![forbid(unsafe_code)]

pub mod batch;
mod command;
mod files;
mod forecast;
mod look;
mod shell;
mod special;
mod step;
mod term;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    api::{Action, Reversibility},
    rules::{
        compile::{Policy, Rules, Scope},
        error::RulesError,
        tool::Tools,
    },
};
use forecast::{Forecast, State};
use term::Term;

/// A command, and where it would run.
#[derive(Clone, Debug)]
pub struct Question {
    pub asked: Asked,
    pub cwd: PathBuf,
    pub env: BTreeMap<String, String>,
    /// Empty for none.
    pub workspace: PathBuf,
}

#[derive(Clone, Debug)]
pub enum Asked {
    /// A program and its arguments.
    Argv(Vec<String>),
    /// What a shell would read.
    Shell(String),
}

/// What would happen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    pub action: Action,
    /// The rule that stops it; of several, that of the most severe action.
    pub rule: Option<String>,
    pub reversibility: Option<Reversibility>,
    /// Why, in a sentence.
    pub why: String,
    /// Everything it would do that guard looks at.
    pub operations: Vec<Judged>,
}

/// One foreseen operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    pub op: &'static str,
    /// The object, or the command line of an exec.
    pub what: String,
    pub action: Action,
    pub rule: Option<String>,
}

/// Rules to ask, for any number of questions.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    tools: Arc<Tools>,
    /// The last policy made: the questions of a list are mostly of one place.
    made: Option<(Scope, Policy, Policy)>,
}

impl Checker {
    /// # Errors
    /// When the built-in descriptions of tools cannot be read.
    pub fn new(rules: Rules) -> Result<Self, RulesError> {
        Ok(Self { rules, tools: Tools::built_in()?, made: None })
    }

    /// What the rules say to everything the command would do.
    pub fn ask(&mut self, question: &Question) -> Verdict {
        let home = question.env.get("HOME").map(PathBuf::from).unwrap_or_default();
        let scope = Scope {
            home: look::real(&home),
            workspace: look::real(&question.workspace),
            tmp: "/tmp".into(),
            ..Scope::default()
        };
        if self.made.as_ref().is_none_or(|(made, ..)| *made != scope) {
            // Another host or container has no workspace, and its users are others.
            let elsewhere = Scope { workspace: PathBuf::new(), home: "/root".into(), ..scope.clone() };
            self.made = Some((scope.clone(), self.rules.policy(&scope), self.rules.policy(&elsewhere)));
        }
        let Some((_, here, elsewhere)) = &self.made else {
            return forecast::unforeseen("there are no rules");
        };
        let mut forecast = Forecast::new(&self.tools, here, elsewhere, &scope);
        let mut state = State::new(&question.cwd, &question.env);
        match &question.asked {
            Asked::Argv(argv) => {
                let home = question.env.get("HOME").map_or("", String::as_str);
                let terms: Vec<Term> = argv.iter().map(|text| Term::known(&written(text, home))).collect();
                command::run(&mut forecast, &mut state, &terms);
            }
            Asked::Shell(text) => shell::run(&mut forecast, &mut state, text),
        }
        forecast.verdict()
    }
}

/// People write `~` and `$HOME` in lists of arguments, too, where a shell would have replaced them.
fn written(text: &str, home: &str) -> String {
    let rest = ["~", "$HOME", "${HOME}"].into_iter().find_map(|start| text.strip_prefix(start));
    match rest {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        Some(_) | None => text.to_owned(),
    }
}
