//! A running guardd, and guardctl to talk to it: the real programs, as a person has them. Scenarios touch guard through
//! this alone; what they assert is in the world outside.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    agent::Agent,
    patience::{until, until_within},
    setting::{Setting, rules_directory, told},
    socket::ask,
};

/// Where a test guardd keeps its things.
const DIRECTORY: &str = "/run/guard-test";

/// Which protection to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Gate,
    Trip,
    /// Whichever guardd takes by itself.
    Best,
}

impl Tier {
    /// As the command line of guardd has it.
    fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Trip => "trip",
            Self::Best => "auto",
        }
    }
}

/// What guardctl ended with.
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// guardd, ended when dropped.
pub(crate) struct Guard {
    child: Child,
    tier: Tier,
    setting: Setting,
    rules: Option<PathBuf>,
    directory: PathBuf,
    leaves_programs: bool,
}

impl Guard {
    /// Starts guardd and waits until it answers. Without rules it takes its default pack.
    pub(crate) fn start(tier: Tier, rules: Option<&str>) -> Result<Self> {
        Self::start_with(tier, Setting::Usual, rules)
    }

    /// The same with other settings.
    pub(crate) fn start_with(tier: Tier, setting: Setting, rules: Option<&str>) -> Result<Self> {
        let directory = PathBuf::from(DIRECTORY);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {DIRECTORY}"))?;
        let file = match rules {
            Some(text) => {
                let file = directory.join("rules.yaml");
                fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
                Some(file)
            }
            None => None,
        };
        if let Err(error) = fs::remove_file(directory.join("guardd.log"))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            bail!("cannot remove guardd's old log: {error}");
        }
        setting.prepare(&directory)?;
        let child = spawn(tier, setting, file.as_deref(), &directory)?;
        let mut guard = Self { child, tier, setting, rules: file, directory, leaves_programs: false };
        guard.wait_until_ready()?;
        Ok(guard)
    }

    /// Leaves the kernel programs at work for the guardd that is started next: having them verified again is most of a start
    /// under emulation.
    pub(crate) fn leave_programs(&mut self) {
        self.leaves_programs = true;
    }

    /// Ends guardd with SIGKILL, as a crash would, and starts no other.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.child.kill().context("cannot kill guardd")?;
        self.child.wait().context("cannot wait for guardd")?;
        Ok(())
    }

    /// Starts guardd again where [`Self::crash`] left it.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.spawn_again()?;
        self.wait_until_ready()
    }

    /// The same, without waiting until it answers.
    pub(crate) fn spawn_again(&mut self) -> Result<()> {
        self.child = spawn(self.tier, self.setting, self.rules.as_deref(), &self.directory)?;
        Ok(())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait().context("cannot look at guardd")?.is_some())
    }

    /// `guardd --teardown`
    pub(crate) fn teardown(&self) -> Result<Answer> {
        let mut command = command(self.tier, self.setting, self.rules.as_deref(), &self.directory);
        Ok(Answer::from(command.arg("--teardown").output().context("cannot start guardd")?))
    }

    /// guardd's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A second guardd, which must refuse; what it said and ended with.
    pub(crate) fn second(&self) -> Result<Answer> {
        let mut command = command(self.tier, self.setting, self.rules.as_deref(), &self.directory);
        Ok(Answer::from(command.output().context("cannot start guardd")?))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("guard.sock")
    }

    /// What its audit log said last, for whoever looks for the cause of a failure.
    pub(crate) fn audited(&self) -> String {
        const LAST: usize = 12;
        let text = fs::read_to_string(self.audit()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST)..].join("\n")
    }

    /// Where its audit log is.
    pub(crate) fn audit(&self) -> PathBuf {
        self.setting.audit(&self.directory)
    }

    /// Where a person would put rules.
    pub(crate) fn rules_directory(&self) -> PathBuf {
        rules_directory(&self.directory)
    }

    /// guardctl with these arguments.
    pub(crate) fn guardctl(&self, arguments: &[&str]) -> Result<Answer> {
        let output = self.command().args(arguments).output().context("cannot start guardctl")?;
        Ok(Answer::from(output))
    }

    /// guardctl, to be given arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("guardctl");
        command.env("GUARD_SOCKET", self.socket()).env("GUARD_AGENT_SOCKET", agent_socket(&self.directory));
        command.stdin(Stdio::null());
        command
    }

    /// Starts a shell script as an agent whose workspace is a fresh directory.
    pub(crate) fn agent(&self, script: &str) -> Result<Agent> {
        Agent::start(self, &["/bin/bash", "-c", script])
    }

    /// What guardd says about itself.
    pub(crate) fn status(&self) -> Result<Value> {
        self.get("/v1/status")
    }

    /// One of guardd's counters.
    pub(crate) fn count(&self, name: &str) -> Result<u64> {
        let status = self.status()?;
        let counts = status["counts"].as_array().context("a status has counts")?;
        let count = counts.iter().find(|count| count["name"] == name);
        count.and_then(|count| count["value"].as_u64()).with_context(|| format!("there is no counter {name}"))
    }

    /// What waits for a decision.
    pub(crate) fn pending(&self) -> Result<Vec<Value>> {
        serde_json::from_value(self.get("/v1/holds?state=pending")?).context("what waits is a list")
    }

    /// Waits for a hold of this operation kind whose path (or arguments, or address) contains `about`.
    pub(crate) fn held(&self, op: &str, about: &str) -> Result<Value> {
        let found = until(&format!("a held {op} of {about}"), || {
            let mut pending = self.pending()?;
            let at = pending
                .iter()
                .position(|hold| hold["operation"]["op"] == op && hold["operation"].to_string().contains(about));
            Ok(at.map(|at| pending.swap_remove(at)))
        });
        found.with_context(|| {
            format!("pending were {:?}", self.pending().unwrap_or_default().iter().map(summary).collect::<Vec<_>>())
        })
    }

    /// Decides on a hold: `approve`, `deny` or `kill`; must succeed.
    pub(crate) fn decide(&self, verb: &str, hold: &Value) -> Result<()> {
        let id = id(hold)?;
        let answer = self.guardctl(&[verb, id])?;
        let said = answer.stdout.trim().to_owned() + answer.stderr.trim();
        ensure!(answer.code == 0, "guardctl {verb} {id} ended with {}: {said}", answer.code);
        Ok(())
    }

    /// Where guardd's own log is: what a journal would have.
    pub(crate) fn journal(&self) -> PathBuf {
        self.directory.join("guardd.log")
    }

    /// Where a command of the settings puts checkpoints, with small segments.
    pub(crate) fn told(&self) -> PathBuf {
        told(&self.directory)
    }

    /// The last lines of guardd's own log, for a failure's report.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.journal()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Ends every agent, so that the next scenario finds none.
    pub(crate) fn clear(&mut self) -> Result<()> {
        if self.child.try_wait().context("cannot look at guardd")?.is_some() {
            self.start_again()?;
        }
        ask(&self.socket(), "POST", "/v1/agents/*/state", r#"{"state":"kill"}"#)?;
        until("all holds to end with their agents", || Ok(self.pending()?.is_empty().then_some(())))
    }

    fn get(&self, path: &str) -> Result<Value> {
        let (status, answer) = ask(&self.socket(), "GET", path, "")?;
        ensure!(status == 200, "guardd answered {status} to {path}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("guardd answered no JSON to {path}"))
    }

    /// Waits until it answers at its tier.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        until_within(std::time::Duration::from_secs(420), "guardd to answer", || {
            if let Some(status) = self.child.try_wait().context("cannot look at guardd")? {
                bail!("guardd ended with {status}:\n{}", self.log());
            }
            // It has not begun to listen.
            let Ok(status) = self.status() else { return Ok(None) };
            let is_wanted = self.tier == Tier::Best || status["tier"] == self.tier.name();
            ensure!(is_wanted, "guardd chose the tier {}: {}", status["tier"], status["reason"]);
            Ok(Some(()))
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Either may have ended already; then there is nothing to end.
        drop(self.guardctl(&["kill", "--all"]));
        drop(self.child.kill());
        drop(self.child.wait());
        // A guardd that ended leaves its programs at work, as it must; a test leaves nothing.
        if !self.leaves_programs {
            drop(fs::remove_dir_all("/sys/fs/bpf/guard"));
        }
        self.setting.clean(&self.directory);
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The id to type.
pub(crate) fn id(hold: &Value) -> Result<&str> {
    hold["id"].as_str().context("a hold has an id")
}

/// A hold in a few words.
fn summary(hold: &Value) -> String {
    let operation = &hold["operation"];
    format!("{} {} {} {}", hold["id"], operation["op"], operation["path"], operation["argv"])
}

/// Where it listens to agents.
fn agent_socket(directory: &Path) -> PathBuf {
    directory.join("agent.sock")
}

fn spawn(tier: Tier, setting: Setting, rules: Option<&Path>, directory: &Path) -> Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(directory.join("guardd.log"))
        .context("cannot open guardd's log")?;
    command(tier, setting, rules, directory)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start guardd")
}

fn command(tier: Tier, setting: Setting, rules: Option<&Path>, directory: &Path) -> Command {
    let mut command = Command::new("guardd");
    command.arg("--socket").arg(directory.join("guard.sock")).arg("--audit").arg(setting.audit(directory));
    command.arg("--agent-socket").arg(agent_socket(directory));
    command.arg("--run-dir").arg(directory).args(["--tier", tier.name()]);
    if let Some(config) = setting.config(directory) {
        command.arg("--config").arg(config);
    }
    if let Some(rules) = rules {
        command.arg("--rules").arg(rules);
    }
    command
}
