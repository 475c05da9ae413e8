//! Writes agents and grants, and has the prefilter tables written; reads holds and counters. Nothing here judges.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use anyhow::Context as _;
use aya::{
    Pod,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray},
};
use guard_common::{
    ABI_VERSION,
    clear::ClearKey,
    count::Count,
    grant::Grant,
    op::OpSet,
    quota::Words,
    record::{HoldKey, HoldRecord, HoldText},
    table::{Agent, GuardsKey},
    task::{State, Task},
};

use self::{
    adopted::Adopted,
    footprint::Footprints,
    guards::Guards,
    prefilter::{Prefilter, Written},
    shelf::Shelf,
};
use crate::{
    daemon::{clock::Now, effect::Kernel},
    kernel::{listen::Listener, pins::Earlier},
    operation::Stopped,
    rules::lower::Tables,
    touched::Touched,
};

/// The maps of the loaded programs.
pub struct Maps {
    holds: HashMap<MapData, HoldKey, HoldRecord>,
    texts: HashMap<MapData, HoldKey, HoldText>,
    grants: HashMap<MapData, HoldKey, Grant>,
    tasks: HashMap<MapData, u64, Task>,
    agents: HashMap<MapData, u64, Agent>,
    quotas: HashMap<MapData, u64, Words>,
    prefilter: Prefilter,
    adopted: Adopted,
    guards: Guards,
    footprints: Footprints,
    counts: PerCpuArray<MapData, u64>,
    state: Array<MapData, State>,
    /// `None` where it would not outlive a restart of guardd, and in the trip tier.
    listener: Option<Listener>,
    /// What was written, so that it can be taken back.
    shelf: Shelf<Written>,
    /// Added to every policy number: an earlier guardd's policies stay in force until its agents have new ones.
    base: u32,
}

impl Maps {
    /// Takes the maps by their names, and empties those that are no use without what guardd remembers of them. Until they
    /// are written again, what they would have cleared is a candidate.
    ///
    /// # Errors
    /// When there is no map of a name, or one of another type, or it cannot be emptied.
    pub(super) fn take(
        maps: &mut impl FnMut(&str) -> anyhow::Result<Map>,
        listener: Option<Listener>,
    ) -> anyhow::Result<Self> {
        let mut cleared: HashMap<MapData, ClearKey, u64> = take(maps, "CLEARED")?;
        empty(&mut cleared).context("cannot empty the map of cleared execs")?;
        let mut quotas: HashMap<MapData, u64, Words> = take(maps, "QUOTAS")?;
        empty(&mut quotas).context("cannot empty the map of quotas")?;
        let agents: HashMap<MapData, u64, Agent> = take(maps, "AGENTS")?;
        let known: Vec<Agent> = agents.iter().filter_map(Result::ok).map(|(_, agent)| agent).collect();
        let last = known.iter().map(|agent| agent.policy).max();
        let tables = known.iter().map(|agent| agent.tables).max();
        Ok(Self {
            base: last.map_or(0, |last| last + 1),
            holds: take(maps, "HOLDS")?,
            texts: take(maps, "TEXTS")?,
            grants: take(maps, "GRANTS")?,
            tasks: take(maps, "TASKS")?,
            agents,
            quotas,
            prefilter: Prefilter::take(maps)?,
            adopted: Adopted::take(maps)?,
            guards: Guards::take(maps)?,
            footprints: Footprints::take(maps)?,
            counts: take(maps, "COUNTS")?,
            state: take(maps, "STATE")?,
            listener,
            shelf: Shelf::new(tables.map_or(1, |last| last + 1)),
        })
    }

    /// Says who guardd is, and makes everything remembered of tasks and directories unknown.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn announce(&mut self, guardd: u32) -> io::Result<()> {
        let mut state = self.state.get(&0, 0).map_err(io_error)?;
        state.guardd = guardd;
        state.abi = ABI_VERSION;
        self.write_state(state)
    }

    fn write_state(&mut self, mut state: State) -> io::Result<()> {
        state.generation += 1;
        state.paths += 1;
        self.state.set(0, &state, 0).map_err(io_error)
    }

    /// A change of agents or policies voids what the kernel remembers.
    fn forget(&mut self) -> io::Result<()> {
        let state = self.state.get(&0, 0).map_err(io_error)?;
        self.write_state(state)
    }

    /// Erases what nobody uses, but for what is kept.
    fn tidy(&mut self, kept: Option<usize>) -> io::Result<()> {
        while let Some((number, old)) = self.shelf.surplus(kept) {
            self.prefilter.erase(number, &old)?;
        }
        Ok(())
    }

    /// Writes new tables; a half-written one is taken back.
    fn add(&mut self, tables: &Tables) -> io::Result<u32> {
        let (number, mut new) = (self.shelf.number(), Written::default());
        if let Err(error) = self.prefilter.write(number, tables, &mut new) {
            self.prefilter.erase(number, &new)?;
            return Err(error);
        }
        self.shelf.add(number, tables.clone(), new);
        Ok(number)
    }
}

