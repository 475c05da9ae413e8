//! The kinds of operation guard knows, and sets of them.

/// One kind of kernel-visible act. The number is its bit in an [`OpSet`] and is part of the ABI.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `unlink(2)`, `unlinkat(2)` of anything but a directory.
    Unlink = 0,
    /// `rmdir(2)`, `unlinkat(2)` with `AT_REMOVEDIR`.
    Rmdir = 1,
    /// `rename(2)` and relatives. `other` is the new place; its `ino` is 0 when nothing stood there.
    Rename = 2,
    /// `link(2)`: `target` is the existing file, `other` the new name.
    Link = 3,
    /// `symlink(2)`: `target` is the new name, `other_path` the text it points to.
    Symlink = 4,
    /// Creation of a file, device node, fifo or socket node. `detail[0]` is the mode, `detail[1]` the device.
    Mknod = 5,
    /// `detail[0]` is the new mode.
    Chmod = 6,
    /// `detail[0]` is the new uid, `detail[1]` the new gid.
    Chown = 7,
    /// `truncate(2)`, `ftruncate(2)`, and `O_TRUNC` where the kernel asks separately.
    Truncate = 8,
    /// An open for writing of something that existed. `detail[0]` is `f_flags`.
    OpenWrite = 9,
    /// An open for reading. `detail[0]` is `f_flags`.
    OpenRead = 10,
    /// `execve(2)`, `execveat(2)`.
    Exec = 11,
    /// `connect(2)`; the address is in `address`.
    Connect = 12,
    /// `mount(2)`, `fsconfig(2)` and relatives. `detail[0]` is the mount flags; `other_path` is the device or source.
    Mount = 13,
    /// `move_mount(2)`.
    MoveMount = 14,
    /// `umount(2)`.
    Umount = 15,
    /// `pivot_root(2)`.
    PivotRoot = 16,
    /// A destructive `ioctl(2)`. `detail[0]` is the command.
    Ioctl = 17,
    /// `kill(2)` and relatives at a process outside the agent. `detail[0]` is the signal, `detail[1]` the target's pid; where
    /// that is 0 the call reaches several, and `detail[2]` says which: see [`signal`].
    Signal = 18,
    /// `ptrace(2)`, `process_vm_writev(2)`, `/proc/PID/mem` and relatives. `detail[1]` is the target's pid.
    Ptrace = 19,
    /// `io_uring_setup(2)`.
    IoUring = 20,
}

impl Op {
    /// Every kind, in the order of its number.
    pub const ALL: [Self; 21] = [
        Self::Unlink,
        Self::Rmdir,
        Self::Rename,
        Self::Link,
        Self::Symlink,
        Self::Mknod,
        Self::Chmod,
        Self::Chown,
        Self::Truncate,
        Self::OpenWrite,
        Self::OpenRead,
        Self::Exec,
        Self::Connect,
        Self::Mount,
        Self::MoveMount,
        Self::Umount,
        Self::PivotRoot,
        Self::Ioctl,
        Self::Signal,
        Self::Ptrace,
        Self::IoUring,
    ];

    /// The name used in rules, the API, the log and on screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlink => "unlink",
            Self::Rmdir => "rmdir",
            Self::Rename => "rename",
            Self::Link => "link",
            Self::Symlink => "symlink",
            Self::Mknod => "mknod",
            Self::Chmod => "chmod",
            Self::Chown => "chown",
            Self::Truncate => "truncate",
            Self::OpenWrite => "open_write",
            Self::OpenRead => "open_read",
            Self::Exec => "exec",
            Self::Connect => "connect",
            Self::Mount => "mount",
            Self::MoveMount => "move_mount",
            Self::Umount => "umount",
            Self::PivotRoot => "pivot_root",
            Self::Ioctl => "ioctl",
            Self::Signal => "signal",
            Self::Ptrace => "ptrace",
            Self::IoUring => "io_uring",
        }
    }

    /// The set that holds this kind alone.
    #[must_use]
    pub const fn set(self) -> OpSet {
        OpSet(1 << self as u32)
    }
}

impl TryFrom<u32> for Op {
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        Self::ALL.get(number as usize).copied().ok_or(number)
    }
}

