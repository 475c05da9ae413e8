//! SHA-256 of what agents execute, found beside the loop: a disk may be slow, and a file system the agent's own. A digest that
//! cannot be had of the very file, as it was when it was executed, is none.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags, makedev, openat2, statx};
use tokio::sync::mpsc;

use super::{clock::Now, core::Input, own_files};
use crate::{audit::chain::Digest, execution::Program};

/// Programs that may wait; what comes when so many do gets no digest.
const WAITING: usize = 1_024;
/// A larger file is not read.
const LARGEST: u64 = 512 << 20;
/// Digests that are remembered, twice.
const REMEMBERED: usize = 1_024;

/// File systems somebody serves, who may be the agent: reading could wait for ever. Of these the magic numbers, from
/// `linux/magic.h`.
const SERVED: [u32; 11] = [
    0x6573_5546, // FUSE
    0x0000_6969, // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0000_517b, // SMB
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x6b41_4653, // kAFS
    0x7375_7245, // Coda
    0x0000_0187, // autofs
];

/// A program whose digest is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub program: Program,
    pub pid: u32,
    /// Where it was; the process may have ended.
    pub path: PathBuf,
    /// When it was executed, since 1970 in nanoseconds.
    pub executed: i128,
    /// Nobody waits for it after this, on the boot clock.
    pub until: u64,
}

/// What finds digests, one after the other; it ends when this is dropped.
pub struct Digests {
    sender: SyncSender<(u64, Wanted)>,
}

impl Digests {
    /// Starts the thread; what it finds goes into the loop.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(inputs: mpsc::Sender<Input>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        std::thread::Builder::new().name("digest".to_owned()).spawn(move || run(&receiver, &inputs))?;
        Ok(Self { sender })
    }

    /// Never blocks: without room it is the answer that there is none.
    #[must_use]
    pub fn ask(&self, number: u64, wanted: Wanted) -> Option<Input> {
        match self.sender.try_send((number, wanted)) {
            Ok(()) => None,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                Some(Input::Digested { number, digest: None })
            }
        }
    }
}

fn run(receiver: &Receiver<(u64, Wanted)>, inputs: &mpsc::Sender<Input>) {
    let mut known = Known::default();
    while let Ok((number, wanted)) = receiver.recv() {
        let digest = if Now::read().boottime < wanted.until { known.digest(&wanted) } else { None };
        if inputs.blocking_send(Input::Digested { number, digest }).is_err() {
            return;
        }
    }
}

/// A file as it is: whoever writes to it changes one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Version {
    dev: u32,
    ino: u64,
    generation: u32,
    size: u64,
    /// Since 1970 in nanoseconds, as is the other.
    modified: i128,
    changed: i128,
}

/// Digests of files that were read before. Of those that were not asked for lately, half are forgotten at once.
#[derive(Default)]
struct Known {
    lately: HashMap<Version, Digest>,
    before: HashMap<Version, Digest>,
}

impl Known {
    fn digest(&mut self, wanted: &Wanted) -> Option<Digest> {
        let Program { ino, size, magic, .. } = wanted.program;
        if ino == 0 || size > LARGEST || SERVED.contains(&magic) {
            return None;
        }
        let places = [PathBuf::from(format!("/proc/{}/exe", wanted.pid)), wanted.path.clone()];
        let (file, version) = places.iter().find_map(|place| find(place, &wanted.program))?;
        // It may be another text by now.
        if version.changed > wanted.executed {
            return None;
        }
        if let Some(digest) = self.lately.get(&version) {
            return Some(*digest);
        }
        let digest = match self.before.get(&version) {
            Some(digest) => *digest,
            None => read(&file, &wanted.program, version)?,
        };
        if self.lately.len() >= REMEMBERED {
            self.before = std::mem::take(&mut self.lately);
        }
        self.lately.insert(version, digest);
        Some(digest)
    }
}

/// The very file, as a place that nothing is read from yet, if it is there. Nobody is asked for it who may serve a file system:
/// a path is followed as far as the kernel remembers it.
fn find(place: &Path, program: &Program) -> Option<(OwnedFd, Version)> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = if place.starts_with("/proc") { ResolveFlags::empty() } else { ResolveFlags::CACHED };
    let file = openat2(CWD, place, flags, Mode::empty(), resolve).ok()?;
    let version = version(&file, program)?;
    Some((file, version))
}

