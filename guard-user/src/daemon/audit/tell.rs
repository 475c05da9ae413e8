//! Checkpoints told to a command of the administrator's, one after the other and beside the log's own thread: it may send
//! them where nobody who is root on this host can take them back.
#![forbid(unsafe_code)]

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Checkpoints that may wait.
const WAITING: usize = 64;
/// Longest the command may take for one.
const PATIENCE: Duration = Duration::from_secs(10);

/// The command, and who starts it.
pub(super) struct Teller {
    sender: Option<SyncSender<Vec<u8>>>,
    troubles: Receiver<String>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    /// For a command that is a program with its arguments.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(command: Vec<String>) -> io::Result<Self> {
        let (sender, lines) = sync_channel::<Vec<u8>>(WAITING);
        let (trouble, troubles) = channel();
        let tell_all = move || {
            for line in lines {
                if let Err(error) = tell(&command, &line) {
                    let said = format!("a checkpoint of the audit log was not told to others by {command:?}: {error}");
                    tracing::error!("{said}");
                    if trouble.send(said).is_err() {
                        tracing::debug!("guardd ends");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(tell_all)?;
        Ok(Self { sender: Some(sender), troubles, thread: Some(thread) })
    }

    /// Has one told. Never blocks.
    ///
    /// # Errors
    /// When too many wait: this one is told to nobody.
    pub(super) fn tell(&self, line: &[u8]) -> Result<(), String> {
        match self.sender.as_ref().map(|sender| sender.try_send(line.to_vec())) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => {
                Err("a checkpoint of the audit log was told to nobody: the command is too slow".to_owned())
            }
            Some(Err(TrySendError::Disconnected(_))) | None => {
                Err("checkpoints are told to nobody any more".to_owned())
            }
        }
    }

    /// What went wrong since this was asked.
    pub(super) fn troubles(&self) -> impl Iterator<Item = String> {
        self.troubles.try_iter()
    }
}

impl Drop for Teller {
    /// Those that wait are told first.
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that tells checkpoints ended by a panic");
        }
    }
}

/// One line on the command's standard input.
fn tell(command: &[String], line: &[u8]) -> io::Result<()> {
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    // A pipe has room for a line: who does not read does not keep guardd waiting. Who reads nothing says so at the end.
    let written = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(line));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("it did not end within {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if status.success() { written } else { Err(io::Error::other(format!("it ended with {status}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: String) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
    }

    #[test]
    fn a_command_gets_every_checkpoint_in_order_and_its_failures_are_said() {
        let place = tempfile::tempdir().expect("a directory");
        let told = place.path().join("told");
        let teller = Teller::start(shell(format!("cat >>{}", told.display()))).expect("a thread");
        for line in ["{\"seq\":1}\n", "{\"seq\":2}\n"] {
            teller.tell(line.as_bytes()).expect("room");
        }
        drop(teller);
        assert_eq!(std::fs::read_to_string(&told).expect("told"), "{\"seq\":1}\n{\"seq\":2}\n");

        let teller = Teller::start(shell("cat >/dev/null; exit 3".to_owned())).expect("a thread");
        teller.tell(b"{}\n").expect("room");
        let trouble = teller.troubles.recv_timeout(PATIENCE).expect("it fails");
        assert!(trouble.contains("exit status: 3"), "{trouble}");
        let teller = Teller::start(vec!["/no/such/program".to_owned()]).expect("a thread");
        teller.tell(b"{}\n").expect("room");
        assert!(teller.troubles.recv_timeout(PATIENCE).expect("it fails").contains("/no/such/program"));
    }
}
