//! `guardctl learn`: a policy that allows what was seen of an agent, and holds the rest.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use clap_complete::ArgValueCandidates;
use serde::Serialize;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    footprint::one,
    render::Screen,
    seen::Period,
};
use crate::rules::lesson::Lesson;

/// Write a policy that allows what an agent was seen to do, and holds the rest
///
/// Prints a `policies.yaml` with one policy, from the audit log: directories it read and wrote, programs it ran, hosts it
/// connected to, each with how often at least. Directories are those of the home and the workspace of whatever agent the policy
/// is given to; versions and numbers become `*`, and many siblings the directory above them. What an agent was refused is no part of it, and
/// what the other rules stop stays stopped. Read it before it is put in force: what an agent did is not what it should do.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl learn builder --since '7 days ago'
  guardctl learn builder --write /etc/guard/rules.d/policies.yaml --cases ./builder.yaml
  guardctl rules check && guardctl rules test ./builder.yaml
  guardctl reload && guardctl run --policy learned-builder -- CMD

A policies.yaml that is there already is not written over: the entry under `policies:` goes into it.")]
pub(crate) struct Arguments {
    /// Id or name of the agent; of a name all that had it
    #[arg(add = ArgValueCandidates::new(completions::agents))]
    agent: String,

    /// Name of the policy [default: `learned-` and the agent's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Write it to this file, which must not be there
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    write: Option<PathBuf>,

    /// Write cases for `guardctl rules test` to this file, which must not be there; not among the rules
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    cases: Option<PathBuf>,

    #[command(flatten)]
    period: Period,
}

/// As `-o json` shows it.
#[derive(Debug, Serialize)]
struct Written<'a> {
    name: &'a str,
    policies: &'a str,
    cases: &'a str,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let rules = arguments.period.rules()?;
    let seen = one(&arguments.agent, &arguments.period, client).await?;
    let name = arguments.name.clone().unwrap_or_else(|| policy_name(&seen.name));
    let agents = format!("{} ({}), from {} to {}", seen.name, seen.agents.join(", "), seen.since, seen.until);
    let lesson = Lesson::new(&name, &agents, &rules, &seen.scope(), &seen.footprint()).map_err(Error::Usage)?;
    for (file, text) in [(&arguments.write, &lesson.policies), (&arguments.cases, &lesson.cases)] {
        if let Some(file) = file {
            write(file, text)?;
        }
    }
    let written = Written { name: &name, policies: &lesson.policies, cases: &lesson.cases };
    screen.answer(&written, |_| match &arguments.write {
        Some(file) => format!("wrote {}; `guardctl rules check` reads it as guardd would\n", file.display()),
        None => lesson.policies.clone(),
    })?;
    Ok(Exit::Success)
}

/// A name as rules have them.
fn policy_name(agent: &str) -> String {
    let letter = |letter: char| match letter.to_ascii_lowercase() {
        plain if plain.is_ascii_lowercase() || plain.is_ascii_digit() => plain,
        _ => '-',
    };
    format!("learned-{}", agent.chars().map(letter).take(40).collect::<String>())
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    let written = OpenOptions::new().write(true).create_new(true).open(file);
    let written = written.and_then(|mut writer| writer.write_all(text.as_bytes()));
    Ok(written.with_context(|| format!("cannot write {}", file.display()))?)
}
