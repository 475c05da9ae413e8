//! The audit log on disk: one thread that appends lines and says which are safe. What a line says is decided
//! elsewhere ([`super::record`]); a chain over the lines and segments will be made here.
#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
};

use anyhow::Context as _;
use serde_json::Value;

/// Lines that may wait for the thread; past it the log counts as failed and nothing is approved.
const WAITING: usize = 16_384;
/// Lines, and about as many bytes, that are written and flushed together.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// Bytes kept while the disk refuses them; lines past it are lost, and the gap in `seq` shows it.
const KEPT: usize = 8 << 20;
/// Bytes at the end of the file that are looked through for the last numbers.
const TAIL: u64 = 256 << 10;
/// The most that is looked through for the last hold.
const FAR: u64 = 64 * TAIL;

/// What the thread says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Every line up to this one is on the disk.
    Flushed(u64),
    Failed(String),
    Recovered,
}

enum Command {
    Line { seq: u64, line: Vec<u8>, flush: bool },
    Probe,
}

/// A log that was opened and looked at, not yet written to.
#[derive(Debug)]
pub struct Opened {
    file: File,
    pub last_seq: u64,
    /// Number of the last hold in the tail.
    pub last_hold: u64,
    /// The last line had no end: an earlier guardd was cut off while it wrote. It is kept.
    pub torn: bool,
}

/// The sending half; dropping it and joining the thread writes what is left.
pub struct Audit {
    sender: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Opens or makes the log, and finds the last numbers in it.
///
/// # Errors
/// When it cannot be opened for appending, or is a symbolic link.
pub fn open(path: &Path) -> anyhow::Result<Opened> {
    let with_path = || format!("cannot open the audit log {}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).with_context(with_path)?;
    }
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .custom_flags(nofollow)
        .open(path)
        .with_context(with_path)?;
    let (mut last_seq, mut last_hold, mut torn, mut length) = (0, 0, false, TAIL);
    loop {
        let bytes = tail_of(&mut file, length).with_context(with_path)?;
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
            last_seq = last_seq.max(value["seq"].as_u64().unwrap_or(0));
            let hold = value["hold"].as_str().and_then(|hold| hold.strip_prefix('h')?.parse().ok());
            last_hold = last_hold.max(hold.unwrap_or(0));
        }
        // Many lines are about no hold: the last one may be far back.
        if last_hold > 0 || (bytes.len() as u64) < length || length >= FAR {
            break;
        }
        length *= 8;
    }
    if file.metadata().with_context(with_path)?.is_file() && file.seek(SeekFrom::End(0)).with_context(with_path)? > 0 {
        file.seek(SeekFrom::End(-1)).with_context(with_path)?;
        let mut last = [0];
        file.read_exact(&mut last).with_context(with_path)?;
        torn = last != *b"\n";
        if torn {
            file.write_all(b"\n").with_context(with_path)?;
        }
    }
    Ok(Opened { file, last_seq, last_hold, torn })
}

/// The last lines of a log as JSON values, oldest first; lines that are not JSON are left out.
///
/// # Errors
/// When the file cannot be read.
pub fn last_lines(path: &Path, count: usize) -> io::Result<Vec<Value>> {
    let bytes = tail_of(&mut File::open(path)?, 16 * TAIL)?;
    let mut lines: Vec<Value> =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    Ok(lines.split_off(lines.len().saturating_sub(count)))
}

fn tail_of(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Ok(Vec::new());
    }
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Audit {
    /// Starts the thread; `report` is called on it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(opened: Opened, report: impl FnMut(Report) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let writer = Writer::new(opened.file, report);
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread) })
    }

    /// Never blocks.
    ///
    /// # Errors
    /// When the thread is too far behind or gone: the line is lost and its number is a gap.
    pub fn write(&self, seq: u64, line: Vec<u8>, flush: bool) -> Result<(), String> {
        self.send(Command::Line { seq, line, flush })
    }

    /// Asks for another try.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn probe(&self) -> Result<(), String> {
        self.send(Command::Probe)
    }

    fn send(&self, command: Command) -> Result<(), String> {
        match self.sender.as_ref().map(|sender| sender.try_send(command)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err("the disk is too slow for the lines that are due".to_owned()),
            Some(Err(TrySendError::Disconnected(_))) | None => Err("the writer has ended".to_owned()),
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the audit writer ended by a panic");
        }
    }
}

struct Writer<R> {
    file: File,
    report: R,
    /// Lines the file did not take yet.
    unwritten: Vec<u8>,
    /// Lines the file took and the disk did not confirm. After a failed flush they are written again: the kernel
    /// may have dropped them, and a line twice is better than never.
    unsynced: Vec<u8>,
    last: u64,
    lost: u64,
    failed: bool,
}

impl<R: FnMut(Report)> Writer<R> {
    fn new(file: File, report: R) -> Self {
        Self { file, report, unwritten: Vec::new(), unsynced: Vec::new(), last: 0, lost: 0, failed: false }
    }

    fn run(mut self, receiver: &Receiver<Command>) {
        while let Ok(first) = receiver.recv() {
            let mut wanted = self.take(first);
            for command in receiver.try_iter().take(BATCH) {
                wanted |= self.take(command);
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
            Command::Line { seq, line, flush } => {
                if self.unwritten.len() + line.len() > KEPT {
                    self.lost += 1;
                } else {
                    self.unwritten.extend_from_slice(&line);
                    self.last = seq;
                }
                flush && !self.failed
            }
        }
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
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    (self.report)(Report::Failed(error.to_string()));
                }
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
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
        match self.file.sync_data() {
            Ok(()) => {
                self.unsynced.clear();
                Ok(())
            }
            Err(error) => {
                let mut again = std::mem::take(&mut self.unsynced);
                again.append(&mut self.unwritten);
                self.unwritten = again;
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
