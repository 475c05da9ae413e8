//! The judgement of one operation: a pure function. What is not certain is never cleared.

use std::{cell::OnceCell, net::SocketAddr, os::unix::ffi::OsStrExt as _, path::Path, sync::Arc};

use guard_common::{op::Op, record::doubt};

use super::{
    argv::{Answer, Given, Matcher},
    clause::Clause,
    compile::{Fitted, Policy, RuleInfo},
    syntax::Mode,
    touch::{Touch, touches},
};
use crate::{
    api::Action,
    circumstances::Needs,
    operation::{Address, Operation},
    tally::Counter,
};

/// What the rules say about an operation.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// No rule matches.
    Clear,
    /// Cleared, and a rule that only observes would have stopped it.
    WouldHold(Arc<RuleInfo>),
    /// The most severe rule that matches; its action is never `allow`.
    Match(Arc<RuleInfo>),
}

/// Judges one operation of the agent `policy` was made for.
///
/// The most severe match wins. An exception takes away only the rule it names, and only when it certainly matches.
pub fn judge(policy: &Policy, operation: &Operation) -> Judgement {
    let known = Known::of(policy, operation);
    let mut matched: Vec<(&Fitted, Answer)> = Vec::new();
    let mut excepted: Vec<&str> = Vec::new();
    for fitted in known.clauses().into_iter().map(|index| &policy.clauses[index]) {
        let answer = known.matches(fitted);
        match (&fitted.except, answer) {
            (_, Answer::No) | (Some(_), Answer::Unknown) => {}
            (Some(except), Answer::Yes) => excepted.push(except),
            (None, Answer::Yes | Answer::Unknown) => matched.push((fitted, answer)),
        }
    }
    matched.retain(|(fitted, _)| !excepted.contains(&fitted.info.name.as_str()));
    let worst = |mode: Mode| {
        let of_mode = matched.iter().filter(|(fitted, answer)| *answer == Answer::Yes && fitted.info.mode == mode);
        // The first of equals: `max_by_key` would take the last.
        of_mode.rev().max_by_key(|(fitted, _)| (fitted.info.action, fitted.info.reversibility))
    };
    if let Some((fitted, _)) = worst(Mode::Enforce) {
        return Judgement::Match(Arc::clone(&fitted.info));
    }
    let enforced = |fitted: &Fitted| fitted.info.mode == Mode::Enforce;
    if matched.iter().any(|(fitted, answer)| *answer == Answer::Unknown && enforced(fitted)) {
        return Judgement::Match(Arc::clone(&policy.doubt));
    }
    match worst(Mode::Observe) {
        Some((fitted, _)) => Judgement::WouldHold(Arc::clone(&fitted.info)),
        None => Judgement::Clear,
    }
}

impl Policy {
    /// What must be found out about this operation before it can be judged: what is asked by rules that could match.
    #[must_use]
    pub fn needs(&self, operation: &Operation) -> Needs {
        if self.needs.is_none() {
            return Needs::NONE;
        }
        let known = Known::of(self, operation);
        let clauses = known.clauses().into_iter().map(|index| &self.clauses[index]);
        clauses
            .filter(|fitted| !fitted.needs.is_none() && known.matches(fitted) != Answer::No)
            .fold(Needs::NONE, |needs, fitted| needs.with(fitted.needs))
    }
}

impl Policy {
    /// Indices of the globs that match, in order.
    fn globs(&self, path: &Path) -> Vec<usize> {
        self.globs.as_ref().map_or_else(Vec::new, |globs| globs.matches(path))
    }

    /// What this operation counts for, before it is judged.
    #[must_use]
    pub fn counters(&self, operation: &Operation) -> Vec<Counter> {
        let counted = |index: &&usize| self.clauses[**index].counter.is_some();
        let mut clauses = self.by_op[operation.op as usize].iter().filter(counted).peekable();
        if clauses.peek().is_none() {
            return Vec::new();
        }
        let known = Known::of(self, operation);
        let clauses = clauses.map(|index| &self.clauses[*index]);
        let matching = clauses.filter(|fitted| known.matches_uncounted(fitted) != Answer::No);
        matching.filter_map(|fitted| fitted.counter.clone()).collect()
    }
}

impl Judgement {
    /// Nothing stops it.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        match self {
            Self::Clear | Self::WouldHold(_) => true,
            Self::Match(info) => info.action == Action::Allow,
        }
    }
}

/// Which parts of an operation are certain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Certain {
    pub(crate) paths: bool,
    pub(crate) facts: bool,
    pub(crate) argv: bool,
}

/// What is known of an operation, worked out once for all rules.
struct Known<'a> {
    policy: &'a Policy,
    operation: &'a Operation,
    touches: Vec<Touch<'a>>,
    /// Globs that match the path, and the other path; looked for when a rule asks.
    path_globs: OnceCell<Vec<usize>>,
    other_globs: OnceCell<Vec<usize>>,
    given: Given<'a>,
    certain: Certain,
}

