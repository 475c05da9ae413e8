//! What developers and their agents do all day, as scripts in `tests/work/`: the same work in the same place, by an
//! agent or by nobody in particular. What is asserted or measured about it is the caller's.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{guard::Guard, log::Log, patience::until_within};

/// The person of the test machine whose account the agent has.
const USER: u32 = 1000;
pub(crate) const HOME: &str = "/home/dev";

/// A compiler under emulation beside another busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// A day's work of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    script: &'static str,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    /// Standard output and standard error together.
    pub(crate) output: String,
}

pub(crate) const ALL: [Work; 6] = [
    Work { name: "git", script: include_str!("../work/git.sh") },
    Work { name: "make", script: include_str!("../work/make.sh") },
    Work { name: "cargo", script: include_str!("../work/cargo.sh") },
    Work { name: "npm", script: include_str!("../work/npm.sh") },
    Work { name: "pip", script: include_str!("../work/pip.sh") },
    Work { name: "files", script: include_str!("../work/files.sh") },
];

impl Work {
    /// Does it in a fresh home, as an agent where there is a guard. `stopped` gets whatever is held; it is approved, so
    /// that one run finds every stop.
    pub(crate) fn run(self, guard: Option<&Guard>, stopped: &mut Vec<Value>) -> Result<Done> {
        self.run_script(self.script, guard, stopped)
    }

    /// The same, and how many nanoseconds the work itself took: without starting the agent it is done by.
    pub(crate) fn timed(self, guard: Option<&Guard>, stopped: &mut Vec<Value>) -> Result<(Done, u64)> {
        const MOMENTS: &str = "/run/work-moments";
        fs::write(MOMENTS, "").with_context(|| format!("cannot write {MOMENTS}"))?;
        fs::set_permissions(MOMENTS, fs::Permissions::from_mode(0o666)).context("cannot open the moments to all")?;
        let now = format!("date +%s%N >>{MOMENTS}");
        let script = format!("{now}\n(\n{}\n)\ncode=$?\n{now}\nexit $code\n", self.script);
        let done = self.run_script(&script, guard, stopped)?;
        let moments = fs::read_to_string(MOMENTS).with_context(|| format!("cannot read {MOMENTS}"))?;
        let moments: Vec<u64> = moments.lines().map(str::parse).collect::<Result<_, _>>().context("not a moment")?;
        ensure!(moments.len() == 2, "{} ended with {done:?} and noted {moments:?}", self.name);
        Ok((done, moments[1] - moments[0]))
    }

    fn run_script(self, script: &str, guard: Option<&Guard>, stopped: &mut Vec<Value>) -> Result<Done> {
        fresh_home()?;
        let place = format!("{HOME}/{}", self.name);
        fs::create_dir(&place).with_context(|| format!("cannot make {place}"))?;
        chown(&place, Some(USER), Some(USER)).with_context(|| format!("cannot give away {place}"))?;
        let words = ["/bin/bash", "-c", script];
        let mut command = match guard {
            Some(guard) => {
                let mut command = guard.command();
                command.args(["run", "--name", self.name, "--"]).args(words);
                command
            }
            None => {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]).stdin(Stdio::null());
                command
            }
        };
        let file = format!("/run/work-{}.output", self.name);
        let output = File::create(&file).with_context(|| format!("cannot make {file}"))?;
        command.uid(USER).gid(USER).env("HOME", HOME).env("USER", "dev").current_dir(&place);
        let mut log = guard.map(Log::from_now).transpose()?;
        let mut child = command.stdout(output.try_clone()?).stderr(output).spawn().context("cannot start the work")?;
        let status = until_within(LIMIT, &format!("{} to end", self.name), || {
            if let (Some(guard), Some(log)) = (guard, &mut log) {
                let_go(guard, log, stopped)?;
            }
            child.try_wait().context("cannot wait for the work")
        });
        if status.is_err() {
            child.kill().context("cannot end the work")?;
            child.wait().context("cannot wait for the work")?;
        }
        let output = fs::read(&file).with_context(|| format!("cannot read {file}"))?;
        let output = String::from_utf8_lossy(&output).into_owned();
        let status = status.with_context(|| format!("it said {output:?}, and was stopped at {stopped:?}"))?;
        Ok(Done { code: status.code(), output })
    }
}

/// Approves what is held since the last look, and adds it to `stopped`.
fn let_go(guard: &Guard, log: &mut Log, stopped: &mut Vec<Value>) -> Result<()> {
    for record in log.records()? {
        if record["kind"] != "hold" || stopped.iter().any(|known| known["hold"] == record["hold"]) {
            continue;
        }
        if let Some(id) = record["hold"].as_str() {
            // A rule may have decided it already.
            guard.guardctl(&["approve", id])?;
        }
        stopped.push(record);
    }
    Ok(())
}

fn fresh_home() -> Result<()> {
    for entry in fs::read_dir(HOME).with_context(|| format!("cannot read {HOME}"))? {
        let path = entry?.path();
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    fs::set_permissions(Path::new(HOME), fs::Permissions::from_mode(0o755)).context("cannot open the home")?;
    chown(HOME, Some(USER), Some(USER)).context("cannot give away the home")
}
