//! What the kernel programs remember of a task, and of themselves.

use core::mem::size_of;

/// Value of the `TASKS` map; the key is the address of the `task_struct`, set afresh when the task is made. A newer guardd
/// reads those of an older one, to inherit its tags: a change of this layout makes it refuse to start beside them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Cgroup id of the agent; 0 when the task is not tagged. Once not 0 it never becomes 0 again.
    pub agent: u64,
    /// Cgroup the task was in when this was found out.
    pub cgroup: u64,
    /// [`State::generation`] when this was found out.
    pub generation: u64,
    /// Inode an open with `O_TRUNC` was let through for; the truncation inside that same call passes.
    pub pass_ino: u64,
    /// `CLOCK_BOOTTIME` nanoseconds until which that holds.
    pub pass_until: u64,
    /// Device of `pass_ino`.
    pub pass_dev: u32,
    /// Its process, once it has been seen itself; 0 while only its parent was.
    pub tgid: u32,
    /// `start_boottime` of the task, once it has been seen itself. While the hooks are switched off, tasks end unheard and
    /// their addresses are used again: a tag is not another task's.
    pub start: u64,
}

/// The only element of the `STATE` array.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Moves whenever an agent is added or removed: what tasks remember of their cgroup is void then.
    pub generation: u64,
    /// Moves whenever a directory is renamed, something is mounted or a policy changes: what is remembered of
    /// directories is void then.
    pub paths: u64,
    /// Process id of guardd; 0 when none runs.
    pub guardd: u32,
    /// [`crate::ABI_VERSION`] of whoever wrote this.
    pub abi: u32,
    /// Which object the programs at work are from, all of them; 0 while they are being changed, or when guardd did not say.
    pub object: u64,
}

const _: () = {
    assert!(size_of::<Task>() == 56);
    assert!(size_of::<State>() == 32);
};
