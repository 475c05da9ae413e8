//! Cgroup v2 by its files: find the mount, make a group, move, freeze, thaw, kill, list. Nothing is decided here.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs, io,
    io::Write as _,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::process::Process;

/// Directory below the cgroup root that holds what guardd makes.
pub const PARENT: &str = "guard-agents";
/// How long the fallbacks without `cgroup.kill` or `cgroup.freeze` go on looking for new processes.
const PATIENCE: Duration = Duration::from_secs(2);

/// The cgroup v2 hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroups {
    root: PathBuf,
}

impl Cgroups {
    /// # Errors
    /// When no cgroup v2 hierarchy is mounted.
    pub fn find() -> io::Result<Self> {
        let mountinfo = fs::read("/proc/self/mountinfo")?;
        mount_point(&mountinfo)
            .map(|root| Self { root })
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 hierarchy is mounted"))
    }

    /// Any directory, for tests.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The directory of a path below the root. `..` and the root itself are refused.
    ///
    /// # Errors
    /// `InvalidInput` for a path that does not stay below the root.
    pub fn directory(&self, cgroup: &str) -> io::Result<PathBuf> {
        let below = Path::new(cgroup.trim_start_matches('/'));
        let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if below.as_os_str().is_empty() || !plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{cgroup} is no cgroup below the root")));
        }
        Ok(self.root.join(below))
    }

    /// A path below the root, from one that may be given with the mount point in front.
    #[must_use]
    pub fn below_root(&self, given: &str) -> String {
        let below = Path::new(given).strip_prefix(&self.root).ok().and_then(Path::to_str).unwrap_or(given);
        format!("/{}", below.trim_matches('/'))
    }

    /// The cgroup id, which is the inode number of the directory.
    ///
    /// # Errors
    /// When there is no such cgroup.
    pub fn id(&self, cgroup: &str) -> io::Result<u64> {
        let directory = fs::symlink_metadata(self.directory(cgroup)?)?;
        if !directory.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, format!("{cgroup} is no cgroup")));
        }
        Ok(directory.ino())
    }

    /// Makes `/guard-agents/NAME` and answers its path below the root.
    ///
    /// # Errors
    /// Also when it is there already: an agent never starts in somebody else's group.
    pub fn create(&self, name: &str) -> io::Result<String> {
        let parent = self.root.join(PARENT);
        if let Err(error) = fs::create_dir(&parent)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        fs::create_dir(parent.join(name))?;
        Ok(format!("/{PARENT}/{name}"))
    }

    /// Removes it with the groups below it. The kernel refuses to remove one that a process is in.
    ///
    /// # Errors
    /// When processes are in it; groups below it may be gone then.
    pub fn remove(&self, cgroup: &str) -> io::Result<()> {
        remove(&self.directory(cgroup)?, 0)
    }

    /// Is a process in it or below it? One that is gone has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn populated(&self, cgroup: &str) -> io::Result<bool> {
        match fs::read_to_string(self.directory(cgroup)?.join("cgroup.events")) {
            Ok(events) => Ok(!events.lines().any(|line| line == "populated 0")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(!self.processes(cgroup)?.is_empty()),
            Err(error) => Err(error),
        }
    }

    /// Moves a whole process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn join(&self, cgroup: &str, pid: u32) -> io::Result<()> {
        write(&self.directory(cgroup)?.join("cgroup.procs"), &pid.to_string())
    }

    /// Stops or wakes everything in it, forks included.
    ///
    /// # Errors
    /// When neither the kernel's file nor signals worked.
    pub fn freeze(&self, cgroup: &str, frozen: bool) -> io::Result<()> {
        let directory = self.directory(cgroup)?;
        match write(&directory.join("cgroup.freeze"), if frozen { "1" } else { "0" }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this kernel cannot freeze cgroups (needs 5.2); kill is possible",
            )),
            result => result,
        }
    }

    /// Ends everything in it, forks included; answers when it is empty or no longer exists.
    ///
    /// # Errors
    /// When something is left.
    pub fn kill(&self, cgroup: &str) -> io::Result<()> {
        let directory = self.directory(cgroup)?;
        match write(&directory.join("cgroup.kill"), "1") {
            Ok(()) => return Ok(()),
            Err(_) if !directory.is_dir() => return Ok(()),
            Err(_) => {}
        }
        // Before 5.14: nothing may fork while it is killed, so it is frozen first where that works.
        if let Err(error) = self.freeze(cgroup, true) {
            tracing::warn!("{cgroup} is killed without being frozen: {error}");
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let pids = self.processes(cgroup)?;
            if pids.is_empty() {
                return Ok(());
            }
            for pid in pids {
                match Process::open(pid) {
                    Ok(process) => process.kill()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, format!("processes are left in {cgroup}")));
            }
            std::thread::yield_now();
        }
    }

    /// Every process in it and below it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn processes(&self, cgroup: &str) -> io::Result<BTreeSet<u32>> {
        let mut pids = BTreeSet::new();
        collect(&self.directory(cgroup)?, &mut pids, 0)?;
        Ok(pids)
    }

    /// The cgroup of a systemd unit.
    ///
    /// # Errors
    /// `NotFound` when no directory has its name.
    pub fn unit(&self, unit: &str) -> io::Result<String> {
        if unit.is_empty() || unit.contains('/') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{unit} is no unit name")));
        }
        let name = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
        find(&self.root, &name, 0)?
            .and_then(|path| path.to_str().map(|path| self.below_root(path)))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no cgroup belongs to the unit {name}")))
    }

    /// Where a process is, below the root.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn of(pid: u32) -> io::Result<String> {
        of_text(&fs::read(format!("/proc/{pid}/cgroup"))?)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 line"))
    }
}

