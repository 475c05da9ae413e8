//! The walk from a directory entry up to the root, across mounts.
//!
//! The path grows from the end of the walk buffer downwards. A plain loop exceeds the verifier's budget;
//! `bpf_loop` verifies its body once. Whatever stops the walk before the root is a doubt, never an answer.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use guard_common::{
    config::DENTRY_PART,
    op::OpSet,
    record::{PATH_MAX, doubt},
    table::{NAME_HEAD, NameKey, NameValue, name_mark},
};

use crate::{
    apart,
    kread::{Addr, copy, current, pointer, read},
    maps::{NAME_FILTER, NAMES},
    offset,
    scratch::slot,
};

/// Most components and mounts a walk crosses. `PATH_MAX` allows 2,048 one-letter names.
const STEPS: u32 = 2_300;

/// State of a walk.
///
/// It lies in the scratch, not on the stack: of a value read from a map the verifier assumes nothing, so that
/// every step looks the same to it and one is enough. What it knows of the stack it would follow step by step.
#[repr(C)]
pub(crate) struct Walk {
    /// What it is the path of.
    pub(crate) dentry: Addr,
    pub(crate) mount: Addr,
    /// Where the walk is.
    at: Addr,
    at_mount: Addr,
    /// Kinds that a name on the way makes candidates.
    pub(crate) named: u64,
    /// As `named`, from the directories above the object alone.
    pub(crate) named_above: u64,
    /// [`State::paths`](guard_common::task::State::paths) when it began, where that matters.
    pub(crate) paths: u64,
    /// Root of `at_mount`; 0 when it is not known yet.
    root: Addr,
    /// Part of `at`, from its parent to the address of its name.
    part: [u64; DENTRY_PART / 8],
    pub(crate) tables: u32,
    /// Offset of the first byte of the path in the walk buffer; it ends at `PATH_MAX`.
    pub(crate) start: u32,
    /// Offset of the slash before the last component.
    pub(crate) last: u32,
    /// [`doubt`] bits.
    pub(crate) doubt: u32,
    done: u32,
    pad: u32,
}

/// Says what the next [`walk`] in a claimed scratch is of: `dentry` in `mount` (a `struct vfsmount`). Names on the way are
/// looked up in `tables`, where these are not 0.
#[inline(always)]
pub(crate) fn begin(scratch: u32, mount: Addr, dentry: Addr, tables: u32) -> Option<()> {
    let memory = slot(scratch)?;
    // SAFETY: `state` is part of a claimed slot, which nothing else uses meanwhile.
    unsafe {
        (*memory).state = Walk {
            dentry,
            mount,
            at: dentry,
            at_mount: mount,
            named: 0,
            named_above: 0,
            paths: 0,
            root: 0,
            part: [0; DENTRY_PART / 8],
            tables,
            start: PATH_MAX as u32,
            last: 0,
            doubt: 0,
            done: 0,
            pad: 0,
        };
    }
    Some(())
}

/// Writes the path of what [`begin`] was told into the walk buffer of a claimed scratch. What came of it is in its state.
#[inline(always)]
pub(crate) fn walk(scratch: u32) -> Option<()> {
    apart::option(walk_apart(scratch))
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn walk_apart(scratch: u32) -> u32 {
    apart::number(try_walk(scratch))
}

#[inline(always)]
fn try_walk(scratch: u32) -> Option<()> {
    let memory = slot(scratch)?;
    let mut index = scratch;
    // SAFETY: parts of a claimed slot, which nothing else uses meanwhile; `step` has the signature `bpf_loop` calls, and
    // `index` outlives the call.
    unsafe {
        bpf_loop(STEPS, step as *mut c_void, (&raw mut index).cast(), 0);
        let state = &mut (*memory).state;
        if state.done == 0 {
            state.doubt |= doubt::PATH;
        }
        if state.start >= PATH_MAX as u32 {
            // Nothing but the root itself.
            state.start = PATH_MAX as u32 - 1;
            state.last = state.start;
            (*memory).walk[PATH_MAX - 1] = b'/';
        }
    }
    Some(())
}

/// One component or one mount. Answers 1 when the walk is over.
extern "C" fn step(_step: u32, index: *const u32) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `walk` gave it.
    let Some(memory) = slot(unsafe { *index }) else {
        return 1;
    };
    // SAFETY: two parts of a claimed slot that do not overlap.
    let (state, buffer) = unsafe { (&mut (*memory).state, (&raw mut (*memory).walk).cast::<u8>()) };
    match take_step(state, buffer) {
        Some(true) => 1,
        Some(false) => 0,
        None => {
            state.doubt |= doubt::READ;
            state.done = 1;
            1
        }
    }
}

