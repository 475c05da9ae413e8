//! The sending half of the audit log: what waits for the thread that writes, and how much of it may.
#![forbid(unsafe_code)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use super::{Mark, Opened, Options, Report, Writer};
use crate::daemon::record::Record;

/// Lines that may wait for the thread; past it the log counts as failed and nothing is approved.
const WAITING: usize = 16_384;

/// What the thread is to do.
pub(super) enum Command {
    Record { record: Box<Record>, flush: bool },
    Line { seq: u64, record: Vec<u8>, mark: Mark, flush: bool },
    Probe,
}

/// The sending half; dropping it and joining the thread writes what is left.
pub struct Audit {
    sender: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
    /// What was sent and not taken yet.
    due: Arc<AtomicUsize>,
}

impl Audit {
    /// Starts the thread; `report` is called on it.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(opened: Opened, options: Options, report: impl FnMut(Report) + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let due = Arc::new(AtomicUsize::new(0));
        let writer = Writer::new(opened, options, Arc::clone(&due), report)?;
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run(&receiver))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), due })
    }

    /// The disk is slower than what comes: what need not be written now had better wait, or there is no room for decisions.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.due.load(Ordering::Relaxed) > WAITING / 2
    }

    /// Adds a record, without its secrets. Never blocks.
    ///
    /// # Errors
    /// When the thread is too far behind or gone: the record is lost and its number is a gap.
    pub fn record(&self, record: Box<Record>, flush: bool) -> Result<(), String> {
        self.send(Command::Record { record, flush })
    }

    /// Adds a record as it is, a JSON object without a line end. Never blocks.
    ///
    /// # Errors
    /// As [`Self::record`].
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn write(&self, seq: u64, record: Vec<u8>, mark: Mark, flush: bool) -> Result<(), String> {
        self.send(Command::Line { seq, record, mark, flush })
    }

    /// Asks for another try.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn probe(&self) -> Result<(), String> {
        self.send(Command::Probe)
    }

    fn send(&self, command: Command) -> Result<(), String> {
        // Before the thread can take it.
        self.due.fetch_add(1, Ordering::Relaxed);
        let sent = match self.sender.as_ref().map(|sender| sender.try_send(command)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err("the disk is too slow for the lines that are due".to_owned()),
            Some(Err(TrySendError::Disconnected(_))) | None => Err("the writer has ended".to_owned()),
        };
        if sent.is_err() {
            self.due.fetch_sub(1, Ordering::Relaxed);
        }
        sent
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Instant};

    use super::*;
    use crate::{
        daemon::{audit::open, record::Kind},
        mask::Masks,
    };

    #[test]
    fn it_is_behind_while_more_waits_than_half_of_what_may() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let masks = Masks::new(&[]).expect("they are understood");
        let options = Options { segment_size: u64::MAX, key: None, checkpoint: None, masks, command: Vec::new() };
        let (go, gone) = channel::<()>();
        // A disk that takes its time over the first line.
        let report = move |_report| assert!(gone.recv().is_err(), "nobody sends");
        let opened = open(&directory.path().join("audit.jsonl")).expect("it opens");
        let audit = Audit::start(opened, options, report).expect("a thread");
        let record = |seq: u64| {
            let mut record = Box::new(Record::new(Kind::Exec));
            record.seq = seq;
            record
        };
        audit.record(record(1), true).expect("room");
        assert!(!audit.is_behind());
        let more = u64::try_from(WAITING * 3 / 4).expect("a number");
        (2..more).for_each(|seq| audit.record(record(seq), false).expect("room"));
        assert!(audit.is_behind());
        drop(go);
        let started = Instant::now();
        while audit.due.load(Ordering::Relaxed) > 0 {
            assert!(started.elapsed().as_secs() < 60, "it is never written");
            std::thread::yield_now();
        }
        assert!(!audit.is_behind());
    }
}
