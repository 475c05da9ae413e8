//! The prefilter tables the daemon writes from the rules, and the kernel reads.
//!
//! They answer "could a rule match this?" and may only err towards yes. Agents whose rules make the same tables share
//! them; their number is in every key.

use core::mem::size_of;

use crate::op::OpSet;

/// Value of the `AGENTS` map; the key is the cgroup id (`u64`) of the agent's cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// Kinds of operation any rule of the policy could match. A kind outside it costs nothing more. In the upper half:
    /// those of them for which it matters anywhere whose the object is.
    pub ops: OpSet,
    /// Kinds that are candidates whatever the object (for rules the tables cannot express).
    pub always: OpSet,
    /// Kinds that are candidates when the object is a block device.
    pub block: OpSet,
    /// Kinds that directories are looked up for: `ops`, and what is counted of what no rule names.
    pub looked_up: OpSet,
    /// The compiled rules of this one agent, by which what was cleared is remembered.
    pub policy: u32,
    /// Which tagging of the cgroup this is: what was made under an earlier one is not the agent's own any more.
    pub epoch: u32,
    /// Number of its tables; 0 for none.
    pub tables: u32,
    /// 1 for guardd's canary: whatever it tries is refused, and no record is kept of it.
    pub canary: u32,
}

/// Key of `ADOPTED`: something that an agent had open when it was tagged.
///
/// The file system is not part of it: what `stat(2)` calls a device is not what the kernel programs see of a subvolume or
/// an overlay. Of two objects with one number the other is asked about once more, which costs a look.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdoptedKey {
    /// Cgroup id of the agent.
    pub agent: u64,
    /// Inode number of the file or socket.
    pub ino: u64,
}

/// Room in `ADOPTED`, for all agents together.
pub const ADOPTED_MAX: u32 = 65_536;
/// Files and directories that may be guard's own or above it: closed segments of the log may be many.
pub const GUARDS_MAX: u32 = 65_536;

/// Key of `GUARDS`: a file or directory of guard's own or above one, by identity.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuardsKey {
    pub ino: u64,
    /// `s_dev` in the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    /// Always 0.
    pub pad: u32,
}

/// Value in `GUARDS`: guard's own.
pub const GUARDS_OWN: u32 = 1;

/// Value in `GUARDS`: a directory that something of guard's own is below. It keeps its name, and is nobody's otherwise.
pub const GUARDS_ABOVE: u32 = 2;

/// Words of `GUARDS_FILTER` and `ADOPTED_FILTER`, a power of two: what is not marked there is not in `GUARDS` or `ADOPTED`.
pub const INODE_WORDS: u32 = 64;

/// Where an inode leaves its mark in those: the word, and the bit in it.
#[must_use]
#[inline(always)]
pub const fn inode_mark(ino: u64) -> (u32, u64) {
    let mixed = ino.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32 & (INODE_WORDS - 1), 1 << (mixed >> 58))
}

/// Agents the kernel programs can tell apart.
pub const AGENTS_MAX: u32 = 256;

/// Words of `NAME_FILTER`, a power of two: room for many times the names that rules mention.
pub const NAME_WORDS: u32 = 1024;

/// Where the names of every table leave their mark in `NAME_FILTER`: the word, and the bits in it. A name whose bits are
/// not all set is in no `NAMES`.
///
/// `first` is the first eight bytes of the name as a little-endian number; what follows a shorter name does not count.
#[must_use]
#[inline(always)]
pub const fn name_mark(len: u32, first: u64) -> (u32, u64) {
    let own = if len < 8 { first & ((1 << (8 * (len & 7))) - 1) } else { first };
    let mixed = (own ^ ((len as u64) << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32 & (NAME_WORDS - 1), 1 << (mixed >> 58) | 1 << ((mixed >> 52) & 63))
}

/// Bytes of path the `PATHS` trie can hold.
pub const PREFIX_MAX: usize = 248;

/// Key data of the `PATHS` longest-prefix trie; the prefix length counts bits from `tables` on.
///
/// `path` is a directory with its trailing slash, from the root: `/srv/data/`. The kernel looks up the walked
/// path with a slash appended, so that `/srv/data/` covers the directory and all below it, and not
/// `/srv/database`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PathKey {
    pub tables: u32,
    pub path: [u8; PREFIX_MAX],
}

/// Value of `PATHS`. The longest prefix alone counts, so each entry holds what it inherits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathValue {
    /// The kinds that are candidates at and below this directory.
    pub ops: OpSet,
    /// Bytes of the directory this entry stands for.
    pub len: u32,
    /// 1 when another entry stands for a directory below this one. Every directory above an entry has an entry
    /// itself, so a directory that is found by a shorter prefix than its own has none below it.
    pub deeper: u32,
}

