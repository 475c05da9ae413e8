//! What an agent used against what its rules let it do: of each thing it used, what they say to it; of each thing its policy
//! names, how often it was used. Rules say it themselves, as they do to the operations of a case file.

use std::net::SocketAddr;

use serde::Serialize;

use super::{
    agent_policy::Allowed,
    case::{Cases, Tried, Verdict},
    compile::{Rules, Scope},
    pattern::{Pattern, Template, bytes_path},
    place::is_below,
    who::Program,
};
use crate::footprint::Footprint;

/// All four ways in which an agent reaches something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    pub reads: Part,
    pub writes: Part,
    pub runs: Part,
    pub connects: Part,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    pub used: Vec<Used>,
    /// What its policy names. `null`: it limits nothing, and everything is allowed that no other rule stops.
    pub allowed: Option<Vec<Allowance>>,
}

/// Something that was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Used {
    pub name: String,
    pub times: u64,
    /// Of a directory: those below it are in this, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub below: bool,
    /// What the rules of now say to it.
    pub verdict: Verdict,
    /// The rule that says it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
}

/// Something that a policy allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Allowance {
    pub pattern: String,
    /// How often it was used; 0 is the gap.
    pub times: u64,
}

impl Part {
    #[must_use]
    pub fn unused(&self) -> usize {
        self.allowed.iter().flatten().filter(|allowance| allowance.times == 0).count()
    }
}

