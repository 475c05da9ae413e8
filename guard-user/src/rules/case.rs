//! Cases: what an operation is, and what the rules must say to it. The text of a case file becomes operations here;
//! nothing is read from disk.

use std::{collections::BTreeMap, ffi::OsString, net::IpAddr, path::Path};

use guard_common::{
    op::{Op, rename},
    record::HoldKey,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_saphyr::Spanned;

use super::{
    amount::Amount,
    compile::{DOUBT, Policy, Rules, Scope},
    error::{Mistake, RulesError, unknown},
    judge::{Judgement, judge},
    syntax::{Mode, ObjectType, Signal},
    touch::O_TRUNC,
    who::{Device, Hash},
};
use crate::{
    api::Action,
    circumstances::{Circumstances, Found, Lineage, Program},
    operation::{Address, Context, HoldName, ObjectFacts, Operation},
    tally::Tally,
};

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

/// The operation of a case, as a person would say it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Deed {
    op: OpName,
    path: Option<Absolute>,
    /// The second path of a rename, link or mount.
    to: Option<Absolute>,
    argv: Vec<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
    /// A Unix socket, or `@name`.
    socket: Option<String>,
    signal: Option<Signal>,
    object: Option<ObjectType>,
    size: Option<Amount>,
    links: Option<u32>,
    owner: u32,
    device: Option<Device>,
    /// A rename or an open for writing that destroys what was there.
    replaces: bool,
    uid: u32,
    /// Name of the user with that number.
    user: Option<String>,
    env: BTreeMap<String, String>,
    cwd: Option<Absolute>,
    /// The program the process runs, and what it descends from, the nearest first.
    programs: Vec<Absolute>,
    /// Of the program of an exec.
    sha256: Option<Hash>,
    /// The agent made the object itself.
    own: bool,
    /// What the agent did before, within the time of every threshold.
    earlier: Earlier,
}

/// Amounts that were counted before a case.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Earlier {
    files: u64,
    bytes: Option<Amount>,
    directories: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct Absolute(String);

#[derive(Clone, Copy, Debug)]
struct OpName(Op);

impl Default for OpName {
    fn default() -> Self {
        Self(Op::Exec)
    }
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

impl<'de> Deserialize<'de> for OpName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kinds = || Op::ALL.into_iter().filter(|op| op.name() != "exec_verify");
        kinds().find(|op| op.name() == text).map(Self).ok_or_else(|| {
            let names: Vec<&str> = kinds().map(Op::name).collect();
            D::Error::custom(unknown("operation", &text, &names))
        })
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

impl Deed {
    /// What a failing case is called that has no name.
    fn sentence(&self) -> String {
        let mut words = vec![self.op.0.name().to_owned()];
        words.extend(self.path.iter().chain(&self.to).map(|path| path.0.clone()));
        words.extend(self.argv.iter().cloned());
        words.extend(self.address.map(|address| address.to_string()));
        words.extend(self.socket.clone());
        words.join(" ")
    }

    fn operation(self) -> Result<Operation, String> {
        let op = self.op.0;
        for path in [&self.path, &self.to].into_iter().flatten() {
            if !path.0.starts_with('/') {
                return Err(format!("`{}` is not absolute: the kernel shows whole paths", path.0));
            }
        }
        // A program that is only called by its name is looked up as a shell would find it.
        let program = || match self.argv.first().filter(|_| op == Op::Exec) {
            Some(name) if name.starts_with('/') => name.clone(),
            Some(name) => format!("/usr/bin/{name}"),
            None => String::new(),
        };
        let path = self.path.map_or_else(program, |path| path.0);
        let pathless = matches!(op, Op::Connect | Op::Signal | Op::Ptrace | Op::IoUring);
        if path.is_empty() && !pathless {
            return Err(format!("{} happens to a path: name it with `path`", op.name()));
        }
        let other_path = self.to.map_or_else(String::new, |path| path.0);
        if matches!(op, Op::Rename | Op::Link) && other_path.is_empty() {
            return Err(format!("{} has a second path: name it with `to`", op.name()));
        }
        let address = match (self.address, self.port, self.socket) {
            (Some(address), Some(port), None) => Some(Address::Inet((address, port).into())),
            (None, None, Some(socket)) => Some(match socket.strip_prefix('@') {
                Some(name) => Address::UnixAbstract(name.as_bytes().to_vec()),
                None => Address::UnixPath(socket.into()),
            }),
            (None, None, None) if op != Op::Connect => None,
            (_, _, _) => return Err("connect goes to an `address` and a `port`, or to a `socket`".to_owned()),
        };
        let mode = self.object.unwrap_or(if op == Op::Rmdir { ObjectType::Directory } else { ObjectType::File }).mode();
        let elsewhere = op == Op::Rename && Path::new(&path).parent() != Path::new(&other_path).parent();
        let mut flags = if elsewhere { rename::ELSEWHERE } else { 0 };
        flags |= if op == Op::Rename && self.replaces { rename::OVERWRITE } else { 0 };
        let mut detail = [0; 4];
        detail[0] = match (op, self.signal) {
            (Op::OpenWrite, _) if self.replaces => O_TRUNC,
            (Op::Mknod, _) => u64::from(mode),
            (Op::Signal, Some(signal)) => signal.first,
            (Op::Signal, None) => return Err("name the `signal`".to_owned()),
            (_, _) => 0,
        };
        let rdev = self.device.map_or(0, |device| device.major << 20 | device.minor.unwrap_or(0));
        let there = |path: &str| ObjectFacts {
            ino: 1,
            mode: mode | 0o644,
            nlink: self.links.unwrap_or(1),
            size: self.size.map_or(0, |size| size.0),
            uid: self.owner,
            rdev,
            name: path.rsplit('/').next().unwrap_or("").as_bytes().to_vec(),
            ..ObjectFacts::default()
        };
        // A case is a small world: what it does not say is not there.
        let program = |path: Absolute| Program { file: path.0.into(), aliases: Vec::new() };
        let circumstances = Circumstances {
            environment: Found::Is(
                self.env.into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect(),
            ),
            directory: Found::Is(self.cwd.map_or_else(|| "/".into(), |cwd| cwd.0.into())),
            lineage: Found::Is(Lineage { programs: self.programs.into_iter().map(program).collect(), whole: true }),
            users: Found::Is(self.user.map(|name| (self.uid, name)).into_iter().collect()),
            hash: Found::from(self.sha256.map(|hash| hash.0)),
            made: Found::Is(self.own),
            tallies: Found::NotAsked,
        };
        Ok(Operation {
            name: HoldName { key: HoldKey { id: 1, slot: 0 }, hold: 1 },
            op,
            context: Context::Held,
            agent: 1,
            tid: 1,
            tgid: 1,
            start_boottime: 1,
            uid: self.uid,
            gid: self.uid,
            flags,
            doubt: 0,
            stops: 1,
            detail,
            target: there(&path),
            other: if self.replaces { there(&other_path) } else { ObjectFacts::default() },
            path: path.into(),
            other_path: other_path.into(),
            argc: u32::try_from(self.argv.len()).map_err(|_| "too many arguments".to_owned())?,
            argv: self.argv.into_iter().map(OsString::from).collect(),
            address,
            comm: Vec::new(),
            circumstances,
        })
    }
}
