//! Mounting and unmounting, by agents (held) and by anybody (paths change).

use core::ffi::c_void;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{op::Op, record::SLOT_DENIED, shield::Shield};

use crate::{
    agent::{Tagged, current_agent},
    gate::{self, ALLOW},
    guards,
    hooks::file::{detail, forget_directories, other_text},
    kread::{Addr, current, field, load, regs},
    object, offset, prefilter,
};

/// `int security_sb_mount(const char *dev_name, const struct path *path, const char *type, unsigned long flags,
/// void *data)`
#[lsm(hook = "sb_mount")]
pub(crate) fn sb_mount(ctx: LsmContext) -> i32 {
    forget_directories();
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let source = ctx.arg::<u64>(0);
    let path = ctx.arg::<*const c_void>(1);
    let flags = ctx.arg::<u64>(3);
    let (mount, dentry) = (field(path, 0), field(path, 8));
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    if !wanted(&tagged, Op::Mount, mount, dentry) {
        return ALLOW;
    }
    gate::hold(&tagged, Op::Mount, |index| {
        detail(index, 0, flags)?;
        other_text(index, source)?;
        object::name(index, mount, dentry, false)
    })
}

/// `int security_sb_remount(struct super_block *sb, void *mnt_opts)`
///
/// mount(2) and umount(2) were asked about before they come here. fsconfig(2) was not, and cannot be done again: the kernel
/// gives its context up after an error. So it is refused where a rule looks at mounts.
#[lsm(hook = "sb_remount")]
pub(crate) fn sb_remount(ctx: LsmContext) -> i32 {
    /// The same in every table of calls.
    const FSCONFIG: u64 = 431;
    const MS_REMOUNT: u64 = 32;
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if regs(current()).is_some_and(|regs| regs.orig_ax & 0xbfff_ffff != FSCONFIG) {
        return ALLOW;
    }
    if !tagged.entry.ops.contains(Op::Mount) {
        return ALLOW;
    }
    let sb = ctx.arg::<u64>(0);
    gate::hold_in(&tagged, Op::Mount, SLOT_DENIED, |index| {
        detail(index, 0, MS_REMOUNT)?;
        other_text(index, sb.wrapping_add(u64::from(offset!(sb_id))))?;
        object::nowhere(index)
    })
}

/// `int security_move_mount(const struct path *from_path, const struct path *to_path)`
#[lsm(hook = "move_mount")]
pub(crate) fn move_mount(ctx: LsmContext) -> i32 {
    two_paths(&ctx, Op::MoveMount)
}

/// `int security_sb_pivotroot(const struct path *old_path, const struct path *new_path)`
#[lsm(hook = "sb_pivotroot")]
pub(crate) fn sb_pivotroot(ctx: LsmContext) -> i32 {
    two_paths(&ctx, Op::PivotRoot)
}

#[inline(always)]
fn two_paths(ctx: &LsmContext, op: Op) -> i32 {
    forget_directories();
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let (from, to) = (ctx.arg::<*const c_void>(0), ctx.arg::<*const c_void>(1));
    let (from_mount, from_dentry) = (field(from, 0), field(from, 8));
    let (to_mount, to_dentry) = (field(to, 0), field(to, 8));
    if guards::own(from_dentry) || guards::own(to_dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    if !wanted(&tagged, op, from_mount, from_dentry) && !wanted(&tagged, op, to_mount, to_dentry) {
        return ALLOW;
    }
    gate::hold(&tagged, op, |index| {
        object::name(index, from_mount, from_dentry, false)?;
        object::name(index, to_mount, to_dentry, true)
    })
}

/// `int security_sb_umount(struct vfsmount *mnt, int flags)`
#[lsm(hook = "sb_umount")]
pub(crate) fn sb_umount(ctx: LsmContext) -> i32 {
    forget_directories();
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let mount = ctx.arg::<u64>(0);
    let flags = u64::from(ctx.arg::<u32>(1));
    let root: Addr = load(mount, offset!(vfsmount_root));
    if root == 0 {
        return gate::refuse(guard_common::count::Count::PathDoubt);
    }
    if guards::own(root) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    if !wanted(&tagged, Op::Umount, mount, root) {
        return ALLOW;
    }
    gate::hold(&tagged, Op::Umount, |index| {
        detail(index, 0, flags)?;
        object::name(index, mount, root, false)
    })
}

/// Could a rule match `op` on this place?
#[inline(always)]
fn wanted(tagged: &Tagged, op: Op, mount: Addr, dentry: Addr) -> bool {
    prefilter::path(tagged, op.set(), mount, dentry)
}
