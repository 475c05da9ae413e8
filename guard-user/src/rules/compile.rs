//! Checked rules, and their fitting to one agent. No file is read and no operation judged here.

use std::{
    cell::OnceCell,
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
};

use globset::{GlobSet, GlobSetBuilder};
use guard_common::op::Op;
use serde::Serialize;

use super::{
    actor::FittedActor,
    agent_policy::{AgentPolicy, EXPIRED, Labels, Terms},
    argv::Answer,
    clause::{Clause, Rule},
    error::{Mistake, RulesError, unknown},
    place::{Globs, Places},
    source::Source,
    syntax::{File, Mode},
    tool::Tools,
};
use crate::{
    api::{Action, Reversibility},
    circumstances::Needs,
    tally::Counter,
};

/// Name of the built-in rule that holds what guard could not see whole.
pub const DOUBT: &str = "doubt";

/// The pack that protects guard itself: no agent goes without it.
pub const GUARD_PACK: &str = "guard";

/// What a decision shows of a rule. A hold keeps the one it was held by, whatever is reloaded meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    pub name: String,
    /// Why, in one sentence.
    pub text: String,
    /// What the agent may do instead, for the agent; empty where nothing is said of it.
    pub instead: String,
    pub action: Action,
    pub reversibility: Reversibility,
    pub mode: Mode,
    /// False: switched off.
    pub enabled: bool,
    /// The file it is in.
    pub origin: String,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub name: String,
    pub pack: String,
    pub action: Action,
    pub reversibility: Reversibility,
    pub mode: Mode,
    pub enabled: bool,
    pub text: String,
    pub origin: String,
}

impl Summary {
    pub(crate) fn of(info: &RuleInfo) -> Self {
        Self {
            name: info.name.clone(),
            pack: info.pack().to_owned(),
            action: info.action,
            reversibility: info.reversibility,
            mode: info.mode,
            enabled: info.enabled,
            text: info.text.clone(),
            origin: info.origin.clone(),
        }
    }
}

impl RuleInfo {
    /// As it is for an agent in this mode.
    fn for_mode(self: &Arc<Self>, mode: Mode) -> Arc<Self> {
        if mode == Mode::Enforce || self.mode == mode || self.pack() == GUARD_PACK {
            return Arc::clone(self);
        }
        Arc::new(Self { mode, ..Self::clone(self) })
    }

    /// The pack it belongs to: the name of its file without the ending.
    #[must_use]
    pub fn pack(&self) -> &str {
        let file = self.origin.trim_end_matches(" (built in)");
        let file = file.rsplit('/').next().unwrap_or(file);
        file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml")).unwrap_or(file)
    }
}

/// Checked rules, for every agent.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    tools: Arc<Tools>,
    labels: Arc<Labels>,
    pub(super) policies: Vec<Arc<AgentPolicy>>,
    pub(super) sources: Arc<[Source]>,
}

/// The directories of one agent, absolute and without symbolic links; an empty one is not known, and what names
/// it never matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub home: PathBuf,
    pub workspace: PathBuf,
    pub tmp: PathBuf,
    /// Name of the agent.
    pub agent: String,
    pub agent_labels: Vec<String>,
    /// `observe`: what would stop this agent is logged only, except where it protects guard itself.
    pub mode: Mode,
    /// The time its policy gave it is over.
    pub expired: bool,
}

/// The rules fitted to one agent: what judging uses.
#[derive(Debug)]
pub struct Policy {
    pub(crate) clauses: Vec<Fitted>,
    /// Per operation number, which clauses may match it.
    pub(crate) by_op: Vec<Vec<usize>>,
    /// Of the clauses about an exec: those that name a program, by file name, and those that name none.
    pub(crate) by_program: HashMap<Vec<u8>, Vec<usize>>,
    pub(crate) any_program: Vec<usize>,
    /// `None` where they are too large together: then no path is known, and nothing that has one is cleared.
    pub(crate) globs: Option<GlobSet>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) doubt: Arc<RuleInfo>,
    /// What any clause may ask for: where none does, nothing is ever looked up.
    pub(crate) needs: Needs,
}

/// A clause fitted to one agent.
#[derive(Debug)]
pub(crate) struct Fitted {
    pub(crate) info: Arc<RuleInfo>,
    /// Of an `allow`: the rule it excepts from.
    pub(crate) except: Option<String>,
    pub(crate) clause: Arc<Clause>,
    /// `None`: any path.
    pub(crate) path: Option<Places>,
    pub(crate) not_path: Places,
    /// Programs by path.
    pub(crate) program_file: Places,
    pub(crate) actor: FittedActor,
    pub(crate) needs: Needs,
    /// Of a clause with a threshold.
    pub(crate) counter: Option<Counter>,
}

