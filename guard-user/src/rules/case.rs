//! Cases: what the rules must say to an operation. The text of a case file is checked and judged here; nothing is read
//! from disk.

mod deed;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use self::deed::{Absolute, Deed};
use super::{
    compile::{DOUBT, Policy, Rules, Scope},
    error::{Mistake, RulesError, unknown},
    judge::{Judgement, judge},
    syntax::Mode,
};
use crate::{api::Action, circumstances::Found, operation::Operation, tally::Tally};

/// A case file, checked.
#[derive(Debug)]
pub struct Cases {
    /// The agent all of them are about.
    pub scope: Scope,
    /// Name of its policy; empty for none.
    pub policy: String,
    pub cases: Vec<Case>,
}

#[derive(Debug)]
pub struct Case {
    pub name: String,
    /// From 1, in the file.
    pub line: u64,
    pub operation: Operation,
    pub expected: Outcome,
    /// What is counted with it.
    tally: Tally,
}

/// What rules say to an operation, in the words of a case file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub action: Verdict,
    /// `None`: no rule, or any rule where it is expected.
    pub rule: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Allow,
    Hold,
    Deny,
    Kill,
    /// Allowed, and a rule in mode `observe` would have stopped it.
    Observe,
}

/// How one case ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    pub case: String,
    pub line: u64,
    pub ok: bool,
    pub expected: Outcome,
    pub found: Outcome,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    agent: AgentEntry,
    cases: Vec<Spanned<Entry>>,
}

/// The agent of the cases; what is left out is `/home/u`, `/home/u/work` and `/tmp`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AgentEntry {
    home: Absolute,
    workspace: Absolute,
    tmp: Absolute,
    name: String,
    labels: Vec<String>,
    mode: Mode,
    policy: String,
    /// The time of its policy is over.
    expired: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Option<String>,
    #[serde(rename = "do")]
    act: Spanned<Deed>,
    expect: Verdict,
    rule: Option<Spanned<String>>,
}

impl Default for AgentEntry {
    fn default() -> Self {
        let at = |path: &str| Absolute(path.to_owned());
        Self {
            home: at("/home/u"),
            workspace: at("/home/u/work"),
            tmp: at("/tmp"),
            name: "agent".to_owned(),
            labels: Vec::new(),
            mode: Mode::Enforce,
            policy: String::new(),
            expired: false,
        }
    }
}

impl Cases {
    /// # Errors
    /// The first thing that is wrong, with its place in `text`.
    pub fn read(text: &str, origin: &str, rules: &Rules) -> Result<Self, RulesError> {
        let file: File = serde_saphyr::from_str_with_options(text, super::compile::yaml_options())
            .map_err(|error| Mistake::of_yaml(origin, text, &error))?;
        let AgentEntry { home, workspace, tmp, name, labels, mode, policy, expired } = file.agent;
        let scope = Scope {
            home: home.0.into(),
            workspace: workspace.0.into(),
            tmp: tmp.0.into(),
            agent: name,
            agent_labels: labels,
            mode,
            expired,
        };
        rules.policy_named(&policy, &scope, None).map_err(|message| Mistake::new(origin, text, 0, 0, message))?;
        let names: Vec<&str> = rules.all().map(|rule| rule.info.name.as_str()).chain([DOUBT]).collect();
        let mut cases = Vec::new();
        for entry in file.cases {
            let line = entry.referenced.line();
            let Entry { name, act, expect, rule } = entry.value;
            if let Some(rule) = rule.as_ref().filter(|rule| !names.contains(&rule.value.as_str())) {
                let (line, column) = (rule.referenced.line(), rule.referenced.column());
                return Err(Mistake::new(origin, text, line, column, unknown("rule", &rule.value, &names)).into());
            }
            let (at, column) = (act.referenced.line(), act.referenced.column());
            let name = name.unwrap_or_else(|| act.value.sentence());
            let earlier = act.value.earlier;
            let operation = act.value.operation().map_err(|message| Mistake::new(origin, text, at, column, message))?;
            let expected = Outcome { action: expect, rule: rule.map(|rule| rule.value) };
            let tally = Tally {
                files: earlier.files.saturating_add(1),
                bytes: earlier.bytes.map_or(0, |bytes| bytes.0).saturating_add(operation.target.size),
                directories: earlier.directories.max(1),
            };
            cases.push(Case { name, line, operation, expected, tally });
        }
        Ok(Self { scope, policy, cases })
    }

    /// Judges every case.
    ///
    /// # Errors
    /// When these are not the rules the cases were read with: their policy is not there.
    pub fn run(&self, rules: &Rules) -> Result<Vec<Tried>, String> {
        let policy = rules.policy_named(&self.policy, &self.scope, None)?;
        Ok(self.cases.iter().map(|case| case.run(&policy)).collect())
    }
}

impl Case {
    fn run(&self, policy: &Policy) -> Tried {
        let mut operation = self.operation.clone();
        let counters = policy.counters(&operation);
        operation.circumstances.tallies =
            Found::Is(counters.into_iter().map(|counter| (counter.key, self.tally)).collect());
        let found = Outcome::of(&judge(policy, &operation));
        let named = self.expected.rule.is_none() || self.expected.rule == found.rule;
        Tried {
            case: self.name.clone(),
            line: self.line,
            ok: found.action == self.expected.action && named,
            expected: self.expected.clone(),
            found,
        }
    }
}

impl Outcome {
    fn of(judgement: &Judgement) -> Self {
        let (action, rule) = match judgement {
            Judgement::Clear => return Self { action: Verdict::Allow, rule: None },
            Judgement::WouldHold(rule) => (Verdict::Observe, rule),
            Judgement::Match(rule) => (
                match rule.action {
                    Action::Allow => Verdict::Allow,
                    Action::Hold => Verdict::Hold,
                    Action::Deny => Verdict::Deny,
                    Action::Kill => Verdict::Kill,
                },
                rule,
            ),
        };
        Self { action, rule: Some(rule.name.clone()) }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self.action {
            Verdict::Allow => "allow",
            Verdict::Hold => "hold",
            Verdict::Deny => "deny",
            Verdict::Kill => "kill",
            Verdict::Observe => "observe",
        })?;
        match &self.rule {
            Some(rule) => write!(formatter, " by {rule}"),
            None => Ok(()),
        }
    }
}
