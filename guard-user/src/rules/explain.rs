//! What a rule asks of the kernel and of the daemon, and what that costs. Sentences for people; nothing is judged.

use std::collections::BTreeSet;

use guard_common::op::{BY_ARGUMENTS, COUNTABLE, COUNTED, FOREIGN, MOVED_AWAY, Op, OpSet};
use serde::Serialize;

use super::{
    clause::{Clause, Rule},
    compile::{Rules, Scope, Summary},
    lower::{AF_UNIX, Tables},
    syntax::ObjectType,
};
use crate::text::lossy;

/// One rule as `rules explain` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    #[serde(flatten)]
    pub rule: Summary,
    /// Of an `allow`: the rule it excepts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<String>,
    /// What the kernel asks guardd about because of it; everything else passes without leaving the kernel.
    pub kernel: Vec<String>,
    /// What guardd compares then.
    pub daemon: Vec<String>,
    pub cost: Cost,
}

/// What a rule takes of the kernel's tables, and which operations always go to guardd because of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    pub paths: usize,
    pub names: usize,
    pub ports: usize,
    pub addresses: usize,
    /// Kinds that are candidates whatever the object.
    pub every: Vec<&'static str>,
    /// Kinds that are candidates everywhere but below some directories.
    pub nearly_every: Vec<&'static str>,
}

/// Entries that are named one by one; a rule may have hundreds.
const SHOWN: usize = 6;

impl Rules {
    /// Every rule, in order, as it would be for an agent with these directories.
    #[must_use]
    pub fn explain(&self, scope: &Scope) -> Vec<Explained> {
        self.iter().map(|rule| explain(rule, &self.only(&rule.info.name).policy(scope).tables())).collect()
    }
}

fn explain(rule: &Rule, tables: &Tables) -> Explained {
    let mut daemon = BTreeSet::new();
    rule.clauses.iter().for_each(|clause| compared(clause, &mut daemon));
    let mut daemon: Vec<String> = daemon.into_iter().map(str::to_owned).collect();
    if daemon.is_empty() {
        daemon.push("nothing more: every candidate of this rule matches".to_owned());
    }
    Explained {
        rule: Summary::of(&rule.info),
        except: rule.except.as_ref().map(|except| except.value.clone()),
        kernel: asked(rule, tables),
        daemon,
        cost: Cost::of(tables),
    }
}

impl Cost {
    #[must_use]
    pub fn of(tables: &Tables) -> Self {
        let root = tables.paths.iter().find(|(directory, _)| directory == b"/").map_or(OpSet::EMPTY, |(_, ops)| *ops);
        let whole = tables.paths.iter().all(|(directory, ops)| directory == b"/" || ops.0 & root.0 == root.0);
        // A path table without exceptions is as wide as no table at all.
        let (root_every, nearly) = if whole { (root, OpSet::EMPTY) } else { (OpSet::EMPTY, root) };
        let every = OpSet(tables.always.0 | root_every.0);
        Self {
            paths: tables.paths.len(),
            names: tables.names.len(),
            ports: tables.ports.len(),
            addresses: tables.addresses.len(),
            every: names(on_any(every)),
            nearly_every: names(OpSet(on_any(nearly).0 & !on_any(every).0)),
        }
    }
}

/// The kinds that matter on some object, whosever it is.
fn on_any(ops: OpSet) -> OpSet {
    OpSet(ops.0 | ops.0 >> FOREIGN)
}

/// Names of the kinds in a set. `exec_verify` is the second half of an exec and not a kind of its own to a person.
fn names(ops: OpSet) -> Vec<&'static str> {
    let kinds = Op::ALL.into_iter().filter(|op| ops.contains(*op) && op.name() != "exec_verify").map(Op::name);
    kinds.chain((ops.0 & MOVED_AWAY.0 != 0).then_some("move_away")).collect()
}

