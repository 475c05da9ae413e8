//! Which files and directories are guard's own, by identity, for the kernel programs to keep every agent from. Looks only at
//! places that are guard's or the administrator's, never at an agent's; decides nothing.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use guard_common::table::{GUARDS_ABOVE, GUARDS_OWN, GuardsKey};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::config::Config;
use crate::audit::segment;

/// Directories that are guard's with whatever is made in them.
const DIRECTORIES: [&str; 5] = ["/etc/guard", "/var/lib/guard", "/var/lib/guard-otlp", "/var/log/guard", "/run/guard"];

/// Files that decide what runs as guard, where they are there. Rules name these paths, too; this holds whatever they are
/// reached by.
const FILES: [&str; 8] = [
    "/usr/bin/guardctl",
    "/usr/local/bin/guardctl",
    "/usr/lib/systemd/system/guardd.service",
    "/usr/lib/systemd/system/guard-agents.service",
    "/usr/lib/systemd/system/guard-agents.slice",
    "/usr/lib/systemd/system/guard-otlp.service",
    "/etc/systemd/system/guardd.service",
    "/etc/systemd/system/guardd.service.d",
];

/// Deepest directory below those of guard that is looked at.
const DEEP: u32 = 4;

/// The places that are guard's own.
#[derive(Clone, Debug)]
pub struct OwnFiles {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    /// The log, whose closed segments are beside it.
    log: PathBuf,
}

impl OwnFiles {
    /// None, for tests and fuzzing.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn none() -> Self {
        Self { directories: Vec::new(), files: Vec::new(), log: PathBuf::new() }
    }

    /// Those of a guardd with these settings, and of its program. A settings file, a socket or a log elsewhere is guard's; what
    /// else is in its directory is not.
    #[must_use]
    pub fn of(config: &Config, settings: Option<&Path>) -> Self {
        let mut directories: Vec<PathBuf> = DIRECTORIES.iter().map(PathBuf::from).collect();
        directories.extend([config.run_dir.clone(), config.pin.clone()]);
        let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
        files.extend([
            config.socket.clone(),
            config.agent_socket.clone(),
            config.audit.path.clone(),
            config.audit.key.clone(),
        ]);
        files.extend(settings.map(Path::to_owned));
        files.extend(std::env::current_exe());
        match &config.rules {
            Some(rules) if rules.is_dir() => directories.push(rules.clone()),
            Some(rules) => files.push(rules.clone()),
            None => {}
        }
        Self { directories, files, log: config.audit.path.clone() }
    }

    /// The identities of all that is there now: [`GUARDS_OWN`], and [`GUARDS_ABOVE`] for the directories above, under another
    /// name of which a guardd that starts would not find its own.
    ///
    /// # Errors
    /// When the mounts cannot be read, or one of the places is there and cannot be looked at.
    pub(super) fn look(&self) -> io::Result<BTreeMap<GuardsKey, u32>> {
        let devices = devices(&fs::read_to_string("/proc/self/mountinfo")?);
        let mut found = BTreeMap::new();
        for place in self.directories.iter().chain(&self.files) {
            above(place, &devices, &mut found)?;
        }
        for directory in &self.directories {
            below(directory, &devices, &mut found, 0)?;
        }
        let segments = segment::closed(&self.log)?;
        for file in self.files.iter().chain(segments.iter().map(|segment| &segment.path)) {
            found.extend(identity(file, &devices)?.map(|key| (key, GUARDS_OWN)));
        }
        Ok(found)
    }
}

/// Every directory on the way to `place`, as it is written and as links on it lead: each of them can be renamed.
fn above(place: &Path, devices: &BTreeMap<u64, u32>, found: &mut BTreeMap<GuardsKey, u32>) -> io::Result<()> {
    let Some(parent) = place.parent() else { return Ok(()) };
    let real = match fs::canonicalize(parent) {
        Ok(real) => Some(real),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(error) => return Err(error),
    };
    for directory in parent.ancestors().chain(real.iter().flat_map(|real| real.ancestors())) {
        if !directory.as_os_str().is_empty() {
            found.extend(identity(directory, devices)?.map(|key| (key, GUARDS_ABOVE)));
        }
    }
    Ok(())
}

