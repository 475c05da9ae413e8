//! Execution of programs: held before the point of no return, verified again before the first instruction.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext as _,
    helpers::generated::{bpf_loop, bpf_send_signal},
    macros::{lsm, raw_tracepoint},
    programs::{LsmContext, RawTracePointContext},
};
use guard_common::{
    count::Count,
    op::{BY_ARGUMENTS, Op},
    record::{ARGV_MAX, SLOT_HELD, SLOT_INTERPRETER},
};

use crate::{
    agent::{current_agent, current_agent_id},
    arguments, argv,
    count::count,
    execution,
    expected::{self, Expected},
    gate::{self, ALLOW},
    hooks::{file::file_path, trip},
    kread::{Addr, copy_user, current, load, pointer, read},
    maps::{EXECS, TRIP},
    object, offset, prefilter, result,
    scratch::{self, slot},
};

/// `int security_bprm_check(struct linux_binprm *bprm)`, the hook `bprm_check_security`
#[lsm(hook = "bprm_check_security")]
pub(crate) fn bprm_check_security(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let bprm = ctx.arg::<u64>(0);
    let facts = (|| {
        let file: Addr = load(bprm, offset!(bprm_file));
        if file == 0 {
            return None;
        }
        let (mount, dentry) = file_path(file)?;
        // The kernel sets `interp` apart from `filename` when it goes on to a script's interpreter.
        let interpreter = pointer(bprm, offset!(bprm_filename))? != pointer(bprm, offset!(bprm_interp))?;
        Some((mount, dentry, interpreter))
    })();
    let Some((mount, dentry, interpreter)) = facts else {
        return gate::refuse(Count::PathDoubt);
    };
    let found = prefilter::look(&tagged, Op::Exec.set().in_tables().0, mount, dentry);
    if found == 0 {
        // What was judged for an exec that failed after its grant was used must not be asked of this one.
        if !interpreter {
            expected::forget(tagged.task);
        }
        return ALLOW;
    }
    let Some(argc) = read::<u32>(bprm, offset!(bprm_argc)) else {
        return gate::refuse(Count::PathDoubt);
    };
    // The arguments of a script's interpreter are not those of the call.
    if found == BY_ARGUMENTS.0
        && !interpreter
        && arguments::are_other(tagged.entry.tables, dentry, argc, |index| expected::note(index, tagged.task))
    {
        return ALLOW;
    }
    let slot_number = if interpreter { SLOT_INTERPRETER } else { SLOT_HELD };
    let answer = gate::hold_exec(&tagged, slot_number, |index| {
        argv::from_call(index, if interpreter { u32::MAX } else { argc })?;
        object::name(index, mount, dentry, false)?;
        if interpreter { Some(()) } else { expected::note(index, tagged.task) }
    });
    if answer != ALLOW {
        expected::forget(tagged.task);
    }
    answer
}

/// `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`, the tracepoint `sched_process_exec`
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    let task = current() as u64;
    let agent = current_agent_id(task);
    if agent == 0 {
        return 0;
    }
    // SAFETY: the third argument of the tracepoint.
    let bprm = unsafe { ctx.as_ptr().cast::<u64>().add(2).read() };
    // SAFETY: written before loading, constant since.
    if unsafe { core::ptr::read_volatile(&raw const TRIP) } != 0 {
        if trip::exec(bprm) {
            execution::tell(agent, bprm);
        }
        return 0;
    }
    let verified = verify(task, bprm);
    expected::forget(task);
    if verified.is_some() {
        execution::tell(agent, bprm);
    } else {
        count(Count::ExecMismatch);
        result::forget(task);
        // The program is not what was judged, or that cannot be known. It has not run an instruction and must
        // not: it can no longer be refused, only ended.
        // SAFETY: plain integer argument.
        unsafe { bpf_send_signal(9) };
    }
    0
}

