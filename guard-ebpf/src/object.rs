//! Fills the hold record: who acts, and which objects.
//!
//! A read that fails sets a doubt in the record; the gate never lets a doubtful record be approved as the
//! same operation twice.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
    generated::{bpf_get_current_comm, bpf_ktime_get_boot_ns},
};
use guard_common::{
    op::Op,
    record::{NAME_MAX, Object, PATH_MAX, doubt},
};

use crate::{
    apart,
    kread::{Addr, copy, pointer, read},
    maps::Scratch,
    offset, path,
    scratch::slot,
};

/// Starts a record for what the current task is about to do.
#[inline(never)]
pub(crate) fn begin(index: u32, agent: u64, task: u64, op: Op) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    let pid_tgid = bpf_get_current_pid_tgid();
    let uid_gid = bpf_get_current_uid_gid();
    // SAFETY: no arguments; the helper cannot fail.
    record.hold = unsafe { bpf_ktime_get_boot_ns() };
    record.agent = agent;
    record.tid = pid_tgid as u32;
    record.tgid = (pid_tgid >> 32) as u32;
    record.uid = uid_gid as u32;
    record.gid = (uid_gid >> 32) as u32;
    record.op = op as u32;
    record.flags = 0;
    record.context = 0;
    record.stops = 1;
    record.doubt = 0;
    record.path_len = 0;
    record.other_path_len = 0;
    record.address_len = 0;
    record.argv_len = 0;
    record.argc = 0;
    record.detail = [0; 4];
    match read::<u64>(task, offset!(task_start_boottime)) {
        Some(start) => record.start_boottime = start,
        None => record.doubt |= doubt::READ,
    }
    clear(&mut record.target);
    clear(&mut record.other);
    // SAFETY: sixteen bytes of the record.
    if unsafe { bpf_get_current_comm((&raw mut record.comm).cast(), 16) } != 0 {
        record.comm[0] = 0;
    }
    Some(())
}

/// Notes path and object of `dentry` in `mount` for the record.
#[inline(always)]
pub(crate) fn name(index: u32, mount: Addr, dentry: Addr, other: bool) -> Option<()> {
    path::begin(index, mount, dentry, 0)?;
    apart::option(name_apart(index, u32::from(other)))
}

/// Notes that nobody says which path this is about, which is a doubt.
#[inline(always)]
pub(crate) fn nowhere(index: u32) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    unsafe { (*slot(index)?).record.doubt |= doubt::PATH };
    Some(())
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn name_apart(index: u32, other: u32) -> u32 {
    apart::number(try_name(index, other != 0))
}

#[inline(always)]
fn try_name(index: u32, other: bool) -> Option<()> {
    path::walk(index)?;
    let memory = slot(index)?;
    // SAFETY: the fields of a claimed slot are copied at once.
    let (start, doubts, dentry) = unsafe { ((*memory).state.start, (*memory).state.doubt, (*memory).state.dentry) };
    let start = core::hint::black_box(start) & (PATH_MAX as u32 - 1);
    let len = core::hint::black_box(PATH_MAX as u32 - start) & (PATH_MAX as u32 - 1);
    // SAFETY: parts of a claimed slot; `start + len` is `PATH_MAX`, or less where the mask cut it.
    unsafe {
        let from = (&raw const (*memory).walk).cast::<u8>().add(start as usize) as u64;
        (*memory).record.doubt |= doubts;
        if other {
            copy((&raw mut (*memory).other_path).cast(), len, from)?;
            (*memory).record.other_path_len = len;
        } else {
            copy((&raw mut (*memory).path).cast(), len, from)?;
            (*memory).record.path_len = len;
        }
    }
    object(memory, dentry, other)
}

/// Fills an object from its directory entry.
#[inline(always)]
fn object(memory: *mut Scratch, dentry: Addr, other: bool) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*memory).record };
    let to = if other { &mut record.other } else { &mut record.target };
    if fill(to, dentry).is_none() {
        record.doubt |= doubt::READ;
    }
    Some(())
}

#[inline(always)]
fn fill(to: &mut Object, dentry: Addr) -> Option<()> {
    let len = read::<u32>(dentry, offset!(dentry_name_len))?;
    let name = pointer(dentry, offset!(dentry_name))?;
    let bounded = core::hint::black_box(len) & (NAME_MAX as u32 - 1);
    copy((&raw mut to.name).cast(), bounded, name)?;
    let parent = pointer(dentry, offset!(dentry_parent))?;
    let parent_inode = pointer(parent, offset!(dentry_inode))?;
    to.parent_ino = read(parent_inode, offset!(inode_ino))?;
    let sb = pointer(dentry, offset!(dentry_sb))?;
    to.dev = read(sb, offset!(sb_dev))?;
    to.magic = read::<u64>(sb, offset!(sb_magic))? as u32;
    let inode: Addr = read(dentry, offset!(dentry_inode))?;
    if inode != 0 {
        to.ino = read(inode, offset!(inode_ino))?;
        to.generation = read(inode, offset!(inode_generation))?;
        to.mode = u32::from(read::<u16>(inode, offset!(inode_mode))?);
        to.rdev = read(inode, offset!(inode_rdev))?;
        to.nlink = read(inode, offset!(inode_nlink))?;
        to.uid = read(inode, offset!(inode_uid))?;
        to.size = read(inode, offset!(inode_size))?;
    }
    Some(())
}

/// Sets an object to "nothing", name padding included.
#[inline(always)]
fn clear(object: &mut Object) {
    let words = (&raw mut *object).cast::<u64>();
    let mut index = 0;
    while index < size_of::<Object>() / 8 {
        // SAFETY: inside the object, which is a multiple of eight bytes and aligned to eight.
        unsafe { core::ptr::write_volatile(words.add(index), 0) };
        index += 1;
    }
}
