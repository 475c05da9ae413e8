//! What a rule may name under `op:`, and what one operation does to which path. No matching happens here.
//!
//! A kernel operation may do several things: a rename takes a name away in one place, puts it in another, and
//! may destroy what stood there. Rules speak of these acts.

use guard_common::op::{Op, OpSet, rename};
use serde::Deserialize;

use crate::operation::{ObjectFacts, Operation};
use std::os::unix::ffi::OsStrExt as _;

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
            Self::Exec => Op::Exec.set().union(Op::ExecVerify.set()),
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
            other => other.ops(),
        }
    }

    /// It happens to something that has a path.
    #[must_use]
    pub fn has_path(self) -> bool {
        !matches!(self, Self::Connect | Self::Signal | Self::Ptrace | Self::IoUring)
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

/// One act of an operation, with the object it happens to.
#[derive(Clone, Copy, Debug)]
pub struct Touch<'a> {
    pub act: Act,
    pub path: &'a [u8],
    /// Where a rename takes it.
    pub leaves_to: Option<&'a [u8]>,
    pub object: &'a ObjectFacts,
}

/// `O_TRUNC` of x86-64 and of every other architecture guard builds for.
pub(crate) const O_TRUNC: u64 = 0o1000;

/// Everything `operation` does.
#[must_use]
pub fn touches(operation: &Operation) -> Vec<Touch<'_>> {
    let (path, other) = (operation.path.as_os_str().as_bytes(), operation.other_path.as_os_str().as_bytes());
    let at = |act, path, object| Touch { act, path, leaves_to: None, object };
    let here = |act| at(act, path, &operation.target);
    let there = |act| at(act, other, &operation.other);
    match operation.op {
        Op::Unlink => vec![here(Act::Unlink)],
        Op::Rmdir => vec![here(Act::Rmdir)],
        Op::Rename => {
            // A new name in the same directory takes nothing away.
            let elsewhere = operation.flags & rename::ELSEWHERE != 0;
            let mut touches = vec![here(Act::Rename), there(Act::Rename), at(Act::RenameTo, other, &operation.target)];
            if elsewhere {
                touches.push(Touch { leaves_to: Some(other), ..here(Act::MoveAway) });
            }
            if operation.flags & rename::EXCHANGE != 0 {
                if elsewhere {
                    touches.push(Touch { leaves_to: Some(path), ..there(Act::MoveAway) });
                }
                touches.push(at(Act::RenameTo, path, &operation.other));
                touches.push(here(Act::RenameOver));
            }
            if operation.flags & (rename::EXCHANGE | rename::OVERWRITE) != 0 || operation.other.ino != 0 {
                touches.push(there(Act::RenameOver));
            }
            touches
        }
        Op::Link => vec![here(Act::Link), there(Act::Link), at(Act::LinkTo, other, &operation.target)],
        Op::Symlink => vec![here(Act::Symlink)],
        Op::Mknod => vec![here(Act::Mknod)],
        Op::Chmod => vec![here(Act::Chmod)],
        Op::Chown => vec![here(Act::Chown)],
        // The kernel refuses to truncate a device before any hook runs.
        Op::Truncate if operation.is_block_device() => Vec::new(),
        Op::Truncate => vec![here(Act::Truncate)],
        Op::OpenWrite if operation.detail[0] & O_TRUNC != 0 => vec![here(Act::OpenWrite), here(Act::Truncate)],
        Op::OpenWrite => vec![here(Act::OpenWrite)],
        Op::OpenRead => vec![here(Act::OpenRead)],
        Op::Exec | Op::ExecVerify => vec![here(Act::Exec)],
        Op::Connect => vec![here(Act::Connect)],
        Op::Mount => vec![here(Act::Mount)],
        Op::MoveMount => vec![here(Act::MoveMount), there(Act::MoveMount)],
        Op::Umount => vec![here(Act::Umount)],
        Op::PivotRoot => vec![here(Act::PivotRoot), there(Act::PivotRoot)],
        Op::Ioctl => vec![here(Act::Ioctl)],
        Op::Signal => vec![here(Act::Signal)],
        Op::Ptrace => vec![here(Act::Ptrace)],
        Op::IoUring => vec![here(Act::IoUring)],
    }
}
