//! Grant? Hold? The one place that returns -513 or -EPERM.
//!
//! Every run of a hook decides again from the maps; nothing remembers "already stopped once". A hook hands over
//! a claimed scratch with the finished record in it and returns what it gets.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid,
    generated::{bpf_ktime_get_boot_ns, bpf_send_signal_thread},
};
use guard_common::{
    count::Count,
    grant::{APPROVE, CLEAR},
    notice::{self, Notice},
    op::Op,
    record::{HoldKey, HoldRecord, SLOT_DENIED, SLOT_HELD, context},
    shield::Shield,
};

use crate::{
    agent::Tagged,
    clear,
    count::count,
    held,
    kread::{current, read, regs},
    maps::{GRANTS, HOLDS, NOTICES},
    object::begin,
    offset, quota, result,
    scratch::{self, slot},
};

/// The operation may go on.
pub(crate) const ALLOW: i32 = 0;
/// Refused for good, with an error every program knows.
pub(crate) const EPERM: i32 = -1;
/// `-ERESTARTNOINTR`: undone, and done again after the stop.
pub(crate) const RESTART: i32 = -513;
const SIGSTOP: u32 = 19;

/// Holds what the closure records, unless a grant lets it through.
///
/// `fill` writes the record of a claimed scratch; when it cannot, the operation is refused.
#[inline(always)]
pub(crate) fn hold(tagged: &Tagged, op: Op, fill: impl FnOnce(u32) -> Option<()>) -> i32 {
    hold_in(tagged, op, SLOT_HELD, fill)
}

/// As [`hold`], under another slot of the same task.
#[inline(always)]
pub(crate) fn hold_in(tagged: &Tagged, op: Op, slot_number: u32, fill: impl FnOnce(u32) -> Option<()>) -> i32 {
    if tagged.entry.canary != 0 {
        return refuse(Count::Canary);
    }
    let Some(index) = scratch::claim() else {
        return EPERM;
    };
    let filled = begin(index, tagged.agent, tagged.task, op).and_then(|()| fill(index));
    let answer = match filled {
        Some(()) => decide(index, slot_number),
        None => EPERM,
    };
    scratch::release(index);
    answer
}

/// As [`hold_in`], for an exec: guardd is not asked about one that the same rules cleared before.
#[inline(always)]
pub(crate) fn hold_exec(tagged: &Tagged, slot_number: u32, fill: impl FnOnce(u32) -> Option<()>) -> i32 {
    if tagged.entry.canary != 0 {
        return refuse(Count::Canary);
    }
    let Some(index) = scratch::claim() else {
        return EPERM;
    };
    let filled = begin(index, tagged.agent, tagged.task, Op::Exec).and_then(|()| fill(index));
    let answer = match filled {
        Some(()) => match clear::is_remembered(index, tagged.entry.policy, slot_number) {
            true => ALLOW,
            false => decide_and_remember(index, slot_number),
        },
        None => EPERM,
    };
    scratch::release(index);
    answer
}

#[inline(always)]
fn decide_and_remember(index: u32, slot_number: u32) -> i32 {
    clear::begin(index);
    let answer = decide(index, slot_number);
    clear::remember(index);
    answer
}

/// Refuses without a record what no human may approve, and counts it.
#[inline(always)]
pub(crate) fn refuse(what: Count) -> i32 {
    count(what);
    EPERM
}

/// Refuses an agent what would harm guard itself, and says so.
#[inline(always)]
pub(crate) fn shield(tagged: &Tagged, what: Shield) -> i32 {
    if tagged.entry.canary == 0 {
        let ids = bpf_get_current_pid_tgid();
        let key = HoldKey { id: ids as u32, slot: what as u32 };
        ring_with(&key, tagged.agent, (ids >> 32) as u32, notice::SHIELDED, NO_WAKEUP);
    }
    shield_silently(tagged)
}

/// The same, of what ordinary programs do without meaning harm.
#[inline(always)]
pub(crate) fn shield_silently(tagged: &Tagged) -> i32 {
    refuse(if tagged.entry.canary != 0 { Count::Canary } else { Count::Shielded })
}

/// Decides on the record in a claimed scratch.
#[inline(always)]
fn decide(index: u32, slot_number: u32) -> i32 {
    match core::hint::black_box(decide_apart(index, slot_number)) {
        ALLOW => ALLOW,
        RESTART => RESTART,
        _ => EPERM,
    }
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn decide_apart(index: u32, slot_number: u32) -> i32 {
    try_decide(index, slot_number).unwrap_or(EPERM)
}

#[inline(always)]
fn try_decide(index: u32, slot_number: u32) -> Option<i32> {
    let memory = slot(index)?;
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*memory).record };
    if slot_number == SLOT_DENIED || !can_wait() {
        record.context = context::DENIED;
    }
    let key = if record.context == context::DENIED {
        HoldKey { id: record.tgid, slot: SLOT_DENIED }
    } else {
        HoldKey { id: record.tid, slot: slot_number }
    };
    if let Some(held) = HOLDS.get_ptr_mut(&key) {
        // SAFETY: only this task writes under its own key; the daemon at most removes the element, and then a
        // grant under the key is gone too.
        let held = unsafe { &mut *held };
        let long = held::is_long(held);
        if held::same(&key, held, index)? {
            // Read only now: were the element reused for another hold meanwhile, no grant for this one would do.
            // SAFETY: a field of a map value.
            let hold = unsafe { core::ptr::read_volatile(&raw const held.hold) };
            if let Some(answer) = use_grant(index, &key, held, hold, long) {
                return Some(answer);
            }
            held.stops += 1;
            count(Count::HeldAgain);
            let (tgid, stops) = (held.tgid, held.stops);
            return Some(stop(&key, record.context, hold, tgid, notice::HELD_AGAIN, stops & (stops - 1) == 0));
        }
    }
    if GRANTS.remove(&key).is_ok() {
        count(Count::GrantVoid);
    }
    quota::note(record);
    held::insert(&key, index)?;
    count(Count::Held);
    Some(stop(&key, record.context, record.hold, record.tgid, notice::HELD, true))
}