impl<'a> Known<'a> {
    fn of(policy: &'a Policy, operation: &'a Operation) -> Self {
        let doubts = operation.doubt;
        // A bit this version has no name for says that anything may be wrong.
        let strange = doubts & !(doubt::PATH | doubt::ARGV | doubt::DETACHED) != 0;
        let touches = touches(operation);
        // A path that does not begin at the root says nothing about where the object is.
        let placeless = touches.iter().any(|touch| touch.act.has_path() && !touch.path.starts_with(b"/"));
        let lost = (placeless || doubts & (doubt::PATH | doubt::DETACHED) != 0) && !keeps_nothing(operation);
        let argv_known = !strange && doubts & doubt::ARGV == 0 && operation.argc as usize <= operation.argv.len();
        Self {
            policy,
            operation,
            given: Given::new(&operation.argv, argv_known),
            touches,
            path_globs: OnceCell::new(),
            other_globs: OnceCell::new(),
            certain: Certain { paths: !strange && !lost && policy.globs.is_some(), facts: !strange, argv: argv_known },
        }
    }

    /// The clauses that may match, in the order of the rules.
    fn clauses(&self) -> Vec<usize> {
        let policy = self.policy;
        // A program whose file is not known may be any.
        if self.operation.op != Op::Exec || !self.certain.paths {
            return policy.by_op[self.operation.op as usize].clone();
        }
        let named = policy.by_program.get(self.operation.file_name());
        let mut clauses: Vec<usize> = policy.any_program.iter().chain(named.into_iter().flatten()).copied().collect();
        clauses.sort_unstable();
        clauses
    }

    fn path_globs(&self) -> &[usize] {
        self.path_globs.get_or_init(|| self.policy.globs(&self.operation.path))
    }

    fn other_globs(&self) -> &[usize] {
        self.other_globs.get_or_init(|| self.policy.globs(&self.operation.other_path))
    }

    fn matches(&self, fitted: &Fitted) -> Answer {
        self.matches_uncounted(fitted).min(self.amount(fitted))
    }

    /// Is a threshold passed, with this operation? What was not counted may have been.
    fn amount(&self, fitted: &Fitted) -> Answer {
        let (Some(threshold), Some(counter)) = (&fitted.clause.more_than, &fitted.counter) else {
            return Answer::Yes;
        };
        let tallies = self.operation.circumstances.tallies.known();
        let tally = tallies.and_then(|tallies| tallies.iter().find(|(key, _)| *key == counter.key));
        tally.map_or(Answer::Unknown, |(_, tally)| Answer::of(threshold.is_passed(tally)))
    }

    /// All but how much it is.
    fn matches_uncounted(&self, fitted: &Fitted) -> Answer {
        let clause = &*fitted.clause;
        let rest = self.program(fitted).min(self.destination(clause)).min(self.signal(clause));
        if rest == Answer::No {
            return Answer::No;
        }
        let certain = fitted.except.is_some();
        let rest = rest.min(clause.actor.answer(&fitted.actor, self.policy, self.operation, certain));
        let acts = self.touches.iter().filter(|touch| clause.acts.contains(touch.act));
        let matching = acts
            .map(|touch| {
                let object = clause.object.answer(touch, self.operation, self.certain.facts);
                self.place(fitted, touch).min(object).min(self.made(clause, touch)).min(rest)
            })
            .max()
            .unwrap_or(Answer::No);
        match &clause.when {
            // Last, because it costs most.
            Some(when) if matching != Answer::No => matching.min(when.answer(self.operation, self.certain)),
            Some(_) | None => matching,
        }
    }

    /// Is it the agent's own, or not, as the clause asks?
    fn made(&self, clause: &Clause, touch: &Touch<'_>) -> Answer {
        match clause.own {
            None => Answer::Yes,
            Some(_) if !self.certain.facts => Answer::Unknown,
            Some(own) => Answer::of(own == touch.is_own(self.operation)),
        }
    }

    fn place(&self, fitted: &Fitted, touch: &Touch<'_>) -> Answer {
        let any_place = fitted.path.is_none() && fitted.clause.name.is_empty() && fitted.not_path.is_nothing();
        if any_place && touch.leaves_to.is_none() {
            return Answer::Yes;
        }
        if !self.certain.paths {
            return Answer::Unknown;
        }
        // What stays under the same protection does not leave it.
        let leaves = touch.leaves_to.is_none_or(|to| !self.covers(fitted, to));
        Answer::of(leaves && self.covers(fitted, touch.path))
    }

    fn covers(&self, fitted: &Fitted, path: &[u8]) -> bool {
        let is_first = path == self.operation.path.as_os_str().as_bytes();
        let globs = || if is_first { self.path_globs() } else { self.other_globs() };
        let name = &fitted.clause.name;
        fitted.path.as_ref().is_none_or(|places| places.cover(path, globs))
            && !fitted.not_path.cover(path, globs)
            && (name.is_empty() || path.split(|byte| *byte == b'/').any(|part| name.iter().any(|name| name == part)))
    }

