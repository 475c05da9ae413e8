//! Says what an agent touches: a directory when its path is found out, an address or a socket when it is reached first. What
//! comes after is counted in the maps, where guardd reads it. Nothing is decided by it: what cannot be told is counted, and
//! goes on all the same.

use guard_common::{
    count::Count,
    footprint::{ADDRESS, GAP, IN_DIRECTORY, READ, READS, ReachKey, ReachValue, SOCKET_FILE, Touch, WRITE, WRITES},
    record::{PATH_MAX, doubt},
    table::{DirKey, DirValue},
};

use crate::{
    agent::Tagged,
    count::count,
    destination::{AF_UNIX, AF_UNSPEC, destination, names_a_file},
    gate::NO_WAKEUP,
    kread::{Addr, copy, read},
    maps::{FOOTPRINTS, REACHED},
    offset, path,
    prefilter::whose,
    scratch::{self, slot},
};

/// Counts in place one of `bits`. Of two processors at once one may not be counted.
#[inline(always)]
pub(crate) fn add(seen: &mut DirValue, bits: u64) {
    if bits & WRITES.0 != 0 {
        seen.writes = seen.writes.wrapping_add(1);
    } else if bits & READS.0 != 0 {
        seen.reads = seen.reads.wrapping_add(1);
    }
}

/// Notes in a claimed scratch who touches what it is about to walk from, and how.
#[inline(always)]
pub(crate) fn begin(index: u32, tagged: &Tagged, bits: u64) {
    let act = if bits & WRITES.0 != 0 {
        WRITE
    } else if bits & READS.0 != 0 {
        READ
    } else {
        0
    };
    put(index, tagged, IN_DIRECTORY, act);
}

#[inline(always)]
fn put(index: u32, tagged: &Tagged, kind: u32, act: u32) {
    if let Some(memory) = slot(index) {
        let key = [0, 0, whose(&tagged.entry)];
        // SAFETY: `touch` is part of a claimed slot.
        unsafe { (*memory).touch = Touch { agent: tagged.agent, key, ino: 0, reads: 0, writes: 0, kind, act } };
    }
}

/// Tells of a directory that was just remembered, with what is counted there, unless its path `is_told`.
#[inline(always)]
pub(crate) fn tell(index: u32, key: &DirKey, value: &DirValue, is_told: bool) -> Option<()> {
    // SAFETY: `touch` is part of a claimed slot.
    let touch = unsafe { &mut (*slot(index)?).touch };
    (touch.key, touch.ino) = ([key.dentry, key.mount, key.policy], value.ino);
    (touch.reads, touch.writes) = (value.reads, value.writes);
    let told = if is_told { Some(()) } else { send(index) };
    // Something that is remembered itself, too, counts once.
    touch.act = 0;
    told
}

/// Tells of what is not remembered.
#[inline(always)]
pub(crate) fn tell_each(index: u32) -> Option<()> {
    // SAFETY: `touch` is part of a claimed slot.
    let touch = unsafe { &mut (*slot(index)?).touch };
    touch.key = [0; 3];
    if touch.act == 0 { Some(()) } else { send(index) }
}

/// Tells that an address was reached. That of a socket file is told where the kernel has found the file.
#[inline(never)]
pub(crate) fn reached(tagged: &Tagged, address: Addr, len: u32) {
    if try_reached(tagged, address, len).is_none() {
        count(Count::FootprintUnseen);
    }
}

#[inline(always)]
fn try_reached(tagged: &Tagged, address: Addr, len: u32) -> Option<()> {
    let to = destination(address, len)?;
    if to.family == AF_UNSPEC || names_a_file(address, len)? {
        return Some(());
    }
    let key = ReachKey { to: to.ip, policy: tagged.entry.policy, family: to.family, port: to.port };
    // Abstract names are longer than a key.
    let is_known = to.family != AF_UNIX;
    if is_known && again(&key, 0) {
        return Some(());
    }
    let index = scratch::claim()?;
    put(index, tagged, ADDRESS, READ);
    let told = put_address(index, address, len, is_known.then_some(&key)).and_then(|()| send(index));
    scratch::release(index);
    told
}

