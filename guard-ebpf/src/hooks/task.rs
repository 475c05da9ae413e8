//! Tasks: the tag is inherited here, and signals to others are held here.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{
    count::Count,
    notice,
    op::{Op, signal},
    record::{HoldKey, SLOT_DENIED, SLOT_HELD, SLOT_INTERPRETER},
    shield::Shield,
};

use crate::{
    agent::{agent_of, current_agent, current_agent_id, forget, inherit, state},
    expected,
    gate::{self, ALLOW},
    held,
    hooks::file::detail,
    kread::{Addr, current, is_compat, read, register, registers},
    maps::{GRANTS, HOLDS},
    offset,
    pass::{self, Answer, Several},
    result,
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
        result::forget(task);
    }
    forget(task);
}

/// Closes what waited for a task that is gone. Its number may be another's by now, which may be held: a task is freed
/// later than its number. Of a process that ended, guardd closes the rest.
#[inline(always)]
fn close(task: Addr) {
    let ids = (|| {
        let start = read::<u64>(task, offset!(task_start_boottime))?;
        Some((read::<u32>(task, offset!(task_pid))?, read::<u32>(task, offset!(task_tgid))?, start))
    })();
    let Some((tid, tgid, start)) = ids else {
        return;
    };
    close_one(HoldKey { id: tid, slot: SLOT_HELD }, tgid, start);
    close_one(HoldKey { id: tid, slot: SLOT_INTERPRETER }, tgid, start);
    if tid == tgid {
        close_one(HoldKey { id: tgid, slot: SLOT_DENIED }, tgid, start);
    }
}

#[inline(always)]
fn close_one(key: HoldKey, tgid: u32, start: u64) {
    // SAFETY: the fields are copied at once.
    let Some((hold, of)) = (unsafe { HOLDS.get(&key) }).map(|held| (held.hold, held.start_boottime)) else {
        return;
    };
    if of != start {
        return;
    }
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
    let own = agent_of(target) == tagged.agent;
    // Waking what is held changes nothing, as the hook decides again; it would only make it spin.
    if own && signal == SIGCONT && is_held(tid) {
        return gate::shield(&tagged, Shield::Wake);
    }
    if !own && !tagged.entry.ops.contains(Op::Signal) {
        return ALLOW;
    }
    // A call that reaches several is asked about once, and what is answered lasts for all of them.
    let several = several();
    if let Some(several) = several
        && let Some(answer) = pass::answer(tagged.task, several, signal, tgid)
    {
        return match answer {
            Answer::Asked => gate::RESTART,
            Answer::Denied if own => ALLOW,
            Answer::Denied => gate::EPERM,
            Answer::Approved => ALLOW,
        };
    }
    if own {
        return ALLOW;
    }
    let answer = gate::hold(&tagged, Op::Signal, |index| {
        detail(index, 0, u64::from(signal))?;
        match several {
            Some(Several::Pid(pid)) => detail(index, 2, i64::from(pid).cast_unsigned()),
            Some(Several::Pidfd(fd)) => detail(index, 2, signal::PIDFD_GROUP | u64::from(fd)),
            None => {
                detail(index, 1, u64::from(tgid))?;
                detail(index, 2, read::<u64>(target, offset!(task_start_boottime))?)
            }
        }
    });
    if let Some(several) = several {
        let answer = match answer {
            ALLOW => Answer::Approved,
            gate::RESTART => Answer::Asked,
            _ => Answer::Denied,
        };
        pass::note_answer(tagged.task, several, signal, tgid, answer);
    }
    answer
}

/// Which processes the current call sends a signal to, where that may be several.
#[inline(always)]
fn several() -> Option<Several> {
    const KILL: u64 = 62;
    const PIDFD_SEND_SIGNAL: u64 = 424;
    /// Through the 32-bit entry; `pidfd_send_signal` has one number everywhere.
    const KILL32: u64 = 37;
    /// `PIDFD_SIGNAL_PROCESS_GROUP`, from 6.9 on; earlier kernels refuse it.
    const GROUP: u64 = 4;
    let task = current();
    let regs = registers(task);
    let compat = is_compat(task as u64)?;
    // x32 calls carry bit 30.
    let call = read::<u64>(regs, register::ORIG_AX)? & 0xbfff_ffff;
    let first = read::<u64>(regs, if compat { register::BX } else { register::DI })? as u32;
    if call == if compat { KILL32 } else { KILL } {
        return (first.cast_signed() <= 0).then_some(Several::Pid(first.cast_signed()));
    }
    let flags = read::<u64>(regs, if compat { register::SI } else { register::R10 })?;
    (call == PIDFD_SEND_SIGNAL && flags & GROUP != 0).then_some(Several::Pidfd(first))
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
