//! What is held: pure state, no IO. At most one live hold stands under a key of the kernel.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use guard_common::{count::Count, record::HoldKey};

use crate::{
    api,
    daemon::{clock::Now, rulebook::Ruling, scope::Root},
    operation::{HoldName, Operation},
    result::CallResult,
    tool_calls::Link,
};

/// Numbers that are saved as given with one write.
const BLOCK: u64 = 100;

/// Finished holds that are remembered, for `show` and for "decided before".
const REMEMBERED: usize = 1_000;

/// Where a hold is on its way. Only [`Stage::Granted`] lets the kernel let it through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    Pending,
    /// Approved; the approval is on its way to the disk and nothing was released.
    Recording {
        seq: u64,
    },
    /// A grant is in the kernel until `deadline`; `SIGCONT` is due at `next` (never for a retry).
    Granted {
        deadline: u64,
        next: Option<u64>,
    },
    /// The process was sent SIGKILL.
    Killing,
    Done,
}

/// Why a hold with an answer in the kernel is over although nobody said that the answer was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The deadline has passed.
    Late,
    /// Another operation stands under its key.
    Became,
    Died,
}

/// Counters of the kernel that tell whether its notices can be relied upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Notices the ring had no room for.
    pub lost: u64,
    /// Answers that were removed unused.
    pub voided: u64,
}

impl Losses {
    #[must_use]
    pub fn of(counts: &[(Count, u64)]) -> Self {
        let value = |wanted: Count| counts.iter().find(|(count, _)| *count == wanted).map_or(0, |(_, value)| *value);
        Self { lost: value(Count::NoticeLost), voided: value(Count::GrantVoid) }
    }
}

/// What the edge found out about the process, and what it is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The acting process first, then its parents.
    pub processes: Vec<api::Process>,
    pub root: Option<Root>,
    /// The same processes, as they are told from later ones.
    pub links: Vec<Link>,
    /// What they have of the variables that were asked for, the nearest first.
    pub environment: Vec<api::Variable>,
}

impl Facts {
    /// Start of the process (of its first thread) in clock ticks; `None` when it could not be read.
    #[must_use]
    pub fn start_ticks(&self) -> Option<u64> {
        self.links.first().map(|link| link.start_ticks)
    }
}

/// One operation that waits, or waited.
pub struct Hold {
    /// The `12` of `h12`.
    pub number: u64,
    pub operation: Box<Operation>,
    /// Number of the agent; `None` when the cgroup belongs to none that is known.
    pub agent: Option<u64>,
    pub agent_name: String,
    pub ruling: Ruling,
    pub since: Now,
    pub stage: Stage,
    pub facts: Option<Box<Facts>>,
    /// The tool call it came from, as far as its agent told of it.
    pub cause: Option<api::Cause>,
    pub blast: Option<api::Blast>,
    pub stops: u32,
    /// A line that says who wanted what is in the log.
    pub logged: bool,
    /// What the kernel had counted before the answer went out.
    pub losses: Losses,
    /// The answer was not heard of, and the edge is asked what is known.
    pub ending: Option<Ending>,
    pub decision: Option<api::Decision>,
    pub outcome: Option<api::Outcome>,
    /// How its call ended, when it was approved and that was heard.
    pub result: Option<CallResult>,
}

impl Hold {
    #[must_use]
    pub fn id(&self) -> String {
        format!("h{}", self.number)
    }

    #[must_use]
    pub fn live(&self) -> bool {
        self.stage != Stage::Done
    }

    /// The directory a process-wide decision covers.
    #[must_use]
    pub fn root(&self) -> Option<&PathBuf> {
        self.facts.as_ref().and_then(|facts| facts.root.as_ref()).map(|root| &root.path)
    }
}

