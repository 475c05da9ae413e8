//! The kernel's tables of a policy. They may only err towards "candidate"; `candidate` is the kernel's check.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv6Addr,
};

use guard_common::{
    op::{BY_ARGUMENTS, Op, OpSet},
    quota::{Limits, PARTS},
    table::{NAME_HEAD, NameValue, PREFIX_MAX},
};

use super::{
    act::Act,
    compile::{Fitted, Policy},
    network::Network,
    pattern::Name,
    place::{Places, is_below},
    syntax::ObjectType,
    threshold::Threshold,
    tool::Tools,
    trigger::{Arguments, Condition},
};

pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;

/// What the daemon writes for the kernel; see [`guard_common::table`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub ops: OpSet,
    pub always: OpSet,
    pub block: OpSet,
    /// Directories with their trailing slash. Each says what it inherits; the longest alone counts.
    pub paths: Vec<(Vec<u8>, OpSet)>,
    pub names: Vec<(Vec<u8>, NameValue)>,
    /// Of programs that are candidates by their arguments.
    pub programs: Vec<(Vec<u8>, Arguments)>,
    /// Family, and port or 0 for every one.
    pub ports: Vec<(u16, u16)>,
    /// IPv4 is mapped into IPv6; bits of the prefix.
    pub addresses: Vec<(Ipv6Addr, u8)>,
    /// What passes of the counted kinds before guardd is asked.
    pub quota: Limits,
}

/// Where one clause may match, in directories without trailing slashes.
struct Reach {
    ops: OpSet,
    below: Vec<Vec<u8>>,
    /// Single objects. The kernel's tables know directories alone, so one stands for all below it.
    exact: Vec<Vec<u8>>,
    not_below: Vec<Vec<u8>>,
}

/// Collects the tables.
struct Lowering<'a> {
    tools: &'a Tools,
    tables: Tables,
    names: BTreeMap<Vec<u8>, NameValue>,
    /// Programs by name, and what clauses ask of their arguments.
    programs: BTreeMap<Vec<u8>, BTreeSet<Condition>>,
    ports: BTreeSet<(u16, u16)>,
    addresses: BTreeSet<(Ipv6Addr, u8)>,
    reaches: Vec<Reach>,
    /// Rules with an exception for the agent's own.
    own_excepted: BTreeSet<String>,
}

impl Policy {
    /// The kernel's tables.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let mut lowering = Lowering {
            tools: &self.tools,
            tables: Tables::default(),
            names: BTreeMap::new(),
            programs: BTreeMap::new(),
            ports: BTreeSet::new(),
            addresses: BTreeSet::new(),
            reaches: Vec::new(),
            own_excepted: BTreeSet::new(),
        };
        // An exception is for the daemon to judge. It needs to know whose an object is, so the kernel must.
        let own = |fitted: &&Fitted| fitted.clause.own == Some(true);
        lowering.own_excepted = self.clauses.iter().filter(own).filter_map(|fitted| fitted.except.clone()).collect();
        for fitted in self.clauses.iter().filter(|fitted| fitted.except.is_none()) {
            lowering.add(fitted);
        }
        lowering.name_programs();
        lowering.drop_named();
        let Lowering { mut tables, names, ports, addresses, reaches, .. } = lowering;
        tables.paths = paths(&reaches);
        tables.names = names.into_iter().collect();
        tables.ports = ports.into_iter().collect();
        tables.addresses = addresses.into_iter().collect();
        tables
    }
}

