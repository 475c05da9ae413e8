//! How far a decision reaches: the directory it covers, and whether a later operation falls under it. Pure.
#![forbid(unsafe_code)]

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use guard_common::op::Op;

use crate::operation::Operation;

/// The directory a process-wide decision covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    pub path: PathBuf,
    /// True when an argument of the process named it: then all below it is what the process is about to act on.
    pub named: bool,
}

/// The root of a file operation: the longest directory that an argument names and the object is in, else the
/// directory the object is in. `None` for operations that have no place, whose decisions cover only themselves.
///
/// Arguments are resolved as text against `cwd`: nothing the agent controls is looked up. A symbolic link in an
/// argument therefore only makes the root smaller.
#[must_use]
pub fn root(operation: &Operation, argv: &[OsString], cwd: &Path) -> Option<Root> {
    if !has_place(operation.op) || !operation.path.is_absolute() || operation.doubt != 0 {
        return None;
    }
    let itself = operation.target.mode & 0o170_000 == 0o040_000;
    argv.iter()
        .skip(1)
        .filter_map(|argument| normal(cwd, Path::new(argument)))
        .filter(|named| operation.path.starts_with(named) && (itself || *named != operation.path))
        .max_by_key(|named| named.as_os_str().len())
        .map(|path| Root { path, named: true })
        .or_else(|| operation.path.parent().map(|parent| Root { path: parent.to_path_buf(), named: false }))
}

/// What becomes of the thing an operation names: how far a decision reaches and what can be counted follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Removed,
    /// Stays where it is and loses what it held.
    Emptied,
    /// Stays where it is and keeps what it held.
    Kept,
    /// Goes elsewhere, with everything below it.
    Moved,
    /// The operation is about something else than a thing in its place.
    NoPlace,
}

#[must_use]
pub fn fate(op: Op) -> Fate {
    match op {
        Op::Unlink | Op::Rmdir => Fate::Removed,
        Op::Truncate | Op::OpenWrite => Fate::Emptied,
        Op::Chmod | Op::Chown | Op::OpenRead => Fate::Kept,
        Op::Rename => Fate::Moved,
        Op::Link
        | Op::Symlink
        | Op::Mknod
        | Op::Exec
        | Op::Connect
        | Op::Mount
        | Op::MoveMount
        | Op::Umount
        | Op::PivotRoot
        | Op::Ioctl
        | Op::Signal
        | Op::Ptrace
        | Op::IoUring => Fate::NoPlace,
    }
}

/// True where the object is a place in the file system and what happens to it stays there.
#[must_use]
pub fn has_place(op: Op) -> bool {
    match fate(op) {
        Fate::Removed | Fate::Emptied | Fate::Kept => true,
        Fate::Moved | Fate::NoPlace => false,
    }
}

/// The same act on the same objects with the same arguments, done again.
#[must_use]
pub fn identical(left: &Operation, right: &Operation) -> bool {
    let object = |operation: &Operation| {
        let (target, other) = (&operation.target, &operation.other);
        [
            (target.dev, target.ino, target.generation, target.parent_ino, target.name.clone()),
            (other.dev, other.ino, other.generation, other.parent_ino, other.name.clone()),
        ]
    };
    left.op == right.op
        && left.flags == right.flags
        && left.doubt == 0
        && right.doubt == 0
        && left.detail == right.detail
        && object(left) == object(right)
        && left.path == right.path
        && left.other_path == right.other_path
        && left.argv == right.argv
        && left.argc == right.argc
        && left.address == right.address
}

/// Absolute, without `.` and `..`; `None` for what is no path at all.
fn normal(cwd: &Path, path: &Path) -> Option<PathBuf> {
    if path.as_os_str().is_empty() || !cwd.is_absolute() {
        return None;
    }
    let mut normal = PathBuf::new();
    for component in cwd.join(path).components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => normal.push(component),
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::testing::unlink;

    fn check(path: &str, argv: &[&str], cwd: &str, expected: &str, named: bool) {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let root = root(&unlink(7, path), &argv, Path::new(cwd)).expect("a file has a root");
        assert_eq!((root.path.to_str(), root.named), (Some(expected), named));
    }

    #[test]
    fn the_root_is_the_directory_an_argument_names() {
        check("/srv/data/a/b", &["rm", "-rf", "/srv/data"], "/home", "/srv/data", true);
        check("/srv/data/a/b", &["rm", "-rf", "../srv/./data/"], "/home", "/srv/data", true);
        check("/srv/data/a/b", &["find", "/srv", "/srv/data"], "/", "/srv/data", true);
    }

    #[test]
    fn without_a_named_directory_it_is_the_one_the_object_is_in() {
        check("/srv/data/a", &["rm", "/srv/data/a"], "/", "/srv/data", false);
        check("/srv/database/a", &["rm", "-r", "/srv/data"], "/", "/srv/database", false);
        check("/srv/data/a", &["python3", ""], "relative", "/srv/data", false);
    }
}
