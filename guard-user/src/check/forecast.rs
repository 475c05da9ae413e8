//! What has been foreseen so far, judged as it comes, and the state of the process it is foreseen for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use guard_common::op::Op;

use super::{
    Judged, Verdict, look,
    step::{self, Step},
    term::{STAR, UNKNOWN, plain},
};
use crate::{
    api::{Action, Reversibility},
    circumstances::Circumstances,
    operation::{ObjectFacts, Operation},
    rules::{
        compile::{DOUBT, Policy, Scope},
        judge::{Judgement, judge},
        tool::Tools,
    },
};

/// More than this is not looked at: what is left is held.
const MOST: usize = 2000;
/// Commands within commands.
pub(crate) const DEEPEST: usize = 24;

/// What a shell or a program started by one knows.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// `None` after `cd` to somewhere unknown.
    pub(crate) cwd: Option<PathBuf>,
    /// Values with [`UNKNOWN`] in them where they are not known.
    pub(crate) vars: BTreeMap<String, String>,
    /// Names of those that programs get in their environment.
    pub(crate) exported: BTreeSet<String>,
    pub(crate) functions: BTreeMap<String, super::shell::Body>,
    pub(crate) elsewhere: bool,
    pub(crate) depth: usize,
    /// What comes in through a pipe or a here-document, where it is known.
    pub(crate) input: Input,
}

/// The standard input of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Nobody feeds it.
    None,
    Text(String),
    /// The output of something that cannot be foreseen; where from, as a sentence begins with it.
    Unknown(String),
}

impl State {
    pub(crate) fn new(cwd: &Path, env: &BTreeMap<String, String>) -> Self {
        Self {
            cwd: Some(look::real(cwd)),
            vars: env.clone(),
            exported: env.keys().cloned().collect(),
            functions: BTreeMap::new(),
            elsewhere: false,
            depth: 0,
            input: Input::None,
        }
    }

    /// The state of something started on another host or in a container.
    pub(crate) fn elsewhere(&self) -> Self {
        Self {
            cwd: None,
            vars: BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]),
            exported: BTreeSet::new(),
            elsewhere: true,
            ..self.clone()
        }
    }

    /// Sets a variable that programs started from here on get.
    pub(crate) fn export(&mut self, name: &str, value: &str) {
        self.exported.insert(name.to_owned());
        self.vars.insert(name.to_owned(), value.to_owned());
    }

    /// What rules may ask beside the operation. On another host nothing is known, and what is not known could match.
    fn circumstances(&self) -> Circumstances {
        let value = |name: &String| {
            let value = self.vars.get(name).filter(|value| !value.contains(UNKNOWN))?;
            Some((name.clone().into_bytes(), plain(value).into_bytes()))
        };
        let environment: Option<Vec<_>> = self.exported.iter().map(value).collect();
        Circumstances {
            environment: environment.filter(|_| !self.elsewhere).into(),
            directory: self.cwd.clone().filter(|_| !self.elsewhere).into(),
            ..Circumstances::default()
        }
    }

    /// Absolute, without `.` and `..`; begins with [`UNKNOWN`] where nobody knows.
    pub(crate) fn absolute(&self, text: &str) -> PathBuf {
        if text.starts_with('/') {
            return look::normal(Path::new(text));
        }
        let base = match &self.cwd {
            Some(cwd) if !text.starts_with(UNKNOWN) => cwd.clone(),
            Some(_) | None => Path::new("/").join(UNKNOWN.to_string()),
        };
        // `…/../..` climbs above whatever is not known.
        look::normal(&base.join(text))
    }
}

/// Collects what would happen.
pub(crate) struct Forecast<'a> {
    pub(crate) tools: &'a Tools,
    here: &'a Policy,
    elsewhere: &'a Policy,
    pub(crate) scope: &'a Scope,
    operations: Vec<Judged>,
    worst: Option<Worst>,
    doubts: Vec<String>,
    /// What commands before wrote into files, so that running one of them is foreseen.
    pub(crate) written: BTreeMap<PathBuf, Input>,
    /// Commands that may still be looked at.
    budget: usize,
}

/// The most severe judgement so far.
struct Worst {
    rank: (Action, bool, Reversibility),
    rule: String,
    why: String,
}

impl<'a> Forecast<'a> {
    pub(crate) fn new(tools: &'a Tools, here: &'a Policy, elsewhere: &'a Policy, scope: &'a Scope) -> Self {
        Self {
            tools,
            here,
            elsewhere,
            scope,
            operations: Vec::new(),
            worst: None,
            doubts: Vec::new(),
            written: BTreeMap::new(),
            budget: MOST,
        }
    }

    /// Something that guard would not see coming: it is held.
    pub(crate) fn doubt(&mut self, why: String) {
        if self.doubts.len() < MOST {
            self.doubts.push(why);
        }
    }

    /// A program that writes what comes from the network.
    pub(crate) fn is_fetched(&self, tool: &crate::rules::tool::Tool) -> bool {
        tool.program.iter().any(|name| name == "curl" || name == "wget")
    }

    /// Counts a command. False when there have been too many, and what is left is held.
    pub(crate) fn spend(&mut self) -> bool {
        if self.budget == 0 {
            return false;
        }
        self.budget -= 1;
        if self.budget == 0 {
            self.doubt("this does more than guard looks at before it runs".to_owned());
        }
        self.budget > 0
    }

