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
    record::{ARGV_MAX, HoldKey, SLOT_HELD, context, doubt},
};

use crate::{
    agent::{Tagged, agent_of, current_agent, current_agent_id, inherit, state},
    count::count,
    gate::ring,
    held,
    hooks::{file::detail, returned::returned, task},
    kread::{Addr, copy_user, current, pointer, read, regs},
    maps::HOLDS,
    object::{self, begin},
    offset,
    prefilter::path_of_numbers,
    scratch::{self, slot},
};

/// `-EBUSY`
const EBUSY: i64 = -16;
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

/// `TP_PROTO(struct pt_regs *regs, long ret)`, the tracepoint `sys_exit`
#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn sys_exit(ctx: RawTracePointContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return 0;
    };
    if returned(&tagged, argument(&ctx, 0), argument(&ctx, 1) as i32).is_none() {
        // What it did cannot be known, or it could not be stopped.
        kill();
    }
    0
}

/// `TP_PROTO(int sig, struct kernel_siginfo *info, struct task_struct *task, int group, int result)`, the tracepoint
/// `signal_generate`: one for each process a signal goes to, whichever call sent it
#[raw_tracepoint(tracepoint = "signal_generate")]
pub(crate) fn signal_generate(ctx: RawTracePointContext) -> i32 {
    let info = argument(&ctx, 1);
    if !sent_by_a_call(info) {
        return 0;
    }
    let Some(tagged) = current_agent() else {
        return 0;
    };
    let target = argument(&ctx, 2);
    if agent_of(target) != tagged.agent && signalled(&tagged, argument(&ctx, 0), target).is_none() {
        kill();
    }
    0
}

/// The next program's first instruction has not run: stop it here when a rule may name it. False where it must not run.
#[inline(always)]
pub(crate) fn exec(bprm: Addr) -> bool {
    let Some(tagged) = current_agent() else {
        return true;
    };
    let Some(index) = scratch::claim() else {
        kill();
        return false;
    };
    let mut runs = true;
    if tagged.entry.ops.contains(Op::Exec) {
        let stopped =
            record_exec(index, &tagged, bprm).and_then(|candidate| if candidate { stop(index) } else { Some(()) });
        if stopped.is_none() {
            // It cannot be stopped or described, so it must not run.
            kill();
            runs = false;
        }
    }
    scratch::release(index);
    runs
}

/// Answers whether a rule may match.
#[inline(always)]
fn record_exec(index: u32, tagged: &Tagged, bprm: Addr) -> Option<bool> {
    let file = pointer(bprm, offset!(bprm_file))?;
    let mount = pointer(file, offset!(file_path))?;
    let dentry = pointer(file, offset!(file_path) + 8)?;
    if !path_of_numbers(tagged, Op::Exec.set(), mount, dentry) {
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
    // SAFETY: another part of the same slot.
    let to = unsafe { (&raw mut (*memory).exec.argv).cast() };
    if copy_user(to, bounded, start).is_some() {
        record.argv_len = bounded;
    } else {
        record.doubt |= doubt::ARGV;
    }
    Some(true)
}

/// Did a program ask for this signal? Timers, terminals and the kernel send signals too.
#[inline(always)]
fn sent_by_a_call(info: Addr) -> bool {
    /// `SI_USER`, `SI_QUEUE`, `SI_TKILL`; `si_code` is the third word.
    const USER: i32 = 0;
    const QUEUE: i32 = -1;
    const TKILL: i32 = -6;
    // 0 and 1 stand for the kernel itself.
    if info <= 1 {
        return false;
    }
    match read::<i32>(info, 8) {
        Some(USER | QUEUE | TKILL) => true,
        // `rt_sigqueueinfo` and relatives choose their code.
        Some(code) if code < 0 => {
            let regs = regs(current());
            regs.is_none_or(|regs| matches!(regs.orig_ax & 0xbfff_ffff, 129 | 178 | 297 | 335 | 424 | 524 | 536))
        }
        Some(_) => false,
        None => true,
    }
}

#[inline(never)]
fn signalled(tagged: &Tagged, signal: u64, target: Addr) -> Option<()> {
    let index = scratch::claim()?;
    let recorded = on_process(index, tagged, Op::Signal, &Reached { value: signal, target, number: 0 });
    let stopped = recorded.and_then(|wanted| if wanted { stop(index) } else { Some(()) });
    scratch::release(index);
    stopped
}

/// A process that something was done to.
pub(crate) struct Reached {
    /// Goes into the record as its first detail.
    pub(crate) value: u64,
    /// Its `task_struct`; 0 when it is not known.
    pub(crate) target: Addr,
    /// What the caller calls it, where its `task_struct` is not known.
    pub(crate) number: u64,
}

/// Records an operation on another process. What is done to guardd is recorded whatever the rules ask for.
#[inline(always)]
pub(crate) fn on_process(index: u32, tagged: &Tagged, op: Op, reached: &Reached) -> Option<bool> {
    // Plain numbers: of an `Option` the verifier would see a half that was never written.
    let (mut tgid, mut start, mut unknown) = (reached.number, 0, true);
    if let Some(found) = read::<u32>(reached.target, offset!(task_tgid))
        && let Some(since) = read::<u64>(reached.target, offset!(task_start_boottime))
    {
        (tgid, start, unknown) = (u64::from(found), since, false);
    }
    let guardd = !unknown && tgid == u64::from(state().guardd);
    if guardd {
        count(Count::Shielded);
    } else if !tagged.entry.ops.contains(op) {
        return Some(false);
    }
    begin(index, tagged.agent, tagged.task, op)?;
    detail(index, 0, reached.value)?;
    detail(index, 1, tgid)?;
    detail(index, 2, start)?;
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    let key = HoldKey { id: record.tid, slot: SLOT_HELD };
    if unknown || HOLDS.get_ptr(&key).is_some() {
        // One call reached several processes, and one record cannot name them all.
        record.doubt |= doubt::READ;
    }
    Some(true)
}

/// Writes the hold and stops the task; `None` when that failed.
#[inline(always)]
pub(crate) fn stop(index: u32) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    record.context = context::TRIPPED;
    let key = HoldKey { id: record.tid, slot: SLOT_HELD };
    held::insert(&key, index)?;
    // SAFETY: plain integer argument.
    let failed = unsafe { bpf_send_signal_thread(SIGSTOP) };
    // Where interrupts are off the kernel stops the task a moment later, and takes one such order at a time.
    if failed != 0 && failed != EBUSY {
        count(Count::SignalFailed);
        held::remove(&key, true);
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
pub(crate) fn argument(ctx: &RawTracePointContext, index: usize) -> u64 {
    // SAFETY: the tracepoint has at least as many arguments as its prototype above says.
    unsafe { ctx.as_ptr().cast::<u64>().add(index).read() }
}
