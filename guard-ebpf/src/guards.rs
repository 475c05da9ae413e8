//! Is this one of guard's own files and directories, or on a file system of kernel controls? By identity: whatever name, link
//! or mount it is reached by. What is done about it is the hooks' to say.

use guard_common::table::{GUARDS_OWN, GuardsKey};

use crate::{
    kread::{Addr, load},
    maps::{GUARDS, GUARDS_FILTER},
    marks, offset,
};

/// Is `dentry` guard's own, or a name in a directory of guard's own?
#[inline(always)]
pub(crate) fn own(dentry: Addr) -> bool {
    let parent: Addr = load(dentry, offset!(dentry_parent));
    is_own(load(dentry, offset!(dentry_inode))) || is_own(load(parent, offset!(dentry_inode)))
}

/// Is it guard's own as in [`own`], or a directory above something that is?
#[inline(always)]
pub(crate) fn keeps_its_name(dentry: Addr) -> bool {
    let parent: Addr = load(dentry, offset!(dentry_parent));
    known(load(dentry, offset!(dentry_inode))) != 0 || is_own(load(parent, offset!(dentry_inode)))
}

/// Is this inode guard's own?
#[inline(always)]
pub(crate) fn is_own(inode: Addr) -> bool {
    known(inode) == GUARDS_OWN
}

/// What `GUARDS` says of an inode; 0 for nothing.
#[inline(always)]
fn known(inode: Addr) -> u32 {
    // SAFETY: the daemon writes a value whole, and one that is freed meanwhile is still one of the map's.
    key(inode).and_then(|key| unsafe { GUARDS.get(&key) }.copied()).unwrap_or(0)
}

/// An inode leaves memory. Where nothing is left of it on the disk either, the next one may have its number.
#[inline(always)]
pub(crate) fn forget(inode: Addr) {
    if let Some(key) = key(inode)
        && load::<u32>(inode, offset!(inode_nlink)) == 0
        && GUARDS.remove(&key).is_err()
    {
        // It was not guard's.
    }
}

/// The key of an inode that may be in `GUARDS`. Nearly every one is told by its number alone.
#[inline(always)]
fn key(inode: Addr) -> Option<GuardsKey> {
    if inode == 0 {
        return None;
    }
    let ino: u64 = load(inode, offset!(inode_ino));
    if !marks::may_hold(&GUARDS_FILTER, ino) {
        return None;
    }
    let sb: Addr = load(inode, offset!(inode_sb));
    Some(GuardsKey { ino, dev: load(sb, offset!(sb_dev)), pad: 0 })
}

/// Is what this name stands for, or would stand for, on a file system whose files are controls of the kernel: cgroups of
/// either version, pins of BPF, tracing and debugging?
#[inline(always)]
pub(crate) fn is_control(dentry: Addr) -> bool {
    /// `include/uapi/linux/magic.h`: `CGROUP2_SUPER_MAGIC`, `CGROUP_SUPER_MAGIC`, `BPF_FS_MAGIC`, `TRACEFS_MAGIC`,
    /// `DEBUGFS_MAGIC`
    const CONTROLS: [u64; 5] = [0x6367_7270, 0x0027_e0eb, 0xcafe_4a11, 0x7472_6163, 0x6462_6720];
    let sb: Addr = load(dentry, offset!(dentry_sb));
    let magic: u64 = load(sb, offset!(sb_magic));
    magic == CONTROLS[0] || magic == CONTROLS[1] || magic == CONTROLS[2] || magic == CONTROLS[3] || magic == CONTROLS[4]
}