/// `None` when it is another file than the program, or no file.
fn version(file: &OwnedFd, program: &Program) -> Option<Version> {
    let how = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let there = statx(file, "", how, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID).ok()?;
    let is_file = FileType::from_raw_mode(there.stx_mode.into()) == FileType::RegularFile;
    let same = there.stx_ino == program.ino && there.stx_size == program.size && is_on(&there, program.dev);
    let nanoseconds = |at: rustix::fs::StatxTimestamp| i128::from(at.tv_sec) * 1_000_000_000 + i128::from(at.tv_nsec);
    (is_file && same).then(|| Version {
        dev: program.dev,
        ino: program.ino,
        generation: program.generation,
        size: program.size,
        modified: nanoseconds(there.stx_mtime),
        changed: nanoseconds(there.stx_ctime),
    })
}

/// Is it on the file system that the kernel numbers so? Some tell `statx(2)` another number than that.
fn is_on(there: &Statx, dev: u32) -> bool {
    let (major, minor) = (dev >> 20, dev & 0x000f_ffff);
    if makedev(there.stx_dev_major, there.stx_dev_minor) == makedev(major, minor) {
        return true;
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let devices: BTreeMap<u64, u32> = own_files::devices(&mounts);
    devices.get(&there.stx_mnt_id) == Some(&dev)
}

/// Reads it. What changes meanwhile has no digest.
fn read(file: &OwnedFd, program: &Program, before: Version) -> Option<Digest> {
    let open = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let digest = Digest::read(open).ok()?;
    (version(file, program) == Some(before)).then_some(digest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const HOUR: i128 = 3_600_000_000_000;

    /// A file as a program that was executed in an hour.
    fn executed(path: &Path) -> Wanted {
        let there = fs::metadata(path).expect("it is there");
        let dev = there.dev();
        let dev = rustix::fs::major(dev) << 20 | rustix::fs::minor(dev);
        let program = Program { dev, ino: there.ino(), generation: 0, size: there.len(), magic: 0xef53 };
        let executed = Now::read().wall + HOUR;
        // No process has this number.
        Wanted { program, pid: u32::MAX, path: path.to_owned(), executed, until: u64::MAX }
    }

    fn script(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("program");
        fs::write(&path, text).expect("written");
        (directory, path)
    }

    #[test]
    fn the_digest_is_that_of_the_file_while_it_is_the_one_that_was_executed() {
        let (_directory, path) = script("#!/bin/true\n");
        let wanted = executed(&path);
        let mut known = Known::default();
        let expected = Some(Digest::of(b"#!/bin/true\n"));
        assert_eq!(known.digest(&wanted), expected);
        assert_eq!(known.digest(&wanted), expected, "as it is remembered");
        for other in [
            Wanted { program: Program { ino: wanted.program.ino + 1, ..wanted.program }, ..wanted.clone() },
            Wanted { program: Program { dev: wanted.program.dev + 1, ..wanted.program }, ..wanted.clone() },
            Wanted { program: Program { size: 3, ..wanted.program }, ..wanted.clone() },
            Wanted { executed: wanted.executed - 2 * HOUR, ..wanted.clone() },
            Wanted { path: "/nonexistent".into(), ..wanted.clone() },
        ] {
            assert_eq!(known.digest(&other), None, "{other:?}");
        }
        // The same name, another file.
        fs::rename(&path, path.with_extension("old")).expect("renamed");
        fs::write(&path, "#!/bin/true\n").expect("written");
        assert_eq!(known.digest(&wanted), None);
    }

    #[test]
    fn a_file_that_somebody_serves_or_that_is_too_large_is_not_read() {
        let (_directory, path) = script("x");
        let wanted = executed(&path);
        for program in [
            Program { magic: 0x6573_5546, ..wanted.program },
            Program { magic: 0x6969, ..wanted.program },
            Program { size: LARGEST + 1, ..wanted.program },
            Program { ino: 0, ..wanted.program },
        ] {
            assert_eq!(Known::default().digest(&Wanted { program, ..wanted.clone() }), None, "{program:?}");
        }
    }

    #[test]
    fn a_running_process_says_which_file_it_is() {
        let own = fs::canonicalize("/proc/self/exe").expect("this is a program");
        let wanted = Wanted { pid: std::process::id(), path: PathBuf::new(), ..executed(&own) };
        let expected = Digest::of(&fs::read(own).expect("readable"));
        assert_eq!(Known::default().digest(&wanted), Some(expected));
    }

    #[test]
    fn many_programs_are_not_all_remembered() {
        let (_directory, path) = script("x");
        let mut known = Known::default();
        for generation in 0..5 * REMEMBERED as u32 {
            let wanted = executed(&path);
            let program = Program { generation, ..wanted.program };
            assert!(known.digest(&Wanted { program, ..wanted }).is_some());
        }
        assert!(known.lately.len() + known.before.len() <= 2 * REMEMBERED);
    }
}
