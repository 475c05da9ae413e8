//! `guardctl check`: what would happen, asked without a daemon and without running anything.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use serde::Serialize;

use super::{
    error::{Error, Exit},
    render::{Screen, check, machine},
};
use crate::{
    api::Action,
    check::{
        Asked, Checker, Verdict,
        batch::{Here, LONGEST},
    },
    daemon::config::RULES,
    rules::{error::RulesError, file},
};

/// Say what would happen to a command, without running it
///
/// The operations the command would cause are foreseen (its exec, the commands it starts, the files it would delete,
/// overwrite or read) and judged by the same rules as guardd's. No daemon and no root are needed, nothing is run, and
/// the disk is only looked at.
///
/// It is a forecast: guardd judges what really happens. What cannot be foreseen (a variable nobody knows, text from the
/// network run by a shell) is held here, with the reason.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl check -- git push --force
  guardctl check --shell 'cd build && rm -rf ..'
  guardctl check -o json --workspace ~/src/shop -- rm -rf /srv/data
  guardctl check --batch commands.jsonl

A line of --batch is {\"argv\": [\"rm\", \"x\"]} or {\"shell\": \"rm x\"}, with \"cwd\", \"env\" and \"workspace\" where they
differ. The answer is one JSON object a line, in the same order: action (allow, hold, deny or kill), rule,
reversibility, why, operations; or error, for a line that is no question.

Exit codes: 0 it would be let through; 8 it would be held; 7 it would be denied, or the agent killed; 2 wrong usage or
rules. With --batch: 0 every line was answered, 1 at least one could not be read.")]
pub(crate) struct Arguments {
    /// Shell text instead of a command
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["batch", "command"])]
    shell: Option<String>,

    /// A file of commands, one JSON object a line; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "command")]
    batch: Option<PathBuf>,

    /// Rules file or directory [default: /etc/guard/rules.d, or guard's own]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,

    /// The agent's workspace [default: the directory it runs in]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    workspace: Option<PathBuf>,

    /// Where it would run [default: the current directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cwd: Option<PathBuf>,

    /// The command and its arguments
    #[arg(trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<String>,
}

/// The answer for a line that is no question.
#[derive(Serialize)]
struct Unreadable {
    error: String,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let cwd = arguments.cwd.as_ref().map_or_else(|| here.clone(), |cwd| here.join(cwd));
    let env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let here = Here { cwd, env, workspace: arguments.workspace.as_ref().map(|workspace| here.join(workspace)) };
    let mut checker = checker(arguments.rules.as_deref())?;
    let asked = match (&arguments.shell, &arguments.batch) {
        (_, Some(file)) => return batch(file, &here, &mut checker, screen),
        (Some(text), None) => Asked::Shell(text.clone()),
        (None, None) if arguments.command.is_empty() => {
            return Err(Error::Usage("name a command after `--`, or use --shell or --batch".to_owned()));
        }
        (None, None) => Asked::Argv(arguments.command.clone()),
    };
    let verdict = checker.ask(&here.question(asked));
    screen.answer(&verdict, |look| check::verdict(&verdict, look))?;
    Ok(exit(&verdict))
}

fn exit(verdict: &Verdict) -> Exit {
    match verdict.action {
        Action::Allow => Exit::Success,
        Action::Hold => Exit::WouldHold,
        Action::Deny | Action::Kill => Exit::Denied,
    }
}

/// guardd's own default: the directory for rules where there is one.
fn checker(path: Option<&Path>) -> Result<Checker, Error> {
    let installed = Path::new(RULES);
    let path = path.or_else(|| installed.is_dir().then_some(installed));
    let wrong = |error: RulesError| Error::Usage(error.to_string());
    Checker::new(file::load(path).map_err(wrong)?).map_err(wrong)
}

fn batch(file: &Path, here: &Here, checker: &mut Checker, screen: &Screen) -> Result<Exit, Error> {
    let reader: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let file = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut exit = Exit::Success;
    let mut lines = Lines(reader);
    while let Some(line) = lines.next().context("cannot read the list")? {
        match here.line(&line) {
            Ok(question) => {
                let verdict = checker.ask(&question);
                let text = machine::json_line(&verdict)?;
                screen.item(&verdict, |_| text)?;
            }
            Err(error) => {
                exit = Exit::Failure;
                let unreadable = Unreadable { error };
                let text = machine::json_line(&unreadable)?;
                screen.item(&unreadable, |_| text)?;
            }
        }
    }
    Ok(exit)
}

/// Lines of bounded length: a longer one comes back cut, one byte too long.
struct Lines(Box<dyn BufRead>);

impl Lines {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let most = LONGEST as u64 + 2;
        if self.0.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 >= most {
            self.0.skip_until(b'\n')?;
        }
        Ok(Some(line))
    }
}