/// The address is the text.
#[inline(always)]
fn put_address(index: u32, address: Addr, len: u32, key: Option<&ReachKey>) -> Option<()> {
    /// `struct sockaddr_storage`
    const LONGEST: u32 = 128;
    let memory = slot(index)?;
    let len = core::hint::black_box(if len > LONGEST { LONGEST } else { len }) & 255;
    if len > LONGEST {
        return None;
    }
    let start = core::hint::black_box(PATH_MAX as u32 - len) & (PATH_MAX as u32 - 1);
    // SAFETY: parts of a claimed slot; masked to the walk buffer, and followed by room for the longest address.
    unsafe {
        copy((&raw mut (*memory).walk).cast::<u8>().add(start as usize), len, address)?;
        (*memory).state.start = start;
        if let Some(key) = key {
            (*memory).touch.key = words(key);
            (*memory).touch.reads = 1;
        }
    }
    Some(())
}

/// Tells that the Unix socket at `other`, a `struct unix_sock`, was reached, if it has a file.
#[inline(never)]
pub(crate) fn reached_socket(tagged: &Tagged, other: Addr) {
    if try_reached_socket(tagged, other).is_none() {
        count(Count::FootprintUnseen);
    }
}

#[inline(always)]
fn try_reached_socket(tagged: &Tagged, other: Addr) -> Option<()> {
    let (dentry, mount) = (read::<u64>(other, offset!(unix_dentry))?, read::<u64>(other, offset!(unix_mount))?);
    if dentry == 0 {
        return Some(());
    }
    let inode = read::<u64>(dentry, offset!(dentry_inode))?;
    let ino = read::<u64>(inode, offset!(inode_ino))?;
    let to = (u128::from(mount) << 64 | u128::from(dentry)).to_ne_bytes();
    let key = ReachKey { to, policy: tagged.entry.policy, family: AF_UNIX, port: 0 };
    if again(&key, ino) {
        return Some(());
    }
    let index = scratch::claim()?;
    put(index, tagged, SOCKET_FILE, READ);
    let told = path::begin(index, mount, dentry, 0).and_then(|()| tell_socket(index, &key, ino));
    scratch::release(index);
    told
}

#[inline(always)]
fn tell_socket(index: u32, key: &ReachKey, ino: u64) -> Option<()> {
    path::walk(index)?;
    let memory = slot(index)?;
    // SAFETY: parts of a claimed slot.
    unsafe {
        if (*memory).state.doubt & (doubt::PATH | doubt::READ) != 0 {
            return None;
        }
        (*memory).touch.key = words(key);
        ((*memory).touch.ino, (*memory).touch.reads) = (ino, 1);
    }
    send(index)
}

/// Counts it, and remembers it; false when it was not known.
#[inline(always)]
fn again(key: &ReachKey, ino: u64) -> bool {
    if let Some(seen) = REACHED.get_ptr_mut(key) {
        // SAFETY: a value of the map, whose fields are integers.
        let seen = unsafe { &mut *seen };
        if seen.ino == ino {
            seen.count = seen.count.wrapping_add(1);
            return true;
        }
    }
    if REACHED.insert(key, &ReachValue { ino, count: 1, pad: 0 }, 0).is_err() {
        // The next one is told of again.
    }
    false
}

#[inline(always)]
fn words(key: &ReachKey) -> [u64; 3] {
    // SAFETY: 24 bytes without padding, of which any are three numbers.
    unsafe { (&raw const *key).cast::<[u64; 3]>().read_unaligned() }
}

/// Sends the walk buffer from where the text begins, with the touch behind it. guardd reads it once a second.
#[inline(always)]
fn send(index: u32) -> Option<()> {
    /// What is sent beside the text.
    const BESIDE: u32 = (GAP + size_of::<Touch>()) as u32;
    let memory = slot(index)?;
    // SAFETY: the field of a claimed slot is copied at once.
    let start = core::hint::black_box(unsafe { (*memory).state.start }) & (PATH_MAX as u32 - 1);
    let len = core::hint::black_box(PATH_MAX as u32 + BESIDE - start) & (2 * PATH_MAX as u32 - 1);
    if len > PATH_MAX as u32 + BESIDE {
        return None;
    }
    // SAFETY: `start` is masked to the walk buffer, and the scratch goes on behind it for longer than the longest entry.
    let entry = unsafe {
        core::slice::from_raw_parts((&raw const (*memory).walk).cast::<u8>().add(start as usize), len as usize)
    };
    FOOTPRINTS.output::<[u8]>(entry, NO_WAKEUP).ok()
}
