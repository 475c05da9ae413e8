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
    /// The compiled rules of this one agent, by which what was cleared is remembered.
    pub policy: u32,
    /// Which tagging of the cgroup this is: what was made under an earlier one is not the agent's own any more.
    pub epoch: u32,
    /// Bits by [`name_bit`] of the names in `NAMES`: a name whose bit is not set is not there.
    pub name_bits: u64,
    /// The same, of names that are programs and nothing else. They are many, and only an exec asks for them.
    pub exec_bits: u64,
    /// The same, of names of directories in `PATHS`, asked for where such a directory may be.
    pub part_bits: u64,
    /// Number of its tables.
    pub tables: u32,
    pub pad: u32,
}

/// Agents the kernel programs can tell apart.
pub const AGENTS_MAX: u32 = 256;

/// Which bit of [`Agent::name_bits`] a name of this length and last byte sets.
#[must_use]
#[inline(always)]
pub const fn name_bit(len: u32, last: u8) -> u64 {
    1 << ((len.wrapping_mul(7) ^ last as u32) & 63)
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
    assert!(size_of::<Agent>() == 64);
    assert!(size_of::<PathValue>() == 16);
    assert!(size_of::<PathKey>() == 252);
    assert!(size_of::<NameKey>() == 32);
    assert!(size_of::<NameValue>() == 16);
    assert!(size_of::<PortKey>() == 8);
    assert!(size_of::<AddressKey>() == 20);
};
