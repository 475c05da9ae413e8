//! Paths of the trip tier: a tracepoint sees what the program wrote, relative and unresolved. The process is
//! stopped, so its directories can be asked for. The gate's paths come resolved from the kernel and pass untouched.
#![forbid(unsafe_code)]

use std::{
    ffi::OsString,
    os::unix::{ffi::OsStringExt as _, fs::FileExt as _},
    path::{Component, Path, PathBuf},
};

use guard_common::{op::Op, record::doubt};

use crate::operation::{Context, Operation};

/// Makes the paths of a tripped operation absolute and free of symbolic links; what cannot be is a doubt.
pub fn paths(operation: &mut Operation) {
    // The path of an exec is the kernel's own.
    if operation.context != Context::Tripped || operation.op == Op::Exec {
        return;
    }
    let (pid, directory, other) = (operation.tgid, operation.detail[3], operation.detail[2]);
    let unread = std::mem::take(&mut operation.detail[1]);
    if unread != 0
        && let Some(path) = read_string(pid, unread)
    {
        operation.path = path;
        operation.doubt &= !doubt::READ;
    }
    let resolved = resolve(pid, directory, &operation.path);
    operation.doubt |= if resolved.is_none() { doubt::PATH } else { 0 };
    operation.path = resolved.unwrap_or_default();
    if !operation.other_path.as_os_str().is_empty() {
        let resolved = resolve(pid, other, &operation.other_path);
        operation.doubt |= if resolved.is_none() { doubt::PATH } else { 0 };
        operation.other_path = resolved.unwrap_or_default();
    }
    // They were the descriptors the paths were relative to; no other meaning is left.
    operation.detail[2] = 0;
    operation.detail[3] = 0;
}

/// A path the kernel program could not read because its page was not there yet.
fn read_string(pid: u32, address: u64) -> Option<PathBuf> {
    const PATH_MAX: usize = 4096;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = vec![0; PATH_MAX];
    let mut len = 0;
    // Page by page: the string may end just before memory does.
    while len < PATH_MAX {
        let page = PATH_MAX - (address as usize + len) % PATH_MAX;
        let end = PATH_MAX.min(len + page);
        let read = memory.read_at(&mut bytes[len..end], address + len as u64).ok()?;
        if let Some(nul) = bytes[len..len + read].iter().position(|byte| *byte == 0) {
            bytes.truncate(len + nul);
            return Some(PathBuf::from(OsString::from_vec(bytes)));
        }
        if read == 0 {
            return None;
        }
        len += read;
    }
    None
}

/// `None` when the process or the directory is gone.
fn resolve(pid: u32, directory: u64, path: &Path) -> Option<PathBuf> {
    if path.as_os_str().is_empty() {
        return None;
    }
    // A descriptor is 32 bits in the call, whatever the register holds above them.
    let base = match directory as i32 {
        -100 => PathBuf::from(format!("/proc/{pid}/cwd")),
        descriptor => PathBuf::from(format!("/proc/{pid}/fd/{descriptor}")),
    };
    let absolute = if path.is_absolute() { path.to_path_buf() } else { std::fs::read_link(base).ok()?.join(path) };
    let plain = without_dots(&absolute);
    // The last component may be gone already, or be the link that was removed: only what is above it is followed.
    match (plain.parent().and_then(|parent| parent.canonicalize().ok()), plain.file_name()) {
        (Some(parent), Some(name)) => Some(parent.join(name)),
        _ => Some(plain),
    }
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::Prefix(_) | Component::Normal(_) => plain.push(component),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_completed_from_the_process_and_links_above_followed() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().canonicalize().unwrap().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, directory.path().join("link")).unwrap();
        let through = directory.path().join("link/./gone/../file");
        assert_eq!(resolve(std::process::id(), 0, &through), Some(real.join("file")));
        let cwd = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(resolve(std::process::id(), -100_i64 as u64, Path::new("x")), Some(cwd.join("x")));
        assert_eq!(resolve(std::process::id(), 99_999, Path::new("x")), None);
    }
}
