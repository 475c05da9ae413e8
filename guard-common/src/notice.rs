//! The doorbell: what goes through the ring buffer. State lives in the maps; a lost notice loses nothing.

use crate::record::HoldKey;

/// One entry of the `NOTICES` ring buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub key: HoldKey,
    /// [`crate::record::HoldRecord::hold`].
    pub hold: u64,
    /// One of the constants below.
    pub kind: u32,
    /// Thread group of the task; of [`RESULT`] what the call ended with.
    pub tgid: u32,
}

/// A new hold is in `HOLDS`.
pub const HELD: u32 = 1;
/// The same operation ran again without a grant and was stopped again.
pub const HELD_AGAIN: u32 = 2;
/// A grant was used; `HOLDS` and `GRANTS` no longer have the key. The verdict was to approve.
pub const APPROVED: u32 = 3;
/// As [`APPROVED`], but the verdict was to deny.
pub const DENIED: u32 = 4;
/// The task is gone; `HOLDS` and `GRANTS` no longer have the key.
pub const GONE: u32 = 5;
/// An agent was refused what harms guard: `slot` is the [`crate::shield::Shield`], `hold` the agent's cgroup id.
pub const SHIELDED: u32 = 6;
/// The call that an approval let through is over: `tgid` is the error it ended with, 0 when it succeeded.
pub const RESULT: u32 = 7;
/// As [`APPROVED`] of what was not merely cleared, and no [`RESULT`] follows: nobody listens, or the call's end says nothing.
pub const APPROVED_UNHEARD: u32 = 8;

const _: () = assert!(core::mem::size_of::<Notice>() == 24);
