//! Is this task tagged, and as whom.
//!
//! One look-up answers for a task seen before in the same cgroup. A tag comes from the cgroup, is inherited by
//! every child in `task_alloc`, and never leaves a task.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id},
};
use guard_common::{
    count::Count,
    op::OpSet,
    table::Agent,
    task::{State, Task},
};

use crate::{
    count::count,
    kread::{current, read},
    maps::{AGENTS, STATE, TASKS},
    offset,
};

/// Deepest cgroup level at which an agent is looked for; the daemon tags none below it.
const LEVELS: i32 = 12;

/// A tagged task: its key in `TASKS`, its agent's cgroup id and tables.
#[derive(Clone, Copy)]
pub(crate) struct Tagged {
    pub(crate) task: u64,
    pub(crate) agent: u64,
    pub(crate) entry: Agent,
}

/// The current task's agent; `None` when it is not tagged.
#[inline(always)]
pub(crate) fn current_agent() -> Option<Tagged> {
    let task = current() as u64;
    let agent = current_agent_id(task);
    if agent == 0 {
        return None;
    }
    Some(Tagged { task, agent, entry: tables(agent) })
}

/// The tables of an agent. There are none after `untag`, which is a human's decision: nothing is a candidate.
#[inline(always)]
pub(crate) fn tables(agent: u64) -> Agent {
    // SAFETY: the value is copied at once.
    match unsafe { AGENTS.get(&agent) } {
        Some(entry) => *entry,
        None => Agent {
            ops: OpSet::EMPTY,
            always: OpSet::EMPTY,
            block: OpSet::EMPTY,
            looked_up: OpSet::EMPTY,
            policy: 0,
            epoch: 0,
            tables: 0,
            canary: 0,
        },
    }
}

/// Cgroup id of the current task's agent; 0 when it is not tagged.
#[inline(always)]
pub(crate) fn current_agent_id(task: u64) -> u64 {
    // SAFETY: no arguments; the helper cannot fail.
    let cgroup = unsafe { bpf_get_current_cgroup_id() };
    let generation = generation();
    // SAFETY: the fields are copied at once; only the task itself and the daemon's tagging write them.
    if let Some(seen) = unsafe { TASKS.get(&task) }
        && seen.cgroup == cgroup
        && seen.generation == generation
    {
        return seen.agent;
    }
    find_agent(task, cgroup, generation)
}

/// The agent another task belongs to as far as is known; 0 when it is not tagged.
#[inline(always)]
pub(crate) fn agent_of(task: u64) -> u64 {
    // SAFETY: the field is copied at once.
    unsafe { TASKS.get(&task) }.map_or(0, |seen| seen.agent)
}

/// Looks through the cgroups above the current task and remembers the answer.
#[inline(never)]
fn find_agent(task: u64, cgroup: u64, generation: u64) -> u64 {
    // SAFETY: the fields are copied at once.
    let (mut agent, known) = unsafe { TASKS.get(&task) }.map_or((0, 0), |seen| (seen.agent, seen.start));
    let start = read::<u64>(task, offset!(task_start_boottime)).unwrap_or(known);
    if known != 0 && known != start {
        agent = 0;
        count(Count::StaleTag);
    }
    if agent == 0 {
        let mut level = 0;
        while level < LEVELS {
            // SAFETY: plain integer argument; 0 for levels below the task's own.
            let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
            if id == 0 {
                break;
            }
            // SAFETY: only its presence is used.
            if unsafe { AGENTS.get(&id) }.is_some() {
                agent = id;
            }
            level += 1;
        }
    }
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let seen = Task { agent, cgroup, generation, tgid, start, ..EMPTY };
    if TASKS.insert(&task, &seen, 0).is_err() && agent != 0 {
        count(Count::TagFailed);
    }
    agent
}

/// Gives a new task its parent's tag. Answers false when that failed and the task must not be.
#[inline(always)]
pub(crate) fn inherit(child: u64, agent: u64) -> bool {
    if agent == 0 {
        // An address used before may have an entry left; a fresh task starts without one.
        if TASKS.remove(&child).is_err() {
            // There was none, as nearly always.
        }
        return true;
    }
    let seen = Task { agent, ..EMPTY };
    TASKS.insert(&child, &seen, 0).is_ok()
}

/// Forgets a task that is gone.
#[inline(always)]
pub(crate) fn forget(task: u64) {
    if TASKS.remove(&task).is_err() {
        // It was never seen.
    }
}

/// [`State`] as the daemon last wrote it.
#[inline(always)]
pub(crate) fn state() -> State {
    match STATE.get(0) {
        Some(state) => *state,
        None => State { generation: 0, paths: 0, guardd: 0, abi: 0, object: 0 },
    }
}

#[inline(always)]
fn generation() -> u64 {
    STATE.get(0).map_or(0, |state| state.generation)
}

const EMPTY: Task =
    Task { agent: 0, cgroup: 0, generation: 0, pass_ino: 0, pass_until: 0, pass_dev: 0, tgid: 0, start: 0 };
