//! The command lines of `rules/cases`, as they stand there, with what `guardctl check` foresees of them. Making the world
//! they run in is `lists/world.rs`, running them `lists/follow.rs` inside the agent and `lists/lead.rs` outside.

pub(crate) mod follow;
pub(crate) mod lead;
pub(crate) mod stub;
mod world;

use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

const LISTS: [(&str, &str); 2] = [
    ("destructive", include_str!("../../rules/cases/destructive.jsonl")),
    ("harmless", include_str!("../../rules/cases/harmless.jsonl")),
];

/// One command line.
#[derive(Debug)]
pub(crate) struct Case {
    /// `destructive:17`
    pub(crate) place: String,
    /// The line of the list.
    pub(crate) line: String,
    /// Something must stop it.
    pub(crate) stops: bool,
    pub(crate) rule: Option<String>,
    /// What `guardctl check` says in this world.
    pub(crate) foreseen: Foreseen,
}

/// An answer of `guardctl check --batch`.
#[derive(Debug, Deserialize)]
pub(crate) struct Foreseen {
    pub(crate) action: String,
    pub(crate) rule: Option<String>,
    pub(crate) operations: Vec<Step>,
}

/// One operation of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Step {
    pub(crate) op: String,
    pub(crate) what: String,
    pub(crate) action: String,
}

/// Every `step`th line of both lists from the `first` on, with its place.
pub(crate) fn lines(first: usize, step: usize) -> impl Iterator<Item = (String, &'static str)> {
    let of = |(list, text): (&'static str, &'static str)| {
        text.lines().enumerate().map(move |(index, line)| (format!("{list}:{}", index + 1), line))
    };
    LISTS.into_iter().flat_map(of).skip(first).step_by(step)
}

/// The same, asked about in the world as it is.
pub(crate) fn read(first: usize, step: usize) -> Result<Vec<Case>> {
    let chosen: Vec<(String, &str)> = lines(first, step).collect();
    let questions: String = chosen.iter().flat_map(|(_, line)| [*line, "\n"]).collect();
    let answers = foresee(&questions)?;
    ensure!(answers.len() == chosen.len(), "{} questions, {} answers", chosen.len(), answers.len());
    let case = |((place, line), foreseen): ((String, &str), Foreseen)| -> Result<Case> {
        let said: Value = serde_json::from_str(line).with_context(|| format!("{place} is not JSON"))?;
        let rule = said["rule"].as_str().map(str::to_owned);
        Ok(Case { place, line: line.to_owned(), stops: said["expect"] != "allow", rule, foreseen })
    };
    chosen.into_iter().zip(answers).map(case).collect()
}

fn foresee(questions: &str) -> Result<Vec<Foreseen>> {
    let mut check = Command::new("guardctl")
        .args(["check", "--batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start guardctl check")?;
    let mut input = check.stdin.take().context("guardctl has an input")?;
    let questions = questions.to_owned();
    let writer = thread::spawn(move || input.write_all(questions.as_bytes()));
    let output = check.wait_with_output().context("cannot wait for guardctl check")?;
    let written = writer.join().map_err(|_| anyhow::anyhow!("writing panicked"))?;
    written.context("cannot ask guardctl check")?;
    ensure!(output.status.success(), "guardctl check ended with {}", output.status);
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).context("guardctl check printed something else")).collect()
}
