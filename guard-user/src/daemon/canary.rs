//! The canary: a process of guardd's own that is tagged and tries, every few seconds, what guard must refuse. The kernel can
//! be told to call no BPF program any more (`kernel.ftrace_enabled=0`), and says so to nobody; the canary notices.
//!
//! The kernel refuses the canary everything and keeps no record of it. What follows from a finding is decided in the core.
#![forbid(unsafe_code)]

mod deeds;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc;

pub use deeds::{EXECUTED, executed, run};

use super::{cgroup::Cgroups, core::Input, effect::Kernel};

/// How often it tries.
const EVERY: Duration = Duration::from_secs(3);
/// How long it may take: a machine that has no time for it is not one that lost its hooks.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// Its cgroup, beside those of the agents.
const NAME: &str = "canary";

/// What the canary found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All it tried was refused.
    Refused,
    /// These hooks refused nothing.
    Passed(Vec<String>),
    /// It could not be asked.
    Silent(String),
}

/// The canary and its place.
pub struct Canary {
    directory: PathBuf,
    cgroups: Cgroups,
    cgroup: String,
    bird: Option<Bird>,
}

/// A running one.
struct Bird {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Canary {
    /// Makes its cgroup and has the kernel refuse it everything. What an earlier guardd left of it is removed.
    ///
    /// # Errors
    /// When the cgroup cannot be made, or the kernel does not take it.
    pub fn new(run_dir: &Path, cgroups: Cgroups, kernel: &mut impl Kernel) -> anyhow::Result<Self> {
        let old = format!("/{}/{NAME}", super::cgroup::PARENT);
        if let Ok(id) = cgroups.id(&old) {
            kernel.remove_agent(id).context("the last canary cannot be removed")?;
            cgroups.kill(&old).context("the last canary cannot be killed")?;
            cgroups.remove(&old).context("the last canary's cgroup cannot be removed")?;
        }
        let cgroup = cgroups.create(NAME).context("the canary's cgroup cannot be made")?;
        let id = cgroups.id(&cgroup).context("the canary's cgroup is gone")?;
        kernel.set_canary(id).context("the kernel did not take the canary")?;
        Ok(Self { directory: run_dir.join(NAME), cgroups, cgroup, bird: None })
    }

    /// Asks once. One that does not answer is replaced the next time.
    #[must_use]
    pub fn ask(&mut self) -> Finding {
        match self.try_ask() {
            Ok(passed) if passed.is_empty() => Finding::Refused,
            Ok(passed) => {
                // It is not where it was: files are gone, or the process itself.
                self.bird = None;
                Finding::Passed(passed)
            }
            Err(error) => {
                self.bird = None;
                Finding::Silent(format!("{error:#}"))
            }
        }
    }

    fn try_ask(&mut self) -> anyhow::Result<Vec<String>> {
        let bird = match &mut self.bird {
            Some(bird) => bird,
            none => none.insert(hatch(&self.directory, &self.cgroups, &self.cgroup)?),
        };
        bird.ask.write_all(b"\n").context("the canary does not listen")?;
        Ok(bird.line()?.split_whitespace().map(str::to_owned).collect())
    }

    /// Asks again and again, until nobody wants to know.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn watch(mut self, inputs: mpsc::Sender<Input>) -> io::Result<()> {
        let watch = move || {
            loop {
                thread::sleep(EVERY);
                let finding = self.ask();
                if inputs.blocking_send(Input::Canary(finding)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name(NAME.to_owned()).spawn(watch).map(drop)
    }
}

impl Bird {
    /// The next line it says.
    fn line(&mut self) -> anyhow::Result<String> {
        let ready = poll(&mut [PollFd::new(self.answer.get_ref(), PollFlags::IN)], Some(&PATIENCE));
        let ready = ready.map_err(io::Error::from).context("the canary cannot be waited for")?;
        anyhow::ensure!(ready == 1, "the canary does not answer");
        let mut line = String::new();
        self.answer.read_line(&mut line).context("the canary cannot be read")?;
        anyhow::ensure!(line.ends_with('\n'), "the canary ended");
        Ok(line)
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        // It may have ended by itself.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            tracing::debug!("the canary's end: {error}");
        }
    }
}

/// Starts one, and puts it into its cgroup before it may do anything.
fn hatch(directory: &Path, cgroups: &Cgroups, cgroup: &str) -> anyhow::Result<Bird> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", directory.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let made = fs::create_dir_all(directory.join(deeds::EMPTY));
    made.and_then(|()| fs::write(directory.join(deeds::FILE), "Tweet.\n"))
        .with_context(|| format!("cannot fill {}", directory.display()))?;
    let mut child = Command::new("/proc/self/exe")
        .arg("--canary")
        .arg(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the canary cannot be started")?;
    let pipes = child.stdin.take().zip(child.stdout.take());
    let (ask, answer) = pipes.context("the canary has no pipes")?;
    let mut bird = Bird { child, ask, answer: BufReader::new(answer) };
    // What it needs is open then; what it does from now on, it does tagged.
    anyhow::ensure!(bird.line()?.trim_end() == deeds::READY, "the canary says something else than that it is ready");
    cgroups.join(cgroup, bird.child.id()).context("the canary cannot be tagged")?;
    Ok(bird)
}
