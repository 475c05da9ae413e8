//! `guard-tests demo`: guard at its main job, on a real agent and real files, with a person (or `--decide`) deciding.
//! It starts guardd, shows what guardctl shows, and checks that the outcome is what the decision promised.

mod choice;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, ExitCode, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    demo::choice::{Choice, ask},
    guard::{Guard, Tier, id},
    patience::until,
};

/// Ends the demo when this kernel cannot hold operations: the caller shows it elsewhere.
pub(crate) const NO_GATE: u8 = 77;

const PLACE: &str = "/srv/guard-demo";
const PRODUCTION: &str = "/srv/guard-demo/production";
const WORKSPACE: &str = "/srv/guard-demo/project";
const AGENT: &str = "demo-agent";
const AGENT_SCRIPT: &str = include_str!("../demo/agent.sh");

/// The agent, and what it says as it says it.
struct Actor {
    child: Child,
    said: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    let decided = match arguments {
        [] => None,
        [flag, choice] if flag == "--decide" => {
            Some(Choice::parse(choice).context("--decide takes approve, deny or kill")?)
        }
        _ => bail!("usage: guard-tests demo [--decide approve|deny|kill]"),
    };
    let files = make_production_data()?;
    heading("guardd starts");
    let guard = match Guard::start(Tier::Gate, None) {
        Ok(guard) => guard,
        Err(error) => {
            println!("guardd cannot hold operations on this kernel: {error:#}");
            return Ok(ExitCode::from(NO_GATE));
        }
    };
    print!("{}", guard.guardctl(&["status"])?.stdout);
    let result = show(&guard, decided, files);
    fs::remove_dir_all(PLACE).with_context(|| format!("cannot remove {PLACE}"))?;
    if result.is_err() {
        println!("guardd's log:\n{}", guard.log());
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn show(guard: &Guard, decided: Option<Choice>, files: usize) -> Result<()> {
    heading("an agent works in its project");
    let mut actor = Actor::start(guard)?;
    let hold = until("the agent to be held", || {
        ensure!(actor.child.try_wait()?.is_none(), "the agent ended without being held; it said:\n{}", actor.said());
        Ok(guard.pending()?.into_iter().next())
    })?;
    heading("the agent is stopped, before the first file is gone");
    let left = count(Path::new(PRODUCTION));
    println!("{left} of {files} files are in {PRODUCTION}");
    ensure!(left == files, "a file was deleted before anybody decided");
    let pid = hold["processes"][0]["pid"].as_u64().context("a hold names its process")?;
    let state = until("the process to be stopped", || Ok(crate::agent::state(pid).filter(|state| *state == 'T')))?;
    println!("process {pid} is in state {state} (stopped)");
    shown(guard, &["pending"])?;
    shown(guard, &["show", id(&hold)?])?;
    let choice = match decided {
        Some(choice) => choice,
        None => match ask(&mut std::io::stdin().lock(), &mut std::io::stdout()) {
            Ok(choice) => choice,
            Err(error) => {
                // Nobody is there to answer for what is stopped: it must not stay behind.
                decide(guard, Choice::Kill, &hold)?;
                actor.end()?;
                return Err(error);
            }
        },
    };
    decide(guard, choice, &hold)?;
    heading("what came of it");
    let (code, signal) = actor.end()?;
    let left = count(Path::new(PRODUCTION));
    println!("{left} of {files} files are in {PRODUCTION}");
    match (code, signal) {
        (Some(code), _) => println!("the agent ended with exit code {code}"),
        (None, signal) => println!("the agent was ended by signal {}", signal.unwrap_or(0)),
    }
    check(choice, &actor.said(), (code, signal), left, files)?;
    heading("what the log says of it");
    shown(guard, &["incident", id(&hold)?])?;
    shown(guard, &["timeline", AGENT])?;
    heading("what the agent touched, and what it may touch besides");
    shown(guard, &["footprint", AGENT])?;
    println!("\nThis is what had to happen. ({choice:?})");
    Ok(())
}

fn decide(guard: &Guard, choice: Choice, hold: &Value) -> Result<()> {
    match choice {
        Choice::Approve => shown(guard, &["approve", id(hold)?, "-m", "agreed"]),
        Choice::Deny => shown(guard, &["deny", id(hold)?, "-m", "this is production"]),
        // The whole agent, not only the process that is held.
        Choice::Kill => shown(guard, &["kill", AGENT]),
    }
}

/// The promises, one by one.
fn check(
    choice: Choice,
    said: &str,
    (code, signal): (Option<i32>, Option<i32>),
    left: usize,
    files: usize,
) -> Result<()> {
    match choice {
        Choice::Approve => {
            ensure!(!Path::new(PRODUCTION).exists(), "approved, and the directory is still there");
            ensure!(said.contains("rm ended with 0"), "approved, and rm failed");
            ensure!(code == Some(0) && said.contains("Done."), "the agent should have gone on");
        }
        Choice::Deny => {
            ensure!(left == files, "denied, and {} files are gone", files - left);
            ensure!(
                said.contains("Operation not permitted") && said.contains("rm ended with 1"),
                "rm should have failed cleanly"
            );
            ensure!(code == Some(0) && said.contains("Done."), "the agent should have gone on");
        }
        Choice::Kill => {
            ensure!(left == files, "killed, and {} files are gone", files - left);
            ensure!(code.is_none() && signal == Some(9), "the agent should have been killed");
            ensure!(!said.contains("rm ended"), "the agent went on although killed");
        }
    }
    Ok(())
}

impl Actor {
    fn start(guard: &Guard) -> Result<Self> {
        fs::create_dir_all(WORKSPACE).with_context(|| format!("cannot make {WORKSPACE}"))?;
        let script = Path::new(PLACE).join("agent.sh");
        fs::write(&script, AGENT_SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
        println!("$ guardctl run --name {AGENT} -- bash {} {PRODUCTION}", script.display());
        let mut child = guard
            .command()
            .args(["run", "--name", AGENT, "--workspace", WORKSPACE, "--", "bash"])
            .arg(&script)
            .arg(PRODUCTION)
            .current_dir(WORKSPACE)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start guardctl run")?;
        let said = Arc::new(Mutex::new(String::new()));
        let stdout = child.stdout.take().context("standard output is a pipe")?;
        let stderr = child.stderr.take().context("standard error is a pipe")?;
        let readers = vec![repeat(stdout, &said), repeat(stderr, &said)];
        Ok(Self { child, said, readers })
    }

    fn said(&self) -> String {
        self.said.lock().map(|said| said.clone()).unwrap_or_default()
    }

    /// Waits for its end and for its last words: exit code, signal.
    fn end(&mut self) -> Result<(Option<i32>, Option<i32>)> {
        let status = until("the agent to end", || self.child.try_wait().context("cannot wait for the agent"))?;
        for reader in self.readers.drain(..) {
            ensure!(reader.join().is_ok(), "reading the agent's output failed");
        }
        Ok((status.code(), status.signal()))
    }
}

/// Repeats an agent's lines on the screen as the agent's, without what a terminal would obey.
fn repeat(stream: impl Read + Send + 'static, said: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            let line: String = String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect();
            println!("  agent | {line}");
            if let Ok(mut said) = said.lock() {
                said.push_str(&line);
                said.push('\n');
            }
        }
    })
}

