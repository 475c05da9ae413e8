//! Memory too large for the stack, claimed for one run of one program.
//!
//! On kernels that preempt, two programs may interleave on one CPU, so a slot is claimed by an atomic
//! exchange and given back; when none is free the caller refuses the operation.

use core::intrinsics::{AtomicOrdering, atomic_xchg};

use guard_common::count::Count;

use crate::{
    count::count,
    maps::{SCRATCH, SCRATCHES, Scratch},
};

/// A claimed slot, by its index. Give it back with [`release`] on every path.
#[inline(always)]
pub(crate) fn claim() -> Option<u32> {
    let index = core::hint::black_box(claim_apart());
    if index < SCRATCHES { Some(index) } else { None }
}

/// The index, or [`SCRATCHES`] where all are taken. See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn claim_apart() -> u32 {
    let mut index = 0;
    while index < SCRATCHES {
        let Some(slot) = slot(index) else {
            break;
        };
        // SAFETY: `busy` is an aligned `u64` of a map element, only ever accessed here and in `release`.
        if unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(&raw mut (*slot).busy, 1) } == 0 {
            return index;
        }
        index += 1;
    }
    count(Count::ScratchBusy);
    SCRATCHES
}

/// The memory of a claimed slot.
#[inline(always)]
pub(crate) fn slot(index: u32) -> Option<*mut Scratch> {
    SCRATCH.get_ptr_mut(index)
}

/// Gives a slot back.
#[inline(always)]
pub(crate) fn release(index: u32) {
    if let Some(slot) = slot(index) {
        // SAFETY: as in `claim`; the slot is ours, so a plain store is enough.
        unsafe { core::ptr::write_volatile(&raw mut (*slot).busy, 0) };
    }
}