    /// Judges one operation.
    pub(crate) fn add(&mut self, state: &State, operation: Operation) {
        if self.operations.len() >= MOST {
            return self.doubt("this does more than guard looks at before it runs".to_owned());
        }
        let policy = if state.elsewhere { self.elsewhere } else { self.here };
        let operation = Operation { circumstances: state.circumstances(), ..operation };
        let step = Step { operation, elsewhere: state.elsewhere };
        let (action, rule) = match judge(policy, &step.operation) {
            Judgement::Clear | Judgement::WouldHold(_) => (Action::Allow, None),
            Judgement::Match(info) => {
                let rank = (info.action, info.name != DOUBT, info.reversibility);
                if self.worst.as_ref().is_none_or(|worst| rank > worst.rank) {
                    self.worst = Some(Worst { rank, rule: info.name.clone(), why: info.text.clone() });
                }
                (info.action, Some(info.name.clone()))
            }
        };
        self.operations.push(Judged { op: step.operation.op.name(), what: step::describe(&step), action, rule });
    }

    /// Judges an act on a path, and where it is `deep` or has wildcards, on everything it covers that a rule names.
    pub(crate) fn act(
        &mut self,
        state: &State,
        op: Op,
        text: &str,
        deep: bool,
        make: impl Fn(&Path, ObjectFacts) -> Operation,
    ) {
        let path = state.absolute(text);
        let follows = !matches!(op, Op::Unlink | Op::Rmdir | Op::Rename | Op::Link);
        let path = match (state.elsewhere, follows) {
            (true, _) => path,
            (false, true) => look::real(&path),
            (false, false) => look::real_name(&path),
        };
        let facts = |path: &Path| {
            let seen = if state.elsewhere { None } else { look::facts(path, follows) };
            seen.unwrap_or_else(|| look::guess(path))
        };
        self.add(state, make(&path, facts(&path)));
        if !deep && !super::term::is_wild(text) {
            return;
        }
        let policy = if state.elsewhere { self.elsewhere } else { self.here };
        for named in policy.samples() {
            if named != path && covers(&path, &named, deep) {
                self.add(state, make(&named, facts(&named)));
            }
        }
        if deep && !state.elsewhere {
            let repository = path.join(".git");
            if look::is_directory(&repository) {
                self.add(state, make(&repository, facts(&repository)));
            }
        }
    }

    /// All in all.
    pub(crate) fn verdict(self) -> Verdict {
        let reversibility = self.worst.as_ref().map(|worst| worst.rank.2);
        let (action, rule, why) = match (self.worst, self.doubts.first()) {
            (Some(worst), Some(doubt)) if worst.rule == DOUBT => (worst.rank.0, Some(worst.rule), doubt.clone()),
            (Some(worst), _) => (worst.rank.0, Some(worst.rule), worst.why),
            (None, Some(doubt)) => (Action::Hold, Some(DOUBT.to_owned()), doubt.clone()),
            (None, None) => (Action::Allow, None, "no rule stops it".to_owned()),
        };
        let reversibility = match action {
            Action::Allow => None,
            Action::Hold | Action::Deny | Action::Kill => Some(reversibility.unwrap_or(Reversibility::Irreversible)),
        };
        Verdict { action, rule, reversibility, why, operations: self.operations }
    }
}

/// A question that cannot be answered.
pub(crate) fn unforeseen(why: &str) -> Verdict {
    Verdict {
        action: Action::Hold,
        rule: Some(DOUBT.to_owned()),
        reversibility: Some(Reversibility::Irreversible),
        why: why.to_owned(),
        operations: Vec::new(),
    }
}

/// Is `named` at a path that `path`, with its wildcards, stands for, or `deep` below one?
fn covers(path: &Path, named: &Path, deep: bool) -> bool {
    let mut parts = named.components();
    for part in path.components() {
        let Some(other) = parts.next() else { return false };
        let (part, other) = (part.as_os_str().to_string_lossy(), other.as_os_str().to_string_lossy());
        if part != other && !wild(&part.chars().collect::<Vec<_>>(), &other.chars().collect::<Vec<_>>()) {
            return false;
        }
    }
    deep || parts.next().is_none()
}

/// Does the pattern, with [`STAR`] for any letters, match all of the text?
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let letters = |text: &str| text.chars().collect::<Vec<char>>();
    let stars = pattern.chars().filter(|letter| *letter == STAR).count();
    stars <= 4 && rest(&letters(pattern), &letters(text))
}

/// `*` does not match a leading dot, as in a shell.
fn wild(glob: &[char], name: &[char]) -> bool {
    if name.first() == Some(&'.') && glob.first() != Some(&'.') {
        return false;
    }
    // Each star is another walk over the name.
    glob.iter().filter(|letter| **letter == STAR).count() <= 4 && rest(glob, name)
}

fn rest(glob: &[char], name: &[char]) -> bool {
    match glob.split_first() {
        None => name.is_empty(),
        Some((&STAR, more)) => (0..=name.len()).any(|at| rest(more, &name[at..])),
        Some((one, more)) => match name.split_first() {
            Some((letter, tail)) => (one == letter || *one == super::term::ONE) && rest(more, tail),
            None => false,
        },
    }
}
