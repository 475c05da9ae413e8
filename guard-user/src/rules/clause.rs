//! One rule of a file, checked: what fits together in it, and what it still lacks. No other rule is looked at here.

use std::{collections::BTreeSet, sync::Arc};

use guard_common::op::OpSet;
use serde_saphyr::Spanned;

use super::{
    act::{Act, ActSet},
    actor::Actor,
    agent_policy::{Labelled, Labels},
    argv::Matcher,
    compile::RuleInfo,
    error::{Mistake, unknown},
    many::OneOrMany,
    network::{Network, Socket},
    object::ObjectMatch,
    pattern::Template,
    syntax::{Component, Entry, Match, ObjectType, Port, Signal},
    threshold::Threshold,
    tool::Tools,
    when::When,
    who::{Label, Program, TextGlob},
};
use crate::{
    api::{Action, Reversibility},
    circumstances::Needs,
};

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) info: Arc<RuleInfo>,
    pub(crate) except: Option<Spanned<String>>,
    pub(crate) clauses: Vec<Arc<Clause>>,
}

/// One match of a rule, not yet fitted to an agent.
#[derive(Clone, Debug)]
pub(crate) struct Clause {
    pub(crate) acts: ActSet,
    pub(crate) path: Option<Vec<Template>>,
    pub(crate) not_path: Vec<Template>,
    pub(crate) name: Vec<Vec<u8>>,
    pub(crate) object: ObjectMatch,
    /// Programs by file name.
    pub(crate) program: Vec<String>,
    /// Programs by path.
    pub(crate) program_file: Vec<Template>,
    pub(crate) argv: Option<Matcher>,
    pub(crate) address: Vec<Network>,
    pub(crate) port: Vec<u16>,
    pub(crate) socket: Vec<Socket>,
    pub(crate) signal: Vec<Signal>,
    pub(crate) actor: Actor,
    pub(crate) own: Option<bool>,
    pub(crate) more_than: Option<Threshold>,
    pub(crate) when: Option<Arc<When>>,
    /// Names of agents it is about; empty for all.
    pub(crate) agent: Vec<TextGlob>,
    pub(crate) agent_label: Vec<Label>,
}

impl Rule {
    pub(crate) fn new(entry: Entry, text: &str, origin: &str, labels: &Labels) -> Result<Self, Mistake> {
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
        if let Some(instead) = entry.instead.as_ref().filter(|instead| instead.value.trim().is_empty()) {
            let message = "`instead` says what the agent may do instead; leave it out where there is nothing";
            return Err(at(instead.referenced, message.to_owned()));
        }
        let is_allow = match entry.action {
            Action::Allow => true,
            Action::Hold | Action::Deny | Action::Kill => false,
        };
        if is_allow && entry.matches.value.0.iter().any(|one| one.more_than.is_some()) {
            return Err(at(matched, "an exception has no `more_than`: the rule it excepts from has".to_owned()));
        }
        if !is_allow && entry.matches.value.0.iter().any(|one| one.own == Some(true)) {
            let message = "`own: true` belongs to an exception (`action: allow`): what the kernel does not know to be the \
                           agent's own counts as not its own, so a rule that stops it would miss some";
            return Err(at(matched, message.to_owned()));
        }
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
            let known: Vec<&str> = labels.0.keys().map(String::as_str).collect();
            let mut labelled: Vec<&Labelled> = Vec::new();
            for label in entry.label.iter().flat_map(|many| &many.value.0) {
                let place = entry.label.as_ref().map_or(matched, |many| many.referenced);
                let found = labels.0.get(&label.0);
                labelled.push(found.ok_or_else(|| at(place, unknown("label", &label.0, &known)))?);
            }
            let is_labelled = entry.label.is_some();
            let clause = Clause::new(entry).map_err(|message| at(matched, message))?;
            if is_labelled {
                clauses.extend(clause.labelled(&labelled).into_iter().map(Arc::new));
            } else {
                clauses.push(Arc::new(clause));
            }
        }
        let info = RuleInfo {
            name,
            text: entry.text.value,
            instead: entry.instead.map(|instead| instead.value).unwrap_or_default(),
            action: entry.action,
            reversibility,
            mode: entry.mode,
            enabled: true,
            origin: origin.to_owned(),
        };
        Ok(Self { info: Arc::new(info), except: entry.except, clauses })
    }
}

impl Clause {
    pub(crate) fn ops(&self) -> OpSet {
        self.acts.iter().fold(OpSet::EMPTY, |ops, act| ops.union(act.ops()))
    }

    /// What must be found out before it can be judged.
    pub(crate) fn needs(&self) -> Needs {
        let asked = self.when.as_ref().map_or(Needs::NONE, |when| when.needs());
        self.actor.needs().with(self.object.needs()).with(asked)
    }

    /// One clause for the paths these labels stand for, one for the hosts.
    fn labelled(self, labels: &[&Labelled]) -> Vec<Self> {
        let paths: Vec<Template> = labels.iter().flat_map(|labelled| labelled.paths.clone()).collect();
        let hosts: Vec<Network> = labels.iter().flat_map(|labelled| labelled.hosts.clone()).collect();
        let (on_paths, connects) = (self.acts.filter(Act::has_path), self.acts.filter(|act| act == Act::Connect));
        let mut clauses = Vec::new();
        if !on_paths.is_empty() && !paths.is_empty() {
            clauses.push(Self { acts: on_paths, path: Some(paths), ..self.clone() });
        }
        if !connects.is_empty() && !hosts.is_empty() {
            clauses.push(Self { acts: connects, address: hosts, ..self });
        }
        clauses
    }

