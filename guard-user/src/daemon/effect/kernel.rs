//! What guardd asks of the kernel: the programs' maps, or for tests maps of its own.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use guard_common::{
    count::Count,
    footprint::{READS, WRITES},
    grant::Grant,
    op::OpSet,
    record::HoldKey,
    table,
};

use crate::{kernel::pins::Earlier, operation::Stopped, rules::lower::Tables, touched::Touched};

/// What guardd needs of the kernel programs and their maps.
pub trait Kernel {
    fn grant(&mut self, key: HoldKey, grant: Grant) -> io::Result<()>;
    /// Removes the record if it is still the one first stopped at `hold`; no error when it is gone.
    fn remove_hold(&mut self, key: HoldKey, hold: u64) -> io::Result<()>;
    fn record(&self, key: HoldKey) -> io::Result<Option<Stopped>>;
    fn records(&self) -> io::Result<Vec<HoldKey>>;
    fn set_agent(&mut self, cgroup_id: u64, agent: table::Agent) -> io::Result<()>;
    /// Has everything refused to what is in this cgroup, without a record.
    fn set_canary(&mut self, cgroup_id: u64) -> io::Result<()>;
    /// Takes the tag off every task of an agent.
    fn remove_agent(&mut self, cgroup_id: u64) -> io::Result<()>;
    /// Forgets an agent and leaves its tag on whatever carries it.
    fn end_agent(&mut self, cgroup_id: u64) -> io::Result<()>;
    /// Every agent that a task is tagged with.
    fn tagged(&self) -> io::Result<BTreeSet<u64>>;
    /// Removes the tables that no agent uses; answers how many entries that were.
    fn purge(&mut self) -> io::Result<usize>;
    fn set_policy(&mut self, policy: u32, tables: &Tables) -> io::Result<()>;
    fn remove_policy(&mut self, policy: u32);
    fn tag_task(&mut self, tid: u32, agent: u64) -> io::Result<()>;
    /// Keeps every agent from changing these, and nothing else, as guard's own files.
    fn guard(&mut self, own: &BTreeMap<table::GuardsKey, u32>) -> io::Result<()>;
    /// Has the first use of these inodes by this agent judged, for the kinds that are given.
    fn adopt(&mut self, agent: u64, inodes: &BTreeMap<u64, OpSet>) -> io::Result<()>;
    fn agent_of(&self, tid: u32) -> io::Result<Option<u64>>;
    /// Tags whatever the programs of an older version have tagged; answers the processes.
    fn inherit(&mut self, earlier: &Earlier) -> io::Result<BTreeSet<u32>>;
    /// Tells how calls end that approvals let through, until this moment on the boot clock.
    fn listen(&mut self, until: u64);
    fn counts(&self) -> io::Result<Vec<(Count, u64)>>;
    /// What agents touched since the last time, as far as it was told at once; with `counted`, all of it.
    fn touched(&mut self, counted: bool) -> io::Result<Vec<Touched>>;
    /// What the kernel looks up first for an agent with these tables.
    fn agent(&self, policy: u32, tables: &Tables) -> table::Agent {
        let Tables { ops, always, block, .. } = *tables;
        let looked_up = ops.union(READS).union(WRITES);
        table::Agent { ops, always, block, looked_up, policy, ..Default::default() }
    }
}
