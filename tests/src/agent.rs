//! A command running as an agent, started as a person starts one, and what became of it.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};

use crate::{guard::Guard, patience::until};

/// Directories are numbered, so that no two agents share one.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// Standard output and standard error together.
    pub(crate) output: String,
}

/// An agent's first process; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    directory: PathBuf,
    name: String,
}

impl Agent {
    /// `guardctl run -- argv` in a fresh workspace.
    pub(crate) fn start(guard: &Guard, argv: &[&str]) -> Result<Self> {
        Self::start_with(guard, &[], argv)
    }

    /// The same with options of `guardctl run`.
    pub(crate) fn start_with(guard: &Guard, options: &[&str], argv: &[&str]) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/srv/workspace-{number}"));
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let output = File::create(directory.with_extension("output")).context("cannot make the agent's output")?;
        let mut command = guard.command();
        let name = format!("agent-{number}");
        command.arg("run").arg("--name").arg(&name).arg("--workspace").arg(&directory);
        command.args(options).arg("--").args(argv).current_dir(&directory);
        let child = command.stdout(output.try_clone()?).stderr(output).spawn().context("cannot start guardctl run")?;
        Ok(Self { child, directory, name })
    }

    /// The first process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it works.
    pub(crate) fn workspace(&self) -> &Path {
        &self.directory
    }

    /// What guard calls it.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// What it printed so far.
    pub(crate) fn output(&self) -> Result<String> {
        let file = self.directory.with_extension("output");
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for this line in its output.
    pub(crate) fn says(&self, line: &str) -> Result<()> {
        until(&format!("the agent to say {line:?}"), || {
            Ok(self.output()?.lines().any(|said| said == line).then_some(()))
        })
        .with_context(|| format!("it said {:?}", self.output().unwrap_or_default()))
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> Result<Ended> {
        let status = until("the agent to end", || self.child.try_wait().context("cannot wait for the agent"))
            .with_context(|| format!("it said {:?}", self.output().unwrap_or_default()))?;
        self.ended(status)
    }

    /// Whether its first process has ended.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot wait for the agent")?.is_some())
    }

    /// Waits for its end, which must be this code, and returns its output.
    pub(crate) fn ends_with(&mut self, code: i32) -> Result<String> {
        let ended = self.end()?;
        ensure!(ended.code == Some(code), "the agent should have ended with {code}: {ended:?}");
        Ok(ended.output)
    }

    fn ended(&self, status: ExitStatus) -> Result<Ended> {
        Ok(Ended { code: status.code(), signal: status.signal(), output: self.output()? })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has usually ended; then there is nothing to do.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Stopped processes that have this word among their arguments.
pub(crate) fn stopped(word: &str) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes end while they are listed.
        let Ok(bytes) = fs::read(entry.path().join("cmdline")) else { continue };
        let named = bytes.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes());
        count += usize::from(named && state(pid) == Some('T'));
    }
    Ok(count)
}

/// State letter of a process in `/proc`: `T` is stopped. `None` when there is no such process.
pub(crate) fn state(pid: u64) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().chars().next()
}
