//! What is held, in the maps: the record, and its texts where it has no room for them. Writes both, removes both,
//! and says whether an operation is the one that is held. Whether it may go on is the gate's to say.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use guard_common::{
    count::Count,
    op::{Op, OpSet},
    record::{HoldKey, HoldRecord, HoldText, INLINE_MAX, NAME_MAX, Object, TEXT_MAX, doubt},
};

use crate::{
    count::count,
    kread::copy,
    maps::{HOLDS, TEXTS},
    scratch::slot,
};

/// Has the record texts that it has no room for?
#[inline(always)]
pub(crate) fn is_long(record: &HoldRecord) -> bool {
    record.other_path_len.wrapping_add(record.argv_len).wrapping_add(record.path_len) > INLINE_MAX as u32
}

/// Writes the record of a claimed scratch under `key`, its texts first; `None`, counted, when there is no room.
#[inline(never)]
pub(crate) fn insert(key: &HoldKey, index: u32) -> Option<()> {
    pack(index)?;
    let memory = slot(index)?;
    // SAFETY: two parts of a claimed slot that do not overlap.
    let (record, text) = unsafe { (&mut (*memory).record, &mut (*memory).text) };
    record.seal = record.hold;
    let long = is_long(record);
    if long {
        text.hold = record.hold;
        text.seal = record.hold;
        if TEXTS.insert(key, &*text, 0).is_err() {
            return no_room(key);
        }
    }
    if HOLDS.insert(key, &*record, 0).is_err() {
        return no_room(key);
    }
    if !long && TEXTS.remove(key).is_ok() {
        // They belonged to what was held under this key before.
    }
    Some(())
}

/// What was held under the key before must not be left with the texts of something else.
#[inline(always)]
fn no_room(key: &HoldKey) -> Option<()> {
    count(Count::HoldsFull);
    remove(key, true);
    None
}

/// Removes a record and, where it may have any, its texts; false when there was no record.
#[inline(always)]
pub(crate) fn remove(key: &HoldKey, long: bool) -> bool {
    let removed = HOLDS.remove(key).is_ok();
    if long && TEXTS.remove(key).is_err() {
        // It had none.
    }
    removed
}

/// Puts the texts of a claimed scratch one after the other, where they belong.
#[inline(never)]
fn pack(index: u32) -> Option<()> {
    const SHORT: u32 = 2 * INLINE_MAX as u32 - 1;
    const LONG: u32 = TEXT_MAX as u32 - 1;
    let memory = slot(index)?;
    // SAFETY: parts of a claimed slot; `put` stays inside it.
    unsafe {
        let record = &(*memory).record;
        let (other, argv, path) = (record.other_path_len, record.argv_len, record.path_len);
        if other.wrapping_add(argv).wrapping_add(path) > TEXT_MAX as u32 {
            count(Count::HoldsFull);
            return None;
        }
        let from_other = (&raw const (*memory).other_path).cast();
        let from_argv = (&raw const (*memory).exec.argv).cast();
        let from_path = (&raw const (*memory).path).cast();
        if is_long(record) {
            let to = (&raw mut (*memory).text.text).cast();
            put::<LONG>(to, 0, other, from_other)?;
            put::<LONG>(to, other, argv, from_argv)?;
            put::<LONG>(to, other + argv, path, from_path)
        } else {
            let to = (&raw mut (*memory).record.text).cast();
            put::<SHORT>(to, 0, other, from_other)?;
            put::<SHORT>(to, other, argv, from_argv)?;
            put::<SHORT>(to, other + argv, path, from_path)
        }
    }
}

/// Copies one text. The masks change nothing: they are what the verifier can follow.
///
/// # Safety
/// Twice `MASK` bytes after `to` must be in the same map value.
#[inline(always)]
pub(crate) unsafe fn put<const MASK: u32>(to: *mut u8, at: u32, len: u32, from: *const u8) -> Option<()> {
    if len == 0 {
        return Some(());
    }
    let at = core::hint::black_box(at) & MASK;
    let len = core::hint::black_box(len) & MASK;
    // SAFETY: as the caller promises.
    copy(unsafe { to.add(at as usize) }, len, from as u64)
}

/// Is the operation in the scratch the one that is held?
#[inline(always)]
pub(crate) fn same(key: &HoldKey, held: &HoldRecord, index: u32) -> Option<bool> {
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
    let other = OpSet(Op::Symlink.set().0 | Op::Mount.set().0);
    let compares_other = 1_u64.wrapping_shl(held.op) & other.0 != 0;
    if compares_other && held.other_path_len != record.other_path_len {
        return Some(false);
    }
    if held.argv_len == 0 && !compares_other {
        return Some(true);
    }
    // Nothing that has arguments has a second path: what is compared is at the beginning on both sides.
    if held.other_path_len != record.other_path_len {
        return Some(false);
    }
    let len = record.other_path_len + record.argv_len;
    pack(index)?;
    let mut held_text = core::ptr::null();
    if is_long(held) {
        let Some(text) = TEXTS.get_ptr(key) else {
            return Some(false);
        };
        // SAFETY: a map value.
        if unsafe { (*text).hold } != held.hold {
            return Some(false);
        }
        held_text = text;
    }
    let mut text = Text { held, held_text, index, len, different: 0, pad: 0 };
    // SAFETY: `compare_word` has the signature `bpf_loop` calls, and `text` outlives the call.
    let done = unsafe { bpf_loop((TEXT_MAX / 8) as u32, compare_word as *mut c_void, (&raw mut text).cast(), 0) };
    Some(done >= 0 && text.different == 0)
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
    /// Null when the record has its texts itself.
    held_text: *const HoldText,
    index: u32,
    len: u32,
    different: u32,
    pad: u32,
}

/// Compares eight bytes; answers 1 when the comparison is over.
extern "C" fn compare_word(word: u32, text: *mut Text) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `text` was given.
    let text = unsafe { &mut *text };
    if word * 8 >= text.len {
        return 1;
    }
    let Some(memory) = slot(text.index) else {
        text.different = 1;
        return 1;
    };
    let short = (core::hint::black_box(word) & (INLINE_MAX as u32 / 8 - 1)) as usize * 8;
    let long = (core::hint::black_box(word) & (TEXT_MAX as u32 / 8 - 1)) as usize * 8;
    let left_in_word = text.len - word * 8;
    let mask = if left_in_word >= 8 { u64::MAX } else { (1_u64 << (left_in_word * 8)) - 1 };
    // SAFETY: the offsets are masked to the arrays; all are parts of map values.
    let (left, right) = unsafe {
        let left = if text.held_text.is_null() {
            (&raw const (*text.held).text).cast::<u8>().add(short).cast::<u64>().read()
        } else {
            (&raw const (*text.held_text).text).cast::<u8>().add(long).cast::<u64>().read()
        };
        let right = if is_long(&(*memory).record) {
            (&raw const (*memory).text.text).cast::<u8>().add(long).cast::<u64>().read()
        } else {
            (&raw const (*memory).record.text).cast::<u8>().add(short).cast::<u64>().read()
        };
        (left, right)
    };
    if (left ^ right) & mask != 0 {
        text.different = 1;
        return 1;
    }
    0
}