impl Rules {
    /// No rules yet.
    ///
    /// # Errors
    /// When the built-in descriptions of tools cannot be read.
    pub fn none() -> Result<Self, RulesError> {
        let tools = Tools::built_in()?;
        Ok(Self { rules: Vec::new(), tools, labels: Arc::default(), policies: Vec::new(), sources: Arc::default() })
    }

    /// Rules that are read from now on may use these labels.
    pub(crate) fn with_labels(self, labels: Labels) -> Self {
        Self { labels: Arc::new(labels), ..self }
    }

    pub(crate) fn with_policies(self, policies: Vec<AgentPolicy>) -> Self {
        Self { policies: policies.into_iter().map(Arc::new).collect(), ..self }
    }

    /// The rules of some packs.
    pub(crate) fn of_packs(&self, is_chosen: impl Fn(&str) -> bool) -> Self {
        let rules = self.rules.iter().filter(|rule| is_chosen(rule.info.pack())).cloned().collect();
        Self { rules, ..self.clone() }
    }

    /// What a policy says that is not a rule; `None` when there is no policy of this name.
    #[must_use]
    pub fn terms(&self, policy: &str) -> Option<&Terms> {
        self.policies.iter().find(|other| other.name == policy).map(|policy| &policy.terms)
    }

    /// Fits the rules to an agent under a policy; an empty name means none. `own` are rules of the agent, with what to
    /// call them: they can only make it stricter.
    ///
    /// # Errors
    /// The user's sentence when there is no such policy, or the agent's own rules are wrong.
    pub fn policy_named(&self, policy: &str, scope: &Scope, own: Option<(&str, &str)>) -> Result<Policy, String> {
        let names: Vec<&str> = self.policies.iter().map(|policy| policy.name.as_str()).collect();
        let mut scope = scope.clone();
        let mut rules = self.clone();
        if !policy.is_empty() {
            let found = self.policies.iter().find(|other| other.name == policy);
            let found = found.ok_or_else(|| unknown("policy", policy, &names))?;
            scope.workspace = found.terms.workspace.clone().unwrap_or(scope.workspace);
            scope.agent_labels.extend(found.labels.iter().cloned());
            scope.mode = if found.mode == Mode::Observe { Mode::Observe } else { scope.mode };
            rules = found.rules.clone();
        }
        if let Some((text, origin)) = own {
            rules = rules.with(text, origin).map_err(|error| error.to_string())?;
        }
        if scope.expired {
            rules = rules.and(EXPIRED, "built in").map_err(|error| error.to_string())?;
        }
        Ok(rules.policy(&scope))
    }

    /// Adds the rules of an agent. They can only make it stricter: an exception among them is an error.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place in `text`.
    pub fn with(&self, text: &str, origin: &str) -> Result<Self, RulesError> {
        let own = self.and(text, origin)?;
        let allow = own.rules.iter().skip(self.rules.len()).find_map(|rule| rule.except.as_ref());
        if let Some(except) = allow {
            let (line, column) = (except.referenced.line(), except.referenced.column());
            let message = "an agent's own rules only add: they cannot allow what another rule stops";
            return Err(Mistake::new(origin, text, line, column, message).into());
        }
        own.check_exceptions(text, origin)?;
        Ok(own)
    }

    /// Adds the rules of one file. The names its exceptions mention are checked by [`Self::check_exceptions`],
    /// when every file has been read.
    pub(crate) fn and(&self, text: &str, origin: &str) -> Result<Self, RulesError> {
        let file: File = serde_saphyr::from_str_with_options(text, yaml_options())
            .map_err(|error| Mistake::of_yaml(origin, text, &error))?;
        let mut rules = self.clone();
        for entry in file.rules {
            let (line, column) = (entry.name.referenced.line(), entry.name.referenced.column());
            let rule = Rule::new(entry, text, origin, &self.labels)?;
            if let Some(first) = rules.rules.iter().find(|other| other.info.name == rule.info.name) {
                let message = format!("there is another rule `{}`", rule.info.name);
                let second = Box::new(Mistake::new(origin, text, line, column, message));
                return Err(RulesError::Duplicate { first: first.info.origin.clone(), second });
            }
            rules.rules.push(Arc::new(rule));
        }
        Ok(rules)
    }

    /// Every exception names a rule there is.
    pub(crate) fn check_exceptions(&self, text: &str, origin: &str) -> Result<(), RulesError> {
        let stops = |rule: &&Arc<Rule>| rule.except.is_none();
        let names: Vec<&str> = self.rules.iter().filter(stops).map(|rule| rule.info.name.as_str()).collect();
        for rule in self.rules.iter().filter(|rule| rule.info.origin == origin) {
            if let Some(except) = rule.except.as_ref().filter(|except| !names.contains(&except.value.as_str())) {
                let (line, column) = (except.referenced.line(), except.referenced.column());
                return Err(Mistake::new(origin, text, line, column, unknown("rule", &except.value, &names)).into());
            }
        }
        Ok(())
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What there is, for a listing.
    #[must_use]
    pub fn summary(&self) -> Vec<Summary> {
        self.rules.iter().map(|rule| Summary::of(&rule.info)).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &**rule)
    }

