//! Listens to the end of system calls, only while one is awaited that an approval let through: meanwhile every system call of
//! every process takes the kernel's slow way. A thread attaches and detaches, for both take the kernel's time and nobody is
//! to wait for them; docs/adr/0014 says what that costs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use aya::{
    maps::{Array, MapData},
    programs::{RawTracePoint, links::FdLink},
};

use crate::daemon::clock::Now;

/// How often it looks whether it is to go on.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The thread, as whoever wants it to listen has it.
pub(super) struct Listener {
    /// Until when, on the boot clock.
    until: Arc<AtomicU64>,
    thread: thread::Thread,
}

impl Listener {
    /// `listening` is what the gate looks at before it notes a call.
    ///
    /// # Errors
    /// When the map cannot be written, or there can be no thread.
    pub(super) fn start(program: RawTracePoint, mut listening: Array<MapData, u64>) -> anyhow::Result<Self> {
        // A guardd that was killed detached the program and could not say so.
        listening.set(0, &0, 0).context("cannot write the map LISTENING")?;
        let until = Arc::new(AtomicU64::new(0));
        let mut work = Work { program, listening, until: until.clone() };
        let thread = thread::Builder::new().name("listener".to_owned()).spawn(move || work.run())?.thread().clone();
        Ok(Self { until, thread })
    }

    /// Listens until this moment on the boot clock, whatever was said before.
    pub(super) fn listen(&self, until: u64) {
        self.until.store(until, Ordering::Release);
        self.thread.unpark();
    }
}

struct Work {
    program: RawTracePoint,
    listening: Array<MapData, u64>,
    until: Arc<AtomicU64>,
}

impl Work {
    fn run(&mut self) -> ! {
        loop {
            if self.left().is_none() {
                thread::park();
            } else if let Err(error) = self.listen() {
                tracing::warn!("how approved operations end is not heard: {error:#}");
                thread::sleep(LOOK_EVERY);
            }
        }
    }

    /// How much longer; `None` when it is over.
    fn left(&self) -> Option<Duration> {
        let left = self.until.load(Ordering::Acquire).saturating_sub(Now::read().boottime);
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn listen(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let link = self.program.attach("sys_exit").context("cannot attach to the tracepoint sys_exit")?;
        let link: FdLink = self.program.take_link(link)?.into();
        // No two are the same: what was noted under another is not heard any more.
        self.listening.set(0, &Now::read().boottime, 0).context("cannot write the map LISTENING")?;
        tracing::debug!("attached to the end of system calls in {:?}", began.elapsed());
        while let Some(left) = self.left() {
            thread::sleep(left.min(LOOK_EVERY));
        }
        let began = Instant::now();
        self.listening.set(0, &0, 0).context("cannot write the map LISTENING")?;
        drop(link);
        tracing::debug!("detached from it in {:?}", began.elapsed());
        Ok(())
    }
}
