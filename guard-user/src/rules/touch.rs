//! What one operation does to which path. No rule is looked at here.

use std::os::unix::ffi::OsStrExt as _;

use guard_common::op::{Op, rename};

use super::act::Act;
use crate::operation::{ObjectFacts, Operation};

/// One act of an operation, with the object it happens to.
#[derive(Clone, Copy, Debug)]
pub struct Touch<'a> {
    pub act: Act,
    pub path: &'a [u8],
    /// Where a rename takes it.
    pub leaves_to: Option<&'a [u8]>,
    pub object: &'a ObjectFacts,
}

impl Touch<'_> {
    /// The agent made the object itself. Of a new name: what gets it.
    pub(crate) fn is_own(&self, operation: &Operation) -> bool {
        let gets_name = operation.op == Op::Rename && self.object.ino == 0;
        let object = if gets_name { &operation.target } else { self.object };
        // A directory may be the agent's own and hold what is not: moving it moves that.
        let holds_more = operation.op == Op::Rename && object.mode & 0o170_000 == 0o040_000;
        object.own && !holds_more
    }
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
            // What gets the new name is the thing that had the old one.
            let mut touches = vec![
                here(Act::Rename),
                at(Act::Rename, other, &operation.target),
                at(Act::RenameTo, other, &operation.target),
            ];
            if elsewhere {
                touches.push(Touch { leaves_to: Some(other), ..here(Act::MoveAway) });
            }
            if operation.flags & rename::EXCHANGE != 0 {
                if elsewhere {
                    touches.push(Touch { leaves_to: Some(path), ..there(Act::MoveAway) });
                }
                touches.push(there(Act::Rename));
                touches.push(at(Act::Rename, path, &operation.other));
                touches.push(at(Act::RenameTo, path, &operation.other));
                touches.push(here(Act::RenameOver));
            }
            if operation.flags & (rename::EXCHANGE | rename::OVERWRITE) != 0 || operation.other.ino != 0 {
                touches.push(there(Act::RenameOver));
            }
            touches
        }
        // A link never replaces anything: under both names it is the same object.
        Op::Link => {
            vec![here(Act::Link), at(Act::Link, other, &operation.target), at(Act::LinkTo, other, &operation.target)]
        }
        Op::Symlink => vec![here(Act::Symlink)],
        Op::Mknod => vec![here(Act::Mknod)],
        Op::Chmod => vec![here(Act::Chmod)],
        Op::Chown => vec![here(Act::Chown)],
        // The kernel refuses to truncate a device before any hook runs. In doubt it may be no device.
        Op::Truncate if operation.doubt == 0 && operation.is_block_device() => Vec::new(),
        Op::Truncate => vec![here(Act::Truncate)],
        Op::OpenWrite if operation.detail[0] & O_TRUNC != 0 => vec![here(Act::OpenWrite), here(Act::Truncate)],
        Op::OpenWrite => vec![here(Act::OpenWrite)],
        Op::OpenRead => vec![here(Act::OpenRead)],
        Op::Exec => vec![here(Act::Exec)],
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
