//! The audit log on disk: one thread that appends lines to the chain and says which are safe. What a line says is decided
//! elsewhere ([`super::record`]), and when a segment ends, too; what a chain is, is in [`crate::audit`].
#![forbid(unsafe_code)]

mod file;
pub mod keep;
mod look;
mod open;
mod queue;
mod settings;
mod tell;

use std::{
    fs::File,
    io::{self, Write as _},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

pub use look::records;
pub use open::{Opened, open};
pub use queue::Audit;
use queue::Command;
pub use settings::{Checkpoint, Settings};
use tell::Teller;

use super::record::Kind;
use crate::{
    audit::{chain::Head, key::Private},
    mask::Masks,
};

/// Lines, and about as many bytes, that are written and flushed together.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// Bytes kept while the disk refuses them; lines past it are lost, and the gap in `seq` shows it.
const KEPT: usize = 8 << 20;

/// What the thread says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Every line up to this one is on the disk.
    Flushed(u64),
    Failed(String),
    Recovered,
    /// The segment is as large as it may be.
    Full,
    /// A segment was closed, and another one begun.
    Rotated,
    /// It goes on, but not as it should.
    Trouble(String),
}

/// What the log is written with.
pub struct Options {
    /// Bytes after which a segment is to end.
    pub segment_size: u64,
    /// Signs the checkpoints; without one they are not signed.
    pub key: Option<Private>,
    /// Where a copy of the last checkpoint is kept.
    pub checkpoint: Option<Checkpoint>,
    /// What is taken out of records.
    pub masks: Masks,
    /// Gets each checkpoint on its standard input: a program with its arguments; empty for none.
    pub command: Vec<String>,
}

/// What a line is to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Plain,
    /// The first of a segment.
    Opens,
    /// It is signed.
    Signed,
    /// It is signed, and the last of its segment.
    Closes,
}

impl Mark {
    #[must_use]
    pub fn of(kind: Kind, closes: bool) -> Self {
        match kind {
            Kind::Segment => Self::Opens,
            Kind::Checkpoint if closes => Self::Closes,
            Kind::Checkpoint => Self::Signed,
            _ => Self::Plain,
        }
    }
}

struct Writer<R> {
    due: Arc<AtomicUsize>,
    file: File,
    path: PathBuf,
    options: Options,
    report: R,
    head: Head,
    /// Of the segment that is written.
    number: u64,
    /// Lines the file did not take yet.
    unwritten: Vec<u8>,
    /// Lines the file took and the disk did not confirm. After a failed flush they are written again: the kernel may have
    /// dropped them.
    unsynced: Vec<u8>,
    /// Bytes the disk has confirmed.
    synced: u64,
    /// What is behind `synced` is not to be trusted and has to go first: a line twice would be no chain.
    cut: bool,
    /// Bytes at which the segment is called full.
    full_at: u64,
    /// The last checkpoint, until it is safe.
    checkpoint: Option<Vec<u8>>,
    teller: Option<Teller>,
    last: u64,
    lost: u64,
    failed: bool,
}

impl<R: FnMut(Report)> Writer<R> {
    fn new(opened: Opened, options: Options, due: Arc<AtomicUsize>, report: R) -> io::Result<Self> {
        let Opened { file, path, length, mut head, number, torn, .. } = opened;
        let mut unwritten = Vec::new();
        if torn {
            unwritten.push(b'\n');
            head.junk(b"\n");
        }
        let command = options.command.clone();
        Ok(Self {
            due,
            file,
            path,
            head,
            number,
            unwritten,
            unsynced: Vec::new(),
            synced: length,
            cut: false,
            full_at: options.segment_size,
            checkpoint: None,
            teller: (!command.is_empty()).then(|| Teller::start(command)).transpose()?,
            options,
            report,
            last: 0,
            lost: 0,
            failed: false,
        })
    }

    fn run(mut self, receiver: &Receiver<Command>) {
        while let Ok(first) = receiver.recv() {
            let mut wanted = self.take(first);
            self.due.fetch_sub(1, Ordering::Relaxed);
            for command in receiver.try_iter().take(BATCH) {
                wanted |= self.take(command);
                self.due.fetch_sub(1, Ordering::Relaxed);
                // What waits must not grow to the bound at which lines are lost: an agent may make them long.
                if self.unwritten.len() >= BATCH_BYTES {
                    break;
                }
            }
            self.push(wanted);
        }
        self.push(true);
    }

