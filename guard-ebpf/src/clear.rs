//! Remembers execs that the rules cleared, so that guardd is not asked about the same one again. Says only that it was
//! cleared; letting through is the gate's. What the program gets in the end is compared all the same (`hooks/exec.rs`).

use guard_common::{
    clear::ClearKey,
    count::Count,
    record::{HoldKey, HoldRecord, INLINE_MAX},
};

use crate::{
    count::count,
    held,
    maps::{CLEARED, HOLDS, Scratch},
    scratch::slot,
};

/// Of an offset into the text, for the verifier.
const MASK: u32 = 2 * INLINE_MAX as u32 - 1;

/// Was the exec in this scratch cleared under this policy? Not where the task is held for something already: that is
/// looked at first.
#[inline(never)]
pub(crate) fn is_remembered(index: u32, policy: u32, slot_number: u32) -> bool {
    let known = (|| {
        let memory = slot(index)?;
        // SAFETY: the record of a claimed slot.
        let tid = unsafe { (*memory).record.tid };
        if HOLDS.get_ptr(&HoldKey { id: tid, slot: slot_number }).is_some() {
            return None;
        }
        prepare(index, policy, slot_number)?;
        // SAFETY: part of a claimed slot; only the element's presence is used.
        unsafe { CLEARED.get(&(*memory).clear) }.is_some().then_some(())
    })()
    .is_some();
    if known {
        count(Count::Remembered);
    }
    known
}

/// Nothing was said of the exec in this scratch yet.
#[inline(always)]
pub(crate) fn begin(index: u32) {
    if let Some(memory) = slot(index) {
        // SAFETY: part of a claimed slot.
        unsafe { (*memory).cleared = 0 };
    }
}

/// guardd cleared what is in `held`, and may be taken at its word again: notes just that, as it was judged. What the
/// operation is by now may differ in its path.
#[inline(never)]
pub(crate) fn note(index: u32, key: &HoldKey, held: &HoldRecord, policy: u32) {
    let _noted = (|| {
        let memory = slot(index)?;
        if !ClearKey::holds_all_of(held) {
            return None;
        }
        let hold = held.hold;
        // SAFETY: part of a claimed slot; what is copied to and from is followed by as much again.
        unsafe {
            (*memory).clear.note(policy, key.slot, held);
            let text = blank(memory);
            held::put::<MASK>(text, 0, held.argv_len + held.path_len, (&raw const held.text).cast())?;
            // The daemon may remove the element, and another task take it, while it is copied.
            let still = core::ptr::read_volatile(&raw const held.hold) == hold
                && core::ptr::read_volatile(&raw const held.seal) == hold;
            (*memory).cleared = u64::from(still);
        }
        Some(())
    })();
}

/// Remembers what was noted, if anything was.
#[inline(always)]
pub(crate) fn remember(index: u32) {
    if let Some(memory) = slot(index) {
        // SAFETY: parts of a claimed slot.
        let (cleared, key, hold) = unsafe { ((*memory).cleared, &(*memory).clear, (*memory).record.hold) };
        if cleared != 0 && CLEARED.insert(key, &hold, 0).is_err() {
            // A cache: it is judged again.
        }
    }
}

/// The key's text, all zero.
///
/// # Safety
/// `memory` is a claimed slot.
#[inline(always)]
unsafe fn blank(memory: *mut Scratch) -> *mut u8 {
    // SAFETY: as the caller promises.
    let text = unsafe { (&raw mut (*memory).clear.text).cast::<u8>() };
    let mut word = 0;
    while word < INLINE_MAX / 8 {
        // SAFETY: inside the text, which is aligned to eight.
        unsafe { core::ptr::write_volatile(text.cast::<u64>().add(word), 0) };
        word += 1;
    }
    text
}

/// Makes the exec in this scratch the key. `None` when a key does not hold all of it.
#[inline(never)]
fn prepare(index: u32, policy: u32, slot_number: u32) -> Option<()> {
    let memory = slot(index)?;
    // SAFETY: parts of a claimed slot that do not overlap; `put` stays inside it.
    unsafe {
        let record = &(*memory).record;
        if !ClearKey::holds_all_of(record) {
            return None;
        }
        let (argv, path) = (record.argv_len, record.path_len);
        (*memory).clear.note(policy, slot_number, record);
        let text = blank(memory);
        held::put::<MASK>(text, 0, argv, (&raw const (*memory).exec.argv).cast())?;
        held::put::<MASK>(text, argv, path, (&raw const (*memory).path).cast())
    }
}
