//! What an agent did, as a tree of its processes: joined from the records of the log here, shown elsewhere. Records are another
//! guardd's, maybe of another version: what one does not say is left out.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{HoldContext, OperationView, Outcome, Process, Scope, ToolCall, Verdict};

/// Deepest process that has a place below its parent: what is below it stands beside it.
const DEEPEST: usize = 48;

/// What an agent did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    pub agent: String,
    pub agent_name: String,
    pub cgroup: String,
    /// There are more records than were asked for, before these.
    pub more: bool,
    /// What happened to the agent, and its first processes, oldest first.
    pub items: Vec<Item>,
}

/// Something in a process, or the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Item {
    /// It began with a program.
    Exec(Exec),
    /// Something else that was recorded of it.
    Event(Box<Event>),
    /// It made another process.
    Process(Node),
}

/// A process. One without an item of its own was only forked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Node {
    pub pid: u32,
    /// On the boot clock, in nanoseconds; 0 where nobody knows.
    pub started_ns: u64,
    /// Its name when it is first recorded, which it may choose.
    pub comm: String,
    /// Oldest first.
    pub items: Vec<Item>,
}

/// A program that a process began with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exec {
    pub seq: u64,
    /// When it began, RFC 3339.
    pub time: String,
    pub exe: String,
    pub argv: Vec<String>,
    pub cwd: String,
    /// SHA-256 of the program; empty where it is not known.
    pub program: String,
    pub note: String,
}

/// A record that is no exec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    pub seq: u64,
    pub time: String,
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hold: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<HoldContext>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Execs that are not in the log one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
    /// What the agent said of a call of one of its tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCall>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Timeline {
    /// Of the records of one agent, in the order of the log; `None` when there are none.
    #[must_use]
    pub fn of(records: &[Value]) -> Option<Self> {
        let mut timeline = Self::default();
        for (field, name) in
            [(&mut timeline.agent, "agent"), (&mut timeline.agent_name, "agent_name"), (&mut timeline.cgroup, "cgroup")]
        {
            let mut texts = records.iter().filter_map(|record| record[name].as_str());
            texts.find(|text| !text.is_empty()).unwrap_or_default().clone_into(field);
        }
        let mut moments: Vec<(u64, &Value)> = records.iter().map(|record| (moment(record), record)).collect();
        // An exec is written up to a second or so later than it happens.
        moments.sort_by_key(|(at, _)| *at);
        let mut tree = Tree { known: known(records), ..Tree::default() };
        for (at, record) in moments {
            tree.add(at, record);
        }
        timeline.items = tree.grown();
        (!timeline.items.is_empty()).then_some(timeline)
    }

    /// Every time in it.
    pub fn times(&self) -> impl Iterator<Item = &str> {
        let mut rest: Vec<&Item> = self.items.iter().collect();
        std::iter::from_fn(move || {
            loop {
                match rest.pop()? {
                    Item::Exec(exec) => return Some(exec.time.as_str()),
                    Item::Event(event) => return Some(event.time.as_str()),
                    Item::Process(node) => rest.extend(&node.items),
                }
            }
        })
    }
}

/// When it happened, on the boot clock.
fn moment(record: &Value) -> u64 {
    record["executed_ns"].as_u64().or_else(|| record["boottime_ns"].as_u64()).unwrap_or(0)
}

/// The same on the wall clock, as the record has it.
fn wall(record: &Value, at: u64) -> String {
    let written = record["time"].as_str().unwrap_or_default();
    let late = i64::try_from(record["boottime_ns"].as_u64().unwrap_or(at).saturating_sub(at)).unwrap_or(0);
    match written.parse::<Timestamp>().map(|written| written.checked_sub(SignedDuration::from_nanos(late))) {
        Ok(Ok(moment)) if late > 0 => format!("{moment:.3}"),
        Ok(_) | Err(_) => written.to_owned(),
    }
}

/// A process by its number, and its start where that is known.
type Name = (u32, u64);

/// The processes of a record, innermost first.
fn processes(record: &Value) -> Vec<(Name, String)> {
    let processes: Vec<Process> = serde_json::from_value(record["processes"].clone()).unwrap_or_default();
    let start = |at: usize| record["starts"][at].as_u64().unwrap_or(0);
    processes.into_iter().enumerate().map(|(at, process)| ((process.pid, start(at)), process.comm)).collect()
}

fn is_exec(record: &Value) -> bool {
    record["kind"] == "exec" && record["missing"].is_null()
}

/// The processes that are the agent's for certain: who executes, and all that is told of who is held. The processes above may
/// be its person's.
fn known(records: &[Value]) -> HashSet<Name> {
    let of = |record: &Value| processes(record).into_iter().take(if is_exec(record) { 1 } else { usize::MAX });
    records.iter().flat_map(of).map(|(name, _)| name).collect()
}

