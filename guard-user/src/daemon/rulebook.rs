//! What the core needs of the rules, and the real rules behind it. The core knows no rule language.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::config;
use crate::{
    api::{Action, Reversibility},
    circumstances::Needs,
    operation::Operation,
    rules::{
        agent_policy::Terms,
        compile::{RuleInfo, Rules, Scope},
        judge::{Judgement, judge},
        lower::Tables,
        source::Source,
    },
    tally::Counter,
};

/// What a rule says about one operation that it does not clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub action: Action,
    pub rule: String,
    /// Why the rule exists, one sentence.
    pub text: String,
    /// What the agent may do instead; empty where the rule says nothing of it.
    pub instead: String,
    pub reversibility: Reversibility,
}

impl Ruling {
    fn of(rule: &RuleInfo) -> Self {
        Self {
            action: rule.action,
            rule: rule.name.clone(),
            text: rule.text.clone(),
            instead: rule.instead.clone(),
            reversibility: rule.reversibility,
        }
    }
}

/// What the rules of an agent say about one operation.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    Clear,
    /// Cleared; a rule that only observes would have stopped it.
    WouldStop(Ruling),
    Stop(Ruling),
}

/// What rules depend on for one agent. Its directories are canonical, and empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    pub home: PathBuf,
    pub workspace: PathBuf,
    /// Name of the agent.
    pub agent: String,
    /// Name of its policy; empty for none.
    pub policy: String,
    /// The time its policy gave it is over.
    pub expired: bool,
}

/// The rules of one agent.
pub trait Judge: Send {
    fn judge(&self, operation: &Operation) -> Judged;
    /// What must be found out about an operation before it is judged; what is not found out could match.
    #[must_use]
    fn needs(&self, _operation: &Operation) -> Needs {
        Needs::NONE
    }
    /// What an operation counts for; the sums belong into its circumstances before it is judged.
    #[must_use]
    fn counters(&self, _operation: &Operation) -> Vec<Counter> {
        Vec::new()
    }
    fn tables(&self) -> Tables;
}

/// All rules, before an agent's places are put in.
pub trait Rulebook: Send + Sync {
    /// # Errors
    /// The user's sentence about the extra rules: they are wrong, or would loosen something.
    fn policy(&self, places: &Places, extra: Option<&str>) -> Result<Box<dyn Judge>, String>;
    /// What a policy says that is not a rule; `None` when there is none of this name.
    fn terms(&self, _policy: &str) -> Option<&Terms> {
        None
    }
    /// The files they were read from.
    fn sources(&self) -> &[Source] {
        &[]
    }
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads the rules from a file or directory; the built-in pack without one.
///
/// # Errors
/// The user's sentence with line, column and snippet.
pub fn load(path: Option<&Path>) -> Result<Box<dyn Rulebook>, String> {
    // The directory may have been made since guardd started.
    let shipped = Path::new(config::RULES);
    let path = path.or_else(|| shipped.is_dir().then_some(shipped));
    match crate::rules::file::load(path) {
        Ok(rules) => Ok(Box::new(rules)),
        Err(error) => Err(error.to_string()),
    }
}

impl Rulebook for Rules {
    fn policy(&self, places: &Places, extra: Option<&str>) -> Result<Box<dyn Judge>, String> {
        let scope = Scope {
            home: places.home.clone(),
            workspace: places.workspace.clone(),
            tmp: PathBuf::from("/tmp"),
            agent: places.agent.clone(),
            expired: places.expired,
            ..Scope::default()
        };
        let own = extra.map(|text| (text, "rules of the agent"));
        Ok(Box::new(self.policy_named(&places.policy, &scope, own)?))
    }

    fn terms(&self, policy: &str) -> Option<&Terms> {
        Self::terms(self, policy)
    }

    fn sources(&self) -> &[Source] {
        Self::sources(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

impl Judge for crate::rules::compile::Policy {
    fn judge(&self, operation: &Operation) -> Judged {
        match judge(self, operation) {
            Judgement::Clear => Judged::Clear,
            Judgement::WouldHold(rule) => Judged::WouldStop(Ruling::of(&rule)),
            Judgement::Match(rule) => Judged::Stop(Ruling::of(&rule)),
        }
    }

    fn counters(&self, operation: &Operation) -> Vec<Counter> {
        Self::counters(self, operation)
    }

    fn needs(&self, operation: &Operation) -> Needs {
        Self::needs(self, operation)
    }

    fn tables(&self) -> Tables {
        Self::tables(self)
    }
}
