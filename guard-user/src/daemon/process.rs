//! Processes by pidfd: woken, killed, watched. A pid alone is never trusted, it may be somebody else's by now.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::Arc,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process that cannot become another one.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    fd: Arc<OwnedFd>,
}

impl Process {
    /// # Errors
    /// `NotFound` when there is no such process.
    pub fn open(pid: u32) -> io::Result<Self> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let Some(raw) = raw else { return Err(io::ErrorKind::NotFound.into()) };
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(fd) => Ok(Self { pid, fd: Arc::new(fd) }),
            Err(rustix::io::Errno::SRCH) => Err(io::ErrorKind::NotFound.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// From a descriptor the kernel gave for the very process.
    #[must_use]
    pub fn from_pidfd(pid: u32, fd: OwnedFd) -> Self {
        Self { pid, fd: Arc::new(fd) }
    }

    /// The process has not ended: what was read about its pid until now was about it.
    #[must_use]
    pub fn lives(&self) -> bool {
        let mut fds = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(0))
    }

    /// False when it is gone.
    fn send(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(self.fd.as_fd(), signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// Any but "it is gone already".
    pub fn kill(&self) -> io::Result<()> {
        self.send(Signal::KILL).map(|_| ())
    }

    /// Ends when the process does.
    ///
    /// # Errors
    /// When the descriptor cannot be waited for.
    pub async fn ended(&self) -> io::Result<()> {
        #[expect(
            deprecated,
            reason = "its replacement is unsafe for the sake of types that may change their descriptor; an `OwnedFd` cannot"
        )]
        let fd = tokio::io::unix::AsyncFd::with_interest(Arc::clone(&self.fd), tokio::io::Interest::READABLE)?;
        fd.readable().await?.retain_ready();
        Ok(())
    }
}

/// Most processes that stay open only because they were woken: each costs a descriptor.
const WOKEN: usize = 64;

/// The processes guardd has business with, by pid, each opened while one of its operations was held.
#[derive(Default)]
pub struct Processes {
    /// Kept until they end.
    open: HashMap<u32, Process>,
    /// Woken before and likely to be woken again; forgotten at any time.
    woken: HashMap<u32, Process>,
}

impl Processes {
    /// Opened before, or opened now.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn get(&mut self, pid: u32) -> io::Result<Process> {
        if let Some(process) = self.open.get(&pid).filter(|process| process.lives()) {
            return Ok(process.clone());
        }
        self.open.remove(&pid);
        Process::open(pid)
    }

    /// Has it go on. A process that stopped is opened once, not every time.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    pub fn wake(&mut self, pid: u32) -> io::Result<()> {
        if let Some(process) = self.open.get(&pid).or_else(|| self.woken.get(&pid)) {
            if process.send(Signal::CONT)? {
                return Ok(());
            }
            // That one is gone for good; whoever waits under its number now is another.
            self.woken.remove(&pid);
        }
        let process = Process::open(pid)?;
        process.send(Signal::CONT)?;
        if self.woken.len() >= WOKEN {
            self.woken.clear();
        }
        self.woken.insert(pid, process);
        Ok(())
    }

    /// Keeps it open until [`Self::forget`]; true when it was not kept before.
    pub fn keep(&mut self, process: Process) -> bool {
        self.open.insert(process.pid, process).is_none()
    }

    #[must_use]
    pub fn keeps(&self, pid: u32) -> bool {
        self.open.contains_key(&pid)
    }

    pub fn forget(&mut self, pid: u32) {
        self.open.remove(&pid);
        self.woken.remove(&pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_process_does_not_live_and_killing_it_is_no_error() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let process = Process::open(child.id()).expect("it can be opened");
        assert!(process.lives());
        process.kill().expect("it can be killed");
        child.wait().expect("it ends");
        assert!(!process.lives());
        process.kill().expect("a second kill does nothing");
        assert!(Process::open(u32::MAX).is_err());
    }

    #[test]
    fn a_process_is_woken_twice_through_one_descriptor_and_not_after_its_end() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let process = Process::open(child.id()).expect("it can be opened");
        let mut processes = Processes::default();
        for _ in 0..2 {
            process.send(Signal::STOP).expect("it can be stopped");
            processes.wake(child.id()).expect("it is woken");
        }
        assert_eq!(processes.woken.len(), 1);
        process.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let gone = processes.wake(child.id()).expect_err("nobody is there under its number");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert!(processes.woken.is_empty(), "a process that is gone is not kept");
    }

    #[test]
    fn no_more_processes_are_kept_than_there_is_room_for() {
        let mut processes = Processes::default();
        let mut children: Vec<_> =
            (0..=WOKEN).map(|_| std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts")).collect();
        for child in &children {
            processes.wake(child.id()).expect("it is woken");
        }
        assert_eq!(processes.woken.len(), 1, "the cache begins anew when it is full");
        for child in &mut children {
            child.kill().and_then(|()| child.wait()).expect("it ends");
        }
    }
}