impl Gap {
    #[must_use]
    pub fn parts(&self) -> [(&'static str, &Part); 4] {
        [("read", &self.reads), ("write", &self.writes), ("run", &self.runs), ("connect", &self.connects)]
    }

    /// How many of the four its policy does not limit.
    #[must_use]
    pub fn unlimited(&self) -> usize {
        self.parts().iter().filter(|(_, part)| part.allowed.is_none()).count()
    }

    /// How many things its policy names, and how many of them were never used.
    #[must_use]
    pub fn allowed(&self) -> (usize, usize) {
        let sum = |of: fn(&Part) -> usize| self.parts().iter().map(|(_, part)| of(part)).sum();
        (sum(|part| part.allowed.as_ref().map_or(0, Vec::len)), sum(Part::unused))
    }

    /// # Errors
    /// The user's sentence, when these rules have no such policy.
    pub fn new(rules: &Rules, policy: &str, scope: &Scope, footprint: &Footprint) -> Result<Self, String> {
        let mut deeds = Vec::new();
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for directory in &footprint.directories {
            let used = |times| (directory.path.clone(), times, directory.below);
            if directory.reads > 0 {
                reads.push(used(directory.reads));
            }
            if directory.writes > 0 {
                writes.push(used(directory.writes));
            }
        }
        let times = |used: &crate::footprint::Times| (used.name.clone(), used.times, false);
        let runs: Vec<_> = footprint.programs.iter().map(times).collect();
        let connects: Vec<_> = footprint.reached.iter().map(times).collect();
        deeds.extend(reads.iter().map(|(path, ..)| read(path)));
        deeds.extend(writes.iter().map(|(path, ..)| write(path)));
        deeds.extend(runs.iter().map(|(path, ..)| run(path)));
        deeds.extend(connects.iter().map(|(to, ..)| connect(to)));
        let mut tried = verdicts(rules, policy, scope, &deeds)?.into_iter();
        let mut used = |things: Vec<(String, u64, bool)>| -> Vec<Used> {
            let said = things.into_iter().map(|(name, times, below)| {
                let found = tried.next().flatten();
                let verdict = found.as_ref().map_or(Verdict::Allow, |found| found.found.action);
                let rule = found.and_then(|found| found.found.rule).unwrap_or_default();
                Used { name, times, below, verdict, rule }
            });
            said.collect()
        };
        let (reads, writes) = (used(reads), used(writes));
        let (runs, connects) = (used(runs), used(connects));
        let allowed = rules.policies.iter().find(|other| other.name == policy);
        // Without a policy it is limited to nothing.
        let allowed = allowed.map(|policy| policy.allowed.clone()).unwrap_or_default();
        let fitted = |template: &Template, used: &[Used], in_directory: bool| Allowance {
            pattern: template.text(),
            times: times_of(template, scope, used, in_directory),
        };
        let places = |templates: &Option<Vec<Template>>, used: &[Used]| {
            templates.as_ref().map(|templates| templates.iter().map(|one| fitted(one, used, true)).collect())
        };
        let Allowed { reads: may_read, writes: may_write, runs: may_run, egress } = allowed;
        Ok(Self {
            reads: Part { allowed: places(&may_read, &reads), used: reads },
            writes: Part { allowed: places(&may_write, &writes), used: writes },
            connects: Part {
                allowed: egress
                    .map(|egress| egress.iter().map(|destination| destination.allowance(&connects)).collect()),
                used: connects,
            },
            runs: Part {
                allowed: may_run.map(|programs| {
                    let of = |program: &Program| match program {
                        Program::File(template) => fitted(template, &runs, false),
                        Program::Name(name) => {
                            let has = |used: &&Used| used.name.rsplit('/').next() == Some(name.as_str());
                            let times = runs.iter().filter(has).map(|used| used.times).sum();
                            Allowance { pattern: name.clone(), times }
                        }
                    };
                    programs.iter().map(of).collect()
                }),
                used: runs,
            },
        })
    }
}

/// How often something was used that this covers.
fn times_of(template: &Template, scope: &Scope, used: &[Used], in_directory: bool) -> u64 {
    let Some(pattern) = template.pattern(scope, true) else { return 0 };
    let covers = |used: &&Used| {
        let name = if in_directory { inside(&used.name) } else { used.name.clone() };
        match &pattern {
            Pattern::Below(directory) => is_below(name.as_bytes(), directory),
            Pattern::Exact(exact) => exact == name.as_bytes(),
            Pattern::Glob(wide) => {
                wide.globs.iter().any(|glob| glob.compile_matcher().is_match(bytes_path(name.as_bytes())))
            }
        }
    };
    used.iter().filter(covers).map(|used| used.times).sum()
}

/// Something in a directory.
fn inside(directory: &str) -> String {
    format!("{}/any-file", directory.trim_end_matches('/'))
}

/// Reading something in this directory, as a case file says it; so are the others.
pub(crate) fn read(directory: &str) -> Option<String> {
    Some(format!("{{op: open_read, path: {}}}", super::quote(&inside(directory))))
}

pub(crate) fn write(directory: &str) -> Option<String> {
    Some(format!("{{op: open_write, path: {}}}", super::quote(&inside(directory))))
}

pub(crate) fn run(program: &str) -> Option<String> {
    let path = super::quote(program);
    program.starts_with('/').then(|| format!("{{op: exec, path: {path}, argv: [{path}]}}"))
}

/// `None` for what no case can say: other address families, and names that stand for several.
pub(crate) fn connect(to: &str) -> Option<String> {
    if let Ok(address) = to.parse::<SocketAddr>() {
        return Some(format!("{{op: connect, address: \"{}\", port: {}}}", address.ip(), address.port()));
    }
    let socket = to.strip_prefix("unix:").filter(|socket| !socket.is_empty())?;
    Some(format!("{{op: connect, socket: {}}}", super::quote(socket)))
}

/// The agent that cases are about.
pub(crate) fn agent(policy: &str, scope: &Scope) -> String {
    let text = |path: &std::path::Path| super::quote(&crate::text::lossy(path.as_os_str().as_encoded_bytes()));
    let mut keys = vec![format!("home: {}", text(&scope.home))];
    if scope.workspace.as_os_str().is_empty() {
        // A directory that nothing is in: without one, a case is about another.
        keys.push("workspace: /nonexistent".to_owned());
    } else {
        keys.push(format!("workspace: {}", text(&scope.workspace)));
    }
    if !scope.agent.is_empty() {
        keys.push(format!("name: {}", super::quote(&scope.agent)));
    }
    if !policy.is_empty() {
        keys.push(format!("policy: {policy}"));
    }
    format!("agent: {{{}}}\n", keys.join(", "))
}

/// What the rules say to each of these, `None` where there is no such case.
pub(crate) fn verdicts(
    rules: &Rules,
    policy: &str,
    scope: &Scope,
    deeds: &[Option<String>],
) -> Result<Vec<Option<Tried>>, String> {
    let mut text = format!("{}cases:\n", agent(policy, scope));
    for deed in deeds.iter().flatten() {
        text.push_str(&format!("  - {{do: {deed}, expect: allow}}\n"));
    }
    if deeds.iter().flatten().next().is_none() {
        return Ok(vec![None; deeds.len()]);
    }
    let cases = Cases::read(&text, "what was seen", rules).map_err(|error| error.to_string())?;
    let mut tried = cases.run(rules)?.into_iter();
    Ok(deeds.iter().map(|deed| deed.as_ref().and_then(|_| tried.next())).collect())
}
