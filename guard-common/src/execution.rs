//! What an agent executes: what goes through the `EXECUTIONS` ring buffer. It informs; it never decides.

use core::mem::{offset_of, size_of};

use crate::record::COMM_LEN;

/// Processes above the one that executes which are named.
pub const ANCESTORS: usize = 4;
/// Bytes of text one has at most: two paths and arguments.
pub const TEXT_MAX: usize = 8192;

/// The beginning of an entry. The path of the program, the working directory and the arguments follow it, one after the
/// other, without a gap, as long as the fields say: paths from the root of the mount namespace's tree and not
/// NUL-terminated, each argument ended by NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExecRecord {
    /// `CLOCK_BOOTTIME` in nanoseconds.
    pub time: u64,
    /// Cgroup id of the agent.
    pub agent: u64,
    /// `start_boottime` of the process, in nanoseconds: with `tgid`, its identity.
    pub start_boottime: u64,
    /// `i_ino` of the program; of a script, of its interpreter.
    pub ino: u64,
    /// `i_size` of the program in bytes.
    pub size: u64,
    /// `s_dev` in the kernel's encoding (major << 20 | minor).
    pub dev: u32,
    /// `i_generation`.
    pub generation: u32,
    /// `s_magic` of the file system.
    pub magic: u32,
    pub tgid: u32,
    pub uid: u32,
    /// Number of arguments the kernel counted, which may be more than are here.
    pub argc: u32,
    pub path_len: u32,
    pub cwd_len: u32,
    pub argv_len: u32,
    /// [`doubt`](crate::record::doubt): what of this is missing, 0 when it is whole.
    pub doubt: u32,
    pub comm: [u8; COMM_LEN],
    /// The parent first; all zero where there is none.
    pub ancestors: [Ancestor; ANCESTORS],
}

/// A process above another one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    /// `start_boottime` in nanoseconds.
    pub start_boottime: u64,
    pub tgid: u32,
    /// In the initial user namespace.
    pub uid: u32,
    pub comm: [u8; COMM_LEN],
}

const _: () = {
    assert!(size_of::<Ancestor>() == 32);
    assert!(offset_of!(ExecRecord, dev) == 40);
    assert!(offset_of!(ExecRecord, comm) == 80);
    assert!(offset_of!(ExecRecord, ancestors) == 96);
    assert!(size_of::<ExecRecord>() == 96 + 32 * ANCESTORS);
};
