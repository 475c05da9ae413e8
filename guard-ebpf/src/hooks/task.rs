//! Tasks: the tag is inherited here, and signals to others are held here.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{
    count::Count,
    notice,
    op::Op,
    record::{HoldKey, SLOT_DENIED, SLOT_HELD, SLOT_INTERPRETER},
    shield::Shield,
};

use crate::{
    agent::{agent_of, current_agent, current_agent_id, forget, inherit, state},
    expected,
    gate::{self, ALLOW},
    held,
    hooks::file::detail,
    kread::{Addr, current, read},
    maps::{GRANTS, HOLDS},
    offset,
};

/// `int security_task_alloc(struct task_struct *task, unsigned long clone_flags)`
#[lsm(hook = "task_alloc")]
pub(crate) fn task_alloc(ctx: LsmContext) -> i32 {
    let child = ctx.arg::<u64>(0);
    let agent = current_agent_id(current() as u64);
    if inherit(child, agent) {
        return ALLOW;
    }
    // A child that could not be tagged must not be.
    gate::refuse(Count::TagFailed)
}

/// `void security_task_free(struct task_struct *task)`
#[lsm(hook = "task_free")]
pub(crate) fn task_free(ctx: LsmContext) -> i32 {
    end(ctx.arg(0));
    ALLOW
}

/// Forgets a task that is gone, and closes what waited for it.
#[inline(always)]
pub(crate) fn end(task: Addr) {
    if agent_of(task) != 0 {
        close(task);
        expected::forget(task);
    }
    forget(task);
}

/// Closes what waited for a task that is gone.
#[inline(always)]
fn close(task: Addr) {
    let (Some(tid), Some(tgid)) = (read::<u32>(task, offset!(task_pid)), read::<u32>(task, offset!(task_tgid))) else {
        return;
    };
    close_one(HoldKey { id: tid, slot: SLOT_HELD }, tgid);
    close_one(HoldKey { id: tid, slot: SLOT_INTERPRETER }, tgid);
    if tid == tgid {
        close_one(HoldKey { id: tgid, slot: SLOT_DENIED }, tgid);
    }
}

#[inline(always)]
fn close_one(key: HoldKey, tgid: u32) {
    // SAFETY: the field is copied at once.
    let hold = unsafe { HOLDS.get(&key) }.map_or(0, |held| held.hold);
    if GRANTS.remove(&key).is_err() {
        // There was no answer yet.
    }
    if held::remove(&key, true) {
        gate::ring(&key, hold, tgid, notice::GONE);
    }
}

/// `int security_task_kill(struct task_struct *p, struct kernel_siginfo *info, int sig, const struct cred *cred)`
#[lsm(hook = "task_kill")]
pub(crate) fn task_kill(ctx: LsmContext) -> i32 {
    const SIGCONT: u32 = 18;
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let target = ctx.arg::<u64>(0);
    let signal = ctx.arg::<u32>(2);
    if signal == 0 {
        return ALLOW;
    }
    let facts = (|| Some((read::<u32>(target, offset!(task_pid))?, read::<u32>(target, offset!(task_tgid))?)))();
    let Some((tid, tgid)) = facts else {
        return gate::refuse(Count::PathDoubt);
    };
    if tgid == state().guardd {
        return gate::shield(&tagged, Shield::Signal);
    }
    if agent_of(target) == tagged.agent {
        // Waking what is held changes nothing, as the hook decides again; it would only make it spin.
        if signal == SIGCONT && is_held(tid) {
            return gate::shield(&tagged, Shield::Wake);
        }
        return ALLOW;
    }
    if !tagged.entry.ops.contains(Op::Signal) {
        return ALLOW;
    }
    gate::hold(&tagged, Op::Signal, |index| {
        detail(index, 0, u64::from(signal))?;
        detail(index, 1, u64::from(tgid))?;
        detail(index, 2, read::<u64>(target, offset!(task_start_boottime))?)
    })
}

/// `int security_ptrace_access_check(struct task_struct *child, unsigned int mode)`
#[lsm(hook = "ptrace_access_check")]
pub(crate) fn ptrace_access_check(ctx: LsmContext) -> i32 {
    const ATTACH: u32 = 2;
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let target = ctx.arg::<u64>(0);
    let mode = ctx.arg::<u32>(1);
    let facts = (|| Some((read::<u32>(target, offset!(task_pid))?, read::<u32>(target, offset!(task_tgid))?)))();
    let Some((tid, tgid)) = facts else {
        return gate::refuse(Count::PathDoubt);
    };
    if mode & ATTACH == 0 {
        // As `ps` does for every process.
        return if tgid == state().guardd { gate::shield_silently(&tagged) } else { ALLOW };
    }
    if tgid == state().guardd {
        return gate::shield(&tagged, Shield::Trace);
    }
    if agent_of(target) == tagged.agent {
        return if is_held(tid) { gate::shield(&tagged, Shield::Trace) } else { ALLOW };
    }
    if !tagged.entry.ops.contains(Op::Ptrace) {
        return ALLOW;
    }
    // Its callers turn every error into EPERM, so it cannot wait.
    gate::hold_in(&tagged, Op::Ptrace, SLOT_DENIED, |index| {
        detail(index, 0, u64::from(mode))?;
        detail(index, 1, u64::from(tgid))?;
        detail(index, 2, read::<u64>(target, offset!(task_start_boottime))?)
    })
}

/// Does this thread wait for a decision?
#[inline(always)]
fn is_held(tid: u32) -> bool {
    HOLDS.get_ptr(&HoldKey { id: tid, slot: SLOT_HELD }).is_some()
        || HOLDS.get_ptr(&HoldKey { id: tid, slot: SLOT_INTERPRETER }).is_some()
}
