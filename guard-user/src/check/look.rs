//! Looking at the disk, read-only: what a path really is, and what is there. What cannot be seen is taken to exist.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use crate::operation::ObjectFacts;

/// No script is read further.
const LONGEST: u64 = 256 * 1024;

/// Without symbolic links as far as it exists, without `.` and `..`.
pub(crate) fn real(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::new();
    }
    let path = normal(path);
    let mut missing = Vec::new();
    let mut at = path.as_path();
    loop {
        if let Ok(real) = fs::canonicalize(at) {
            return missing.iter().rev().fold(real, |path: PathBuf, name: &std::ffi::OsString| path.join(name));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                at = parent;
            }
            _ => return path,
        }
    }
}

/// The same for a name: what the last component is a link to does not matter.
pub(crate) fn real_name(path: &Path) -> PathBuf {
    let path = normal(path);
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path,
    }
}

/// Without `.` and `..`, read as text.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// What is there; `None` when nothing is, or it cannot be seen.
pub(crate) fn facts(path: &Path, follow: bool) -> Option<ObjectFacts> {
    let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) }.ok()?;
    Some(ObjectFacts {
        ino: metadata.ino(),
        mode: metadata.mode(),
        nlink: u32::try_from(metadata.nlink()).unwrap_or(u32::MAX),
        uid: metadata.uid(),
        size: metadata.size(),
        ..ObjectFacts::default()
    })
}

/// What something that cannot be seen is taken for: a file, unless its name says device.
pub(crate) fn guess(path: &Path) -> ObjectFacts {
    let text = path.to_string_lossy();
    let mode = match text.strip_prefix("/dev/") {
        Some(name) if is_character_device(name) => 0o020_666,
        Some(name) if name.starts_with("shm/") || name.starts_with("mqueue/") => 0o100_644,
        Some(_) => 0o060_660,
        None => 0o100_644,
    };
    ObjectFacts { ino: 1, mode, nlink: 1, ..ObjectFacts::default() }
}

fn is_character_device(name: &str) -> bool {
    const STARTS: [&str; 9] = ["tty", "pts/", "std", "fd/", "input/", "char/", "net/", "tcp/", "udp/"];
    const NAMES: [&str; 14] = [
        "null", "zero", "full", "random", "urandom", "ptmx", "console", "mem", "kmem", "port", "kmsg", "fuse",
        "uinput", "log",
    ];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

pub(crate) fn is_directory(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The program a shell would find.
pub(crate) fn program(name: &str, search: &str) -> PathBuf {
    let places = search.split(':').filter(|place| place.starts_with('/')).map(|place| Path::new(place).join(name));
    let is_program = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let found = places.into_iter().find(is_program);
    // By the name it was called: what a link leads to differs from one system to the next.
    found.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}

/// A script, where it can be read.
pub(crate) fn text(path: &Path) -> Option<String> {
    let metadata = fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.file_type().is_fifo() || metadata.size() > LONGEST {
        return None;
    }
    let mut text = String::new();
    fs::File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}
