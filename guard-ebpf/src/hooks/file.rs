//! Operations on files: removal, renaming, attributes, truncation, opening, ioctl. What gives something a name is in
//! `make`.

use core::ffi::c_void;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{
    op::{MOVED_AWAY, Op, OpSet, rename},
    record::doubt,
    shield::Shield,
};

use crate::{
    agent::{Tagged, current_agent},
    gate::{self, ALLOW},
    guards,
    kread::{Addr, copy_str, field, load, read},
    maps::STATE,
    object, offset, own, pass, prefilter,
    scratch::slot,
};

/// `struct path { struct vfsmount *mnt; struct dentry *dentry; }`, the same since 2.6.26.
pub(crate) const PATH_MNT: usize = 0;
const PATH_DENTRY: usize = 8;

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;

/// `int security_path_unlink(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_unlink")]
pub(crate) fn path_unlink(ctx: LsmContext) -> i32 {
    named_in(&ctx, Op::Unlink)
}

/// `int security_path_rmdir(const struct path *dir, struct dentry *dentry)`
#[lsm(hook = "path_rmdir")]
pub(crate) fn path_rmdir(ctx: LsmContext) -> i32 {
    named_in(&ctx, Op::Rmdir)
}

/// What unlink and rmdir share: a directory and the name in it.
#[inline(always)]
fn named_in(ctx: &LsmContext, op: Op) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let mount = field(ctx.arg::<*const c_void>(0), PATH_MNT);
    let dentry = ctx.arg::<u64>(1);
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    let inode = own::inode_of(dentry);
    if !prefilter::object(&tagged, op.set(), mount, dentry, inode) {
        return ALLOW;
    }
    gate::hold(&tagged, op, |index| {
        object::name(index, mount, dentry, false)?;
        own::note(index, &tagged, inode, false)
    })
}

/// `int security_path_rename(const struct path *old_dir, struct dentry *old_dentry, const struct path *new_dir,
/// struct dentry *new_dentry, unsigned int flags)`
#[lsm(hook = "path_rename")]
pub(crate) fn path_rename(ctx: LsmContext) -> i32 {
    let from = ctx.arg::<u64>(1);
    let to = ctx.arg::<u64>(3);
    let is_directory = mode_of(from).is_none_or(|mode| mode & S_IFMT == S_IFDIR);
    let exchanged = ctx.arg::<u32>(4) & 2 != 0;
    if is_directory || (exchanged && mode_of(to).is_none_or(|mode| mode & S_IFMT == S_IFDIR)) {
        // Whoever renames a directory changes the paths of all below it.
        forget_directories();
    }
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if guards::keeps_its_name(from) || guards::keeps_its_name(to) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    let old_mount = field(ctx.arg::<*const c_void>(0), PATH_MNT);
    let new_mount = field(ctx.arg::<*const c_void>(2), PATH_MNT);
    let all = Op::Rename.set().in_tables().0;
    let here = all & !MOVED_AWAY.or_on_foreign().0;
    // What keeps its directory is not moved away, and what comes there only in an exchange.
    let stays = load::<u64>(from, offset!(dentry_parent)) == load::<u64>(to, offset!(dentry_parent));
    let mut found = prefilter::look(&tagged, if stays { here } else { all }, old_mount, from);
    if !prefilter::is_certain(found) {
        found |= prefilter::look(&tagged, if exchanged && !stays { all } else { here }, new_mount, to);
    }
    // A directory may be the agent's own and hold what is not.
    let own = |dentry: Addr| {
        mode_of(dentry).is_some_and(|mode| mode & S_IFMT != S_IFDIR) && own::is_own(&tagged, own::inode_of(dentry))
    };
    if found == 0 || (!prefilter::is_certain(found) && own(from) && (mode_of(to) == Some(0) || own(to))) {
        return ALLOW;
    }
    let asked = ctx.arg::<u32>(4);
    gate::hold(&tagged, Op::Rename, |index| {
        object::name(index, old_mount, from, false)?;
        object::name(index, new_mount, to, true)?;
        if own(from) {
            own::note(index, &tagged, own::inode_of(from), false)?;
        }
        if own(to) {
            own::note(index, &tagged, own::inode_of(to), true)?;
        }
        // SAFETY: the record of a claimed slot.
        let record = unsafe { &mut (*slot(index)?).record };
        let mut flags = 0;
        if record.other.ino != 0 {
            flags |= rename::OVERWRITE;
        }
        if asked & 2 != 0 {
            flags |= rename::EXCHANGE;
        }
        if asked & 4 != 0 {
            flags |= rename::WHITEOUT;
        }
        if record.other.parent_ino != record.target.parent_ino {
            flags |= rename::ELSEWHERE;
        }
        record.flags = flags;
        Some(())
    })
}

/// `int security_path_chmod(const struct path *path, umode_t mode)`
#[lsm(hook = "path_chmod")]
pub(crate) fn path_chmod(ctx: LsmContext) -> i32 {
    on_path(&ctx, Op::Chmod, u64::from(ctx.arg::<u32>(1) & 0xffff), 0)
}

