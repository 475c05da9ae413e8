//! What was delivered, for the next start: the number of a record, in a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::super::{error::Error, render::note};

pub(super) struct State {
    file: PathBuf,
    kept: Option<u64>,
    /// It was said that it cannot be written.
    failed: bool,
}

impl State {
    /// # Errors
    /// When the file cannot be read, or says something else.
    pub(super) fn open(file: &Path) -> Result<Self, Error> {
        let kept = match fs::read_to_string(file) {
            Ok(text) => Some(text.trim().parse().map_err(|_| {
                Error::Usage(format!("{} has no number of a record; is it the file for `--state`?", file.display()))
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(anyhow::Error::new(error).context(format!("cannot read {}", file.display())).into());
            }
        };
        Ok(Self { file: file.to_owned(), kept, failed: false })
    }

    pub(super) fn delivered(&self) -> Option<u64> {
        self.kept
    }

    /// Everything up to this record is delivered. What cannot be kept is sent twice, which is no reason to send nothing.
    pub(super) fn keep(&mut self, record: u64) {
        if self.kept == Some(record) {
            return;
        }
        match self.write(record) {
            Ok(()) => self.kept = Some(record),
            Err(error) if !self.failed => {
                note(&format!("{error:#}"));
                self.failed = true;
            }
            Err(_) => {}
        }
    }

    /// Whole, or not at all.
    fn write(&self, record: u64) -> anyhow::Result<()> {
        let mut fresh = self.file.clone().into_os_string();
        fresh.push(".new");
        fs::write(&fresh, format!("{record}\n"))
            .and_then(|()| fs::rename(&fresh, &self.file))
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_at_the_next_start() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("state");
        let open = || State::open(&file).expect("it is read");
        assert_eq!(open().delivered(), None);
        open().keep(42);
        assert_eq!(open().delivered(), Some(42));
        fs::write(&file, "something else").expect("written");
        assert!(matches!(State::open(&file), Err(Error::Usage(_))));
        let mut nowhere = State::open(&dir.path().join("nowhere/state")).expect("there is none yet");
        nowhere.keep(1);
        assert_eq!((nowhere.delivered(), nowhere.failed), (None, true));
    }
}