impl Kernel for Maps {
    fn grant(&mut self, key: HoldKey, mut grant: Grant) -> io::Result<()> {
        if grant.policy != 0 {
            grant.policy += self.base;
        }
        self.grants.insert(&key, &grant, 0).map_err(io_error)
    }

    fn remove_hold(&mut self, key: HoldKey, hold: u64) -> io::Result<()> {
        match found(self.holds.get(&key, 0))? {
            Some(record) if record.hold == hold => {
                absent_is_fine(self.grants.remove(&key))?;
                absent_is_fine(self.holds.remove(&key))?;
                absent_is_fine(self.texts.remove(&key))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What another processor writes meanwhile is read again; what stays in pieces does not become an operation.
    fn record(&self, key: HoldKey) -> io::Result<Option<Stopped>> {
        /// A hold is written in far less time than this many reads take.
        const READS: usize = 4;
        let mut last = None;
        for _ in 0..READS {
            let Some(record) = found(self.holds.get(&key, 0))? else { return Ok(None) };
            let text = if Stopped::is_long(&record) { found(self.texts.get(&key, 0))?.map(Box::new) } else { None };
            let stopped = Stopped { record, text };
            if stopped.is_whole() {
                return Ok(Some(stopped));
            }
            last = Some(stopped);
        }
        Ok(last)
    }

    fn records(&self) -> io::Result<Vec<HoldKey>> {
        self.holds.keys().collect::<Result<_, _>>().map_err(io_error)
    }

    fn set_agent(&mut self, cgroup_id: u64, mut agent: Agent) -> io::Result<()> {
        agent.policy += self.base;
        let Some((number, written)) = self.shelf.of(agent.policy) else {
            return Err(io::Error::other("the agent's rules are not in the kernel's tables"));
        };
        agent.tables = number;
        let limits = written.quota;
        let counted = found(self.quotas.get(&cgroup_id, 0))?;
        // What another processor counts between the two is not counted: once, when rules change.
        let quota = limits.put(counted, Now::read().boottime);
        self.quotas.insert(&cgroup_id, &quota, 0).map_err(io_error)?;
        // An agent that is there keeps what it made; a cgroup that is tagged again begins with nothing.
        let present = found(self.agents.get(&cgroup_id, 0))?;
        let now = self.state.get(&0, 0).map_err(io_error)?.generation as u32;
        agent.epoch = present.map_or(now, |present| present.epoch);
        self.agents.insert(&cgroup_id, &agent, 0).map_err(io_error)?;
        self.forget()
    }

    fn set_canary(&mut self, cgroup_id: u64) -> io::Result<()> {
        let all = OpSet(u64::MAX);
        let canary = Agent { ops: all, always: all, looked_up: all, canary: 1, ..Agent::default() };
        self.agents.insert(&cgroup_id, &canary, 0).map_err(io_error)?;
        self.forget()
    }

    fn remove_agent(&mut self, cgroup_id: u64) -> io::Result<()> {
        self.footprints.forget(cgroup_id);
        self.adopted.forget(cgroup_id)?;
        absent_is_fine(self.agents.remove(&cgroup_id))?;
        absent_is_fine(self.quotas.remove(&cgroup_id))?;
        let tagged: Vec<u64> = self
            .tasks
            .iter()
            .filter_map(|entry| entry.ok().filter(|(_, task)| task.agent == cgroup_id).map(|(key, _)| key))
            .collect();
        for task in tagged {
            absent_is_fine(self.tasks.remove(&task))?;
        }
        self.forget()
    }

    fn end_agent(&mut self, cgroup_id: u64) -> io::Result<()> {
        self.footprints.forget(cgroup_id);
        self.adopted.forget(cgroup_id)?;
        absent_is_fine(self.agents.remove(&cgroup_id))?;
        absent_is_fine(self.quotas.remove(&cgroup_id))?;
        self.forget()
    }

    fn tagged(&self) -> io::Result<BTreeSet<u64>> {
        let mut tagged = BTreeSet::new();
        for entry in self.tasks.iter() {
            match entry {
                Ok((_, task)) => _ = tagged.insert(task.agent),
                // An entry may go while the map is read.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(tagged)
    }

    /// An earlier guardd's agents have new policies by now. One that could not be restored keeps its old tables.
    fn purge(&mut self) -> io::Result<usize> {
        let mut used: BTreeSet<u32> = self.shelf.numbers().collect();
        for entry in self.agents.iter() {
            used.insert(entry.map_err(io_error)?.1.tables);
        }
        self.prefilter.keep(&used)
    }

    fn set_policy(&mut self, policy: u32, tables: &Tables) -> io::Result<()> {
        let number = match self.shelf.find(tables) {
            Some(number) => number,
            // What is kept for nobody may be what makes a table full.
            None => match self.add(tables) {
                Ok(number) => number,
                Err(_) => {
                    self.tidy(Some(0))?;
                    self.add(tables)?
                }
            },
        };
        self.shelf.give(policy + self.base, number);
        self.tidy(None)
    }

    fn remove_policy(&mut self, policy: u32) {
        self.shelf.take(policy + self.base);
        if let Err(error) = self.tidy(None) {
            tracing::warn!("the tables of an ended agent could not be removed: {error}");
        }
    }

    /// The kernel programs tag every task they meet in an agent's cgroup, and its children; nothing is to be done.
    fn tag_task(&mut self, _tid: u32, _agent: u64) -> io::Result<()> {
        Ok(())
    }

    fn guard(&mut self, own: &BTreeMap<GuardsKey, u32>) -> io::Result<()> {
        self.guards.set(own)
    }

    fn adopt(&mut self, agent: u64, inodes: &BTreeMap<u64, OpSet>) -> io::Result<()> {
        self.adopted.add(agent, inodes)
    }

    /// Looks through the tagged tasks for one of the process, wherever its cgroup is now.
    fn agent_of(&self, tid: u32) -> io::Result<Option<u64>> {
        for entry in self.tasks.iter() {
            match entry {
                Ok((_, task)) if task.agent != 0 && task.tgid == tid => return Ok(Some(task.agent)),
                // An entry may go while the map is read.
                Ok(_) | Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(io_error(error)),
            }
        }
        Ok(None)
    }

    fn inherit(&mut self, earlier: &Earlier) -> io::Result<BTreeSet<u32>> {
        for (key, ops) in earlier.adopted()? {
            self.adopted.add(key.agent, &BTreeMap::from([(key.ino, ops)]))?;
        }
        earlier.hand_over(&mut self.tasks)
    }

    fn touched(&mut self, counted: bool) -> io::Result<Vec<Touched>> {
        self.footprints.touched(counted)
    }

    fn listen(&mut self, until: u64) {
        if let Some(listener) = &self.listener {
            listener.listen(until);
        }
    }

    fn counts(&self) -> io::Result<Vec<(Count, u64)>> {
        let sum = |count: Count| -> io::Result<(Count, u64)> {
            let values = self.counts.get(&(count as u32), 0).map_err(io_error)?;
            Ok((count, values.iter().sum()))
        };
        Count::ALL.into_iter().map(sum).collect()
    }
}

fn keys<K>(keys: impl Iterator<Item = Result<K, MapError>>) -> io::Result<Vec<K>> {
    keys.collect::<Result<_, _>>().map_err(io_error)
}

/// Removes every entry.
fn empty<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>) -> io::Result<()> {
    for key in keys(map.keys())? {
        absent_is_fine(map.remove(&key))?;
    }
    Ok(())
}

fn take<T: TryFrom<Map, Error = MapError>>(
    maps: &mut impl FnMut(&str) -> anyhow::Result<Map>,
    name: &str,
) -> anyhow::Result<T> {
    T::try_from(maps(name)?).map_err(|error| anyhow::anyhow!("map {name}: {error}"))
}

fn found<T>(result: Result<T, MapError>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(io_error(error)),
    }
}

fn absent_is_fine(result: Result<(), MapError>) -> io::Result<()> {
    match result {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io_error(error)),
    }
}

fn io_error(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        other => io::Error::other(other.to_string()),
    }
}

mod adopted;
mod entry;
mod footprint;
mod guards;
mod prefilter;
mod programs;
mod shelf;
#[cfg(test)]
mod tests;