/// Compares the arguments in the new program's memory with the judged ones. `None` on a difference or a doubt.
#[inline(always)]
fn verify(task: u64, bprm: Addr) -> Option<()> {
    // SAFETY: only the element's presence is used.
    if unsafe { EXECS.get(&task) }.is_none() {
        return Some(());
    }
    let argc = read::<u32>(bprm, offset!(bprm_argc))?;
    let index = scratch::claim()?;
    let same = expected::read(index, task).and_then(|expected| compare(index, argc, expected?));
    scratch::release(index);
    same
}

#[inline(always)]
fn compare(index: u32, argc: u32, expected: Expected) -> Option<()> {
    let mm = pointer(current() as u64, offset!(task_mm))?;
    let start = read::<u64>(mm, offset!(mm_arg_start))?;
    let end = read::<u64>(mm, offset!(mm_arg_end))?;
    let total = end.wrapping_sub(start);
    let wanted = if total > ARGV_MAX as u64 { ARGV_MAX as u32 } else { total as u32 };
    let memory = slot(index)?;
    // SAFETY: `exec.argv` of a claimed slot.
    let to = unsafe { (&raw mut (*memory).exec.argv).cast::<u8>() };
    let bounded = core::hint::black_box(wanted) & (2 * ARGV_MAX as u32 - 1);
    if bounded > ARGV_MAX as u32 {
        return None;
    }
    copy_user(to, bounded, start)?;
    // A script puts its interpreter before the arguments and drops the first of them; the rest must be the same.
    let mut state = Compare {
        index,
        skip_new: argc.wrapping_sub(expected.argc).wrapping_add(1),
        skip_old: 1,
        at_new: 0,
        at_old: 0,
        len_new: wanted,
        len_old: expected.len,
        done: 0,
        different: 0,
    };
    // SAFETY: the callback has the signature `bpf_loop` calls, and `state` outlives the call.
    unsafe { bpf_loop(3 * ARGV_MAX as u32, compare_byte as *mut c_void, (&raw mut state).cast(), 0) };
    if state.different != 0 || state.done == 0 {
        return None;
    }
    let seen_whole = state.at_old >= expected.len && state.at_new >= wanted && total <= ARGV_MAX as u64;
    // More than can be held was approved as such: what could be seen is the same.
    (seen_whole || expected.truncated != 0).then_some(())
}

/// State of the comparison of two argument lists.
#[repr(C)]
struct Compare {
    index: u32,
    skip_new: u32,
    skip_old: u32,
    at_new: u32,
    at_old: u32,
    len_new: u32,
    len_old: u32,
    done: u32,
    different: u32,
}

/// One byte: skips what is to be skipped on each side, then compares. Answers 1 when it is over.
extern "C" fn compare_byte(_step: u32, state: *mut Compare) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `state` was given.
    let state = unsafe { &mut *state };
    let Some(memory) = slot(state.index) else {
        state.different = 1;
        return 1;
    };
    let at_new = (core::hint::black_box(state.at_new) & (ARGV_MAX as u32 - 1)) as usize;
    let at_old = (core::hint::black_box(state.at_old) & (ARGV_MAX as u32 - 1)) as usize;
    // SAFETY: both offsets are masked to their arrays.
    let (new, old) = unsafe {
        (
            (&raw const (*memory).exec.argv).cast::<u8>().add(at_new).read(),
            (&raw const (*memory).path).cast::<u8>().add(at_old).read(),
        )
    };
    if state.skip_new != 0 && state.at_new < state.len_new {
        state.at_new += 1;
        if new == 0 {
            state.skip_new -= 1;
        }
        return 0;
    }
    if state.skip_old != 0 && state.at_old < state.len_old {
        state.at_old += 1;
        if old == 0 {
            state.skip_old -= 1;
        }
        return 0;
    }
    // Only after skipping: a command of one word has nothing behind what is skipped, on either side.
    if state.at_new >= state.len_new || state.at_old >= state.len_old {
        state.done = 1;
        return 1;
    }
    if new != old {
        state.different = 1;
        return 1;
    }
    state.at_new += 1;
    state.at_old += 1;
    0
}
