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

    fn send(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(self.fd.as_fd(), signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// Any but "it is gone already".
    pub fn wake(&self) -> io::Result<()> {
        self.send(Signal::CONT)
    }

    /// # Errors
    /// Any but "it is gone already".
    pub fn kill(&self) -> io::Result<()> {
        self.send(Signal::KILL)
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

/// The processes guardd has business with, by pid, each opened while one of its operations was held.
#[derive(Default)]
pub struct Processes {
    open: HashMap<u32, Process>,
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
}
