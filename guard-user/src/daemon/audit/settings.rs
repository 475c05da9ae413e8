//! Where the log is, what signs it and how much of it is kept; and what is looked at before it is written to.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Options, keep::Keep};
use crate::{
    audit::{chain, key::Private},
    mask::Masks,
};

/// What holds of the log after everything is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The segment that is written; the closed ones are beside it.
    pub path: PathBuf,
    /// The private key; what only root may see of the log is beside it.
    pub key: PathBuf,
    /// Bytes after which a segment ends.
    pub segment_size: u64,
    pub segment_age: Duration,
    pub keep: Keep,
    /// Patterns of secrets, beside those that come with guard.
    pub mask: Vec<String>,
    /// Gets each checkpoint on its standard input: a program with its arguments; empty for none.
    pub command: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            path: PathBuf::from("/var/log/guard/audit.jsonl"),
            key: PathBuf::from("/var/lib/guard/audit.key"),
            segment_size: 64 << 20,
            segment_age: Duration::from_secs(DAY),
            keep: Keep { size: 4 << 30, age: None },
            mask: Vec::new(),
            command: Vec::new(),
        }
    }
}

impl Settings {
    /// Where anybody who may read the log finds what verifies it.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.path.with_extension("pub")
    }

    /// Where the last checkpoint is kept apart from the log.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { file: self.key.with_extension("checkpoint"), log: self.path.clone() }
    }

    /// Longest a segment may last, in nanoseconds.
    #[must_use]
    pub fn age(&self) -> i128 {
        i128::try_from(self.segment_age.as_nanos()).unwrap_or(i128::MAX)
    }

    /// What the log is written with.
    ///
    /// # Errors
    /// When a pattern of secrets is none.
    pub fn options(&self, key: Option<Private>) -> Result<Options, String> {
        let (checkpoint, masks) = (Some(self.checkpoint()), Masks::new(&self.mask)?);
        Ok(Options { segment_size: self.segment_size, key, checkpoint, masks, command: self.command.clone() })
    }

    /// The key, and what is not as it should be before the first record is written: the log ends at `last_seq`.
    #[must_use]
    pub fn prepare(&self, last_seq: u64) -> (Option<Private>, Vec<String>) {
        let mut troubles = Vec::new();
        let key = Private::open(&self.key).and_then(|key| key.public().write(&self.public_key()).map(|()| key));
        let key = key.map_err(|error| troubles.push(format!("the audit log is not signed: {error:#}"))).ok();
        match self.checkpoint().read() {
            Ok(Some(line)) => {
                let signed = chain::link(&line).and_then(|link| link.seq).unwrap_or(0);
                if signed > last_seq {
                    troubles.push(format!(
                        "the end of the audit log is missing: it ends with record {last_seq}, and record {signed} was signed"
                    ));
                }
            }
            Ok(None) => {}
            Err(error) => troubles.push(format!("the last checkpoint of the audit log cannot be read: {error}")),
        }
        (key, troubles)
    }
}

/// A copy of the last checkpoint, where who can change the log may not reach.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    file: PathBuf,
    log: PathBuf,
}

impl Checkpoint {
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The line; nothing when there is none of this log.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let bytes = match fs::read(&self.file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let rest = bytes.strip_prefix(self.log.as_os_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"\n"));
        // What follows is of a longer one before.
        Ok(rest.and_then(|rest| rest.split_inclusive(|byte| *byte == b'\n').next()).map(<[u8]>::to_vec))
    }

    /// Writes over the one before. It stays the same file: the kernel knows guard's own files by their inodes, and that of a
    /// file that is replaced is soon somebody else's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, line: &[u8]) -> io::Result<()> {
        if let Some(directory) = self.file.parent() {
            fs::create_dir_all(directory)?;
        }
        let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow);
        let file = options.open(&self.file)?;
        let bytes = [self.log.as_os_str().as_bytes(), b"\n", line].concat();
        // One write, so that a guardd that is killed leaves the one or the other.
        file.write_all_at(&bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_checkpoint_is_of_one_log_and_stays_the_same_file() {
        let place = tempfile::tempdir().expect("a directory");
        let of = |log: &str| Checkpoint { file: place.path().join("audit.checkpoint"), log: log.into() };
        let inode = || fs::metadata(place.path().join("audit.checkpoint")).expect("it is there").ino();
        assert_eq!(of("/a").read().expect("none"), None);
        of("/a").write(b"{\"seq\":1000}\n").expect("written");
        let first = inode();
        of("/a").write(b"{\"seq\":1}\n").expect("written");
        assert_eq!(of("/a").read().expect("read"), Some(b"{\"seq\":1}\n".to_vec()));
        assert_eq!((of("/b").read().expect("of another"), inode()), (None, first));
    }
}
