//! What the programs that measure the log share: writing it as guardd does, and waiting for the disk.

use std::{
    path::Path,
    sync::mpsc::{Receiver, channel},
};

use guard_user::{
    audit::key::{Private, Public},
    daemon::audit::{Audit, Options, Report, open},
    mask::Masks,
};

/// Begins the log at `path`, whose checkpoints are signed with a new key beside it; what is said of it comes from the
/// receiver.
pub(crate) fn begun(path: &Path) -> anyhow::Result<(Audit, Receiver<Report>, Public)> {
    let key = Private::open(&path.with_file_name("audit.key"))?;
    let public = key.public();
    let (sender, reports) = channel();
    let options = Options {
        segment_size: 64 << 20,
        key: Some(key),
        checkpoint: None,
        masks: Masks::new(&[]).map_err(anyhow::Error::msg)?,
        command: Vec::new(),
    };
    // The measure is over when nobody listens.
    let audit = Audit::start(open(path)?, options, move |report| drop(sender.send(report)))?;
    Ok((audit, reports, public))
}

/// Waits until this record is on the disk; true when a segment was called full meanwhile.
pub(crate) fn flushed(reports: &Receiver<Report>, seq: u64) -> anyhow::Result<bool> {
    let mut full = false;
    loop {
        match reports.recv()? {
            Report::Flushed(safe) if safe == seq => return Ok(full),
            Report::Full => full = true,
            Report::Failed(reason) | Report::Trouble(reason) => anyhow::bail!(reason),
            Report::Flushed(_) | Report::Recovered | Report::Rotated => {}
        }
    }
}
