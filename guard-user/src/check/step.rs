//! Foreseen operations, in the shape in which the kernel would show them.

use std::{ffi::OsString, path::Path};

use guard_common::{
    op::{Op, rename},
    record::{HoldKey, doubt},
};

use super::{
    look,
    term::{Term, UNKNOWN},
};
use crate::{
    operation::{Address, Context, HoldName, ObjectFacts, Operation},
    text,
};

/// `O_WRONLY | O_TRUNC`.
const EMPTIES: u64 = 0o1001;
const WRITES: u64 = 1;

/// An operation that would happen.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// On another host or in a container.
    pub(crate) elsewhere: bool,
}

fn operation(op: Op) -> Operation {
    Operation {
        name: HoldName { key: HoldKey { id: 1, slot: 0 }, hold: 1 },
        op,
        context: Context::Held,
        agent: 0,
        tid: 1,
        tgid: 1,
        start_boottime: 1,
        uid: 0,
        gid: 0,
        flags: 0,
        doubt: 0,
        stops: 1,
        detail: [0; 4],
        target: ObjectFacts::default(),
        other: ObjectFacts::default(),
        path: std::path::PathBuf::new(),
        other_path: std::path::PathBuf::new(),
        argv: Vec::new(),
        argc: 0,
        address: None,
        comm: Vec::new(),
        passed: guard_common::quota::Passed::default(),
        // What is not known could match, here as in guardd.
        circumstances: crate::circumstances::Circumstances::default(),
    }
}

/// An exec. What is not known of its arguments is a doubt, as it is where the kernel could not hold them all.
pub(crate) fn exec(program: &Path, argv: &[Term], more: bool) -> Operation {
    let open = more || argv.iter().skip(1).any(|term| term.open && !term.is_known());
    let argv: Vec<OsString> = argv.iter().map(|term| term.plain().into()).collect();
    let argc = u32::try_from(argv.len()).unwrap_or(u32::MAX);
    Operation {
        path: program.to_path_buf(),
        argc,
        argv,
        doubt: if open { doubt::ARGV } else { 0 },
        target: ObjectFacts { ino: 1, mode: 0o100_755, nlink: 1, ..ObjectFacts::default() },
        ..operation(Op::Exec)
    }
}

/// An act on one path that is there, or is taken to be.
pub(crate) fn on(op: Op, path: &Path, target: ObjectFacts) -> Operation {
    let detail = match op {
        Op::OpenWrite => [EMPTIES, 0, 0, 0],
        Op::Mknod => [0o100_644, 0, 0, 0],
        _ => [0; 4],
    };
    Operation { path: path.to_path_buf(), detail, target, doubt: place_doubt(path), ..operation(op) }
}

/// Opening to add to the end: what is there stays.
pub(crate) fn append(path: &Path, target: ObjectFacts) -> Operation {
    Operation { detail: [WRITES, 0, 0, 0], ..on(Op::OpenWrite, path, target) }
}

pub(crate) fn moved(from: &Path, to: &Path, other: Option<ObjectFacts>) -> Operation {
    let mut flags = if from.parent() == to.parent() { 0 } else { rename::ELSEWHERE };
    if other.is_some() {
        flags |= rename::OVERWRITE;
    }
    Operation {
        flags,
        other_path: to.to_path_buf(),
        other: other.unwrap_or_default(),
        doubt: place_doubt(from) | place_doubt(to),
        ..on(Op::Rename, from, look::guess(from))
    }
}

pub(crate) fn linked(from: &Path, to: &Path) -> Operation {
    Operation { other_path: to.to_path_buf(), doubt: place_doubt(from), ..on(Op::Link, from, look::guess(from)) }
}

pub(crate) fn connect(socket: &Path) -> Operation {
    Operation { address: Some(Address::UnixPath(socket.to_path_buf())), ..operation(Op::Connect) }
}

/// A path whose beginning is not known may be anywhere. Below a known directory, it is taken to stay there.
fn place_doubt(path: &Path) -> u32 {
    let text = path.to_string_lossy();
    let first = text.trim_start_matches('/').split('/').next().unwrap_or("");
    if first.contains(UNKNOWN) { doubt::PATH } else { 0 }
}

/// What a person reads of it.
pub(crate) fn describe(step: &Step) -> String {
    let operation = &step.operation;
    let path = |path: &Path| text::shown(&unknown(&path.to_string_lossy()));
    let what = match operation.op {
        Op::Exec => {
            let argv: Vec<String> = operation.argv.iter().map(|word| unknown(&word.to_string_lossy())).collect();
            text::command_line(&argv)
        }
        Op::Rename | Op::Link => format!("{} → {}", path(&operation.path), path(&operation.other_path)),
        Op::Connect => match &operation.address {
            Some(Address::UnixPath(socket)) => path(socket),
            Some(Address::Inet(_) | Address::UnixAbstract(_) | Address::Other(..)) | None => String::new(),
        },
        Op::Unlink
        | Op::Rmdir
        | Op::Symlink
        | Op::Mknod
        | Op::Chmod
        | Op::Chown
        | Op::Truncate
        | Op::OpenWrite
        | Op::OpenRead
        | Op::Mount
        | Op::MoveMount
        | Op::Umount
        | Op::PivotRoot
        | Op::Ioctl
        | Op::Signal
        | Op::Ptrace
        | Op::IoUring => path(&operation.path),
    };
    if step.elsewhere { format!("{what} (elsewhere)") } else { what }
}

fn unknown(text: &str) -> String {
    super::term::plain(text).replace(UNKNOWN, "…")
}