impl Lowering<'_> {
    fn add(&mut self, fitted: &Fitted) {
        let mut on_paths = OpSet::EMPTY;
        let share = fitted.clause.more_than.and_then(share);
        for act in fitted.clause.acts.iter() {
            // The kinds the kernel looks at at all are named by their own bits.
            let plain = if act == Act::MoveAway { act.ops() } else { act.table_ops() };
            let counted = if share.is_some() { act.counted_ops() } else { OpSet::EMPTY };
            let kinds = if counted.is_empty() { act.table_ops() } else { counted };
            let ops = match fitted.clause.own {
                Some(false) if act.asks_whose() => kinds.on_foreign(),
                None if self.own_excepted.contains(&fitted.info.name) => kinds.or_on_foreign(),
                Some(_) | None => kinds,
            };
            self.tables.ops = self.tables.ops.union(plain).union(ops);
            match act {
                Act::Connect => self.connect(fitted),
                Act::Exec if fitted.clause.has_program() => self.programs(fitted),
                // The kernel asks by command or by target; the kind alone is in the tables.
                Act::Ioctl | Act::Signal | Act::Ptrace | Act::IoUring => {
                    self.tables.always = self.tables.always.union(kinds);
                }
                Act::OpenWrite | Act::OpenRead | Act::Mknod | Act::Truncate
                    if fitted.clause.object.types == [ObjectType::BlockDevice] =>
                {
                    self.tables.block = self.tables.block.union(kinds);
                }
                Act::Unlink
                | Act::Rmdir
                | Act::Rename
                | Act::MoveAway
                | Act::RenameOver
                | Act::RenameTo
                | Act::Link
                | Act::LinkTo
                | Act::Symlink
                | Act::Mknod
                | Act::Chmod
                | Act::Chown
                | Act::Truncate
                | Act::OpenWrite
                | Act::OpenRead
                | Act::Exec
                | Act::Mount
                | Act::MoveMount
                | Act::Umount
                | Act::PivotRoot => on_paths = on_paths.union(ops),
            }
        }
        if let Some(share) = share {
            self.tables.quota = both(self.tables.quota, share);
        }
        if !on_paths.is_empty() {
            self.places(fitted, on_paths);
        }
    }

    fn places(&mut self, fitted: &Fitted, ops: OpSet) {
        let names = &fitted.clause.name;
        if fitted.path.is_none() && names.is_empty() && fitted.not_path.below.is_empty() {
            self.tables.always = self.tables.always.union(ops);
            return;
        }
        let everywhere = Places { below: vec![Vec::new()], ..Places::default() };
        let places = fitted.path.as_ref().unwrap_or(&everywhere);
        // Both must match, so either may stand for the pair; near the root the names are fewer.
        let is_wide = places.below.iter().any(|directory| directory.iter().filter(|byte| **byte == b'/').count() < 2);
        if !names.is_empty() && (fitted.path.is_none() || is_wide) {
            for name in names {
                self.name(name, OpSet::EMPTY, ops);
            }
            return;
        }
        self.below(places, &fitted.not_path.below, ops);
    }

    /// All of `places` but what is below `not_below`.
    fn below(&mut self, places: &Places, not_below: &[Vec<u8>], ops: OpSet) {
        let mut below = places.below.clone();
        for (wide, _) in &places.globs {
            match &wide.name {
                Some(Name::Last(name)) if wide.globs.len() == 1 => self.name(name, ops, OpSet::EMPTY),
                Some(Name::Last(name) | Name::Any(name)) => self.name(name, OpSet::EMPTY, ops),
                None => below.push(wide.below.clone()),
            }
        }
        self.reaches.push(Reach { ops, below, exact: places.exact.clone(), not_below: not_below.to_vec() });
    }

    /// Forgets single objects that a name makes candidates already: one `.git` would cover all of its repository.
    fn drop_named(&mut self) {
        for reach in &mut self.reaches {
            let named = |path: &[u8]| {
                let name = path.rsplit(|byte| *byte == b'/').next().and_then(|name| self.names.get(name));
                name.is_some_and(|value| value.last.union(value.any).0 & reach.ops.0 == reach.ops.0)
            };
            reach.exact.retain(|path| !named(path));
        }
    }

    fn programs(&mut self, fitted: &Fitted) {
        let clause = &fitted.clause;
        if !fitted.program_file.is_nothing() {
            self.below(&fitted.program_file, &[], Op::Exec.set());
        }
        for file in clause.dashed_files(self.tools) {
            // The name says what its arguments would.
            self.programs.entry(file).or_default().insert(Condition::ANY);
        }
        for program in &clause.program {
            let tool = self.tools.get(program);
            let condition = clause.argv.as_ref().map_or(Condition::ANY, |argv| argv.condition(program, tool));
            for file in std::iter::once(program).chain(&tool.also) {
                self.programs.entry(file.clone().into_bytes()).or_default().insert(condition.clone());
            }
        }
    }

    /// A program is a candidate, or is one by its arguments.
    fn name_programs(&mut self) {
        for (file, conditions) in std::mem::take(&mut self.programs) {
            // Longer names share a key.
            let arguments = Arguments::new(&conditions).filter(|_| file.len() <= NAME_HEAD);
            self.name(&file, if arguments.is_some() { BY_ARGUMENTS } else { Op::Exec.set() }, OpSet::EMPTY);
            self.tables.programs.extend(arguments.map(|arguments| (file, arguments)));
        }
    }

    fn name(&mut self, name: &[u8], last: OpSet, any: OpSet) {
        let value = self.names.entry(name.to_vec()).or_default();
        value.last = value.last.union(last);
        value.any = value.any.union(any);
    }

    fn connect(&mut self, fitted: &Fitted) {
        let clause = &fitted.clause;
        if !clause.socket.is_empty() {
            // A program names a socket file as it likes; only the daemon compares names.
            self.ports.insert((AF_UNIX, 0));
        } else if !clause.address.is_empty() {
            self.addresses.extend(clause.address.iter().flat_map(Network::entries));
        } else if !clause.port.is_empty() {
            self.ports.extend(clause.port.iter().flat_map(|port| [(AF_INET, *port), (AF_INET6, *port)]));
        } else {
            self.tables.always = self.tables.always.union(Act::Connect.table_ops());
        }
    }
}