/// `int security_path_chown(const struct path *path, kuid_t uid, kgid_t gid)`
#[lsm(hook = "path_chown")]
pub(crate) fn path_chown(ctx: LsmContext) -> i32 {
    on_path(&ctx, Op::Chown, u64::from(ctx.arg::<u32>(1)), u64::from(ctx.arg::<u32>(2)))
}

/// `int security_path_truncate(const struct path *path)`
#[lsm(hook = "path_truncate")]
pub(crate) fn path_truncate(ctx: LsmContext) -> i32 {
    on_path(&ctx, Op::Truncate, 0, 0)
}

/// `int security_file_truncate(struct file *file)` (6.2 and later; before, `path_truncate` is called)
#[lsm(hook = "file_truncate")]
pub(crate) fn file_truncate(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    match file_path(ctx.arg(0)) {
        Some((mount, dentry)) => {
            let inode = load(ctx.arg(0), offset!(file_inode));
            on_dentry(&tagged, Op::Truncate, Place { mount, dentry, inode }, 0, 0)
        }
        None => gate::refuse(guard_common::count::Count::PathDoubt),
    }
}

/// An object and where it is.
struct Place {
    mount: Addr,
    dentry: Addr,
    inode: Addr,
}

/// What the hooks with one `struct path` share.
#[inline(always)]
fn on_path(ctx: &LsmContext, op: Op, first: u64, second: u64) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let path = ctx.arg::<*const c_void>(0);
    let dentry = field(path, PATH_DENTRY);
    on_dentry(&tagged, op, Place { mount: field(path, PATH_MNT), dentry, inode: own::inode_of(dentry) }, first, second)
}

#[inline(always)]
fn on_dentry(tagged: &Tagged, op: Op, place: Place, first: u64, second: u64) -> i32 {
    let Place { mount, dentry, inode } = place;
    if guards::own(dentry) {
        return gate::shield(tagged, Shield::OwnFiles);
    }
    if !prefilter::object(tagged, op.set(), mount, dentry, inode) {
        return ALLOW;
    }
    if op as u32 == Op::Truncate as u32 && pass::take(tagged.task, dentry) {
        return ALLOW;
    }
    gate::hold(tagged, op, |index| {
        detail(index, 0, first)?;
        detail(index, 1, second)?;
        object::name(index, mount, dentry, false)?;
        own::note(index, tagged, inode, false)
    })
}

/// `int security_file_open(struct file *file)`
#[lsm(hook = "file_open")]
pub(crate) fn file_open(ctx: LsmContext) -> i32 {
    /// `FMODE_READ`, `FMODE_WRITE`
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    /// `FMODE_CREATED`: this call made the file, and would find it there when done again.
    const CREATED: u32 = 1 << 20;
    /// `FMODE_NOACCOUNT`, of files the kernel opens below an overlay: what the agent asked for was judged above.
    const BACKING: u32 = 1 << 29;
    /// `O_TRUNC`, and `__FMODE_EXEC`, which no open flag can set: the exec hook judges that.
    const O_TRUNC: u32 = 0o1000;
    const EXEC: u32 = 0x20;

    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let file = ctx.arg::<u64>(0);
    let (mode, flags): (u32, u32) = (load(file, offset!(file_mode)), load(file, offset!(file_flags)));
    let Some((mount, dentry)) = file_path(file) else {
        return gate::refuse(guard_common::count::Count::PathDoubt);
    };
    if mode & WRITE != 0 || flags & O_TRUNC != 0 {
        if guards::own(dentry) {
            return gate::shield(&tagged, Shield::OwnFiles);
        }
        if guards::is_control(dentry) {
            return gate::shield(&tagged, Shield::Controls);
        }
    }
    let watched = Op::OpenRead.set().0 | Op::OpenWrite.set().0 | Op::Truncate.set().0;
    if tagged.entry.looked_up.0 & watched == 0 && tagged.entry.block.0 == 0 {
        return ALLOW;
    }
    if mode & (CREATED | BACKING) != 0 || flags & EXEC != 0 {
        return ALLOW;
    }
    let truncates = flags & O_TRUNC != 0;
    let (op, ops) = if mode & WRITE != 0 || truncates {
        let also = if truncates { Op::Truncate.set() } else { OpSet::EMPTY };
        (Op::OpenWrite, Op::OpenWrite.set().union(also))
    } else if mode & READ != 0 {
        (Op::OpenRead, Op::OpenRead.set())
    } else {
        return ALLOW;
    };
    let inode = load(file, offset!(file_inode));
    if !could_match(&tagged, ops, mount, dentry, inode) {
        return ALLOW;
    }
    let answer = gate::hold(&tagged, op, |index| {
        // The kernel clears some flags between hook runs of one call; these three are stable.
        detail(index, 0, u64::from(flags & (O_TRUNC | 3 | 0o2000)))?;
        object::name(index, mount, dentry, false)?;
        own::note(index, &tagged, inode, false)
    });
    // Read again and not kept: with the flag kept in a register over the call above, 6.1's verifier takes this branch
    // for dead and removes it (docs/adr/0004).
    if answer == ALLOW && load::<u32>(file, offset!(file_flags)) & O_TRUNC != 0 {
        pass::give(tagged.task, dentry);
    }
    answer
}