fn asked(rule: &Rule, tables: &Tables) -> Vec<String> {
    if rule.except.is_some() {
        return vec!["nothing: an exception is looked at when the rule it excepts from matches".to_owned()];
    }
    let mut lines = Vec::new();
    let ops = |set: OpSet| {
        let set = OpSet(set.0 | set.0 >> COUNTED & (COUNTABLE | COUNTABLE << FOREIGN));
        let foreign = names(OpSet((set.0 >> FOREIGN) & !set.0));
        match (names(set).join(", "), foreign.join(", ")) {
            (certain, foreign) if foreign.is_empty() => certain,
            (certain, foreign) if certain.is_empty() => format!("{foreign} (not of its own)"),
            (certain, foreign) => format!("{certain}, and {foreign} (not of its own)"),
        }
    };
    if !tables.always.is_empty() {
        lines.push(format!("every {}", ops(tables.always)));
    }
    if !tables.block.is_empty() {
        lines.push(format!("{} of a block device", ops(tables.block)));
    }
    let (in_force, left_out): (Vec<_>, Vec<_>) = tables.paths.iter().partition(|(_, ops)| !ops.is_empty());
    few(&mut lines, &in_force, |(directory, set)| format!("{} at and below {}", ops(*set), lossy(directory)));
    few(&mut lines, &left_out, |(directory, _)| format!("but nothing below {}", lossy(directory)));
    few(&mut lines, &tables.names.iter().collect::<Vec<_>>(), |(name, value)| {
        let name = lossy(name);
        if value.last.0 & BY_ARGUMENTS.0 != 0 && !value.last.contains(Op::Exec) {
            return format!("exec of what is called {name}, unless its arguments cannot match");
        }
        match (value.last.is_empty(), value.any.is_empty()) {
            (false, true) => format!("{} of what is called {name}", ops(value.last)),
            (_, false) => format!("{} of what is called {name}, and below it", ops(value.last.union(value.any))),
            (true, true) => format!("nothing of {name}"),
        }
    });
    few(&mut lines, &tables.ports.iter().filter(|(family, _)| *family == AF_UNIX).collect::<Vec<_>>(), |_| {
        "connect to every Unix socket".to_owned()
    });
    let inet: BTreeSet<u16> =
        tables.ports.iter().filter(|(family, _)| *family != AF_UNIX).map(|(_, port)| *port).collect();
    few(&mut lines, &inet.iter().collect::<Vec<_>>(), |port| format!("connect to port {port} of any host"));
    few(&mut lines, &tables.addresses.iter().collect::<Vec<_>>(), |(address, bits)| match address.to_ipv4_mapped() {
        Some(v4) if *bits >= 96 => format!("connect to {v4}/{}", bits - 96),
        Some(_) | None => format!("connect to {address}/{bits}"),
    });
    if tables.quota.span != 0 {
        lines.push(
            "where only `more_than` decides, what changes files passes until half of an amount is reached".to_owned(),
        );
    }
    if lines.is_empty() {
        lines.push("nothing: it cannot match for this agent".to_owned());
    }
    lines
}

fn few<T>(lines: &mut Vec<String>, all: &[&T], line: impl Fn(&T) -> String) {
    lines.extend(all.iter().take(SHOWN).map(|one| line(one)));
    if all.len() > SHOWN {
        lines.push(format!("and {} more like that", all.len() - SHOWN));
    }
}

/// What the kernel's tables cannot say of this clause.
fn compared(clause: &Clause, daemon: &mut BTreeSet<&'static str>) {
    let wild = |templates: &[super::pattern::Template]| templates.iter().any(super::pattern::Template::has_wildcard);
    let asks = [
        (clause.path.as_deref().is_some_and(wild), "the globs of `path`"),
        (wild(&clause.not_path), "the globs of `not_path`"),
        (!clause.name.is_empty() && clause.path.is_some(), "`name` together with `path`"),
        (!clause.object.types.is_empty() && clause.object.types != [ObjectType::BlockDevice], "the type of the object"),
        (clause.object.size.is_some(), "the size"),
        (clause.object.links.is_some(), "the number of links"),
        (!clause.object.owner.is_empty(), "the owner"),
        (!clause.object.device.is_empty(), "the number of the device"),
        (clause.argv.is_some(), "the arguments"),
        (!clause.actor.hash.is_empty(), "the program's SHA-256 (the whole file is read)"),
        (!clause.actor.env.is_empty(), "the environment"),
        (!clause.actor.user.is_empty(), "the user"),
        (!clause.actor.parent.is_empty() || !clause.actor.by.is_empty(), "what the process descends from"),
        (clause.actor.cwd.is_some(), "the current directory"),
        (clause.own.is_some(), "whether the agent made the object itself"),
        (clause.when.is_some(), "the condition `when`"),
        (clause.more_than.is_some(), "how much of it there was lately"),
        (!clause.address.is_empty() && !clause.port.is_empty(), "the port together with the address"),
        (!clause.socket.is_empty(), "the name of the socket"),
        (!clause.signal.is_empty(), "which signal it is"),
    ];
    daemon.extend(asks.into_iter().filter(|(asked, _)| *asked).map(|(_, what)| what));
}
