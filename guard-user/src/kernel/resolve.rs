//! Paths of the trip tier: a tracepoint sees what the program wrote, relative and unresolved. The process is
//! stopped, so its directories can be asked for. The gate's paths come resolved from the kernel and pass untouched.
#![forbid(unsafe_code)]

use std::{
    fs::{self, read_link},
    os::{fd::AsRawFd as _, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use guard_common::{
    op::{Op, rename},
    record::{doubt, tripped},
};
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, openat2},
    io::Errno,
};

use crate::operation::{Context, Operation};

/// Makes the paths of a tripped operation absolute and free of symbolic links; what cannot be is a doubt.
pub fn paths(operation: &mut Operation) {
    if operation.context != Context::Tripped || !names_paths(operation.op) || operation.doubt & doubt::READ != 0 {
        return;
    }
    // They say what the paths are relative to; no other meaning is left.
    let (directory, other) = (operation.detail[3], operation.detail[2]);
    operation.detail[2] = 0;
    operation.detail[3] = 0;
    if directory & tripped::RESOLVED != 0 {
        return;
    }
    let process = Process { pid: operation.tgid, sees_ours: sees_our_tree(operation.tgid) };
    let mut doubts = 0;
    let mut resolved = |directory, path: &Path| {
        let resolved = process.resolve(directory, path);
        doubts |= if resolved.is_none() { doubt::PATH } else { 0 };
        resolved.unwrap_or_default()
    };
    operation.path = resolved(directory, &operation.path);
    if has_second_place(operation.op) {
        operation.other_path = resolved(other, &operation.other_path);
    }
    operation.doubt |= doubts;
    if operation.op == Op::PivotRoot {
        // The root they were written for is not the process's any more.
        operation.doubt |= doubt::PATH;
    }
    if operation.doubt == 0 && operation.path.parent() == operation.other_path.parent() {
        operation.flags &= !rename::ELSEWHERE;
    }
}

/// Is its place a path, or none at all?
fn names_paths(op: Op) -> bool {
    match op {
        Op::Unlink
        | Op::Rmdir
        | Op::Rename
        | Op::Link
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
        | Op::Ioctl => true,
        // The path of an exec is the kernel's own.
        Op::Exec | Op::Connect | Op::Signal | Op::Ptrace | Op::IoUring => false,
    }
}

/// The second path of a symbolic link is a text, and that of a mount is what the file system makes of it.
fn has_second_place(op: Op) -> bool {
    matches!(op, Op::Rename | Op::Link | Op::MoveMount | Op::PivotRoot)
}

/// A stopped process, whose paths mean something to it.
struct Process {
    pid: u32,
    /// Its paths mean the same here.
    sees_ours: bool,
}

/// Has the process the root and the mounts that guardd has? In another tree the same path is another file.
fn sees_our_tree(pid: u32) -> bool {
    let same = |name: &str| {
        let theirs = read_link(format!("/proc/{pid}/{name}")).ok();
        theirs.is_some() && theirs == read_link(format!("/proc/self/{name}")).ok()
    };
    same("ns/mnt") && same("root")
}

impl Process {
    /// `None` when the process or the directory is gone, or when its paths mean something else here.
    fn resolve(&self, directory: u64, path: &Path) -> Option<PathBuf> {
        if !self.sees_ours {
            return None;
        }
        let pid = self.pid;
        // A descriptor is 32 bits in the call, whatever the register holds above them.
        let base = match directory as u32 as i32 {
            -100 => format!("/proc/{pid}/cwd"),
            descriptor => format!("/proc/{pid}/fd/{descriptor}"),
        };
        if path.as_os_str().is_empty() {
            // `AT_EMPTY_PATH`: the descriptor itself.
            return read_link(base).ok().filter(|path| path.is_absolute());
        }
        let absolute = if path.is_absolute() { path.to_path_buf() } else { read_link(base).ok()?.join(path) };
        if !absolute.is_absolute() {
            // A pipe, a socket.
            return None;
        }
        if directory & tripped::FOLLOW != 0
            && let Some(path) = real(&absolute)
        {
            return Some(path);
        }
        if absolute.as_os_str().as_bytes().ends_with(b"/..") {
            return real(&absolute);
        }
        // The last component may be gone already, or be the link that was removed: only what is above it is followed.
        match (absolute.parent(), absolute.file_name()) {
            (Some(parent), Some(name)) => Some(real(parent)?.join(name)),
            _ => Some(absolute),
        }
    }
}

/// The path without links, as far as it can be had without waiting for anybody: a file system that the agent serves
/// would keep guardd waiting for the process it just stopped.
fn real(path: &Path) -> Option<PathBuf> {
    /// The kernel may be busy with a rename somewhere.
    const TRIES: u32 = 8;
    for _ in 0..TRIES {
        match openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED) {
            Ok(place) => return read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).ok(),
            Err(Errno::AGAIN) => {}
            Err(_) => return None,
        }
    }
    // Some file systems never answer from what is remembered alone. They may be asked where nobody serves one.
    if is_any_served()? { None } else { path.canonicalize().ok() }
}

/// Is a file system mounted that a process serves? `None` when that cannot be told.
fn is_any_served() -> Option<bool> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = |line: &str| line.split_once(" - ").is_none_or(|(_, about)| about.starts_with("fuse"));
    Some(mounts.lines().filter(|line| !line.contains(" - fusectl ")).any(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = -100_i32 as u32 as u64;

    fn this() -> Process {
        Process { pid: std::process::id(), sees_ours: sees_our_tree(std::process::id()) }
    }

    #[test]
    fn relative_paths_are_completed_from_the_process_and_links_above_followed() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap().join("real");
        std::fs::create_dir_all(real.join("below")).unwrap();
        std::os::unix::fs::symlink(&real, directory.path().join("link")).unwrap();
        let through = directory.path().join("link/./below/../file");
        assert_eq!(this().resolve(0, &through), Some(real.join("file")));
        let cwd = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(this().resolve(HERE, Path::new("x")), Some(cwd.join("x")));
        assert_eq!(this().resolve(99_999, Path::new("x")), None);
    }

    #[test]
    fn a_link_is_followed_where_the_kernel_followed_it() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().canonicalize().unwrap();
        std::fs::write(place.join("file"), "").unwrap();
        std::os::unix::fs::symlink(place.join("file"), place.join("link")).unwrap();
        let link = place.join("link");
        assert_eq!(this().resolve(HERE, &link), Some(link.clone()));
        assert_eq!(this().resolve(HERE | tripped::FOLLOW, &link), Some(place.join("file")));
    }

    #[test]
    fn an_empty_path_is_the_descriptor_itself() {
        let directory = tempfile::tempdir().unwrap();
        let file = std::fs::File::open(directory.path()).unwrap();
        let descriptor = u64::from(file.as_raw_fd().cast_unsigned());
        assert_eq!(this().resolve(descriptor, Path::new("")), directory.path().canonicalize().ok());
    }

    #[test]
    fn a_path_of_a_process_in_another_tree_is_a_doubt() {
        let elsewhere = Process { pid: std::process::id(), sees_ours: false };
        assert_eq!(elsewhere.resolve(HERE, Path::new("/srv/x")), None);
        assert!(!sees_our_tree(u32::MAX));
    }
}