/// What of a threshold passes without guardd: half, so that both halves together are never too much. `None` where that
/// is nothing.
fn share(threshold: Threshold) -> Option<Limits> {
    let files = threshold.files.min(threshold.directories) / 2;
    let bytes = threshold.bytes / 2;
    let span = threshold.within.saturating_mul(1_000_000_000).div_ceil(PARTS);
    (files > 0 && bytes > 0).then_some(Limits { span, files, bytes })
}

/// One quota for two thresholds: the smaller amounts in the longer time.
fn both(one: Limits, other: Limits) -> Limits {
    if one.span == 0 {
        return other;
    }
    let Limits { span, files, bytes } = other;
    Limits { span: one.span.max(span), files: one.files.min(files), bytes: one.bytes.min(bytes) }
}

/// One entry per directory that any clause names, with what holds there.
fn paths(reaches: &[Reach]) -> Vec<(Vec<u8>, OpSet)> {
    let mut directories: BTreeSet<Vec<u8>> = BTreeSet::new();
    let cut: Vec<Reach> = reaches
        .iter()
        .map(|reach| Reach {
            ops: reach.ops,
            below: reach.below.iter().chain(&reach.exact).map(|directory| shortened(directory)).collect(),
            exact: Vec::new(),
            // What is left out must be left out exactly, or not at all.
            not_below: reach.not_below.iter().filter(|directory| directory.len() < PREFIX_MAX).cloned().collect(),
        })
        .collect();
    for reach in &cut {
        directories.extend(reach.below.iter().cloned());
        directories.extend(reach.not_below.iter().cloned());
    }
    let holds = |reach: &Reach, at: &[u8]| {
        reach.below.iter().any(|directory| is_below(at, directory))
            && !reach.not_below.iter().any(|directory| is_below(at, directory))
    };
    let ops_at =
        |at: &[u8]| cut.iter().filter(|reach| holds(reach, at)).fold(OpSet::EMPTY, |ops, reach| ops.union(reach.ops));
    directories.iter().map(|directory| ([directory, &b"/"[..]].concat(), ops_at(directory))).collect()
}

/// A directory that fits into the kernel's key with its slash: itself, or the nearest one above that does.
fn shortened(directory: &[u8]) -> Vec<u8> {
    let mut directory = directory;
    while directory.len() >= PREFIX_MAX {
        let end = directory.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        directory = &directory[..end];
    }
    directory.to_vec()
}
