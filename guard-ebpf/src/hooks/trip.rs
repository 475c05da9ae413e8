//! The trip tier, for kernels that refuse LSM programs: tracepoints stop what the gate would have held.
//!
//! An exec stops before the new program's first instruction. Anything else stops at once after its first effect:
//! a tracepoint cannot undo a call. The daemon never calls that prevention. Paths are as the program gave them;
//! the daemon resolves them against the stopped process.

use aya_ebpf::{
    EbpfContext as _, helpers::generated::bpf_send_signal_thread, macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use guard_common::{
    count::Count,
    notice,
    op::Op,
    record::{ARGV_MAX, HoldKey, PATH_MAX, SLOT_HELD, context, doubt},
};

use crate::{
    agent::{Tagged, current_agent, current_agent_id, inherit},
    count::count,
    gate::ring,
    hooks::{file::detail, task},
    kread::{Addr, copy_user, copy_user_str, current, pointer, read},
    maps::HOLDS,
    object::{self, begin},
    offset,
    scratch::{self, slot},
};

const SIGSTOP: u32 = 19;
const SIGKILL: u32 = 9;

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)`, the tracepoint `sched_process_fork`
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    let agent = current_agent_id(current() as u64);
    if !inherit(argument(&ctx, 1), agent) {
        count(Count::TagFailed);
    }
    0
}

/// `TP_PROTO(struct task_struct *p)`, the tracepoint `sched_process_exit` (7.0 and later pass more after it)
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn sched_process_exit(ctx: RawTracePointContext) -> i32 {
    task::end(argument(&ctx, 0));
    0
}

/// `TP_PROTO(struct pt_regs *regs, long id)`, the tracepoint `sys_enter`
#[raw_tracepoint(tracepoint = "sys_enter")]
pub(crate) fn sys_enter(ctx: RawTracePointContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return 0;
    };
    let regs = argument(&ctx, 0);
    if let Some(call) = call(regs, argument(&ctx, 1))
        && tagged.entry.ops.contains(call.op)
    {
        trip(&tagged, &call);
    }
    0
}

/// The next program's first instruction has not run: stop it here when a rule may name it.
#[inline(always)]
pub(crate) fn exec(bprm: Addr) {
    let Some(tagged) = current_agent() else {
        return;
    };
    let Some(index) = scratch::claim() else {
        kill();
        return;
    };
    if tagged.entry.ops.contains(Op::Exec) {
        let stopped =
            record_exec(index, &tagged, bprm).and_then(|candidate| if candidate { stop(index) } else { Some(()) });
        if stopped.is_none() {
            // It cannot be stopped or described, so it must not run.
            kill();
        }
    }
    scratch::release(index);
}

/// Answers whether a rule may match.
#[inline(always)]
fn record_exec(index: u32, tagged: &Tagged, bprm: Addr) -> Option<bool> {
    let file = pointer(bprm, offset!(bprm_file))?;
    let mount = pointer(file, offset!(file_path))?;
    let dentry = pointer(file, offset!(file_path) + 8)?;
    if !crate::prefilter::path_of_numbers(tagged, Op::Exec.set(), mount, dentry) {
        return Some(false);
    }
    begin(index, tagged.agent, tagged.task, Op::Exec)?;
    object::name(index, mount, dentry, false)?;
    let mm = pointer(current() as u64, offset!(task_mm))?;
    let start = read::<u64>(mm, offset!(mm_arg_start))?;
    let total = read::<u64>(mm, offset!(mm_arg_end))?.wrapping_sub(start);
    let memory = slot(index)?;
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*memory).record };
    record.argc = read::<u32>(bprm, offset!(bprm_argc))?;
    let len = if total > ARGV_MAX as u64 {
        record.doubt |= doubt::ARGV;
        ARGV_MAX as u32
    } else {
        total as u32
    };
    let bounded = core::hint::black_box(len) & (2 * ARGV_MAX as u32 - 1);
    if bounded > ARGV_MAX as u32 {
        return None;
    }
    if copy_user((&raw mut record.argv).cast(), bounded, start).is_some() {
        record.argv_len = bounded;
    } else {
        record.doubt |= doubt::ARGV;
    }
    Some(true)
}

/// One system call that may matter.
struct Call {
    op: Op,
    /// Address of the path in the process, and the directory descriptor it is relative to.
    path: u64,
    directory: u64,
    other: u64,
    other_directory: u64,
    value: u64,
}

/// `AT_FDCWD`
const CWD: u64 = -100_i64 as u64;

/// What this call would do; `None` for one that is not watched. The numbers are those of x86-64.
#[inline(always)]
fn call(regs: Addr, number: u64) -> Option<Call> {
    const DI: u32 = 14 * 8;
    const SI: u32 = 13 * 8;
    const DX: u32 = 12 * 8;
    const R10: u32 = 7 * 8;
    let at = |op, path, directory, value| Some(Call { op, path, directory, other: 0, other_directory: CWD, value });
    let first = || read::<u64>(regs, DI);
    let second = || read::<u64>(regs, SI);
    let third = || read::<u64>(regs, DX);
    match number {
        87 => at(Op::Unlink, first()?, CWD, 0),
        84 => at(Op::Rmdir, first()?, CWD, 0),
        263 => {
            /// `AT_REMOVEDIR`
            const REMOVEDIR: u64 = 0x200;
            let op = if third()? & REMOVEDIR != 0 { Op::Rmdir } else { Op::Unlink };
            at(op, second()?, first()?, 0)
        }
        82 => Some(Call {
            op: Op::Rename,
            path: first()?,
            directory: CWD,
            other: second()?,
            other_directory: CWD,
            value: 0,
        }),
        264 | 316 => Some(Call {
            op: Op::Rename,
            path: second()?,
            directory: first()?,
            other: read(regs, R10)?,
            other_directory: third()?,
            value: 0,
        }),
        76 => at(Op::Truncate, first()?, CWD, 0),
        2 => open(first()?, CWD, second()?),
        257 => open(second()?, first()?, third()?),
        85 => open(first()?, CWD, 0o1001),
        90 => at(Op::Chmod, first()?, CWD, second()?),
        268 => at(Op::Chmod, second()?, first()?, third()?),
        92 | 94 => at(Op::Chown, first()?, CWD, second()?),
        260 => at(Op::Chown, second()?, first()?, third()?),
        165 => at(Op::Mount, second()?, CWD, 0),
        166 => at(Op::Umount, first()?, CWD, second()?),
        _ => None,
    }
}

/// Opens for writing alone: a stop at every read would be a standstill, and the daemon says that they pass.
#[inline(always)]
fn open(path: u64, directory: u64, flags: u64) -> Option<Call> {
    let writes = flags & 3 != 0 || flags & 0o1000 != 0;
    writes.then_some(Call { op: Op::OpenWrite, path, directory, other: 0, other_directory: CWD, value: flags })
}

/// Records the call and stops the task when it returns from it.
#[inline(never)]
fn trip(tagged: &Tagged, call: &Call) {
    let Some(index) = scratch::claim() else {
        kill();
        return;
    };
    if record_call(index, tagged, call).and_then(|()| stop(index)).is_none() {
        kill();
    }
    scratch::release(index);
}

#[inline(always)]
fn record_call(index: u32, tagged: &Tagged, call: &Call) -> Option<()> {
    begin(index, tagged.agent, tagged.task, call.op)?;
    detail(index, 0, call.value)?;
    detail(index, 2, call.other_directory)?;
    detail(index, 3, call.directory)?;
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    match copy_user_str((&raw mut record.path).cast(), PATH_MAX as u32, call.path) {
        Some(len) => record.path_len = len - 1,
        None => {
            // A page not touched yet: the daemon reads it when the process is stopped.
            record.doubt |= doubt::READ;
            record.detail[1] = call.path;
        }
    }
    if call.other != 0 {
        match copy_user_str((&raw mut record.other_path).cast(), PATH_MAX as u32, call.other) {
            Some(len) => record.other_path_len = len - 1,
            None => record.doubt |= doubt::READ,
        }
    }
    Some(())
}

/// Writes the hold and stops the task; `None` when that failed.
#[inline(always)]
fn stop(index: u32) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    record.context = context::TRIPPED;
    let key = HoldKey { id: record.tid, slot: SLOT_HELD };
    if HOLDS.insert(&key, record, 0).is_err() {
        count(Count::HoldsFull);
        return None;
    }
    // SAFETY: plain integer argument.
    if unsafe { bpf_send_signal_thread(SIGSTOP) } != 0 {
        count(Count::SignalFailed);
        HOLDS.remove(&key).ok()?;
        return None;
    }
    count(Count::Held);
    ring(&key, record.hold, record.tgid, notice::HELD);
    Some(())
}

/// Ends a task that could not be stopped.
#[inline(always)]
fn kill() {
    // SAFETY: plain integer argument.
    if unsafe { bpf_send_signal_thread(SIGKILL) } != 0 {
        count(Count::SignalFailed);
    }
}

#[inline(always)]
fn argument(ctx: &RawTracePointContext, index: usize) -> u64 {
    // SAFETY: the tracepoint has at least as many arguments as its prototype above says.
    unsafe { ctx.as_ptr().cast::<u64>().add(index).read() }
}