/// Could a rule match one of `ops` on an open file, by where it is or by being a block device?
#[inline(always)]
pub(crate) fn could_match(tagged: &Tagged, ops: OpSet, mount: Addr, dentry: Addr, inode: Addr) -> bool {
    prefilter::object(tagged, ops, mount, dentry, inode)
        || tagged.entry.block.0 & ops.0 != 0 && mode_of(dentry).is_none_or(|mode| prefilter::block(tagged, ops, mode))
}

/// `int security_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl")]
pub(crate) fn file_ioctl(ctx: LsmContext) -> i32 {
    ioctl(&ctx)
}

/// `int security_file_ioctl_compat(struct file *file, unsigned int cmd, unsigned long arg)`
#[lsm(hook = "file_ioctl_compat")]
pub(crate) fn file_ioctl_compat(ctx: LsmContext) -> i32 {
    ioctl(&ctx)
}

#[inline(always)]
fn ioctl(ctx: &LsmContext) -> i32 {
    let command = ctx.arg::<u32>(1);
    if !is_destructive(command) {
        return ALLOW;
    }
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let Some((mount, dentry)) = file_path(ctx.arg(0)) else {
        return gate::refuse(guard_common::count::Count::PathDoubt);
    };
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    if !tagged.entry.ops.contains(Op::Ioctl) {
        return ALLOW;
    }
    gate::hold(&tagged, Op::Ioctl, |index| {
        detail(index, 0, u64::from(command))?;
        object::name(index, mount, dentry, false)
    })
}

/// Commands that destroy data, freeze a file system or type into a terminal.
#[inline(always)]
pub(crate) fn is_destructive(command: u32) -> bool {
    matches!(
        command,
        0x1277 | 0x127d | 0x127f // BLKDISCARD, BLKSECDISCARD, BLKZEROOUT
        | 0x125d | 0x125f | 0x1269 // BLKROSET, BLKRRPART, BLKPG
        | 0x2285 | 0xc048_4e41 | 0xc048_4e43 // SG_IO, NVME_IOCTL_ADMIN_CMD, NVME_IOCTL_IO_CMD
        | 0x4c00 | 0x4c01 | 0x4c06 | 0x4c0a // LOOP_SET_FD, LOOP_CLR_FD, LOOP_CHANGE_FD, LOOP_CONFIGURE
        | 0x4004_9409 | 0x4020_940d | 0xc018_9436 // FICLONE, FICLONERANGE, FIDEDUPERANGE
        | 0x4008_6602 | 0x4004_6602 | 0x401c_5820 // FS_IOC_SETFLAGS, its 32-bit form, FS_IOC_FSSETXATTR
        | 0x5000_940f | 0x5000_943f // BTRFS_IOC_SNAP_DESTROY, _V2
        | 0x4008_6610 | 0x8004_587d | 0xc004_5877 | 0xc018_5879 // EXT4 RESIZE_FS, SHUTDOWN, FIFREEZE, FITRIM
        | 0x5412 | 0x541c // TIOCSTI, TIOCLINUX
    )
}

/// Mount and directory entry of an open file.
#[inline(always)]
pub(crate) fn file_path(file: u64) -> Option<(Addr, Addr)> {
    let path = offset!(file_path);
    let (mount, dentry): (Addr, Addr) = (load(file, path), load(file, path + PATH_DENTRY as u32));
    (mount != 0 && dentry != 0).then_some((mount, dentry))
}

/// `st_mode` of what a directory entry stands for; 0 when nothing is there, `None` when it cannot be read.
#[inline(always)]
pub(crate) fn mode_of(dentry: Addr) -> Option<u32> {
    let inode: Addr = read(dentry, offset!(dentry_inode))?;
    if inode == 0 { Some(0) } else { read::<u16>(inode, offset!(inode_mode)).map(u32::from) }
}

/// Makes every directory the prefilter remembers unknown.
#[inline(always)]
pub(crate) fn forget_directories() {
    if let Some(state) = STATE.get_ptr_mut(0) {
        // SAFETY: an aligned `u64` of an array element; the addition is atomic in the kernel.
        unsafe {
            core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
                &raw mut (*state).paths,
                1,
            );
        }
    }
}

#[inline(always)]
pub(crate) fn detail(index: u32, which: usize, value: u64) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    unsafe { (*slot(index)?).record.detail[which & 3] = value };
    Some(())
}

/// Copies a kernel string into the record as its second path.
#[inline(always)]
pub(crate) fn other_text(index: u32, text: Addr) -> Option<()> {
    let memory = slot(index)?;
    // SAFETY: two parts of a claimed slot that do not overlap.
    let (record, to) = unsafe { (&mut (*memory).record, (&raw mut (*memory).other_path).cast()) };
    if text == 0 {
        return Some(());
    }
    match copy_str(to, 4096, text) {
        Some(len) => record.other_path_len = len - 1,
        None => record.doubt |= doubt::READ,
    }
    Some(())
}
