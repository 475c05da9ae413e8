//! `guardctl integrate`: writes guard's hooks into the settings of an agent, or takes them out again. What is in those
//! settings is `hook::settings`; here they are read, shown and replaced.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    error::{Error, Exit},
    render::{self, Screen, diff::diff},
};
use crate::{
    hook::{
        Tool,
        settings::{self, Settings},
    },
    rules::source::{Source, difference},
    text::is_plain,
};

/// Connect an agent's own hooks to guard
///
/// Shows how TOOL's settings would change, so that it runs `guardctl hook` before and after each call of a tool and when
/// somebody asks it for something; --write changes them. Everything else in them stays, and --remove takes out what --write
/// added. An agent goes on without guardctl when it is gone.
///
/// guard holds operations with or without this. The hooks add what was asked and thought, and let the agent hear why.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl integrate claude-code            what would change, as a diff
  guardctl integrate claude-code --write
  guardctl integrate cursor --project --write
  guardctl integrate codex --remove

Exit codes: 0 done, or nothing to do; 1 the settings cannot be read or written; 2 there are none for this tool.")]
pub(crate) struct Arguments {
    /// Whose settings
    #[arg(value_enum)]
    tool: Tool,

    /// Show what --write would change (the default)
    #[arg(long, conflicts_with_all = ["write", "remove"])]
    show: bool,

    /// Add guard's hooks
    #[arg(long, conflicts_with = "remove")]
    write: bool,

    /// Take guard's hooks out
    #[arg(long)]
    remove: bool,

    /// In your own settings (the default)
    #[arg(long, conflicts_with = "project")]
    user: bool,

    /// In the settings of the project in the current directory, which others may share
    #[arg(long)]
    project: bool,
}

/// More than people write.
const LARGEST: u64 = 4 << 20;

/// What was done, or would be.
#[derive(Serialize)]
struct Change {
    tool: &'static str,
    file: PathBuf,
    action: &'static str,
    /// False when the file is already as it is to be.
    changes: bool,
    /// As `diff -u` writes it.
    diff: String,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let tool = arguments.tool;
    let settings = tool.settings().ok_or_else(|| {
        Error::Usage(format!(
            "{} has no settings that guardctl knows: have the agent run `guardctl hook {0}`; its --help shows how",
            tool.name()
        ))
    })?;
    let file = place(settings, arguments.project)?;
    let program = program()?;
    let old = read(&file)?;
    let before: Value = match old.as_deref().map(str::trim) {
        None | Some("") => json!({}),
        Some(text) => serde_json::from_str(text).map_err(|error| {
            let file = file.display();
            anyhow!("cannot understand {file}: {error}; it stays as it is (a comment is not JSON: take it out, or add the hooks yourself)")
        })?,
    };
    let edited = match arguments.remove {
        true => settings.without(&before, tool, &program),
        false => settings.with(&before, tool, &program),
    };
    let after =
        edited.map_err(|problem| anyhow!("cannot understand {}: {problem}; it stays as it is", file.display()))?;
    let new = if before == after {
        old.clone()
    } else if arguments.remove && settings.is_bare(&after) {
        None
    } else {
        Some(settings::text(&after, old.as_deref().unwrap_or_default()))
    };
    let changes = new != old;
    if changes && (arguments.write || arguments.remove) {
        replace(&file, new.as_deref())?;
    }
    let action = if arguments.remove { "remove" } else { ["show", "write"][usize::from(arguments.write)] };
    let source = |text: Option<String>| text.map(|text| Source { file: file.display().to_string(), text });
    let difference = difference(source(old).as_slice(), source(new).as_slice()).text;
    let change = Change { tool: tool.name(), file, action, changes, diff: difference };
    screen.answer(&change, |look| diff(look, &change.diff))?;
    if screen.is_text() {
        say(arguments, settings, &change);
    }
    Ok(Exit::Success)
}

fn say(arguments: &Arguments, settings: &Settings, change: &Change) {
    let file = change.file.display();
    render::note(&match (change.changes, arguments.write, arguments.remove) {
        (true, true, _) => format!("guard's hooks are in {file} now"),
        (true, _, true) => format!("guard's hooks are out of {file}"),
        (true, false, false) => {
            let project = if arguments.project { " --project" } else { "" };
            format!("nothing is changed yet: `guardctl integrate {}{project} --write`", change.tool)
        }
        (false, _, true) => format!("there are no hooks of guard in {file}"),
        (false, _, false) => format!("guard's hooks are in {file} already"),
    });
    if !arguments.remove && !settings.remark.is_empty() {
        render::note(settings.remark);
    }
}

/// The file itself, not a link to it: people keep their settings elsewhere and link them.
fn place(settings: &Settings, project: bool) -> Result<PathBuf, Error> {
    let moved = settings.moved_by.and_then(std::env::var_os).filter(|directory| !directory.is_empty());
    let directory = match (project, moved) {
        (true, _) => std::env::current_dir().context("there is no current directory")?.join(settings.directory),
        (false, Some(directory)) => PathBuf::from(directory),
        (false, None) => std::env::home_dir().context("you have no home directory")?.join(settings.directory),
    };
    let file = directory.join(settings.file);
    match fs::canonicalize(&file) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(file),
        Err(error) => Err(anyhow!(error).context(format!("cannot find {}", file.display())).into()),
    }
}

/// This guardctl: what is first in the agent's PATH may be another one, or the agent's.
fn program() -> Result<String, Error> {
    let program = std::env::current_exe().context("cannot tell where guardctl is")?;
    let program = program.into_os_string().into_string().ok().filter(|program| program.chars().all(is_plain));
    Ok(program.context("the path of guardctl is not plain text: install it elsewhere")?)
}

/// Nothing where there is no file.
fn read(file: &Path) -> Result<Option<String>, Error> {
    let size = match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if !metadata.is_file() => return Err(anyhow!("{} is no file", file.display()).into()),
        metadata => metadata.with_context(|| format!("cannot read {}", file.display()))?.len(),
    };
    if size > LARGEST {
        return Err(anyhow!("{} is larger than {} MiB: that is no settings file", file.display(), LARGEST >> 20).into());
    }
    Ok(Some(fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?))
}

/// Puts a new file in its place, whole and with the same mode, or removes it.
fn replace(file: &Path, text: Option<&str>) -> Result<(), Error> {
    let Some(text) = text else {
        return Ok(fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?);
    };
    let fresh = file.with_added_extension(format!("guardctl-{}", std::process::id()));
    let written = || -> io::Result<()> {
        fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
        let mut new = File::create_new(&fresh)?;
        if let Ok(metadata) = file.metadata() {
            new.set_permissions(fs::Permissions::from_mode(metadata.permissions().mode()))?;
        }
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&fresh, file)
    };
    let result = written();
    if result.is_err() {
        // What is left of it is of no use; why it could not be written is the news.
        drop(fs::remove_file(&fresh));
    }
    Ok(result.with_context(|| format!("cannot write {}", file.display()))?)
}