/// Key of `DIRS`: a directory in one mount under one policy.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirKey {
    /// Address of its `struct dentry`.
    pub dentry: u64,
    /// Address of the `struct vfsmount`.
    pub mount: u64,
    /// [`Agent::policy`]; a bit above it for one thing instead of all in a directory; then [`Agent::tables`].
    pub policy: u64,
}

/// Value of `DIRS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirValue {
    /// [`State::paths`](crate::task::State::paths) when this was found out.
    pub paths: u64,
    /// Inode of the directory, as an address: a `dentry` may be reused for another one.
    pub inode: u64,
    /// Inode number of the directory, for the same reason.
    pub ino: u64,
    /// The directory above it, as a `dentry`: memory and number of one that was removed are soon another's.
    pub above: u64,
    /// `i_generation` of the directory.
    pub generation: u32,
    /// Hash of its name.
    pub hash: u32,
    /// Kinds that are candidates for anything in the directory, names of the things themselves apart. With
    /// [`PATH_PART`](crate::op::PATH_PART) where a name there may be that of a directory in `PATHS`.
    pub ops: OpSet,
    /// How often something in it was read and changed under this policy, less what was not counted.
    pub reads: u32,
    pub writes: u32,
}

/// Bytes of a name that a [`NameKey`] compares; a longer name is compared by these and its length.
pub const NAME_HEAD: usize = 24;

/// Key of `NAMES`: a file or directory name that a rule mentions wherever it is.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameKey {
    pub tables: u32,
    /// Length of the whole name in bytes.
    pub len: u32,
    /// First bytes of the name, NUL-padded.
    pub head: [u8; NAME_HEAD],
}

/// Value of `NAMES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameValue {
    /// Kinds that are candidates when the object itself has this name. For [`crate::op::Op::Exec`]: the program.
    pub last: OpSet,
    /// Kinds that are candidates when the object or any directory above it has this name.
    pub any: OpSet,
}

/// Key of `PORTS`: destinations of `connect(2)` that are candidates.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortKey {
    pub tables: u32,
    /// `AF_UNIX`, `AF_INET` (also for IPv4-mapped IPv6), `AF_INET6`, or any other family.
    pub family: u16,
    /// Host byte order; 0 stands for every port of the family.
    pub port: u16,
}

/// Bytes of an [`AddressKey`] after the number of the tables.
pub const ADDRESS_LEN: usize = 16;

/// Key data of the `ADDRESSES` longest-prefix trie: IPv6, or IPv4 mapped into it (`::ffff:a.b.c.d`).
///
/// The value is an [`OpSet`]; `Connect` in it makes the destination a candidate whatever the port.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct AddressKey {
    pub tables: u32,
    pub address: [u8; ADDRESS_LEN],
}

const _: () = {
    assert!(size_of::<Agent>() == 48);
    assert!(size_of::<DirKey>() == 24);
    assert!(size_of::<DirValue>() == 56);
    assert!(size_of::<PathValue>() == 16);
    assert!(size_of::<PathKey>() == 252);
    assert!(size_of::<NameKey>() == 32);
    assert!(size_of::<NameValue>() == 16);
    assert!(size_of::<PortKey>() == 8);
    assert!(size_of::<AddressKey>() == 20);
    assert!(size_of::<AdoptedKey>() == 16);
    assert!(size_of::<GuardsKey>() == 16);
};

#[cfg(test)]
mod tests {
    extern crate std;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_mark_of_a_name_is_the_same_whatever_follows_it_and_differs_with_each_byte() {
        let names = ["a", "ab", "id_rsa", "authorized", ".bashrc", "customers.db"];
        for name in names {
            let with = |rest: u8| {
                let mut bytes = [rest; 24];
                bytes[..name.len()].copy_from_slice(name.as_bytes());
                let first = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
                name_mark(name.len() as u32, first)
            };
            assert_eq!(with(0), with(b'/'), "{name}");
            assert!(with(0).0 < NAME_WORDS && with(0).1 != 0, "{name}");
        }
        let words: BTreeSet<_> = (0..u64::from(NAME_WORDS)).map(|name| name_mark(4, name).0).collect();
        assert!(words.len() > NAME_WORDS as usize / 2, "{} words for {NAME_WORDS} names", words.len());
        assert_ne!(name_mark(1, u64::from(b'a')), name_mark(2, u64::from(b'a')));
    }
}
