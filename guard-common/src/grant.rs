//! The grant: the single-use permission that answers one hold.

/// Value of the `GRANTS` map, under the same key as the hold it answers.
///
/// The kernel honours it only for the record whose `hold` it names, once, before `deadline`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// [`crate::record::HoldRecord::hold`] of the hold this answers.
    pub hold: u64,
    /// `CLOCK_BOOTTIME` in nanoseconds after which it is void.
    pub deadline: u64,
    /// [`APPROVE`], [`CLEAR`] or [`DENY`]; anything else denies.
    pub verdict: u32,
    /// Of [`CLEAR`]: the policy that cleared it, where the kernel may remember that; see [`crate::clear`]. 0 elsewhere.
    pub policy: u32,
}

/// Far apart in bits, so that no flipped bit turns one into the other.
pub const APPROVE: u32 = 0x5a3c_96e1;
pub const DENY: u32 = 0xa5c3_691e;
/// As [`APPROVE`], for what no rule holds: nobody waits to hear that it was used, so the daemon is not woken for it.
pub const CLEAR: u32 = 0x936a_0fd8;

const _: () = assert!(core::mem::size_of::<Grant>() == 24);
