//! A program that stands where a cloud's, cluster's or database's would: this very program under another name. It records
//! that it ran and does nothing. Those that only start another program do that.

use std::{fs::File, io::Write as _, os::unix::process::CommandExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

/// The names of those that ran, a line each.
pub(crate) const RAN: &str = "/tmp/stubs-ran";

/// Those that start what their arguments name, as the real ones do.
const STARTERS: [&str; 3] = ["sudo", "npx", "bunx"];

/// The name it was started as, if that is not its own.
pub(crate) fn name() -> Option<String> {
    let called = std::env::args().next()?;
    let name = Path::new(&called).file_name()?.to_str()?.to_owned();
    (name != "guard-tests" && name != "init").then_some(name)
}

pub(crate) fn run(name: &str) -> Result<()> {
    let mut ran = File::options().append(true).create(true).open(RAN).with_context(|| format!("cannot open {RAN}"))?;
    writeln!(ran, "{name}").context("cannot record")?;
    if !STARTERS.contains(&name) {
        return Ok(());
    }
    let mut words = std::env::args().skip(1).peekable();
    while let Some(word) = words.peek().filter(|word| word.starts_with('-')).cloned() {
        words.next();
        match word.as_str() {
            "--" => break,
            "-u" | "-g" | "-C" | "-h" | "-p" | "-U" => drop(words.next()),
            _ => {}
        }
    }
    let mut command = Command::new("env");
    let error = command.args(words).exec();
    bail!("cannot start it: {error}")
}