/// The processes as they are found.
#[derive(Default)]
struct Tree {
    known: HashSet<Name>,
    /// A parent comes before its children.
    nodes: Vec<Grown>,
    /// Where those with a number are, in the order in which they had it.
    by_pid: HashMap<u32, Vec<usize>>,
    /// What happened to the agent itself.
    items: Vec<(u64, Item)>,
}

struct Grown {
    node: Node,
    parent: Option<usize>,
    depth: usize,
    /// When it is first heard of.
    since: u64,
    items: Vec<(u64, Item)>,
}

impl Tree {
    fn add(&mut self, at: u64, record: &Value) {
        let chain = processes(record);
        if is_exec(record) {
            let exec = exec(record, wall(record, at));
            // What is above the outermost process that is the agent's is not.
            let own = chain.iter().rposition(|(name, _)| self.is_known(*name)).unwrap_or(0);
            if let Some(place) = self.place(at, &chain[..chain.len().min(own + 1)]) {
                self.nodes[place].items.push((at, Item::Exec(exec)));
            }
            return;
        }
        let Ok(event) = serde_json::from_value::<Event>(record.clone()) else { return };
        let pid = record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let place = match pid {
            Some(pid) if chain.is_empty() => self.place(at, &[((pid, 0), String::new())]),
            Some(_) | None => self.place(at, &chain),
        };
        let items = place.map_or(&mut self.items, |place| &mut self.nodes[place].items);
        items.push((at, Item::Event(Box::new(told(event)))));
    }

    fn is_known(&self, (pid, start): Name) -> bool {
        self.known.contains(&(pid, start)) || self.known.contains(&(pid, 0))
    }

    /// The node of the first of a chain, made with those above it where there is none.
    fn place(&mut self, at: u64, chain: &[(Name, String)]) -> Option<usize> {
        let mut above = None;
        for (name, comm) in chain.iter().rev() {
            let place = self.find(*name, at).unwrap_or_else(|| {
                let (pid, started_ns) = *name;
                let node = Node { pid, started_ns, comm: comm.clone(), items: Vec::new() };
                // One that is too deep is beside its parent.
                let parent = above.and_then(|above: usize| match &self.nodes[above] {
                    deep if deep.depth >= DEEPEST => deep.parent,
                    _ => Some(above),
                });
                let depth = parent.map_or(0, |parent| self.nodes[parent].depth + 1);
                // The first ones were there before they were the agent's.
                let since = if started_ns > 0 && parent.is_some() { started_ns.min(at) } else { at };
                self.by_pid.entry(pid).or_default().push(self.nodes.len());
                self.nodes.push(Grown { node, parent, depth, since, items: Vec::new() });
                self.nodes.len() - 1
            });
            let node = &mut self.nodes[place].node;
            if node.started_ns == 0 {
                node.started_ns = name.1;
            }
            above = Some(place);
        }
        above
    }

    /// The process with this number, the last one that had it by then where its start is not known.
    fn find(&self, (pid, start): Name, at: u64) -> Option<usize> {
        let same = |place: &&usize| {
            let known = self.nodes[**place].node.started_ns;
            if start == 0 || known == 0 { known <= at } else { known == start }
        };
        self.by_pid.get(&pid)?.iter().rev().find(same).copied()
    }

    /// Puts each process where its parent has it.
    fn grown(mut self) -> Vec<Item> {
        while let Some(Grown { mut node, parent, since, items, .. }) = self.nodes.pop() {
            node.items = in_order(items);
            let above = parent.map_or(&mut self.items, |parent| &mut self.nodes[parent].items);
            above.push((since, Item::Process(node)));
        }
        in_order(self.items)
    }
}

fn in_order(mut items: Vec<(u64, Item)>) -> Vec<Item> {
    items.sort_by_key(|(at, item)| (*at, number(item)));
    items.into_iter().map(|(_, item)| item).collect()
}

/// Orders what happened at one moment.
pub(crate) fn number(item: &Item) -> u64 {
    match item {
        Item::Exec(exec) => exec.seq,
        Item::Event(event) => event.seq,
        Item::Process(node) => node.items.iter().map(number).min().unwrap_or(u64::MAX),
    }
}

fn exec(record: &Value, time: String) -> Exec {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let process: Option<Process> = serde_json::from_value(record["processes"][0].clone()).ok();
    let (exe, argv, cwd) = process.map(|process| (process.exe, process.argv, process.cwd)).unwrap_or_default();
    Exec {
        seq: record["seq"].as_u64().unwrap_or(0),
        time,
        exe,
        argv,
        cwd,
        program: text("program"),
        note: text("note"),
    }
}

/// What later records of a hold repeat of the decision is left out. The decision may be the first: what is covered by an
/// earlier one is not held.
fn told(event: Event) -> Event {
    match event.kind.as_str() {
        "decision" => event,
        "hold" | "would_hold" => Event { verdict: None, scope: None, ..event },
        _ => Event { operation: None, rule: String::new(), verdict: None, scope: None, ..event },
    }
}

#[cfg(test)]
pub(crate) mod tests;
