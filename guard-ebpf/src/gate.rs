//! Grant? Hold? The one place that returns -513 or -EPERM.
//!
//! Every run of a hook decides again from the maps; nothing remembers "already stopped once". A hook hands over
//! a claimed scratch with the finished record in it and returns what it gets.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_ktime_get_boot_ns, bpf_loop, bpf_send_signal_thread};
use guard_common::{
    count::Count,
    grant::APPROVE,
    notice::{self, Notice},
    op::{Op, OpSet},
    record::{ARGV_MAX, HoldKey, HoldRecord, NAME_MAX, Object, SLOT_DENIED, SLOT_HELD, context, doubt},
};

use crate::{
    agent::Tagged,
    count::count,
    kread::{current, read, regs},
    maps::{GRANTS, HOLDS, NOTICES},
    object::begin,
    offset,
    scratch::{self, slot},
};

/// The operation may go on.
pub(crate) const ALLOW: i32 = 0;
/// Refused for good, with an error every program knows.
const EPERM: i32 = -1;
/// `-ERESTARTNOINTR`: undone, and done again after the stop.
const RESTART: i32 = -513;
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

/// Refuses without a record what no human may approve, and counts it.
#[inline(always)]
pub(crate) fn refuse(what: Count) -> i32 {
    count(what);
    EPERM
}

/// Decides on the record in a claimed scratch.
#[inline(never)]
fn decide(index: u32, slot_number: u32) -> i32 {
    match try_decide(index, slot_number) {
        Some(answer) => answer,
        None => EPERM,
    }
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
        if same(held, index)? {
            if let Some(answer) = use_grant(&key, held.hold, held.tgid) {
                return Some(answer);
            }
            held.stops += 1;
            count(Count::HeldAgain);
            let (hold, tgid, stops) = (held.hold, held.tgid, held.stops);
            return Some(stop(&key, record.context, hold, tgid, notice::HELD_AGAIN, stops & (stops - 1) == 0));
        }
    }
    if GRANTS.remove(&key).is_ok() {
        count(Count::GrantVoid);
    }
    if HOLDS.insert(&key, record, 0).is_err() {
        count(Count::HoldsFull);
        return None;
    }
    count(Count::Held);
    Some(stop(&key, record.context, record.hold, record.tgid, notice::HELD, true))
}

/// Uses the grant for exactly this hold; `None` when there is none that is good.
#[inline(always)]
fn use_grant(key: &HoldKey, hold: u64, tgid: u32) -> Option<i32> {
    // SAFETY: fields are copied at once.
    let grant = unsafe { GRANTS.get(key) }?;
    let (granted, deadline, verdict) = (grant.hold, grant.deadline, grant.verdict);
    // Removing it is what makes it single-use: of two threads only one succeeds.
    GRANTS.remove(key).ok()?;
    // SAFETY: no arguments; the helper cannot fail.
    if granted != hold || unsafe { bpf_ktime_get_boot_ns() } > deadline {
        count(Count::GrantVoid);
        return None;
    }
    if HOLDS.remove(key).is_err() {
        // The daemon removed it first; the grant was used all the same.
    }
    let approved = verdict == APPROVE;
    count(if approved { Count::Approved } else { Count::Denied });
    ring(key, hold, tgid, if approved { notice::APPROVED } else { notice::DENIED });
    Some(if approved { ALLOW } else { EPERM })
}

