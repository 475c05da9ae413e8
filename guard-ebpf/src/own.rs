//! What an agent made itself since it was tagged: the mark on an inode, set when something comes to be and read when
//! an operation asks whose its object is. What an own object allows is for the prefilter and the rules to say.
//!
//! A mark may be missing (no memory, an inode that left memory, a file system that makes things another way), and then
//! the object is foreign. It must never be on what was there before: so it is set only where the kernel gives a new
//! inode to a name, inside the call for which this task was seen to make that name.

use guard_common::op::FOREIGN;

use crate::{
    agent::Tagged,
    kread::{Addr, load},
    maps::{MAKING, MAKINGS, Making},
    offset,
    scratch::slot,
};

/// Kinds in the tables for which it matters whose the object is, as bits to look for; 0 where there are none.
#[inline(always)]
pub(crate) fn kinds(tagged: &Tagged) -> u64 {
    tagged.entry.ops.0 >> FOREIGN << FOREIGN
}

/// Notes that the current task is about to make something of this kind (`S_IFMT` bits) under the name `dentry`.
#[inline(always)]
pub(crate) fn begin(tagged: &Tagged, dentry: Addr, kind: u32) {
    let hash: u32 = load(dentry, offset!(dentry_name_hash));
    if let Some(making) = MAKING.get_ptr_mut(hash & (MAKINGS - 1)) {
        let parent = load(dentry, offset!(dentry_parent));
        // SAFETY: an element of an array. Two tasks may mix their values here; such a mixture fits neither.
        unsafe { *making = Making { dentry, parent, task: tagged.task, hash, kind } };
    }
}

/// A name is given to something that exists: what was noted under it is void.
#[inline(always)]
pub(crate) fn forget(dentry: Addr) {
    let hash: u32 = load(dentry, offset!(dentry_name_hash));
    if let Some(making) = MAKING.get_ptr_mut(hash & (MAKINGS - 1)) {
        // SAFETY: an aligned `u64` of an array element.
        unsafe { (*making).dentry = 0 };
    }
}

/// What `dentry` stands for; 0 when nothing is there. Of an open file ask the file: newer verifiers do not trust what is
/// reached through its path.
#[inline(always)]
pub(crate) fn inode_of(dentry: Addr) -> Addr {
    load(dentry, offset!(dentry_inode))
}

/// Notes in the record of a claimed scratch whether the agent made the object.
#[inline(always)]
pub(crate) fn note(index: u32, tagged: &Tagged, inode: Addr, other: bool) -> Option<()> {
    let own = u32::from(is_own(tagged, inode));
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    if other {
        record.other.own = own;
    } else {
        record.target.own = own;
    }
    Some(())
}

#[cfg(feature = "lsm")]
pub(crate) use marks::{is_own, made};

/// Without inode storage nothing is known to be anybody's.
#[cfg(not(feature = "lsm"))]
pub(crate) fn is_own(_tagged: &Tagged, _inode: Addr) -> bool {
    false
}

#[cfg(feature = "lsm")]
mod marks {
    use aya_ebpf::bindings::inode;

    use crate::{
        agent::{Tagged, current_agent},
        kread::{Addr, current, load},
        maps::{CREATED, MAKING, MAKINGS, Making, Mark},
        offset,
    };

    const S_IFMT: u32 = 0o170_000;
    const S_IFDIR: u32 = 0o040_000;
    const S_IFREG: u32 = 0o100_000;

    /// Did this agent make it, since it was tagged?
    #[inline(always)]
    pub(crate) fn is_own(tagged: &Tagged, inode: Addr) -> bool {
        if inode == 0 {
            return false;
        }
        let mark = CREATED.get_ptr_mut(inode as *mut inode);
        // SAFETY: not null, so a value of the map, which lives as long as this program runs.
        !mark.is_null() && unsafe { (*mark).agent == tagged.agent && (*mark).epoch == u64::from(tagged.entry.epoch) }
    }

    /// A name was given to an inode: marks it when it is the one the current task was seen to make.
    ///
    /// Every look-up of every process comes here, so the first question must be cheap: who makes nothing pays for one
    /// element of an array.
    #[inline(always)]
    pub(crate) fn made(dentry: Addr, inode: Addr) {
        let hash: u32 = load(dentry, offset!(dentry_name_hash));
        let Some(making) = MAKING.get_ptr_mut(hash & (MAKINGS - 1)) else {
            return;
        };
        // SAFETY: an element of an array, copied at once. `black_box`: the compiler would go on with the equal number
        // instead of the pointer the verifier knows.
        let noted = unsafe { *making };
        if core::hint::black_box(noted.dentry) != dentry || inode == 0 {
            return;
        }
        mark(dentry, inode, &noted);
    }

    #[inline(always)]
    fn mark(dentry: Addr, inode: Addr, noted: &Making) {
        let parent: Addr = load(dentry, offset!(dentry_parent));
        let hash: u32 = load(dentry, offset!(dentry_name_hash));
        // A look-up gives an inode to a name that is not in the table of names yet; making something, to one that is.
        let hashed: Addr = load(dentry, offset!(dentry_hashed));
        if core::hint::black_box(noted.task) != current() as u64
            || core::hint::black_box(noted.parent) != parent
            || noted.hash != hash
            || hashed == 0
        {
            return;
        }
        super::forget(dentry);
        let kind = u32::from(load::<u16>(inode, offset!(inode_mode))) & S_IFMT;
        // What has another name or any content already is not new: a remote file system may be wrong about that.
        let is_new = match kind {
            S_IFDIR => true,
            S_IFREG => load::<u32>(inode, offset!(inode_nlink)) <= 1 && load::<u64>(inode, offset!(inode_size)) == 0,
            _ => load::<u32>(inode, offset!(inode_nlink)) <= 1,
        };
        if kind != noted.kind || !is_new {
            return;
        }
        let Some(tagged) = current_agent() else {
            return;
        };
        let mut value = Mark { agent: tagged.agent, epoch: u64::from(tagged.entry.epoch) };
        let mark = CREATED.get_or_insert_ptr_mut(inode as *mut inode, Some(&mut value));
        if mark.is_null() {
            crate::count::count(guard_common::count::Count::MarkFailed);
        }
    }
}
