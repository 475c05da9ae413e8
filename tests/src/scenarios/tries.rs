//! Many attempts by one agent, each with a question to the world: held ones happen only after approval, refused ones never,
//! though anybody else's succeed. What is tried is in other files.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::{
    agent::Agent,
    guard::{Guard, id},
    patience::{never, until},
};

/// What no ordinary program calls; see the file.
const CALLS: &str = include_str!("../../calls/calls.pl");
pub(super) const CALLS_PLACE: &str = "/srv/calls.pl";

/// A question to the world, which may need to know the agent's workspace.
pub(super) type Asked = Box<dyn Fn(&Path) -> Result<bool>>;

/// One attempt. In its command `CALL` is this machine's `calls.pl`.
pub(super) struct Try {
    command: String,
    /// Operation and a part of what it is about, as a hold shows them.
    op: &'static str,
    about: String,
    happened: Asked,
    /// What it says after approval, where it cannot work here.
    says: &'static str,
}

impl Try {
    pub(super) fn new(
        command: impl Into<String>,
        op: &'static str,
        about: impl Into<String>,
        happened: impl Fn(&Path) -> Result<bool> + 'static,
    ) -> Self {
        let (command, about) = (command.into(), about.into());
        Self { command, op, about, happened: Box::new(happened), says: "" }
    }

    /// No device here can do it, or something else refuses it: after approval it says this.
    pub(super) fn but_says(self, says: &'static str) -> Self {
        Self { says, ..self }
    }

    fn is(&self, hold: &Value) -> bool {
        let operation = &hold["operation"];
        operation["op"] == self.op && operation.to_string().contains(&self.about)
    }
}

/// All attempts at once: denied the first time, approved the second. `tries` makes the world anew for each.
pub(super) fn held(guard: &Guard, tries: impl Fn() -> Result<Vec<Try>>) -> Result<()> {
    for verb in ["deny", "approve"] {
        let tries = tries()?;
        let mut agent = start(guard, tries.iter().map(|each| each.command.as_str()), true)?;
        let first = all_held(guard, &agent, &tries)?;
        never("something happened before anybody decided", || {
            let happened = tries.iter().map(|each| (each.happened)(agent.workspace())).collect::<Result<Vec<_>>>()?;
            Ok(happened.contains(&true))
        })?;
        decide(guard, verb, &first)?;
        fs::write(agent.workspace().join("go"), "").context("cannot tell the agent")?;
        // Some come to a second operation, or to the same one again.
        until("the agent to end", || {
            if agent.has_ended()? {
                return Ok(Some(()));
            }
            decide(guard, verb, &guard.pending()?)?;
            Ok(None)
        })?;
        agent.ends_with(0)?;
        for (number, each) in tries.iter().enumerate() {
            let (code, said) = ended(&agent, number)?;
            let happened = || (each.happened)(agent.workspace());
            let told = format!("`{}` ended with {code} and said {said:?}", each.command);
            match (verb, each.says) {
                ("deny", _) => {
                    ensure!(!happened()?, "denied, and it happened: {told}");
                    ensure!(code != 0 && is_refusal(&said), "not a clean error: {told}");
                }
                (_, "") => {
                    ensure!(code == 0, "approved, and it failed: {told}");
                    comes_true(happened).with_context(|| format!("approved, and it did not happen: {told}"))?;
                }
                (_, says) => ensure!(said.contains(says), "approved, and not {says:?}: {told}"),
            }
        }
    }
    Ok(())
}

/// Waits until each attempt is held.
fn all_held(guard: &Guard, agent: &Agent, tries: &[Try]) -> Result<Vec<Value>> {
    let mut missing = Vec::new();
    let found = until("every attempt to be held", || {
        let pending = guard.pending()?;
        missing = tries
            .iter()
            .filter(|each| {
                let alike = tries.iter().filter(|other| other.op == each.op && other.about == each.about).count();
                pending.iter().filter(|hold| each.is(hold)).count() < alike
            })
            .map(|each| each.command.clone())
            .collect();
        Ok(missing.is_empty().then_some(pending))
    });
    found.with_context(|| {
        let said = (0..tries.len()).map(|number| (number, ended(agent, number).ok())).collect::<Vec<_>>();
        let waits = guard.pending().unwrap_or_default();
        let waits = waits.iter().map(|hold| hold["operation"].to_string()).collect::<Vec<_>>();
        format!("not held: {missing:?}; held: {waits:?}; ended: {said:?}; {:?}", agent.output().unwrap_or_default())
    })
}

fn decide(guard: &Guard, verb: &str, holds: &[Value]) -> Result<()> {
    let ids = holds.iter().map(id).collect::<Result<Vec<_>>>()?;
    if !ids.is_empty() {
        // Some may have ended, or been decided with the one before, since they were listed.
        guard.guardctl(&[&[verb], ids.as_slice()].concat())?;
    }
    Ok(())
}