    /// True when somebody waits for the disk.
    fn take(&mut self, command: Command) -> bool {
        match command {
            Command::Probe => true,
            Command::Record { mut record, flush } => {
                self.options.masks.mask(&mut record);
                let mark = Mark::of(record.kind, record.closes);
                match serde_json::to_vec(&record) {
                    Ok(line) => self.take(Command::Line { seq: record.seq, record: line, mark, flush }),
                    Err(error) => {
                        tracing::error!("a record that is no JSON: {error}");
                        self.lost += 1;
                        flush
                    }
                }
            }
            Command::Line { seq, record, mark, flush } => {
                if self.unwritten.len() + record.len() > KEPT {
                    self.lost += 1;
                } else {
                    self.add(seq, record, mark);
                }
                if mark == Mark::Closes && !self.failed {
                    self.push(true);
                    self.rotate();
                }
                flush && !self.failed
            }
        }
    }

    fn add(&mut self, seq: u64, mut line: Vec<u8>, mark: Mark) {
        let number = [("segment", self.number.to_string())];
        let more: &[(&str, String)] = if mark == Mark::Plain { &[] } else { &number };
        let signs = matches!(mark, Mark::Signed | Mark::Closes);
        self.head.add(&mut line, more, self.options.key.as_ref().filter(|_| signs));
        if signs {
            self.checkpoint = Some(line.clone());
        }
        self.unwritten.append(&mut line);
        self.last = seq;
    }

    fn push(&mut self, flush: bool) {
        // While failed, only a probe tries again: the disk is asked once a second, not once a line.
        if self.failed && !flush {
            return;
        }
        // A line that was lost must not count as safe once a later one is.
        if self.lost > 0 && !self.failed {
            self.failed = true;
            return (self.report)(Report::Failed("a line is too long for it".to_owned()));
        }
        let written = self.write().and_then(|()| if flush { self.sync() } else { Ok(()) });
        match written {
            Ok(()) if flush => {
                if std::mem::take(&mut self.failed) {
                    if self.lost > 0 {
                        tracing::error!("{} lines of the audit log were lost", std::mem::take(&mut self.lost));
                    }
                    (self.report)(Report::Recovered);
                }
                (self.report)(Report::Flushed(self.last));
                self.flushed();
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    (self.report)(Report::Failed(error.to_string()));
                }
            }
        }
    }

    /// What is on the disk now may be told to others.
    fn flushed(&mut self) {
        if let Some(line) = self.checkpoint.take() {
            // Under systemd this is in the journal, and wherever that goes.
            tracing::info!("checkpoint {}", String::from_utf8_lossy(line.trim_ascii_end()));
            if let Some(copy) = &self.options.checkpoint
                && let Err(error) = copy.write(&line)
            {
                let file = copy.file().display();
                let trouble = format!("the last checkpoint of the audit log is not in {file}: {error}");
                (self.report)(Report::Trouble(trouble));
            }
            if let Some(trouble) = self.teller.as_ref().and_then(|teller| teller.tell(&line).err()) {
                (self.report)(Report::Trouble(trouble));
            }
        }
        for trouble in self.teller.iter().flat_map(Teller::troubles) {
            (self.report)(Report::Trouble(trouble));
        }
        if self.synced >= self.full_at {
            self.full_at = self.synced.saturating_add(self.options.segment_size);
            (self.report)(Report::Full);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.cut {
            self.file.set_len(self.synced)?;
            self.cut = false;
        }
        while !self.unwritten.is_empty() {
            match self.file.write(&self.unwritten) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.unsynced.extend(self.unwritten.drain(..count));
                    // A very long time without a flush must not grow without bound.
                    if self.unsynced.len() > KEPT {
                        self.sync()?;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.file.sync_data().and_then(|()| file::is_in_place(&self.file, &self.path)) {
            Ok(()) => {
                self.synced += self.unsynced.len() as u64;
                self.unsynced.clear();
                Ok(())
            }
            Err(error) => {
                let mut again = std::mem::take(&mut self.unsynced);
                again.append(&mut self.unwritten);
                self.unwritten = again;
                self.cut = true;
                Err(error)
            }
        }
    }

    /// Closes the segment. Where that cannot be, the log goes on in it.
    fn rotate(&mut self) {
        if self.failed {
            return;
        }
        match file::next(&self.path, self.number) {
            Ok(file) => {
                self.file = file;
                self.number += 1;
                self.synced = 0;
                self.full_at = self.options.segment_size;
                (self.report)(Report::Rotated);
            }
            Err(error) => {
                let trouble =
                    format!("segment {} of the audit log cannot be closed, so it grows: {error}", self.number);
                (self.report)(Report::Trouble(trouble));
            }
        }
    }
}

#[cfg(test)]
mod tests;
