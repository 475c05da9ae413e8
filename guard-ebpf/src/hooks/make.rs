//! Operations that give something a name: creation of files, nodes, directories and symbolic links, and hard links.
//! What is new is marked as the agent's own where a rule asks whose a thing is.

use core::ffi::c_void;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{op::Op, shield::Shield};

use crate::{
    agent::{Tagged, current_agent},
    gate::{self, ALLOW},
    guards,
    hooks::file::{PATH_MNT, detail, other_text},
    kread::field,
    object, own, prefilter,
};

const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFCHR: u32 = 0o020_000;

/// What to look for when something is made: could a rule match that, and will it matter whose it is?
#[inline(always)]
fn bits(tagged: &Tagged, op: Op) -> u64 {
    op.set().in_tables().0 | own::kinds(tagged)
}

/// `int security_path_mknod(const struct path *dir, struct dentry *dentry, umode_t mode, unsigned int dev)`
#[lsm(hook = "path_mknod")]
pub(crate) fn path_mknod(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let mount = field(ctx.arg::<*const c_void>(0), PATH_MNT);
    let dentry = ctx.arg::<u64>(1);
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    let mode = u64::from(ctx.arg::<u32>(2) & 0xffff);
    let dev = u64::from(ctx.arg::<u32>(3));
    let found = prefilter::look(&tagged, bits(&tagged, Op::Mknod), mount, dentry);
    let answer =
        if found & Op::Mknod.set().in_tables().0 != 0 || prefilter::block(&tagged, Op::Mknod.set(), mode as u32) {
            gate::hold(&tagged, Op::Mknod, |index| {
                detail(index, 0, mode)?;
                detail(index, 1, dev)?;
                object::name(index, mount, dentry, false)
            })
        } else {
            ALLOW
        };
    let kind = mode as u32 & S_IFMT;
    // A device node stands for what the agent did not make.
    if answer == ALLOW && found != 0 && kind != S_IFBLK && kind != S_IFCHR {
        own::begin(&tagged, dentry, if kind == 0 { S_IFREG } else { kind });
    }
    answer
}

/// `int security_path_symlink(const struct path *dir, struct dentry *dentry, const char *old_name)`
#[lsm(hook = "path_symlink")]
pub(crate) fn path_symlink(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let mount = field(ctx.arg::<*const c_void>(0), PATH_MNT);
    let dentry = ctx.arg::<u64>(1);
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    let text = ctx.arg::<u64>(2);
    let found = prefilter::look(&tagged, bits(&tagged, Op::Symlink), mount, dentry);
    let answer = if found & Op::Symlink.set().in_tables().0 != 0 {
        gate::hold(&tagged, Op::Symlink, |index| {
            other_text(index, text)?;
            object::name(index, mount, dentry, false)
        })
    } else {
        ALLOW
    };
    if answer == ALLOW && found != 0 {
        own::begin(&tagged, dentry, S_IFLNK);
    }
    answer
}

/// `int security_path_link(struct dentry *old_dentry, const struct path *new_dir, struct dentry *new_dentry)`
#[lsm(hook = "path_link")]
pub(crate) fn path_link(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let from = ctx.arg::<u64>(0);
    // Both names are in the same mount: the kernel has refused everything else with EXDEV.
    let mount = field(ctx.arg::<*const c_void>(1), PATH_MNT);
    let to = ctx.arg::<u64>(2);
    own::forget(to);
    if guards::own(from) || guards::own(to) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    let bits = Op::Link.set().in_tables().0;
    let mut found = prefilter::look(&tagged, bits, mount, from);
    if !prefilter::is_certain(found) {
        found |= prefilter::look(&tagged, bits, mount, to);
    }
    if found == 0 || (!prefilter::is_certain(found) && own::is_own(&tagged, own::inode_of(from))) {
        return ALLOW;
    }
    gate::hold(&tagged, Op::Link, |index| {
        object::name(index, mount, from, false)?;
        object::name(index, mount, to, true)?;
        own::note(index, &tagged, own::inode_of(from), false)
    })
}

/// `int security_path_mkdir(const struct path *dir, struct dentry *dentry, umode_t mode)`
#[lsm(hook = "path_mkdir")]
pub(crate) fn path_mkdir(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let mount = field(ctx.arg::<*const c_void>(0), PATH_MNT);
    let dentry = ctx.arg::<u64>(1);
    if guards::own(dentry) {
        return gate::shield(&tagged, Shield::OwnFiles);
    }
    // No rule is on it: it is a creation to what is counted, and to whose a thing is.
    let kinds = own::kinds(&tagged);
    if prefilter::look(&tagged, kinds | Op::Mknod.set().0, mount, dentry) & kinds != 0 {
        own::begin(&tagged, dentry, S_IFDIR);
    }
    ALLOW
}

/// `void security_d_instantiate(struct dentry *dentry, struct inode *inode)`
#[cfg(feature = "lsm")]
#[lsm(hook = "d_instantiate")]
pub(crate) fn d_instantiate(ctx: LsmContext) -> i32 {
    own::made(ctx.arg(0), ctx.arg(1));
    ALLOW
}