/// Two dozen files that look as if somebody needed them.
fn make_production_data() -> Result<usize> {
    if Path::new(PLACE).exists() {
        fs::remove_dir_all(PLACE).with_context(|| format!("cannot remove {PLACE}"))?;
    }
    for month in 1..=12 {
        let directory = format!("{PRODUCTION}/2026-{month:02}");
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {directory}"))?;
        for kind in ["customers", "invoices"] {
            let rows: String =
                (1..=200).map(|row| format!("{row};{kind};2026-{month:02};{}.00\n", row * month)).collect();
            fs::write(format!("{directory}/{kind}.csv"), rows).context("cannot write the data")?;
        }
    }
    Ok(count(Path::new(PRODUCTION)))
}

/// Files below a directory.
fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

fn shown(guard: &Guard, arguments: &[&str]) -> Result<()> {
    let words: Vec<String> = arguments
        .iter()
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { (*word).to_owned() })
        .collect();
    println!("\n$ guardctl {}", words.join(" "));
    let answer = guard.guardctl(arguments)?;
    print!("{}{}", answer.stdout, answer.stderr);
    ensure!(answer.code == 0, "guardctl {} ended with {}", arguments.join(" "), answer.code);
    Ok(())
}

fn heading(text: &str) {
    println!("\n=== {text} ===");
}