/// The path of the cgroup v2 line.
pub(crate) fn of_text(text: &[u8]) -> Option<String> {
    let path = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    Some(String::from_utf8_lossy(path).trim_end_matches(" (deleted)").to_owned())
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

fn remove(directory: &Path, depth: u32) -> io::Result<()> {
    for child in children(directory)? {
        if depth < 32 {
            remove(&child, depth + 1)?;
        }
    }
    fs::remove_dir(directory)
}

fn collect(directory: &Path, pids: &mut BTreeSet<u32>, depth: u32) -> io::Result<()> {
    match fs::read_to_string(directory.join("cgroup.procs")) {
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()).filter(|pid| *pid != 0)),
        // A threaded cgroup answers through its parent; one that vanished has nothing in it.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 19 | 95)) => {}
        Err(error) => return Err(error),
    }
    for child in children(directory)? {
        if depth < 32 {
            collect(&child, pids, depth + 1)?;
        }
    }
    Ok(())
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    Ok(directories.map(|entry| entry.path()).collect())
}

fn find(directory: &Path, name: &str, depth: u32) -> io::Result<Option<PathBuf>> {
    let children = children(directory)?;
    if let Some(found) = children.iter().find(|child| child.file_name().is_some_and(|own| own == name)) {
        return Ok(Some(found.clone()));
    }
    for child in children {
        if depth < 8
            && let Some(found) = find(&child, name, depth + 1)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The mount point of the first `cgroup2` line of a mountinfo text.
pub(crate) fn mount_point(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let point = fields.nth(4)?;
        fields.find(|field| *field == b"-")?;
        (fields.next()? == b"cgroup2").then(|| PathBuf::from(std::ffi::OsString::from_vec(unescape(point))))
    })
}

/// `\040` and relatives, as the kernel writes them.
pub(crate) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_where_mountinfo_says() {
        let hybrid = b"30 23 0:26 / /sys/fs/cgroup ro shared:9 - tmpfs tmpfs ro\n\
            31 30 0:27 / /sys/fs/cgroup/two\\040words rw shared:10 master:2 - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(mount_point(hybrid), Some(PathBuf::from("/sys/fs/cgroup/two words")));
        assert_eq!(mount_point(b"30 23 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"), None);
    }

    #[test]
    fn a_cgroup_path_cannot_leave_the_root() {
        let cgroups = Cgroups::at("/nowhere".into());
        for bad in ["", "/", "/../etc", "/a/../../b"] {
            assert!(cgroups.directory(bad).is_err(), "{bad}");
        }
        assert_eq!(cgroups.below_root("/nowhere/a/b/"), "/a/b");
        assert_eq!(cgroups.below_root("a/b"), "/a/b");
    }
}
