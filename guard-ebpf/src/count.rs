//! Counting. Nothing else.

use guard_common::count::Count;

use crate::maps::COUNTS;

/// Moves a counter of this CPU.
#[inline(always)]
pub(crate) fn count(what: Count) {
    if let Some(counter) = COUNTS.get_ptr_mut(what as u32) {
        // SAFETY: an element of a per-CPU array; a lost increment under preemption is acceptable here.
        unsafe { *counter += 1 };
    }
}
