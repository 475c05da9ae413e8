//! What would go round the gate: io_uring, whose operations cannot be held, and bpf(2), which could take it down.

use core::ffi::c_void;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{op::Op, record::SLOT_DENIED};

use crate::{
    agent::current_agent,
    gate::{self, ALLOW},
    kread::{pointer, read},
    offset,
};

/// `int security_uring_allowed(void)` (6.15 and later)
#[lsm(hook = "uring_allowed")]
pub(crate) fn uring_allowed(_ctx: LsmContext) -> i32 {
    ring_setup()
}

/// `int security_inode_init_security_anon(struct inode *inode, const struct qstr *name,
/// const struct inode *context_inode)`; before `uring_allowed` the only hook on the way of `io_uring_setup`.
#[lsm(hook = "inode_init_security_anon")]
pub(crate) fn inode_init_security_anon(ctx: LsmContext) -> i32 {
    let name = ctx.arg::<*const c_void>(1) as u64;
    let Some(text) = pointer(name, offset!(qstr_name)).and_then(|text| read::<[u8; 10]>(text, 0)) else {
        // It may be a ring.
        return ring_setup();
    };
    if text == *b"[io_uring]" { ring_setup() } else { ALLOW }
}

/// A ring is refused, not held: the program falls back to ordinary calls, which can be held.
#[inline(always)]
fn ring_setup() -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if !tagged.entry.ops.contains(Op::IoUring) {
        return ALLOW;
    }
    gate::hold_in(&tagged, Op::IoUring, SLOT_DENIED, |_index| Some(()))
}

/// `int security_bpf(int cmd, union bpf_attr *attr, unsigned int size)`
#[lsm(hook = "bpf")]
pub(crate) fn bpf(_ctx: LsmContext) -> i32 {
    match current_agent() {
        Some(tagged) => gate::shield(&tagged),
        None => ALLOW,
    }
}
