//! One rule of a file, checked: what fits together in it, and what it still lacks. No other rule is looked at here.

use std::{collections::BTreeSet, sync::Arc};

use guard_common::op::OpSet;
use serde_saphyr::Spanned;

use super::{
    act::{Act, ActSet},
    argv::Matcher,
    compile::RuleInfo,
    error::Mistake,
    many::OneOrMany,
    network::{Network, Socket},
    pattern::Template,
    syntax::{Component, Entry, Match, ObjectType, Port, Signal},
    tool::Tools,
};
use crate::api::{Action, Reversibility};

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: Arc<RuleInfo>,
    pub(crate) except: Option<Spanned<String>>,
    pub(crate) clauses: Vec<Arc<Clause>>,
}

/// One match of a rule, not yet fitted to an agent.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) acts: ActSet,
    pub(crate) path: Option<Vec<Template>>,
    pub(crate) not_path: Vec<Template>,
    pub(crate) name: Vec<Vec<u8>>,
    pub(crate) object: Vec<ObjectType>,
    pub(crate) program: Vec<String>,
    pub(crate) argv: Option<Matcher>,
    pub(crate) address: Vec<Network>,
    pub(crate) port: Vec<u16>,
    pub(crate) socket: Vec<Socket>,
    pub(crate) signal: Vec<Signal>,
}

impl Rule {
    pub(crate) fn new(entry: Entry, text: &str, origin: &str) -> Result<Self, Mistake> {
        let at = |place: serde_saphyr::Location, message: String| {
            Mistake::new(origin, text, place.line(), place.column(), message)
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

impl Clause {
    pub(crate) fn ops(&self) -> OpSet {
        self.acts.iter().fold(OpSet::EMPTY, |ops, act| ops.union(act.ops()))
    }

    /// The file names of the programs it is about; none for any program.
    pub(crate) fn program_files(&self, tools: &Tools) -> BTreeSet<Vec<u8>> {
        let mut files = BTreeSet::new();
        for program in &self.program {
            let tool = tools.get(program);
            files.extend(std::iter::once(program).chain(&tool.also).map(|name| name.clone().into_bytes()));
            let words = self.argv.iter().flat_map(Matcher::first_words).filter(|_| tool.dashed);
            files.extend(words.map(|word| format!("{program}-{word}").into_bytes()));
        }
        files
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