fn below(
    place: &Path,
    devices: &BTreeMap<u64, u32>,
    found: &mut BTreeMap<GuardsKey, u32>,
    depth: u32,
) -> io::Result<()> {
    let Some(key) = identity(place, devices)? else { return Ok(()) };
    found.insert(key, GUARDS_OWN);
    let is_directory = fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_dir());
    if !is_directory || depth == DEEP {
        return Ok(());
    }
    for entry in fs::read_dir(place)? {
        below(&entry?.path(), devices, found, depth + 1)?;
    }
    Ok(())
}

/// Inode number and the kernel's own number of the file system, which `stat(2)` does not always tell; `None` when nothing is
/// there.
fn identity(place: &Path, devices: &BTreeMap<u64, u32>) -> io::Result<Option<GuardsKey>> {
    let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
    let there = match statx(CWD, place, AtFlags::SYMLINK_NOFOLLOW, wanted) {
        Ok(there) => there,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(dev) = devices.get(&there.stx_mnt_id).copied() else {
        return Err(io::Error::other(format!("{} is in a mount that /proc/self/mountinfo lacks", place.display())));
    };
    Ok(Some(GuardsKey { ino: there.stx_ino, dev, pad: 0 }))
}

/// The kernel's number of the file system in every mount, by the mount's id.
pub(super) fn devices(mountinfo: &str) -> BTreeMap<u64, u32> {
    let device = |line: &str| {
        let mut fields = line.split(' ');
        let id = fields.next()?.parse().ok()?;
        let (major, minor) = fields.nth(1)?.split_once(':')?;
        Some((id, major.parse::<u32>().ok()? << 20 | minor.parse::<u32>().ok()?))
    };
    mountinfo.lines().filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_directory_is_guards_with_what_is_in_it_and_what_is_above_keeps_its_name() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        for directory in ["own/rules.d", "real/deep/beside"] {
            fs::create_dir_all(at(directory)).expect("a directory");
        }
        for file in ["own/guard.yaml", "own/rules.d/10.yaml", "log", "log-00000001.gz", "other", "real/deep/file"] {
            fs::write(at(file), "").expect("a file");
        }
        std::os::unix::fs::symlink(at("real"), at("link")).expect("a link");
        let files = vec![at("log"), at("nor-this"), at("link/deep/file")];
        let own = OwnFiles { directories: vec![at("own"), at("not-there")], files, log: at("log") };
        let found = own.look().expect("it can be looked at");
        let inos = |of: u32| -> BTreeSet<u64> {
            found.iter().filter(|(_, value)| **value == of).map(|(key, _)| key.ino).collect()
        };
        let ino =
            |name: &str| std::os::unix::fs::MetadataExt::ino(&fs::symlink_metadata(at(name)).expect("it is there"));
        let wanted =
            ["own", "own/guard.yaml", "own/rules.d", "own/rules.d/10.yaml", "log", "log-00000001.gz", "real/deep/file"]
                .map(ino);
        assert_eq!(inos(GUARDS_OWN), wanted.into());
        let above = inos(GUARDS_ABOVE);
        assert!(["", "link", "real", "real/deep"].map(ino).iter().all(|ino| above.contains(ino)), "{above:?}");
        assert!(["other", "real/deep/beside"].map(ino).iter().all(|ino| !above.contains(ino)), "{above:?}");
    }

    #[test]
    fn a_file_system_has_the_number_that_mountinfo_says() {
        let text =
            "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n29 22 0:26 / /sys/fs/bpf rw - bpf bpf rw\nodd\n";
        assert_eq!(devices(text), BTreeMap::from([(22, 254 << 20 | 1), (29, 26)]));
    }
}