/// Stops the task and has the call done again, or refuses it where that cannot be.
#[inline(always)]
fn stop(key: &HoldKey, how: u32, hold: u64, tgid: u32, kind: u32, tell: bool) -> i32 {
    if how == context::DENIED {
        count(Count::DeniedContext);
        ring(key, hold, tgid, kind);
        return EPERM;
    }
    // SAFETY: plain integer argument.
    if unsafe { bpf_send_signal_thread(SIGSTOP) } != 0 {
        count(Count::SignalFailed);
        if HOLDS.remove(key).is_err() {
            // Nothing waits under this key, which is what was wanted.
        }
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
    let notice = Notice { key: *key, hold, kind, tgid };
    if NOTICES.output::<Notice>(&notice, 0).is_err() {
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

const ARGV: u32 = 0;
const OTHER_PATH: u32 = 1;

/// Is the operation in the scratch the one that is held?
#[inline(always)]
fn same(held: &HoldRecord, index: u32) -> Option<bool> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &(*slot(index)?).record };
    // What could not be read cannot be known to be the same.
    if record.doubt & doubt::READ != 0 {
        return Some(false);
    }
    if held.op != record.op
        || held.agent != record.agent
        || held.start_boottime != record.start_boottime
        || held.tgid != record.tgid
        || held.flags != record.flags
        || held.context != record.context
        || held.doubt != record.doubt
        || held.argv_len != record.argv_len
        || held.argc != record.argc
        || held.address_len != record.address_len
    {
        return Some(false);
    }
    let mut index_of_detail = 0;
    while index_of_detail < 4 {
        if held.detail[index_of_detail] != record.detail[index_of_detail] {
            return Some(false);
        }
        index_of_detail += 1;
    }
    if !same_object(&held.target, &record.target) || !same_object(&held.other, &record.other) {
        return Some(false);
    }
    if !same_words(&held.address, &record.address, record.address_len as usize) {
        return Some(false);
    }
    let text = OpSet(Op::Symlink.set().0 | Op::Mount.set().0);
    if 1_u64.wrapping_shl(held.op) & text.0 != 0
        && (held.other_path_len != record.other_path_len || !same_text(index, held, OTHER_PATH, record.other_path_len))
    {
        return Some(false);
    }
    Some(held.argv_len == 0 || same_text(index, held, ARGV, record.argv_len))
}

#[inline(always)]
fn same_object(left: &Object, right: &Object) -> bool {
    left.ino == right.ino
        && left.parent_ino == right.parent_ino
        && left.dev == right.dev
        && left.generation == right.generation
        && left.mode & 0o170_000 == right.mode & 0o170_000
        && left.rdev == right.rdev
        && same_words(&left.name, &right.name, NAME_MAX)
}

/// Compares two arrays word by word, up to the one that holds byte `len - 1`.
#[inline(always)]
fn same_words<const N: usize>(left: &[u8; N], right: &[u8; N], len: usize) -> bool {
    let (left, right) = (left.as_ptr().cast::<u64>(), right.as_ptr().cast::<u64>());
    let mut index = 0;
    while index < N / 8 {
        if index * 8 >= len {
            return true;
        }
        // SAFETY: inside both arrays, which are aligned to eight in their structs.
        if unsafe { core::ptr::read_volatile(left.add(index)) != core::ptr::read_volatile(right.add(index)) } {
            return false;
        }
        index += 1;
    }
    true
}

/// State of a comparison of text too long for a plain loop.
#[repr(C)]
struct Text {
    held: *const HoldRecord,
    index: u32,
    which: u32,
    len: u32,
    different: u32,
}

#[inline(always)]
fn same_text(index: u32, held: &HoldRecord, which: u32, len: u32) -> bool {
    let mut text = Text { held, index, which, len, different: 0 };
    // SAFETY: `compare_word` has the signature `bpf_loop` calls, and `text` outlives the call.
    let done = unsafe { bpf_loop((ARGV_MAX / 8) as u32, compare_word as *mut c_void, (&raw mut text).cast(), 0) };
    done >= 0 && text.different == 0
}

/// Compares eight bytes; answers 1 when the comparison is over.
extern "C" fn compare_word(word: u32, text: *mut Text) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `text` was given.
    let text = unsafe { &mut *text };
    if word * 8 >= text.len {
        return 1;
    }
    let at = (core::hint::black_box(word) & (ARGV_MAX as u32 / 8 - 1)) as usize * 8;
    let Some(memory) = slot(text.index) else {
        text.different = 1;
        return 1;
    };
    let left_in_word = text.len - word * 8;
    let mask = if left_in_word >= 8 { u64::MAX } else { (1_u64 << (left_in_word * 8)) - 1 };
    // SAFETY: `at` is masked to the array; both records are map values.
    let (left, right) = unsafe {
        let (left, right) = if text.which == ARGV {
            ((&raw const (*text.held).argv).cast::<u8>(), (&raw const (*memory).record.argv).cast::<u8>())
        } else {
            ((&raw const (*text.held).other_path).cast::<u8>(), (&raw const (*memory).record.other_path).cast::<u8>())
        };
        (left.add(at).cast::<u64>().read(), right.add(at).cast::<u64>().read())
    };
    if (left ^ right) & mask != 0 {
        text.different = 1;
        return 1;
    }
    0
}
