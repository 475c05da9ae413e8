//! The hold record: everything the kernel knows about an operation it stopped.
//!
//! It is the value of the `HOLDS` map and the identity a grant is bound to: a restarted system call is let
//! through only if it produces the same record again, up to the fields named in [`HoldRecord`] as *when*.
//!
//! The record is copied several times for every operation, so it is short. Texts that do not fit into it are in
//! the `TEXTS` map under the same key, as a [`HoldText`] written before the record.

use core::mem::{offset_of, size_of};

pub const PATH_MAX: usize = 4096;
pub const ARGV_MAX: usize = 4096;
pub const NAME_MAX: usize = 256;
pub const ADDRESS_MAX: usize = 112;
pub const COMM_LEN: usize = 16;
/// Bytes of text the record itself has room for.
pub const INLINE_MAX: usize = 256;
/// Bytes of text an operation may have: two paths, or a path and arguments.
pub const TEXT_MAX: usize = 8192;

/// Key of the `HOLDS`, `TEXTS` and `GRANTS` maps.
///
/// `slot` is [`SLOT_HELD`] with a thread id for operations that wait stopped, and [`SLOT_DENIED`] with a
/// process id for operations that were refused and may be tried again after approval.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldKey {
    pub id: u32,
    pub slot: u32,
}

pub const SLOT_HELD: u32 = 0;
pub const SLOT_DENIED: u32 = 1;
/// As [`SLOT_HELD`], for the interpreter of a program that was itself a candidate: both decisions must stand at
/// once for the call to go through.
pub const SLOT_INTERPRETER: u32 = 2;

/// One file-system object: identity first, then facts for judging.
///
/// `ino == 0` means "nothing is there". Of a created or removed name, `parent_ino` and `name` say where.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Object {
    /// `i_ino`.
    pub ino: u64,
    /// `i_ino` of the directory the name is in.
    pub parent_ino: u64,
    /// `i_size` in bytes. A fact, not identity: a file may grow while it waits.
    pub size: u64,
    /// `s_dev` in the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    /// `i_generation`.
    pub generation: u32,
    /// `i_mode`, type bits included.
    pub mode: u32,
    /// `i_rdev` in the kernel's encoding; of device nodes.
    pub rdev: u32,
    /// `i_nlink`. A fact, not identity.
    pub nlink: u32,
    /// `i_uid` in the initial user namespace.
    pub uid: u32,
    /// `s_magic` of the file system.
    pub magic: u32,
    /// 1 when this agent made it since it was tagged. A fact, not identity; never 1 on a doubt.
    pub own: u32,
    /// The last component, NUL-padded.
    pub name: [u8; NAME_MAX],
}

/// An operation the kernel stopped. Offsets are part of the ABI.
///
/// Not part of the identity (*when* and *how it looks*): `hold`, `stops`, `context`, `comm`, sizes and link
/// counts of the objects, and the paths, whose objects are compared instead.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HoldRecord {
    /// `CLOCK_BOOTTIME` in nanoseconds when it was first stopped; with the key, the name of this hold.
    pub hold: u64,
    /// Cgroup id of the agent.
    pub agent: u64,
    /// `start_boottime` of the thread, in nanoseconds: with `tid`, the thread's identity.
    pub start_boottime: u64,
    pub tid: u32,
    pub tgid: u32,
    pub uid: u32,
    pub gid: u32,
    /// [`crate::op::Op`] as its number.
    pub op: u32,
    /// Meaning depends on `op`; see [`crate::op::rename`].
    pub flags: u32,
    /// [`context`]
    pub context: u32,
    /// How often the hook ran on this same operation and stopped it.
    pub stops: u32,
    /// [`doubt`]: why the record is incomplete, 0 when it is whole.
    pub doubt: u32,
    pub path_len: u32,
    pub other_path_len: u32,
    pub address_len: u32,
    pub argv_len: u32,
    /// Number of arguments the kernel counted, which may be more than are recorded.
    pub argc: u32,
    /// Meaning depends on `op`; identity.
    pub detail: [u64; 4],
    pub target: Object,
    pub other: Object,
    /// `sockaddr` as the kernel copied it.
    pub address: [u8; ADDRESS_MAX],
    /// Name of the thread. It informs; it never decides.
    pub comm: [u8; COMM_LEN],
    /// The second path, the arguments (each ended by NUL), the path: one after the other, without a gap, as long as
    /// the fields above say. Paths are from the root of the mount namespace's tree and not NUL-terminated. Unused when
    /// they are longer together than [`INLINE_MAX`]: then they are in [`HoldText::text`].
    pub text: [u8; INLINE_MAX],
    /// Files the agent's quota let pass lately; see [`crate::quota`]. A fact, not identity.
    pub passed_files: u64,
    /// The same in bytes.
    pub passed_bytes: u64,
    /// `hold` once more. A reader that finds another value read while the element was written.
    pub seal: u64,
}

/// Texts too long for the record they belong to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HoldText {
    /// [`HoldRecord::hold`] of that record.
    pub hold: u64,
    /// As [`HoldRecord::text`].
    pub text: [u8; TEXT_MAX],
    /// As [`HoldRecord::seal`].
    pub seal: u64,
}

/// How the operation was stopped; values of [`HoldRecord::context`].
pub mod context {
    /// Suspended before it took effect; the call restarts on `SIGCONT`.
    pub const HELD: u32 = 0;
    /// Refused with `EPERM` because the call cannot restart; approval lets a retry through.
    pub const DENIED: u32 = 1;
    /// Trip tier: stopped after the effect (for `exec`: before the first instruction).
    pub const TRIPPED: u32 = 2;
}

/// Reasons a record is incomplete; bits of [`HoldRecord::doubt`]. An incomplete record is never cleared.
pub mod doubt {
    /// The path is longer or deeper than the walk goes.
    pub const PATH: u32 = 1;
    /// A kernel or user read failed.
    pub const READ: u32 = 2;
    /// There are more or longer arguments than fit.
    pub const ARGV: u32 = 4;
    /// The object is not connected to a root (detached mount, `open_by_handle_at`).
    pub const DETACHED: u32 = 8;
}

/// What a tracepoint sees of a path is what the program wrote. Its [`HoldRecord::detail`] 3, and 2 for the second path,
/// say what it is relative to: the directory's descriptor in the low half, and these bits.
pub mod tripped {
    /// The kernel followed the path's last component where that is a symbolic link.
    pub const FOLLOW: u64 = 1 << 32;
    /// It is the kernel's own path already.
    pub const RESOLVED: u64 = 1 << 33;
}

const _: () = {
    assert!(size_of::<HoldKey>() == 8);
    assert!(size_of::<Object>() == 312);
    assert!(offset_of!(Object, dev) == 24);
    assert!(offset_of!(Object, magic) == 48);
    assert!(offset_of!(Object, name) == 56);
    assert!(offset_of!(HoldRecord, tid) == 24);
    assert!(offset_of!(HoldRecord, detail) == 80);
    assert!(offset_of!(HoldRecord, target) == 112);
    assert!(offset_of!(HoldRecord, other) == 424);
    assert!(offset_of!(HoldRecord, address) == 736);
    assert!(offset_of!(HoldRecord, comm) == 848);
    assert!(offset_of!(HoldRecord, text) == 864);
    assert!(offset_of!(HoldRecord, seal) == 880 + INLINE_MAX);
    assert!(size_of::<HoldRecord>() == 888 + INLINE_MAX);
    assert!(offset_of!(HoldText, text) == 8);
    assert!(size_of::<HoldText>() == 16 + TEXT_MAX);
};
