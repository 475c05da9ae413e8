//! Checked rules, and their fitting to one agent. No file is read and no operation judged here.

use std::{path::PathBuf, sync::Arc};

use globset::{GlobSet, GlobSetBuilder};
use guard_common::op::{Op, OpSet};
use serde::Serialize;
use serde_saphyr::Spanned;

use super::{
    act::{Act, ActSet},
    argv::Matcher,
    error::{Place, RulesError, unknown},
    network::{Network, Socket},
    pattern::{Pattern, Template, Wide},
    syntax::{Component, Entry, File, Match, Mode, ObjectType, OneOrMany, Port, Signal},
    tool::Tools,
};
use crate::api::{Action, Reversibility};

/// Name of the built-in rule that holds what guard could not see whole.
pub const DOUBT: &str = "doubt";

/// What a decision shows of a rule. A hold keeps the one it was held by, whatever is reloaded meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    pub name: String,
    /// Why, in one sentence.
    pub text: String,
    pub action: Action,
    pub reversibility: Reversibility,
    pub mode: Mode,
    /// The file it is in.
    pub origin: String,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub name: String,
    pub action: Action,
    pub reversibility: Reversibility,
    pub mode: Mode,
    pub text: String,
    pub origin: String,
}

/// Checked rules, for every agent.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    tools: Arc<Tools>,
}

#[derive(Debug)]
struct Rule {
    info: Arc<RuleInfo>,
    except: Option<Spanned<String>>,
    clauses: Vec<Arc<Clause>>,
}

/// One match of a rule, not yet fitted to an agent.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) acts: ActSet,
    path: Option<Vec<Template>>,
    not_path: Vec<Template>,
    pub(crate) name: Vec<Vec<u8>>,
    pub(crate) object: Vec<ObjectType>,
    pub(crate) program: Vec<String>,
    pub(crate) argv: Option<Matcher>,
    pub(crate) address: Vec<Network>,
    pub(crate) port: Vec<u16>,
    pub(crate) socket: Vec<Socket>,
    pub(crate) signal: Vec<Signal>,
}

/// The directories of one agent, absolute and without symbolic links; an empty one is not known, and what names
/// it never matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub home: PathBuf,
    pub workspace: PathBuf,
    pub tmp: PathBuf,
}

/// The rules fitted to one agent: what judging uses.
#[derive(Debug)]
pub struct Policy {
    pub(crate) clauses: Vec<Fitted>,
    /// Per operation number, which clauses may match it.
    pub(crate) by_op: Vec<Vec<usize>>,
    /// `None` where they are too large together: then no path is known, and nothing that has one is cleared.
    pub(crate) globs: Option<GlobSet>,
    pub(crate) tools: Arc<Tools>,
    pub(crate) doubt: Arc<RuleInfo>,
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
}

/// Paths, in the forms that compare fast.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Directories without a trailing slash, meaning themselves and all below.
    pub(crate) below: Vec<Vec<u8>>,
    pub(crate) exact: Vec<Vec<u8>>,
    /// With their indices in [`Policy::globs`].
    pub(crate) globs: Vec<(Wide, Vec<usize>)>,
}

