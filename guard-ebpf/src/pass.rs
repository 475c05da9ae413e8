//! The second step of an `open` with `O_TRUNC`: the kernel asks once for the open and once for the truncation,
//! and a decision on the first covers the second inside the same call.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;

use crate::{
    kread::{Addr, pointer, read},
    maps::TASKS,
    offset,
};

/// How long the kernel may take from the one question to the other, in nanoseconds; later it is asked anew.
const CALL: u64 = 1_000_000_000;

/// Lets the truncation of this file by this task through, once.
#[inline(always)]
pub(crate) fn give(task: u64, dentry: Addr) {
    if let (Some((ino, dev)), Some(seen)) = (identity(dentry), TASKS.get_ptr_mut(&task)) {
        // SAFETY: only the task itself writes these fields.
        unsafe {
            (*seen).pass_ino = ino;
            (*seen).pass_dev = dev;
            (*seen).pass_until = bpf_ktime_get_boot_ns() + CALL;
        }
    }
}

/// Was it let through? Only the first question is answered with yes.
#[inline(always)]
pub(crate) fn take(task: u64, dentry: Addr) -> bool {
    let (Some((ino, dev)), Some(seen)) = (identity(dentry), TASKS.get_ptr_mut(&task)) else {
        return false;
    };
    // SAFETY: only the task itself writes these fields.
    unsafe {
        let good = (*seen).pass_ino == ino && (*seen).pass_dev == dev && bpf_ktime_get_boot_ns() < (*seen).pass_until;
        if good {
            (*seen).pass_until = 0;
        }
        good
    }
}

#[inline(always)]
fn identity(dentry: Addr) -> Option<(u64, u32)> {
    let inode = pointer(dentry, offset!(dentry_inode))?;
    let sb = pointer(dentry, offset!(dentry_sb))?;
    Some((read(inode, offset!(inode_ino))?, read(sb, offset!(sb_dev))?))
}