/// What tells an attempt that is refused.
pub(super) enum Logged {
    /// Whatever the rules say.
    Shield(&'static str),
    /// This rule, and this in what it is about; or the shield, where what is touched is known by identity.
    Either(&'static str, String, &'static str),
    /// Ordinary programs do the same: it is refused and not told.
    Nothing,
}

/// What becomes of the same attempt by somebody who is no agent.
pub(super) enum Otherwise {
    /// It works, and this undoes it.
    Works(&'static str),
    /// It ends with another error.
    Differs,
    /// Nobody tries: the machine would not be the same afterwards.
    Untried,
}

/// One attempt that is refused.
pub(super) struct Refused {
    pub(super) command: String,
    pub(super) logged: Logged,
    pub(super) happened: Asked,
    pub(super) otherwise: Otherwise,
}

/// All attempts, one after the other: by an agent, and then by nobody in particular.
pub(super) fn refused(guard: &Guard, tries: &[Refused]) -> Result<()> {
    let nowhere = Path::new("/nowhere");
    for each in tries {
        ensure!(!(each.happened)(nowhere)?, "it is so before anybody tries: `{}`", each.command);
    }
    let mut agent = start(guard, tries.iter().map(|each| each.command.as_str()), false)?;
    agent.ends_with(0)?;
    for (number, each) in tries.iter().enumerate() {
        let (code, said) = ended(&agent, number)?;
        let clean = code != 0 && is_refusal(&said);
        ensure!(clean && !(each.happened)(nowhere)?, "`{}` ended with {code} and said {said:?}", each.command);
    }
    for each in tries {
        until(&format!("the log to tell of `{}`", each.command), || {
            let log = fs::read_to_string(guard.audit()).context("cannot read the log")?;
            let mut lines = log.lines().filter(|line| line.contains(&format!("\"{}\"", agent.name())));
            Ok(lines.any(|line| each.is_told_in(line)).then_some(()))
        })?;
    }
    for each in tries {
        each.by_another().with_context(|| format!("`{}` by no agent", each.command))?;
    }
    Ok(())
}

fn is_of_rule(line: &str, rule: &str, about: &str) -> bool {
    line.contains(&format!("\"rule\":\"{rule}\"")) && line.contains(about)
}

fn is_shielded(line: &str, says: &str) -> bool {
    line.contains(r#""kind":"shielded""#) && line.contains(says)
}

impl Refused {
    fn is_told_in(&self, line: &str) -> bool {
        match &self.logged {
            Logged::Shield(says) => is_shielded(line, says),
            Logged::Either(rule, about, says) => is_of_rule(line, rule, about) || is_shielded(line, says),
            Logged::Nothing => true,
        }
    }

    /// Without this nothing would tell a refusal of guard's from a call that never works.
    fn by_another(&self) -> Result<()> {
        let run = |line: &str| Command::new("/bin/bash").args(["-c", line]).output().context("cannot start bash");
        let output = match self.otherwise {
            Otherwise::Untried => return Ok(()),
            Otherwise::Works(_) | Otherwise::Differs => run(&spelled(&self.command))?,
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        match self.otherwise {
            Otherwise::Works(undo) => {
                ensure!(output.status.success(), "it should work: {}: {said}", output.status);
                comes_true(|| (self.happened)(Path::new("/nowhere")))?;
                let undone = run(undo)?;
                ensure!(undone.status.success(), "cannot undo it: {}", String::from_utf8_lossy(&undone.stderr));
            }
            Otherwise::Differs | Otherwise::Untried => {
                ensure!(!said.contains("Operation not permitted"), "it is refused to anybody: {said}");
            }
        }
        Ok(())
    }
}

/// What is killed is gone a moment after the call that kills it.
fn comes_true(happened: impl Fn() -> Result<bool>) -> Result<()> {
    until("it to happen", || Ok(happened()?.then_some(())))
}

/// Puts [`CALLS`] where agents, and who prepares the world for them, find it.
pub(super) fn place_calls() -> Result<()> {
    fs::write(CALLS_PLACE, CALLS).with_context(|| format!("cannot write {CALLS_PLACE}"))
}

/// An agent that makes these attempts, and notes for each what it said and ended with.
fn start<'a>(guard: &Guard, commands: impl Iterator<Item = &'a str>, at_once: bool) -> Result<Agent> {
    place_calls()?;
    let end = if at_once { '&' } else { ';' };
    let each = commands.enumerate().map(|(number, command)| {
        format!("{{ ( {} ) >said.{number} 2>&1; echo $? >code.{number}; }} {end}\n", spelled(command))
    });
    guard.agent(&format!("{}wait; exit 0", each.collect::<String>()))
}

/// A command as bash is given it.
fn spelled(command: &str) -> String {
    command.replace("CALL", &format!("perl {CALLS_PLACE}"))
}

/// `EPERM`, or `EACCES` where the kernel makes that of it.
fn is_refusal(said: &str) -> bool {
    ["operation not permitted", "permission denied"].iter().any(|error| said.to_lowercase().contains(error))
}

/// What an attempt ended with and said.
fn ended(agent: &Agent, number: usize) -> Result<(i32, String)> {
    let read = |name: &str| {
        let file = agent.workspace().join(format!("{name}.{number}"));
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    let said = String::from_utf8_lossy(&read("said")?).into_owned();
    let code = String::from_utf8_lossy(&read("code")?).into_owned();
    match code.trim().parse() {
        Ok(code) => Ok((code, said)),
        Err(_) => bail!("an attempt noted {code:?}"),
    }
}