/// All holds that wait, and the last that did.
#[derive(Default)]
pub struct Holds {
    holds: BTreeMap<u64, Hold>,
    live: HashMap<HoldKey, u64>,
    last_number: u64,
    /// Up to here numbers are saved as given: a guardd that starts after a crash goes on behind it.
    reserved: u64,
    done: std::collections::VecDeque<u64>,
    /// Numbers an earlier guardd gave to what it left waiting.
    kept: HashMap<HoldName, u64>,
}

impl Holds {
    pub fn continue_after(&mut self, number: u64) {
        self.last_number = self.last_number.max(number);
    }

    #[must_use]
    pub fn last(&self) -> u64 {
        self.last_number
    }

    /// The number a person knows this hold by, if an earlier guardd gave it one; else the next.
    pub fn number_for(&mut self, name: HoldName) -> u64 {
        if let Some(number) = self.kept.remove(&name) {
            return number;
        }
        self.last_number += 1;
        self.last_number
    }

    /// The number that nothing given so far is above, as it is to be saved.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.reserved.max(self.last_number)
    }

    /// Has a number been given that is not saved as given? Then a block of them is reserved, and this must be saved before
    /// anybody sees the number.
    pub fn reserve(&mut self) -> bool {
        let is_new = self.last_number > self.reserved;
        if is_new {
            self.reserved = self.last_number.saturating_add(BLOCK - 1);
        }
        is_new
    }

    /// Nothing is given any more: what was reserved and not used is the next guardd's.
    pub fn return_reserved(&mut self) {
        self.reserved = self.last_number;
    }

    /// Numbers of an earlier guardd that nothing was found for yet.
    pub fn kept(&self) -> impl Iterator<Item = (HoldName, u64)> {
        self.kept.iter().map(|(name, number)| (*name, *number))
    }

    /// What an earlier guardd left waiting keeps its numbers.
    pub fn keep(&mut self, name: HoldName, number: u64) {
        self.continue_after(number);
        self.kept.insert(name, number);
    }

    pub fn insert(&mut self, hold: Hold) {
        self.live.insert(hold.operation.name.key, hold.number);
        self.holds.insert(hold.number, hold);
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Hold> {
        self.holds.get(&number)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Hold> {
        self.holds.get_mut(&number)
    }

    /// The live hold of exactly this name.
    #[must_use]
    pub fn named(&self, name: HoldName) -> Option<u64> {
        self.under(name.key).filter(|number| self.get(*number).is_some_and(|hold| hold.operation.name == name))
    }

    /// The live hold under this key, whichever operation it is.
    #[must_use]
    pub fn under(&self, key: HoldKey) -> Option<u64> {
        self.live.get(&key).copied()
    }

    /// By the id a person types.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix('h')?.parse().ok()?;
        self.holds.get(&number).filter(|hold| hold.id() == id).map(|hold| hold.number)
    }

    /// Takes it off the live ones and forgets the oldest finished one.
    pub fn finish(&mut self, number: u64, outcome: api::Outcome) -> Option<&Hold> {
        let hold = self.holds.get_mut(&number)?;
        let key = hold.operation.name.key;
        hold.stage = Stage::Done;
        hold.outcome = Some(outcome);
        if self.live.get(&key) == Some(&number) {
            self.live.remove(&key);
        }
        self.done.push_back(number);
        if self.done.len() > REMEMBERED
            && let Some(oldest) = self.done.pop_front()
        {
            self.holds.remove(&oldest);
        }
        self.holds.get(&number)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Hold> {
        self.holds.values()
    }

    pub fn live(&self) -> impl Iterator<Item = &Hold> {
        self.live.values().filter_map(|number| self.holds.get(number))
    }

    /// Live holds of one agent, or of all.
    #[must_use]
    pub fn pending(&self, agent: Option<u64>) -> u32 {
        let waits = |hold: &&Hold| hold.stage == Stage::Pending && (agent.is_none() || hold.agent == agent);
        u32::try_from(self.live().filter(waits).count()).unwrap_or(u32::MAX)
    }
}
