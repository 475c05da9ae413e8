//! What a process has open at the moment it becomes an agent's: nobody judged those opens and connects, so the kernel
//! programs judge the first use of each. Reads `/proc` alone, never a file of the agent's; decides nothing.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
};

use guard_common::op::{Op, OpSet};

/// Descriptors of a process's standard streams. Of a process that tags itself they are what its person redirected.
pub(super) const STANDARD: u32 = 2;

/// What was open.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Inode numbers, as the kernel programs see them, with the kinds of use to judge.
    pub(super) inodes: BTreeMap<u64, OpSet>,
    /// Those of the inodes that stay open when the process executes a program.
    pub(super) staying: BTreeSet<u64>,
    /// Files that are mapped for writing already, by device and inode: what is written there no hook sees.
    pub(super) mapped: BTreeSet<(String, u64)>,
}

impl Open {
    /// Adds what a process has open beyond descriptor `above`; nothing when it has ended.
    ///
    /// # Errors
    /// When `/proc` cannot be read or understood.
    pub(super) fn add(&mut self, pid: u32, above: Option<u32>) -> io::Result<()> {
        // Threads may have tables of their own.
        for thread in listed(&format!("/proc/{pid}/task"))? {
            let of = format!("/proc/{pid}/task/{thread}");
            for descriptor in listed(&format!("{of}/fd"))? {
                if above.is_none_or(|above| descriptor > above) {
                    self.descriptor(&of, descriptor)?;
                }
            }
        }
        let maps = match fs::read(format!("/proc/{pid}/maps")) {
            Ok(maps) => maps,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.mapped.extend(String::from_utf8_lossy(&maps).lines().filter_map(shared_mapping));
        Ok(())
    }

    fn descriptor(&mut self, of: &str, descriptor: u32) -> io::Result<()> {
        let target = match fs::read_link(format!("{of}/fd/{descriptor}")) {
            Ok(target) => target,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = target.as_os_str().as_bytes();
        // Pipes and the kernel's own kinds of file lead nowhere by themselves.
        if bytes.starts_with(b"pipe:") || bytes.starts_with(b"anon_inode:") {
            return Ok(());
        }
        let mut info = Vec::new();
        let file = fs::File::open(format!("{of}/fdinfo/{descriptor}"));
        match file.and_then(|file| file.take(4_096).read_to_end(&mut info)) {
            Ok(_) => {}
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let (ino, ops, stays) = inode_and_uses(&String::from_utf8_lossy(&info)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{of}/fdinfo/{descriptor} does not say what is open"))
        })?;
        if !ops.is_empty() {
            let present = self.inodes.entry(ino).or_default();
            *present = present.union(ops);
            if stays {
                self.staying.insert(ino);
            }
        }
        Ok(())
    }
}

/// Inode number, possible uses, and whether it stays open when a program is executed, from a `fdinfo` file; its `ino` line is
/// there since 5.14. Nothing can be done with what was opened with `O_PATH` but opening it, which is judged.
fn inode_and_uses(info: &str) -> Option<(u64, OpSet, bool)> {
    const O_CLOEXEC: u32 = 0o2_000_000;
    const O_ACCMODE: u32 = 3;
    const O_PATH: u32 = 0o10_000_000;
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let flags = u32::from_str_radix(value("flags:")?, 8).ok()?;
    let ino = value("ino:")?.parse().ok()?;
    let ops = match (flags & O_PATH, flags & O_ACCMODE) {
        (0, 0) => Op::OpenRead.set(),
        (0, 1) => Op::OpenWrite.set(),
        (0, _) => Op::OpenRead.set().union(Op::OpenWrite.set()),
        _ => OpSet::EMPTY,
    };
    Some((ino, if ops.is_empty() { ops } else { ops.union(Op::Connect.set()) }, flags & O_CLOEXEC == 0))
}

/// Device and inode of a line of `maps` that stands for a shared, writable mapping of a file with a name.
fn shared_mapping(line: &str) -> Option<(String, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let permissions = fields.nth(1)?;
    let device = fields.nth(1)?;
    let ino = fields.next()?.parse().ok().filter(|ino| *ino != 0)?;
    let named = fields.next()?.starts_with('/') && device != "00:01";
    (permissions.contains('w') && permissions.ends_with('s') && named).then(|| (device.to_owned(), ino))
}

/// The numbers that a directory of `/proc` has for names; none when it is gone.
fn listed(directory: &str) -> io::Result<Vec<u32>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => numbers.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())),
            Err(error) if is_gone(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(numbers)
}

/// `ENOENT`, `ESRCH`: it ended while it was looked at.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(2 | 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_is_known_by_its_inode_and_may_be_used_as_it_was_opened() {
        let info = |flags: &str| format!("pos:\t0\nflags:\t{flags}\nmnt_id:\t29\nino:\t4711\n");
        let read = Op::OpenRead.set().union(Op::Connect.set());
        let write = Op::OpenWrite.set().union(Op::Connect.set());
        assert_eq!(inode_and_uses(&info("0100000")), Some((4711, read, true)));
        assert_eq!(inode_and_uses(&info("02102001")), Some((4711, write, false)));
        assert_eq!(inode_and_uses(&info("02")), Some((4711, read.union(write), true)));
        assert_eq!(inode_and_uses(&info("012000000")), Some((4711, OpSet::EMPTY, false)));
        assert_eq!(inode_and_uses("pos:\t0\nflags:\t02\nmnt_id:\t29\n"), None);
        assert_eq!(inode_and_uses(""), None);
    }

    #[test]
    fn only_shared_writable_mappings_of_files_are_told() {
        let line = "7f00-7f10 rw-s 00000000 fe:01 4711                       /srv/data base/main.db";
        assert_eq!(shared_mapping(line), Some(("fe:01".to_owned(), 4711)));
        for other in [
            "7f00-7f10 rw-p 00000000 fe:01 4711                       /srv/main.db",
            "7f00-7f10 r--s 00000000 fe:01 4711                       /srv/main.db",
            "7f00-7f10 rw-s 00000000 00:01 2054                       /dev/zero (deleted)",
            "7f00-7f10 rw-p 00000000 00:00 0                          [heap]",
            "7f00-7f10 rw-s 00000000 00:00 0",
            "",
        ] {
            assert_eq!(shared_mapping(other), None, "{other}");
        }
    }

    #[test]
    fn what_this_process_has_open_is_found_by_the_number_stat_says() {
        use std::os::{fd::AsRawFd as _, unix::fs::MetadataExt as _};
        let file = tempfile::tempfile().expect("a file");
        let ino = file.metadata().expect("it is there").ino();
        let mut open = Open::default();
        open.add(std::process::id(), Some(STANDARD)).expect("its own descriptors can be read");
        let uses = open.inodes.get(&ino).copied().unwrap_or_default();
        assert!(uses.contains(Op::OpenWrite) && uses.contains(Op::OpenRead), "{uses:?}");
        let mut beyond = Open::default();
        beyond.add(std::process::id(), Some(file.as_raw_fd().unsigned_abs() + 10_000)).expect("as before");
        assert!(!beyond.inodes.contains_key(&ino));
        Open::default().add(u32::MAX, None).expect("who is not there has nothing open");
    }
}