impl Rules {
    /// No rules yet.
    ///
    /// # Errors
    /// When the built-in descriptions of tools cannot be read.
    pub fn none() -> Result<Self, RulesError> {
        Ok(Self { rules: Vec::new(), tools: Arc::new(Tools::built_in()?) })
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
            return Err(Place::new(origin, text, line, column, message).into());
        }
        own.check_exceptions(text, origin)?;
        Ok(own)
    }

    /// Adds the rules of one file. The names its exceptions mention are checked by [`Self::check_exceptions`],
    /// when every file has been read.
    pub(crate) fn and(&self, text: &str, origin: &str) -> Result<Self, RulesError> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 10_000, max_replay_stack_depth: 8 },
        };
        let file: File =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| Place::of_yaml(origin, text, &error))?;
        let mut rules = self.clone();
        for entry in file.rules {
            let (line, column) = (entry.name.referenced.line(), entry.name.referenced.column());
            let rule = Rule::new(entry, text, origin)?;
            if let Some(first) = rules.rules.iter().find(|other| other.info.name == rule.info.name) {
                let message = format!("there is another rule `{}`", rule.info.name);
                let second = Box::new(Place::new(origin, text, line, column, message));
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
                return Err(Place::new(origin, text, line, column, unknown("rule", &except.value, &names)).into());
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
        let line = |info: &RuleInfo| Summary {
            name: info.name.clone(),
            action: info.action,
            reversibility: info.reversibility,
            mode: info.mode,
            text: info.text.clone(),
            origin: info.origin.clone(),
        };
        self.rules.iter().map(|rule| line(&rule.info)).collect()
    }

    /// Fits the rules to an agent.
    #[must_use]
    pub fn policy(&self, scope: &Scope) -> Policy {
        let mut globs = Globs { builder: GlobSetBuilder::new(), count: 0 };
        let mut clauses = Vec::new();
        for rule in &self.rules {
            for clause in &rule.clauses {
                let path = clause.path.as_ref().map(|path| globs.fit(path, scope, false));
                if path.as_ref().is_some_and(Places::is_nothing) {
                    // Every directory it names is unknown: it never matches.
                    continue;
                }
                clauses.push(Fitted {
                    info: Arc::clone(&rule.info),
                    except: rule.except.as_ref().map(|except| except.value.clone()),
                    clause: Arc::clone(clause),
                    path,
                    not_path: globs.fit(&clause.not_path, scope, true),
                });
            }
        }
        let may = |op: Op, fitted: &Fitted| fitted.clause.ops().contains(op);
        let of_op = |op: Op| (0..clauses.len()).filter(|index| may(op, &clauses[*index])).collect();
        Policy {
            by_op: Op::ALL.into_iter().map(of_op).collect(),
            globs: globs.builder.build().ok(),
            clauses,
            tools: Arc::clone(&self.tools),
            doubt: Arc::new(RuleInfo {
                name: DOUBT.to_owned(),
                text: "guard could not see all of this operation, and a rule could match it".to_owned(),
                action: Action::Hold,
                reversibility: Reversibility::Irreversible,
                mode: Mode::Enforce,
                origin: "built in".to_owned(),
            }),
        }
    }
}

/// Collects the globs of a policy into one set.
struct Globs {
    builder: GlobSetBuilder,
    count: usize,
}

impl Globs {
    fn fit(&mut self, templates: &[Template], scope: &Scope, excludes: bool) -> Places {
        let mut places = Places::default();
        for pattern in templates.iter().filter_map(|template| template.pattern(scope, excludes)) {
            match pattern {
                Pattern::Below(directory) => places.below.push(directory),
                Pattern::Exact(path) => places.exact.push(path),
                Pattern::Glob(wide) => {
                    let first = self.count;
                    for glob in &wide.globs {
                        self.builder.add(glob.clone());
                        self.count += 1;
                    }
                    places.globs.push((wide, (first..self.count).collect()));
                }
            }
        }
        places
    }
}

impl Places {
    pub(crate) fn is_nothing(&self) -> bool {
        self.below.is_empty() && self.exact.is_empty() && self.globs.is_empty()
    }

    /// `globs` are the indices that match `path`, in order.
    pub(crate) fn cover(&self, path: &[u8], globs: &[usize]) -> bool {
        self.below.iter().any(|directory| is_below(path, directory))
            || self.exact.iter().any(|exact| exact == path)
            || self.globs.iter().any(|(_, indices)| indices.iter().any(|index| globs.binary_search(index).is_ok()))
    }
}

/// Is `path` this directory or below it?
pub(crate) fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

impl Clause {
    pub(crate) fn ops(&self) -> OpSet {
        self.acts.iter().fold(OpSet::EMPTY, |ops, act| ops.union(act.ops()))
    }

