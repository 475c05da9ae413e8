//! The trip tier, for kernels that refuse LSM programs: tracepoints stop what the gate would have held.
//!
//! An exec stops before the new program's first instruction. Anything else stops at once after its first effect:
//! a tracepoint cannot undo a call. The daemon never calls that prevention.

use guard_common::record::HoldKey;

/// Placeholder until the tracepoints are written.
pub fn exec(_bprm: u64) {
    let _key = HoldKey { id: 0, slot: 0 };
}