/// `None` when kernel memory could not be read.
#[inline(always)]
fn take_step(walk: &mut Walk, buffer: *mut u8) -> Option<bool> {
    if walk.root == 0 {
        walk.root = pointer(walk.at_mount, offset!(vfsmount_root))?;
    }
    if walk.at == walk.root {
        let mount = walk.at_mount.wrapping_sub(u64::from(offset!(mount_mnt)));
        let parent = pointer(mount, offset!(mount_parent))?;
        if parent == mount {
            if !is_attached(mount)? {
                walk.doubt |= doubt::DETACHED;
            }
            walk.done = 1;
            return Some(true);
        }
        walk.at = pointer(mount, offset!(mount_mountpoint))?;
        walk.at_mount = parent.wrapping_add(u64::from(offset!(mount_mnt)));
        walk.root = 0;
        return Some(false);
    }
    // One call for three members; the daemon has checked that they are near each other.
    let first_member = offset!(dentry_parent);
    copy((&raw mut walk.part).cast(), DENTRY_PART as u32, walk.at.wrapping_add(u64::from(first_member)))?;
    let parent = walk.part[0];
    let (len_at, name_at) = (offset!(dentry_name_len) - first_member, offset!(dentry_name) - first_member);
    let part = (&raw const walk.part).cast::<u8>();
    // SAFETY: offsets inside `part`, which the verifier knows and checks.
    let (len, name) = unsafe {
        (
            part.add(len_at as usize).cast::<u32>().read_volatile(),
            part.add(name_at as usize).cast::<u64>().read_volatile(),
        )
    };
    if parent == 0 || name == 0 {
        return None;
    }
    if parent == walk.at {
        walk.doubt |= doubt::DETACHED;
        walk.done = 1;
        return Some(true);
    }
    if len > 255 || len + 1 > walk.start {
        walk.doubt |= doubt::PATH;
        walk.done = 1;
        return Some(true);
    }
    let at = walk.start - len;
    // The masks change nothing; they are what the verifier can follow. `black_box` keeps the compiler from
    // removing them for that reason.
    let bounded_at = core::hint::black_box(at) & (PATH_MAX as u32 - 1);
    let bounded_len = core::hint::black_box(len) & 255;
    // SAFETY: at most 4095 + 255, inside the walk buffer.
    copy(unsafe { buffer.add(bounded_at as usize) }, bounded_len, name)?;
    let slash = core::hint::black_box(at.wrapping_sub(1)) & (PATH_MAX as u32 - 1);
    // SAFETY: masked to the walk buffer.
    unsafe { buffer.add(slash as usize).write(b'/') };

    let first = walk.last == 0;
    if first {
        walk.last = at - 1;
    }
    // SAFETY: at most 4095 + 8, inside the walk buffer.
    let head = unsafe { buffer.add(bounded_at as usize).cast::<u64>().read_unaligned() };
    look_up_name(walk, name, bounded_len, head, first)?;
    walk.start = at - 1;
    walk.at = parent;
    Some(false)
}

/// Is this topmost mount the root of the current task's tree, or one of the kernel's own (a pipe's, the layers of an overlay)?
/// The path in any other one begins wherever its maker wanted: a tree cloned by `open_tree(2)`, one made by `fsmount(2)`, one
/// that was unmounted lazily, another namespace's.
#[inline(always)]
fn is_attached(mount: Addr) -> Option<bool> {
    /// `MNT_NS_INTERNAL` is an error pointer.
    const ERRORS: u64 = u64::MAX - 4_095;
    let namespace = read::<u64>(mount, offset!(mount_namespace))?;
    if namespace >= ERRORS {
        return Some(true);
    }
    // A task that ends has none any more.
    let namespaces = read::<u64>(current() as u64, offset!(task_namespaces))?;
    Some(namespaces != 0 && namespace == pointer(namespaces, offset!(namespaces_mount))?)
}

/// Adds what the rules say of this name.
#[inline(always)]
fn look_up_name(walk: &mut Walk, name: Addr, len: u32, head: u64, first: bool) -> Option<()> {
    if walk.tables == 0 {
        return Some(());
    }
    let value = named(walk.tables, name, len, head)?;
    walk.named |= value.any.0;
    if first {
        walk.named |= value.last.0;
    } else {
        walk.named_above |= value.any.0;
    }
    Some(())
}

/// What the rules say of one name, which begins with the eight bytes `first`; nothing for a name no rule mentions.
#[inline(always)]
pub(crate) fn named(tables: u32, name: Addr, len: u32, first: u64) -> Option<NameValue> {
    let nothing = NameValue { last: OpSet::EMPTY, any: OpSet::EMPTY };
    let (word, bits) = name_mark(len, first);
    if NAME_FILTER.get(word)? & bits != bits {
        return Some(nothing);
    }
    let mut key = NameKey { tables, len, head: [0; NAME_HEAD] };
    let head = if len > NAME_HEAD as u32 { NAME_HEAD as u32 } else { len };
    let head = core::hint::black_box(head) & 31;
    if head > NAME_HEAD as u32 {
        return None;
    }
    copy((&raw mut key.head).cast(), head, name)?;
    // SAFETY: the value is copied at once.
    Some(unsafe { NAMES.get(&key) }.map_or(nothing, |value| *value))
}