    fn program(&self, fitted: &Fitted) -> Answer {
        let clause = &*fitted.clause;
        if !clause.has_program() {
            return Answer::Yes;
        }
        if !self.certain.paths {
            return Answer::Unknown;
        }
        let file = String::from_utf8_lossy(self.operation.file_name());
        let called = self.operation.argv.first().map(|name| name.as_bytes());
        let called = called.and_then(|name| name.rsplit(|byte| *byte == b'/').next()).unwrap_or(&[]);
        let mut best = self.program_file(fitted, &file, called);
        for program in &clause.program {
            let tool = self.policy.tools.get(program);
            let after_dash = |name: &[u8]| -> Option<Vec<u8>> {
                let rest = name.strip_prefix(program.as_bytes())?.strip_prefix(b"-")?;
                tool.dashed.then(|| rest.to_vec())
            };
            let is_wanted = |word: &Vec<u8>| {
                clause.argv.iter().flat_map(Matcher::first_words).any(|first| first.as_bytes() == word)
            };
            let own = after_dash(file.as_bytes()).filter(is_wanted);
            let is_program = *file == **program || tool.also.iter().any(|name| **name == *file);
            if !is_program && own.is_none() {
                continue;
            }
            let dashed = own.or_else(|| after_dash(called));
            let answer = match &clause.argv {
                None => Answer::Yes,
                Some(argv) => argv.matches(&self.given, dashed.as_deref(), tool),
            };
            best = best.max(answer);
        }
        best
    }

    /// A program that a rule names by its path.
    fn program_file(&self, fitted: &Fitted, file: &str, called: &[u8]) -> Answer {
        if !fitted.program_file.cover(self.operation.path.as_os_str().as_bytes(), || self.path_globs()) {
            return Answer::No;
        }
        let tool = self.policy.tools.get(file);
        let dashed = called.strip_prefix(file.as_bytes()).and_then(|rest| rest.strip_prefix(b"-"));
        let dashed = dashed.filter(|_| tool.dashed);
        let argv = fitted.clause.argv.as_ref();
        argv.map_or(Answer::Yes, |argv| argv.matches(&self.given, dashed, tool))
    }

    fn destination(&self, clause: &Clause) -> Answer {
        if clause.address.is_empty() && clause.port.is_empty() && clause.socket.is_empty() {
            return Answer::Yes;
        }
        if !self.certain.facts {
            return Answer::Unknown;
        }
        Answer::of(match &self.operation.address {
            Some(Address::Inet(address)) => is_destination(clause, address),
            Some(Address::UnixPath(path)) => {
                clause.socket.iter().any(|socket| socket.matches_path(path.as_os_str().as_bytes()))
            }
            Some(Address::UnixAbstract(name)) => clause.socket.iter().any(|socket| socket.matches_abstract(name)),
            // Whoever has such a socket sends wherever it likes.
            Some(address) if address.is_anywhere() && clause.socket.is_empty() => return Answer::Unknown,
            Some(Address::Other(..)) | None => false,
        })
    }

    fn signal(&self, clause: &Clause) -> Answer {
        if clause.signal.is_empty() {
            return Answer::Yes;
        }
        let number = self.operation.detail[0];
        let is = clause.signal.iter().any(|signal| (signal.first..=signal.last).contains(&number));
        if self.certain.facts { Answer::of(is) } else { Answer::Unknown }
    }
}

fn is_destination(clause: &Clause, address: &SocketAddr) -> bool {
    clause.socket.is_empty()
        && (clause.port.is_empty() || clause.port.contains(&address.port()))
        && (clause.address.is_empty() || clause.address.iter().any(|network| network.contains(address.ip())))
}

/// An object that has no place in any tree because it keeps nothing: a pipe or socket reached through `/proc`, a file that no
/// name leads to any more, a process's descriptor or namespace. Opening it destroys and reveals nothing that is kept.
pub(crate) fn keeps_nothing(operation: &Operation) -> bool {
    /// `PID_FS_MAGIC` (6.9 and later; before, no hook is asked about such descriptors) and `NSFS_MAGIC`
    const OF_PROCESSES: [u64; 2] = [0x5049_4446, 0x6e73_6673];
    let is_open = matches!(operation.op, Op::OpenRead | Op::OpenWrite | Op::Truncate);
    let is_stream = matches!(operation.target.mode & 0o170_000, 0o010_000 | 0o140_000);
    let is_nameless = operation.target.mode & 0o170_000 == 0o100_000 && operation.target.nlink == 0;
    let is_process = OF_PROCESSES.contains(&operation.target.magic);
    is_open
        && operation.target.ino != 0
        && operation.doubt == doubt::DETACHED
        && (is_stream || is_nameless || is_process)
}