    /// Those of every policy, too.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.iter().chain(self.policies.iter().flat_map(|policy| policy.rules.iter()))
    }

    pub(crate) fn map(&self, change: impl FnMut(&Arc<Rule>) -> Arc<Rule>) -> Self {
        Self { rules: self.rules.iter().map(change).collect(), ..self.clone() }
    }

    /// One rule alone, to see what it costs by itself.
    pub(crate) fn only(&self, name: &str) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.info.name == name).cloned().collect();
        Self { rules, ..self.clone() }
    }

    /// Fits the rules to an agent.
    #[must_use]
    pub fn policy(&self, scope: &Scope) -> Policy {
        let mut globs = Globs { builder: GlobSetBuilder::new(), count: 0 };
        let mut clauses = Vec::new();
        for rule in self.rules.iter().filter(|rule| rule.info.enabled) {
            let info = rule.info.for_mode(scope.mode);
            for (number, clause) in rule.clauses.iter().enumerate().filter(|(_, clause)| clause.is_about(scope)) {
                let path = clause.path.as_ref().map(|path| globs.fit(path, scope, false));
                if path.as_ref().is_some_and(Places::is_nothing) {
                    // Every directory it names is unknown: it never matches.
                    continue;
                }
                let excepts = rule.except.is_some();
                clauses.push(Fitted {
                    info: Arc::clone(&info),
                    except: rule.except.as_ref().map(|except| except.value.clone()),
                    clause: Arc::clone(clause),
                    path,
                    not_path: globs.fit(&clause.not_path, scope, true),
                    program_file: globs.fit(&clause.program_file, scope, excepts),
                    actor: clause.actor.fit(&mut globs, scope, excepts),
                    needs: clause.needs(),
                    counter: clause.more_than.map(|threshold| Counter {
                        key: format!("{}#{number}", rule.info.name),
                        within: threshold.within,
                    }),
                });
            }
        }
        let (mut by_program, mut any_program) = (HashMap::<Vec<u8>, Vec<usize>>::new(), Vec::new());
        for (index, fitted) in clauses.iter().enumerate().filter(|(_, fitted)| fitted.clause.ops().contains(Op::Exec)) {
            // One that a rule names by its path may be called anything.
            let by_path = !fitted.clause.program_file.is_empty();
            let files = if by_path { BTreeSet::new() } else { fitted.clause.program_files(&self.tools) };
            if files.is_empty() {
                any_program.push(index);
            }
            for file in files {
                by_program.entry(file).or_default().push(index);
            }
        }
        let may = |op: Op, fitted: &Fitted| fitted.clause.ops().contains(op);
        let of_op = |op: Op| (0..clauses.len()).filter(|index| may(op, &clauses[*index])).collect();
        Policy {
            by_op: Op::ALL.into_iter().map(of_op).collect(),
            by_program,
            any_program,
            globs: globs.builder.build().ok(),
            needs: clauses.iter().fold(Needs::NONE, |needs, fitted: &Fitted| needs.with(fitted.needs)),
            clauses,
            tools: Arc::clone(&self.tools),
            doubt: Arc::new(RuleInfo {
                name: DOUBT.to_owned(),
                text: "guard could not see all of this operation, and a rule could match it".to_owned(),
                instead: String::new(),
                action: Action::Hold,
                reversibility: Reversibility::Irreversible,
                mode: Mode::Enforce,
                enabled: true,
                origin: "built in".to_owned(),
            }),
        }
    }
}

impl Clause {
    /// It is about an agent of this name and with these labels.
    fn is_about(&self, scope: &Scope) -> bool {
        let labelled = |label: &super::who::Label| scope.agent_labels.contains(&label.0);
        (self.agent.is_empty() || self.agent.iter().any(|glob| glob.is_match(scope.agent.as_bytes())))
            && (self.agent_label.is_empty() || self.agent_label.iter().any(labelled))
    }
}

impl Policy {
    /// Is this path in these places?
    pub(crate) fn covers(&self, places: &Places, path: &std::path::Path) -> Answer {
        match &self.globs {
            Some(globs) => {
                let matching = OnceCell::new();
                let bytes = path.as_os_str().as_encoded_bytes();
                Answer::of(places.cover(bytes, || matching.get_or_init(|| globs.matches(path))))
            }
            None => Answer::Unknown,
        }
    }
}

/// How every file of rules, cases and policies is read: nothing is guessed, and nothing grows.
pub(crate) fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
    }
}