/// A set of [`Op`], one bit each in the lower half; see [`OpSet::on_foreign`] for the upper one.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpSet(pub u64);

/// Where the counted kinds begin in each half of an [`OpSet`]; see [`OpSet::counted`].
pub const COUNTED: u32 = 21;
/// Kinds that can be counted: what changes files that are there. Everything else with a threshold is guardd's to count.
pub const COUNTABLE: u64 =
    ((1 << (Op::OpenWrite as u32 + 1)) - 1) & !(Op::Link.set().0 | Op::Symlink.set().0 | Op::Mknod.set().0);
/// Where the upper half of an [`OpSet`] begins; see [`OpSet::on_foreign`].
pub const FOREIGN: u32 = 32;

/// A rename that matters only when it takes the thing to another directory, by the thing's old name. Bits from here to
/// [`BY_ARGUMENTS`] are those of kinds that are not counted.
pub const MOVED_AWAY: OpSet = OpSet(1 << (COUNTED + Op::Link as u32));
/// Of a name in `NAMES`: some directory of `PATHS` is called so.
pub const PATH_PART: OpSet = OpSet(1 << (COUNTED + Op::Symlink as u32));
/// An exec that is a candidate if its arguments are such as a rule asks for; see [`crate::arguments`]. The last bit of the
/// lower half; that of the upper half is nobody's.
pub const BY_ARGUMENTS: OpSet = OpSet(1 << (FOREIGN - 1));

impl OpSet {
    pub const EMPTY: Self = Self(0);
    /// Every kind there is, and every kind there may be later.
    pub const ALL: Self = Self(u64::MAX);

    #[must_use]
    pub const fn contains(self, op: Op) -> bool {
        self.0 & op.set().0 != 0
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same kinds where they matter only on an object that the agent did not make itself: the upper half of the
    /// bits. The kernel's tables alone have such bits.
    #[must_use]
    pub const fn on_foreign(self) -> Self {
        Self(self.0 << FOREIGN)
    }

    /// The same kinds where a rule with a threshold counts them: they pass until enough of them did. Kinds that are
    /// not counted ([`COUNTABLE`]) have no such bits.
    #[must_use]
    pub const fn counted(self) -> Self {
        Self((self.0 & COUNTABLE) << COUNTED)
    }

    /// Every bit by which the kernel's tables can name these kinds.
    #[must_use]
    pub const fn in_tables(self) -> Self {
        let moved = if self.contains(Op::Rename) { MOVED_AWAY } else { Self::EMPTY };
        let all = self.union(self.counted()).union(moved).or_on_foreign();
        if self.contains(Op::Exec) { all.union(BY_ARGUMENTS) } else { all }
    }

    /// The kinds that matter on any object, and those that matter on a foreign one alone.
    #[must_use]
    pub const fn or_on_foreign(self) -> Self {
        Self(self.0 | self.0 << FOREIGN)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What a rename does beyond giving a thing another name; bits of [`crate::record::HoldRecord::flags`].
pub mod rename {
    /// Something stood at the new name and would be destroyed.
    pub const OVERWRITE: u32 = 1;
    /// `RENAME_EXCHANGE`.
    pub const EXCHANGE: u32 = 2;
    /// `RENAME_WHITEOUT`.
    pub const WHITEOUT: u32 = 4;
    /// The new name is in another directory.
    pub const ELSEWHERE: u32 = 8;
}

/// Whom a signal goes to that may go to several: the first argument of `kill(2)`, an `i32`, or a descriptor.
pub mod signal {
    /// Added to a descriptor whose process group `pidfd_send_signal(2)` was given.
    pub const PIDFD_GROUP: u64 = 1 << 32;
}

const _: () = {
    assert!(Op::ALL.len() <= COUNTED as usize, "above them are the counted kinds");
    assert!(COUNTED + Op::OpenWrite as u32 + 1 < FOREIGN, "one more bit is for arguments");
    let mut index = 0;
    while index < Op::ALL.len() {
        assert!(Op::ALL[index] as usize == index, "Op::ALL is in the order of its numbers");
        index += 1;
    }
};
