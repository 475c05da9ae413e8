//! `guardctl run`: becomes an agent, then becomes the command. Nothing of the command's is read or changed.

use std::{
    ffi::OsString,
    fs,
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use clap::{Args, ValueHint};

use super::{client::Client, error::Error, render};
use crate::{api::Tag, text};

/// Start a command as an agent under guard
///
/// guardd puts this process into a fresh agent cgroup; then the command takes its place, with the same terminal, user
/// and environment. Everything it starts is in the agent, too, and stays there. Anybody may do this: being an agent
/// only takes rights away.
///
/// In the workspace (the current directory, unless told otherwise) the agent may delete and overwrite freely. The root
/// directory and your home directory are a workspace only when --workspace names them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl run -- claude
  guardctl run --name nightly --workspace ~/src/shop -- ./agent.sh --all

Exit codes: the command's own; 125 guard failed and the command was not started,
126 it cannot be executed, 127 it was not found.")]
pub(crate) struct Arguments {
    /// Name of the agent [default: the command's]
    #[arg(long)]
    name: Option<String>,

    /// Directory the agent may work in freely [default: the current directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_workspace")]
    workspace: Option<PathBuf>,

    /// No directory at all is free to work in
    #[arg(long)]
    no_workspace: bool,

    /// Rules for this agent besides guardd's; they can only add
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rules: Option<PathBuf>,

    /// Policy of guardd's for this agent [default: none]
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD", value_hint = ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

/// The daemon takes bodies of 256 KiB; JSON makes text longer.
const LARGEST_RULES: u64 = 200 * 1024;

/// Returns when guardd has put this process into its agent.
pub(super) async fn tag(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    let name = arguments.name.clone().unwrap_or_else(|| {
        let program = arguments.command.first().map(PathBuf::from).unwrap_or_default();
        program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    });
    let workspace = match (&arguments.workspace, arguments.no_workspace) {
        (_, true) => String::new(),
        (Some(directory), false) => workspace_text(directory)?,
        (None, false) => default_workspace()?,
    };
    let rules = arguments.rules.as_deref().map(read_rules).transpose()?;
    let policy = arguments.policy.clone().unwrap_or_default();
    client.tag(&Tag { name, workspace, rules, policy, ..Tag::default() }).await.map(drop)
}

/// Becomes the command. Returns only what kept it from that.
pub(super) fn execute(arguments: &Arguments) -> Error {
    let (program, rest) = match arguments.command.split_first() {
        Some(command) => command,
        None => return Error::Usage("no command".to_owned()),
    };
    let error = Command::new(program).args(rest).exec();
    Error::Exec { command: text::shown(&program.to_string_lossy()), error }
}

/// An absolute path without symbolic links, as the kernel sees it.
pub(super) fn workspace_text(directory: &Path) -> Result<String, Error> {
    let path =
        fs::canonicalize(directory).with_context(|| format!("cannot use {} as the workspace", directory.display()))?;
    if !path.is_dir() {
        return Err(Error::Usage(format!("the workspace {} is not a directory", path.display())));
    }
    Ok(path
        .into_os_string()
        .into_string()
        .map_err(|path| anyhow!("the workspace {} is not UTF-8: name another one", path.display()))?)
}

fn default_workspace() -> Result<String, Error> {
    let here = std::env::current_dir().context("there is no current directory; name a --workspace")?;
    let workspace = workspace_text(&here)?;
    let home = std::env::home_dir().and_then(|home| fs::canonicalize(home).ok());
    if here.parent().is_none() || home.is_some_and(|home| home.starts_with(&workspace)) {
        render::note(&format!(
            "guardctl: {workspace} is too much for a workspace, so there is none; --workspace {workspace} insists"
        ));
        return Ok(String::new());
    }
    Ok(workspace)
}

fn read_rules(path: &Path) -> Result<String, Error> {
    let mut rules = String::new();
    let file = fs::File::open(path).with_context(|| format!("cannot read the rules {}", path.display()))?;
    file.take(LARGEST_RULES + 1)
        .read_to_string(&mut rules)
        .with_context(|| format!("cannot read the rules {}", path.display()))?;
    if rules.len() as u64 > LARGEST_RULES {
        return Err(Error::Usage(format!("the rules {} are larger than {LARGEST_RULES} bytes", path.display())));
    }
    Ok(rules)
}