/// Uses the grant for exactly this hold; `None` when there is none that is good.
#[inline(always)]
fn use_grant(index: u32, key: &HoldKey, held: &HoldRecord, hold: u64, long: bool) -> Option<i32> {
    // SAFETY: fields are copied at once.
    let grant = unsafe { GRANTS.get(key) }?;
    let (granted, deadline, verdict, policy) = (grant.hold, grant.deadline, grant.verdict, grant.policy);
    let tgid = held.tgid;
    // Removing it is what makes it single-use: of two threads only one succeeds.
    GRANTS.remove(key).ok()?;
    // SAFETY: no arguments; the helper cannot fail.
    if granted != hold || unsafe { bpf_ktime_get_boot_ns() } > deadline {
        count(Count::GrantVoid);
        return None;
    }
    if policy != 0 && verdict == CLEAR {
        clear::note(index, key, held, policy);
    }
    // The daemon may have removed it first; the grant was used all the same.
    held::remove(key, long);
    let approved = verdict == APPROVE || verdict == CLEAR;
    count(if approved { Count::Approved } else { Count::Denied });
    let wake = if verdict == CLEAR { NO_WAKEUP } else { FORCE_WAKEUP };
    // How a ring's call ends says nothing of the operations in it.
    let unheard = verdict == APPROVE && !(can_wait() && result::note(key, hold));
    let kind = match (approved, unheard) {
        (true, false) => notice::APPROVED,
        (true, true) => notice::APPROVED_UNHEARD,
        (false, _) => notice::DENIED,
    };
    ring_with(key, hold, tgid, kind, wake);
    // Opaque, so that the answer comes from a branch: computed from a bit, the verifier cannot tell its range.
    Some(if core::hint::black_box(u32::from(approved)) == 0 { EPERM } else { ALLOW })
}

/// Stops the task and has the call done again, or refuses it where that cannot be.
#[inline(always)]
fn stop(key: &HoldKey, how: u32, hold: u64, tgid: u32, kind: u32, tell: bool) -> i32 {
    if how == context::DENIED {
        count(Count::DeniedContext);
        ring(key, hold, tgid, kind);
        return EPERM;
    }
    // What was let through before in this call is undone with it.
    result::forget(current() as u64);
    // SAFETY: plain integer argument.
    if unsafe { bpf_send_signal_thread(SIGSTOP) } != 0 {
        count(Count::SignalFailed);
        held::remove(key, true);
        return EPERM;
    }
    if tell {
        ring(key, hold, tgid, kind);
    }
    RESTART
}

/// Rings the doorbell. A full ring loses the notice, not the hold.
#[inline(always)]
pub(crate) fn ring(key: &HoldKey, hold: u64, tgid: u32, kind: u32) {
    ring_with(key, hold, tgid, kind, FORCE_WAKEUP);
}

/// `BPF_RB_NO_WAKEUP`: read when the daemon wakes for something else.
pub(crate) const NO_WAKEUP: u64 = 1;
/// Neither of the two: read with what is unread already, or woken for.
pub(crate) const WAKEUP_ONCE: u64 = 0;
/// `BPF_RB_FORCE_WAKEUP`: without it the kernel wakes nobody while an earlier notice is unread.
pub(crate) const FORCE_WAKEUP: u64 = 2;

#[inline(always)]
pub(crate) fn ring_with(key: &HoldKey, hold: u64, tgid: u32, kind: u32, wake: u64) {
    let notice = Notice { key: *key, hold, kind, tgid };
    if NOTICES.output::<Notice>(&notice, wake).is_err() {
        count(Count::NoticeLost);
    }
}

/// False where a restarted call would not reach the program: kernel threads, dying tasks, `io_uring` and AIO,
/// which turn the restart into `EINTR`.
#[inline(always)]
fn can_wait() -> bool {
    /// `PF_EXITING | PF_IO_WORKER | PF_DUMPCORE | PF_KTHREAD`
    const CANNOT: u32 = 0x4 | 0x10 | 0x200 | 0x0020_0000;
    let task = current();
    match (read::<u32>(task as u64, offset!(task_flags)), regs(task)) {
        (Some(flags), Some(regs)) => {
            // io_uring_enter has one number everywhere; io_submit is 209, and 248 through the 32-bit entry.
            let aio = if regs.compat { 248 } else { 209 };
            // x32 calls carry bit 30.
            let call = regs.orig_ax & 0xbfff_ffff;
            flags & CANNOT == 0 && call != 426 && call != aio
        }
        _ => false,
    }
}