    /// It names programs.
    pub(crate) fn has_program(&self) -> bool {
        !self.program.is_empty() || !self.program_file.is_empty()
    }

    /// The file names of the programs it is about; none for any program.
    pub(crate) fn program_files(&self, tools: &Tools) -> BTreeSet<Vec<u8>> {
        let mut files = BTreeSet::new();
        for program in &self.program {
            files
                .extend(std::iter::once(program).chain(&tools.get(program).also).map(|name| name.clone().into_bytes()));
        }
        files.extend(self.dashed_files(tools));
        files
    }

    /// Those of them that are a program with its first word, as `git-push` is `git push`.
    pub(crate) fn dashed_files(&self, tools: &Tools) -> BTreeSet<Vec<u8>> {
        let words =
            |program| self.argv.iter().flat_map(Matcher::first_words).map(move |word| format!("{program}-{word}"));
        let dashed = self.program.iter().filter(|program| tools.get(program).dashed);
        dashed.flat_map(words).map(String::into_bytes).collect()
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
        only("size", entry.size.is_some(), Act::has_path, pathless)?;
        only("links", entry.links.is_some(), Act::has_path, pathless)?;
        only("owner", entry.owner.is_some(), Act::has_path, pathless)?;
        only("device", entry.device.is_some(), Act::has_path, pathless)?;
        only("own", entry.own.is_some(), Act::has_path, pathless)?;
        only("more_than", entry.more_than.is_some(), Act::has_path, pathless)?;
        only("program", entry.program.is_some(), is_exec, "`exec`")?;
        only("sha256", entry.sha256.is_some(), is_exec, "`exec`")?;
        only("argv", entry.argv.is_some(), is_exec, "`exec`")?;
        let is_connect = |act| matches!(act, Act::Connect);
        only("address", entry.address.is_some(), is_connect, "`connect`")?;
        only("port", entry.port.is_some(), is_connect, "`connect`")?;
        only("socket", entry.socket.is_some(), is_connect, "`connect`")?;
        only("signal", entry.signal.is_some(), |act| matches!(act, Act::Signal), "`signal`")?;
        for variable in entry.when.iter().flat_map(When::variables) {
            if let Some(act) = acts.iter().find(|act| !variable.fits(*act)) {
                return Err(format!("`when` asks for `{}`, which {act:?} has not", variable.name()));
            }
        }
        if entry.argv.is_some() && entry.program.is_none() {
            return Err("`argv` needs `program`: every program reads its arguments its own way".to_owned());
        }
        if entry.socket.is_some() && (entry.address.is_some() || entry.port.is_some()) {
            return Err("a socket has neither address nor port: write two matches".to_owned());
        }
        if entry.label.is_some() {
            if entry.path.is_some() || entry.address.is_some() || entry.socket.is_some() {
                return Err("`label` stands for paths and addresses: name either it or them".to_owned());
            }
            if let Some(act) = acts.iter().find(|act| !act.has_path() && *act != Act::Connect) {
                return Err(format!("`label` stands for paths and hosts, and {act:?} is about neither"));
            }
        }
        let (mut program, mut program_file) = (Vec::new(), Vec::new());
        for one in list(entry.program) {
            match one {
                Program::Name(name) => program.push(name),
                Program::File(template) => program_file.push(template),
            }
        }
        let mut types = list(entry.object);
        let device = list(entry.device);
        let is_device = |object: &ObjectType| matches!(object, ObjectType::BlockDevice | ObjectType::CharDevice);
        if !device.is_empty() && !types.iter().all(is_device) {
            return Err("`device` is the number of a device: `object` is block_device or char_device then".to_owned());
        }
        if !device.is_empty() && types.is_empty() {
            types.push(ObjectType::BlockDevice);
        }
        Ok(Self {
            acts,
            path: entry.path.map(|many| many.0),
            not_path: list(entry.not_path),
            name: list(entry.name).into_iter().map(|Component(name)| name.into_bytes()).collect(),
            object: ObjectMatch { types, size: entry.size, links: entry.links, owner: list(entry.owner), device },
            argv: entry.argv.map(|arguments| Matcher::new(&arguments)).transpose()?,
            program,
            program_file,
            address: list(entry.address),
            port: list(entry.port).into_iter().map(|Port(port)| port).collect(),
            socket: list(entry.socket),
            signal: list(entry.signal),
            actor: Actor {
                env: entry
                    .env
                    .into_iter()
                    .flatten()
                    .map(|(variable, values)| (variable.0.into_bytes(), values.0))
                    .collect(),
                user: list(entry.user),
                parent: list(entry.parent),
                by: list(entry.by),
                cwd: entry.cwd.map(|many| many.0),
                hash: list(entry.sha256),
            },
            own: entry.own,
            more_than: entry.more_than,
            when: entry.when.map(Arc::new),
            agent: list(entry.agent),
            agent_label: list(entry.agent_label),
        })
    }
}
