//! How much an operation would destroy: a bounded count. It never follows a link, never leaves the device, and
//! never enters a file system that a process serves, which could make guardd wait for the agent.

use std::{
    fs::File,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstatfs, openat, openat2, statx},
};

use crate::{
    api,
    daemon::scope::{self, Fate},
    holds::Facts,
    operation::Operation,
    text::lossy,
};

/// Entries and time after which the count says "at least".
const ENTRIES: u64 = 20_000;
const TIME: Duration = Duration::from_millis(100);
/// Deeper directories are counted as one; each level keeps a descriptor open.
const DEEP: usize = 64;
/// `FUSE_SUPER_MAGIC`
const FUSE: u64 = 0x6573_5546;

/// `None` where it cannot be counted.
#[must_use]
pub fn count(operation: &Operation, facts: &Facts) -> Option<api::Blast> {
    if operation.target.magic == FUSE {
        return None;
    }
    let directory = operation.target.mode & 0o170_000 == 0o040_000;
    match scope::fate(operation.op) {
        Fate::Removed => match &facts.root {
            Some(root) if root.named => tree(operation, &root.path),
            Some(_) | None => Some(alone(operation, directory)),
        },
        Fate::Moved if directory => tree(operation, &operation.path),
        Fate::Moved | Fate::Emptied => Some(alone(operation, directory)),
        Fate::Kept | Fate::NoPlace => None,
    }
}

fn alone(operation: &Operation, directory: bool) -> api::Blast {
    api::Blast {
        root: lossy(operation.path.as_os_str().as_bytes()),
        files: u64::from(!directory),
        directories: u64::from(directory),
        bytes: if directory { 0 } else { operation.target.size },
        more: false,
    }
}

/// Counts below `root` as the process sees it.
fn tree(operation: &Operation, root: &Path) -> Option<api::Blast> {
    let top = File::open(format!("/proc/{}/root", operation.tgid)).ok()?;
    let below = root.strip_prefix("/").ok()?;
    let below = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = openat2(&top, below, flags, Mode::empty(), resolve).ok()?;
    let mut walk = Walk {
        blast: api::Blast { root: lossy(root.as_os_str().as_bytes()), files: 0, directories: 0, bytes: 0, more: false },
        device: device(&found)?,
        end: Instant::now() + TIME,
    };
    if FileType::from_raw_mode(statx(&found, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE).ok()?.stx_mode.into())
        != FileType::Directory
    {
        return None;
    }
    walk.directory(&found, 0);
    Some(walk.blast)
}

struct Walk {
    blast: api::Blast,
    device: (u32, u32),
    end: Instant,
}

impl Walk {
    fn directory(&mut self, place: &OwnedFd, depth: usize) {
        self.blast.directories += 1;
        if depth >= DEEP || !entered(place) {
            self.blast.more = true;
            return;
        }
        let Some(entries) = open(place).and_then(|opened| Dir::read_from(opened).ok()) else {
            self.blast.more = true;
            return;
        };
        for entry in entries.flatten() {
            if self.over() {
                return;
            }
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
            let wanted = StatxFlags::TYPE | StatxFlags::SIZE;
            let Ok(facts) = statx(place, name, flags, wanted) else { continue };
            if (facts.stx_dev_major, facts.stx_dev_minor) != self.device {
                // Another file system is mounted here: a recursive deletion may well go on into it.
                self.blast.more = true;
            } else if FileType::from_raw_mode(facts.stx_mode.into()) == FileType::Directory {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
                match openat(place, name, flags, Mode::empty()) {
                    Ok(child) => self.directory(&child, depth + 1),
                    Err(_) => self.blast.more = true,
                }
            } else {
                self.blast.files += 1;
                self.blast.bytes += facts.stx_size;
            }
        }
    }

    fn over(&mut self) -> bool {
        let over = self.blast.files + self.blast.directories >= ENTRIES || Instant::now() > self.end;
        self.blast.more |= over;
        over
    }
}

fn device(place: &OwnedFd) -> Option<(u32, u32)> {
    let facts = statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE).ok()?;
    Some((facts.stx_dev_major, facts.stx_dev_minor))
}

/// False for what a process may answer for.
fn entered(place: &OwnedFd) -> bool {
    fstatfs(place).is_ok_and(|facts| u64::try_from(facts.f_type).is_ok_and(|magic| magic != FUSE))
}

fn open(place: &OwnedFd) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOATIME;
    let plain = flags.difference(OFlags::NOATIME);
    openat(place.as_fd(), ".", flags, Mode::empty()).or_else(|_| openat(place.as_fd(), ".", plain, Mode::empty())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::{scope::Root, testing::unlink};

    #[test]
    fn a_tree_is_counted_without_following_links() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = directory.path().canonicalize().expect("it is there");
        std::fs::create_dir_all(root.join("a/b")).expect("made");
        std::fs::write(root.join("a/one"), [0; 100]).expect("written");
        std::fs::write(root.join("a/b/two"), [0; 23]).expect("written");
        std::os::unix::fs::symlink("/", root.join("a/link")).expect("linked");
        let mut operation = unlink(std::process::id(), "");
        operation.path = root.join("a/one");
        let facts = Facts { root: Some(Root { path: root.join("a"), named: true }), ..Facts::default() };
        let blast = count(&operation, &facts).expect("it can be counted");
        assert_eq!((blast.files, blast.directories, blast.more), (3, 2, false));
        assert!(blast.bytes >= 123);
        let facts = Facts { root: Some(Root { path: root, named: false }), ..Facts::default() };
        assert_eq!(count(&operation, &facts).map(|blast| blast.files), Some(1), "alone without a named directory");
    }
}
