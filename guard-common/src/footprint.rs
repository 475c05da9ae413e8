//! What agents touch: what goes through the `FOOTPRINTS` ring buffer, and where the kernel goes on counting. It informs; it
//! never decides.

use core::mem::size_of;

use crate::{
    op::{Op, OpSet},
    table::ADDRESS_LEN,
};

/// The end of an entry. Before it are [`GAP`] bytes of nothing, and before those the text: the path of what was touched, or
/// the `sockaddr` that was reached. An entry is no multiple of anything long.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// Cgroup id of the agent.
    pub agent: u64,
    /// Of the element where more of it is counted, a [`DirKey`](crate::table::DirKey) or a [`ReachKey`]; all zero when there
    /// is none, and every touch is told.
    pub key: [u64; 3],
    /// `i_ino` of what that element stands for.
    pub ino: u64,
    /// What is counted there by now.
    pub reads: u32,
    pub writes: u32,
    /// One of the constants below.
    pub kind: u32,
    /// [`READ`], [`WRITE`], or 0 when this touch is counted elsewhere.
    pub act: u32,
}

/// Bytes between the text and the end of an entry.
pub const GAP: usize = 8;

/// The text is the path of something in a directory.
pub const IN_DIRECTORY: u32 = 1;
/// The text is the path of a Unix socket.
pub const SOCKET_FILE: u32 = 2;
/// The text is a `sockaddr`.
pub const ADDRESS: u32 = 3;

/// This touch is counted as a read; a connection counts as one, too.
pub const READ: u32 = 1;
/// This touch is counted as a write.
pub const WRITE: u32 = 2;

/// Kinds that read something in a directory.
pub const READS: OpSet = Op::OpenRead.set();
/// Kinds that change something in a directory, or what is in it.
pub const WRITES: OpSet = OpSet((1 << (Op::OpenWrite as u32 + 1)) - 1);

/// Key of `REACHED`: where an agent connected to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReachKey {
    /// IPv6, or IPv4 mapped into it; of a Unix socket with a file, the addresses of its directory entry and its mount.
    pub to: [u8; ADDRESS_LEN],
    /// [`crate::table::Agent::policy`], which is one agent's alone.
    pub policy: u32,
    pub family: u16,
    /// Host byte order.
    pub port: u16,
}

/// Value of `REACHED`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReachValue {
    /// `i_ino` of a socket file, whose directory entry may be another one's later; 0 of an address.
    pub ino: u64,
    /// How often.
    pub count: u32,
    /// Always 0.
    pub pad: u32,
}

const _: () = {
    assert!(size_of::<Touch>() == 56);
    assert!(size_of::<ReachKey>() == 24);
    assert!(size_of::<ReachValue>() == 16);
    assert!(WRITES.contains(Op::Unlink) && WRITES.contains(Op::Truncate) && WRITES.contains(Op::OpenWrite));
    assert!(!WRITES.contains(Op::OpenRead) && !WRITES.contains(Op::Exec));
};
