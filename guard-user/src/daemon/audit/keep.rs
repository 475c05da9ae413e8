//! What becomes of closed segments: compressed, and named when they are too old or too many. They are removed once a
//! record that says so is on the disk.
#![forbid(unsafe_code)]

use std::{
    fs,
    io::{self, BufRead as _},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::audit::{
    chain::{self, Digest},
    index::{self, Index},
    segment::{self, Closed},
};

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of all closed segments, as they are on the disk.
    pub size: u64,
    /// Since the last record of a segment.
    pub age: Option<Duration>,
}

/// A segment that is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    pub number: u64,
    /// What the first record after it names.
    pub last: Digest,
}

/// Compresses what is not, makes the indexes that are missing, and answers what is to be removed, oldest first.
///
/// # Errors
/// When a segment cannot be compressed or looked at. The others were.
pub fn tidy(live: &Path, keep: Keep) -> io::Result<Vec<Old>> {
    let mut failed = None;
    for segment in segment::closed(live)?.iter().filter(|segment| !segment.is_compressed()) {
        if let Err(error) = segment::compress(segment) {
            let said = format!("{} cannot be compressed: {error}", segment.path.display());
            failed = Some(io::Error::new(error.kind(), said));
        }
    }
    if let Some(error) = failed {
        return Err(error);
    }
    for segment in segment::closed(live)?.iter().filter(|segment| Index::of(&segment.path).is_none()) {
        // Without one it is read whole.
        if let Err(error) = Index::make(&segment.path).and_then(|index| index.write(&segment.path)) {
            tracing::warn!("{} has no index: {error}", segment.path.display());
        }
    }
    old(live, keep, SystemTime::now())
}

fn old(live: &Path, keep: Keep, now: SystemTime) -> io::Result<Vec<Old>> {
    let closed = segment::closed(live)?;
    let mut room = keep.size;
    let mut kept = closed.len();
    // From the newest on, as long as there is room and none is too old.
    for segment in closed.iter().rev() {
        let metadata = fs::metadata(&segment.path)?;
        // A clock that was set back makes nothing old.
        let age = metadata.modified().ok().and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
        if metadata.len() > room || keep.age.is_some_and(|limit| age > limit) {
            break;
        }
        room -= metadata.len();
        kept -= 1;
    }
    let after = |at: usize| closed.get(at + 1).map_or(live, |next| &next.path);
    let old = closed.iter().enumerate().take(kept);
    old.map(|(at, segment)| Ok(Old { number: segment.number, last: first_prev(after(at))? })).collect()
}

/// What the first record of a segment names.
fn first_prev(path: &Path) -> io::Result<Digest> {
    let mut line = Vec::new();
    io::Read::take(segment::read(path)?, super::open::TAIL).read_until(b'\n', &mut line)?;
    let prev = chain::link(&line).and_then(|link| link.prev);
    prev.ok_or_else(|| io::Error::other(format!("{} does not begin with a record", path.display())))
}

/// Removes a segment, in whatever form it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(live: &Path, number: u64) -> io::Result<()> {
    for Closed { path, .. } in segment::closed(live)?.into_iter().filter(|segment| segment.number == number) {
        match fs::remove_file(index::path(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::remove_file(path)?;
    }
    Ok(())
}
