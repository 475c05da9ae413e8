//! Sets of inodes that nearly nothing is in: a filter answers first, by the number alone, and a map is asked only where it
//! cannot say no.

use aya_ebpf::maps::Array;
use guard_common::table::inode_mark;

/// May an inode of this number be in the set whose filter this is?
#[inline(always)]
pub(crate) fn may_hold(filter: &Array<u64>, ino: u64) -> bool {
    let (word, bit) = inode_mark(ino);
    filter.get(word).is_none_or(|marks| *marks & bit != 0)
}
