//! What a rule may name under `op:`. What an operation does is in `touch`.
//!
//! A kernel operation may do several things: a rename takes a name away in one place, puts it in another, and
//! may destroy what stood there. Rules speak of these acts.

use guard_common::op::{MOVED_AWAY, Op, OpSet};
use serde::Deserialize;

/// One act, or a group of acts, by its name in a rules file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Delete,
    Overwrite,
    Read,
    Write,
    Create,
    Unlink,
    Rmdir,
    Rename,
    MoveAway,
    RenameOver,
    RenameTo,
    Link,
    LinkTo,
    Symlink,
    Mknod,
    Chmod,
    Chown,
    Truncate,
    OpenWrite,
    OpenRead,
    Exec,
    Connect,
    Mount,
    MoveMount,
    Umount,
    PivotRoot,
    Ioctl,
    Signal,
    Ptrace,
    IoUring,
}

/// One thing an operation does. The number is its bit in an [`ActSet`]; nothing outside this process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Unlink,
    Rmdir,
    /// Either name of a rename.
    Rename,
    /// The old name of a rename into another directory, where the same match does not cover it: it leaves what is
    /// protected.
    MoveAway,
    /// The new name of a rename, and something stood there.
    RenameOver,
    /// The new name of a rename.
    RenameTo,
    /// Either name of a hard link.
    Link,
    /// The new name of a hard link.
    LinkTo,
    Symlink,
    Mknod,
    Chmod,
    Chown,
    Truncate,
    OpenWrite,
    OpenRead,
    Exec,
    Connect,
    Mount,
    MoveMount,
    Umount,
    PivotRoot,
    Ioctl,
    Signal,
    Ptrace,
    IoUring,
}

impl Act {
    pub const ALL: [Self; 25] = [
        Self::Unlink,
        Self::Rmdir,
        Self::Rename,
        Self::MoveAway,
        Self::RenameOver,
        Self::RenameTo,
        Self::Link,
        Self::LinkTo,
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

    /// The kernel operations that may do this.
    #[must_use]
    pub fn ops(self) -> OpSet {
        match self {
            Self::Unlink => Op::Unlink.set(),
            Self::Rmdir => Op::Rmdir.set(),
            Self::Rename | Self::MoveAway | Self::RenameOver | Self::RenameTo => Op::Rename.set(),
            Self::Link | Self::LinkTo => Op::Link.set(),
            Self::Symlink => Op::Symlink.set(),
            Self::Mknod => Op::Mknod.set(),
            Self::Chmod => Op::Chmod.set(),
            Self::Chown => Op::Chown.set(),
            // Where an open truncates, the kernel asks once, as `OpenWrite`, under both bits.
            Self::Truncate => Op::Truncate.set().union(Op::OpenWrite.set()),
            Self::OpenWrite => Op::OpenWrite.set(),
            Self::OpenRead => Op::OpenRead.set(),
            Self::Exec => Op::Exec.set(),
            Self::Connect => Op::Connect.set(),
            Self::Mount => Op::Mount.set(),
            Self::MoveMount => Op::MoveMount.set(),
            Self::Umount => Op::Umount.set(),
            Self::PivotRoot => Op::PivotRoot.set(),
            Self::Ioctl => Op::Ioctl.set(),
            Self::Signal => Op::Signal.set(),
            Self::Ptrace => Op::Ptrace.set(),
            Self::IoUring => Op::IoUring.set(),
        }
    }

    /// The bits under which the kernel's tables look for this act.
    #[must_use]
    pub fn table_ops(self) -> OpSet {
        match self {
            Self::Truncate => Op::Truncate.set(),
            Self::MoveAway => MOVED_AWAY,
            _ => self.ops(),
        }
    }

    /// The bits under which the kernel's programs count it; none where they cannot.
    #[must_use]
    pub fn counted_ops(self) -> OpSet {
        if self == Self::MoveAway { self.ops().counted() } else { self.table_ops().counted() }
    }

    /// It happens to something that has a path.
    #[must_use]
    pub fn has_path(self) -> bool {
        !matches!(self, Self::Connect | Self::Signal | Self::Ptrace | Self::IoUring)
    }

    /// The kernel's programs can tell whether the object is the agent's own before they hold this.
    #[must_use]
    pub fn asks_whose(self) -> bool {
        match self {
            Self::Unlink
            | Self::Rmdir
            | Self::Rename
            | Self::MoveAway
            | Self::RenameOver
            | Self::RenameTo
            | Self::Link
            | Self::LinkTo
            | Self::Chmod
            | Self::Chown
            | Self::Truncate
            | Self::OpenWrite
            | Self::OpenRead => true,
            Self::Symlink
            | Self::Mknod
            | Self::Exec
            | Self::Connect
            | Self::Mount
            | Self::MoveMount
            | Self::Umount
            | Self::PivotRoot
            | Self::Ioctl
            | Self::Signal
            | Self::Ptrace
            | Self::IoUring => false,
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of [`Act`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActSet(u32);

impl ActSet {
    #[must_use]
    pub const fn contains(self, act: Act) -> bool {
        self.0 & act.bit() != 0
    }

    /// The acts these words stand for.
    #[must_use]
    pub fn of(words: &[Word]) -> Self {
        Self(words.iter().flat_map(|word| word.acts()).fold(0, |bits, act| bits | act.bit()))
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of them that fit.
    #[must_use]
    pub fn filter(self, fits: impl Fn(Act) -> bool) -> Self {
        Self(self.iter().filter(|act| fits(*act)).fold(0, |bits, act| bits | act.bit()))
    }

    pub fn iter(self) -> impl Iterator<Item = Act> {
        Act::ALL.into_iter().filter(move |act| self.contains(*act))
    }
}

impl Word {
    fn acts(self) -> &'static [Act] {
        match self {
            Self::Delete => &[Act::Unlink, Act::Rmdir, Act::MoveAway],
            Self::Overwrite => &[Act::Truncate, Act::OpenWrite, Act::RenameOver],
            Self::Read => &[Act::OpenRead],
            Self::Write => &[Act::Truncate, Act::OpenWrite, Act::RenameTo, Act::LinkTo, Act::Symlink, Act::Mknod],
            Self::Create => &[Act::RenameTo, Act::LinkTo, Act::Symlink, Act::Mknod],
            Self::Unlink => &[Act::Unlink],
            Self::Rmdir => &[Act::Rmdir],
            Self::Rename => &[Act::Rename],
            Self::MoveAway => &[Act::MoveAway],
            Self::RenameOver => &[Act::RenameOver],
            Self::RenameTo => &[Act::RenameTo],
            Self::Link => &[Act::Link],
            Self::LinkTo => &[Act::LinkTo],
            Self::Symlink => &[Act::Symlink],
            Self::Mknod => &[Act::Mknod],
            Self::Chmod => &[Act::Chmod],
            Self::Chown => &[Act::Chown],
            Self::Truncate => &[Act::Truncate],
            Self::OpenWrite => &[Act::OpenWrite],
            Self::OpenRead => &[Act::OpenRead],
            Self::Exec => &[Act::Exec],
            Self::Connect => &[Act::Connect],
            Self::Mount => &[Act::Mount],
            Self::MoveMount => &[Act::MoveMount],
            Self::Umount => &[Act::Umount],
            Self::PivotRoot => &[Act::PivotRoot],
            Self::Ioctl => &[Act::Ioctl],
            Self::Signal => &[Act::Signal],
            Self::Ptrace => &[Act::Ptrace],
            Self::IoUring => &[Act::IoUring],
        }
    }
}
