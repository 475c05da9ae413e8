//! `guardctl man`: the manual pages, made from the same arguments that are parsed.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueHint};

use super::{
    error::{Error, Exit},
    render::Screen,
};

/// Write the manual page
///
/// Without a verb, that of guardctl itself. With --dir, one page for each verb and one for guardctl.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl man | man -l -
  guardctl man approve | man -l -
  guardctl man --dir /usr/local/share/man/man1")]
pub(crate) struct Arguments {
    /// The verb whose page is wanted
    verb: Option<String>,

    /// Write every page into this directory instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "verb")]
    dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let mut command = super::command().disable_help_subcommand(true);
    if let Some(dir) = &arguments.dir {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write into {}", dir.display()))?;
        return Ok(Exit::Success);
    }
    command.build();
    let page = match &arguments.verb {
        None => command,
        Some(verb) => command.find_subcommand(verb).cloned().ok_or_else(|| {
            Error::Usage(format!("there is no verb {}; see `guardctl --help`", crate::text::shown(verb)))
        })?,
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text).context("cannot make the page")?;
    screen.raw(&text)?;
    Ok(Exit::Success)
}
