//! `guardctl log verify`: is the audit log what guardd wrote? Reads the files itself: no guardd is needed, or believed.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use serde::Serialize;

use super::super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen, log::verified},
};
use crate::{
    audit::{
        chain::{self, Digest, Kind},
        key::Public,
        verify::{self, Report, Trust},
    },
    daemon::{audit::Settings, config},
};

/// Prove that no record of the audit log was removed, changed, moved or cut off
///
/// Every record names the SHA-256 of the one before, and checkpoints are signed. This goes through every segment, the
/// compressed ones included, and says what is wrong and where. Of this host's log, guardd is asked to sign the end first.
/// Otherwise it reads the files alone: copy them elsewhere, and it works there.
///
/// The public key beside the log proves that nobody without root changed it. Keep a copy of it, and of the checkpoints that
/// guardd writes into the journal, where root of this host cannot write: they prove the same of root.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl log verify
  journalctl -u guardd | guardctl log verify --checkpoints -
  guardctl log verify /mnt/copy/audit.jsonl --key ./audit.pub

Exit codes: 0 the log is whole; 1 it is not, or cannot be read; 2 wrong usage.")]
pub(crate) struct Arguments {
    /// The segment that grows; the closed ones are beside it [default: where guardd is set to write]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    log: Option<PathBuf>,

    /// Public key that must have signed it, as PEM; may be repeated [default: those beside the log]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key: Vec<PathBuf>,

    /// Text with checkpoints that were kept elsewhere, such as guardd's journal; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    checkpoints: Vec<PathBuf>,
}

/// What was verified, as `-o json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Verified {
    pub(crate) log: PathBuf,
    /// SHA-256 of each public key, as DER.
    pub(crate) keys: Vec<String>,
    /// The keys lie beside the log.
    pub(crate) own_keys: bool,
    /// Checkpoints kept elsewhere that were looked for.
    pub(crate) checkpoints: usize,
    #[serde(flatten)]
    pub(crate) report: Report,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let settings = match &arguments.log {
        Some(log) => Settings { path: log.clone(), ..Settings::default() },
        None => config::read(None).map_err(Error::Usage)?.resolve(config::Over::default()).audit,
    };
    let own_keys = arguments.key.is_empty();
    let keys = if own_keys {
        Public::all(&settings.public_key())?
    } else {
        let read = |file: &PathBuf| Public::read(file).map_err(|error| Error::Usage(format!("{error:#}")));
        arguments.key.iter().map(read).collect::<Result<_, _>>()?
    };
    // A guardd that is at work knows where its log ends, whatever became of the file.
    if arguments.log.is_none()
        && let Err(error) = client.checkpoint().await
    {
        render::note(&format!("guardd did not sign the log's end, which is verified as it is: {error}"));
    }
    let mut kept = Vec::new();
    for file in &arguments.checkpoints {
        kept.extend(checkpoints(&text(file)?));
    }
    if kept.is_empty() && !arguments.checkpoints.is_empty() {
        return Err(Error::Usage("no checkpoint is in that text; guardd writes them into its journal".to_owned()));
    }
    if arguments.log.is_none()
        && let Ok(Some(line)) = settings.checkpoint().read()
    {
        kept.extend(checkpoints(&String::from_utf8_lossy(&line)));
    }
    let fingerprints = keys.iter().map(Public::fingerprint).collect();
    let trust = Trust { keys, kept, grows: true };
    let report = verify::verify(&settings.path, &trust, &mut progress())
        .with_context(|| format!("cannot verify {}", settings.path.display()))?;
    let whole = report.whole;
    let log = settings.path;
    let verified = Verified { log, keys: fingerprints, own_keys, checkpoints: trust.kept.len(), report };
    screen.answer(&verified, |look| verified::page(look, &verified))?;
    Ok(if whole { Exit::Success } else { Exit::Failure })
}

fn text(file: &Path) -> Result<String, Error> {
    let read = if file == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let bytes = read.with_context(|| format!("cannot read {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Number and SHA-256 of every checkpoint in a text, whatever stands before them.
fn checkpoints(text: &str) -> Vec<(u64, Digest)> {
    let one = |line: &str| {
        let record = &line[line.find("{\"seq\":")?..];
        let link = chain::link(record.as_bytes()).filter(|link| link.kind == Some(Kind::Checkpoint))?;
        Some((link.seq?, Digest::of(format!("{record}\n").as_bytes())))
    };
    text.lines().filter_map(|line| one(line.trim_end())).collect()
}

/// Says how far it is, to a person who waits.
fn progress() -> impl FnMut(u64) {
    const EVERY: Duration = Duration::from_millis(500);
    let shown = io::stderr().is_terminal();
    let mut next = Instant::now() + EVERY;
    move |bytes| {
        if shown && Instant::now() >= next {
            next = Instant::now() + EVERY;
            let said = write!(io::stderr(), "\r{} MiB verified\x1b[K\r", bytes >> 20);
            if said.is_err() {
                // Nobody is there to be told.
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_are_found_in_a_journal() {
        let line = format!("{{\"seq\":7,\"kind\":\"checkpoint\",\"prev\":\"{}\"}}", "0".repeat(64));
        let journal = format!(
            "Nov 30 03:00:00 host guardd[1]: INFO checkpoint {line}\nNov 30 host guardd[1]: {{\"seq\":8}}\nother\n"
        );
        assert_eq!(checkpoints(&journal), [(7, Digest::of(format!("{line}\n").as_bytes()))]);
    }
}