    fn new(entry: Match) -> Result<Self, String> {
        fn list<T>(many: Option<OneOrMany<T>>) -> Vec<T> {
            many.map_or_else(Vec::new, |many| many.0)
        }
        let acts = ActSet::of(&entry.op.0);
        let only = |key: &str, given: bool, fits: fn(Act) -> bool, about: &str| {
            if given && !acts.iter().all(fits) {
                return Err(format!("`{key}` is about {about}, and this match is about other operations too"));
            }
            Ok(())
        };
        let pathless = "operations on paths";
        only("path", entry.path.is_some(), Act::has_path, pathless)?;
        only("not_path", entry.not_path.is_some(), Act::has_path, pathless)?;
        only("name", entry.name.is_some(), Act::has_path, pathless)?;
        only("object", entry.object.is_some(), Act::has_path, pathless)?;
        let is_exec = |act| matches!(act, Act::Exec);
        only("program", entry.program.is_some(), is_exec, "`exec`")?;
        only("argv", entry.argv.is_some(), is_exec, "`exec`")?;
        let is_connect = |act| matches!(act, Act::Connect);
        only("address", entry.address.is_some(), is_connect, "`connect`")?;
        only("port", entry.port.is_some(), is_connect, "`connect`")?;
        only("socket", entry.socket.is_some(), is_connect, "`connect`")?;
        only("signal", entry.signal.is_some(), |act| matches!(act, Act::Signal), "`signal`")?;
        if entry.argv.is_some() && entry.program.is_none() {
            return Err("`argv` needs `program`: every program reads its arguments its own way".to_owned());
        }
        if entry.socket.is_some() && (entry.address.is_some() || entry.port.is_some()) {
            return Err("a socket has neither address nor port: write two matches".to_owned());
        }
        let program: Vec<String> = list(entry.program).into_iter().map(|Component(name)| name).collect();
        Ok(Self {
            acts,
            path: entry.path.map(|many| many.0),
            not_path: list(entry.not_path),
            name: list(entry.name).into_iter().map(|Component(name)| name.into_bytes()).collect(),
            object: list(entry.object),
            argv: entry.argv.map(|arguments| Matcher::new(&arguments)).transpose()?,
            program,
            address: list(entry.address),
            port: list(entry.port).into_iter().map(|Port(port)| port).collect(),
            socket: list(entry.socket),
            signal: list(entry.signal),
        })
    }
}

impl Rule {
    fn new(entry: Entry, text: &str, origin: &str) -> Result<Self, Place> {
        let at = |place: serde_saphyr::Location, message: String| {
            Place::new(origin, text, place.line(), place.column(), message)
        };
        let name = entry.name.value.0;
        let (named, matched) = (entry.name.referenced, entry.matches.referenced);
        if entry.text.value.trim().is_empty() {
            return Err(at(
                entry.text.referenced,
                "`text` says why, in one sentence, to the person who decides".to_owned(),
            ));
        }
        let is_allow = match entry.action {
            Action::Allow => true,
            Action::Hold | Action::Deny | Action::Kill => false,
        };
        if is_allow && entry.except.is_none() {
            return Err(at(named, format!("`{name}` allows: `except` must name the rule it excepts from")));
        }
        if let Some(except) = entry.except.as_ref().filter(|_| !is_allow) {
            return Err(at(except.referenced, "`except` belongs to a rule whose action is `allow`".to_owned()));
        }
        let reversibility = match (entry.reversibility, is_allow) {
            (Some(reversibility), _) => reversibility,
            (None, true) => Reversibility::Reversible,
            (None, false) => {
                let expected = "expected reversible, partial or irreversible";
                return Err(at(named, format!("`{name}` lacks `reversibility`: {expected}")));
            }
        };
        let mut clauses = Vec::new();
        for entry in entry.matches.value.0 {
            clauses.push(Arc::new(Clause::new(entry).map_err(|message| at(matched, message))?));
        }
        let info = RuleInfo {
            name,
            text: entry.text.value,
            action: entry.action,
            reversibility,
            mode: entry.mode,
            origin: origin.to_owned(),
        };
        Ok(Self { info: Arc::new(info), except: entry.except, clauses })
    }
}
