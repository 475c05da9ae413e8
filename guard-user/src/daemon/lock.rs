//! One guardd per host: a locked file that names the one that runs.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// # Errors
/// Names the process that holds it.
pub fn take(path: &Path) -> anyhow::Result<Lock> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(path);
    let mut file = open.with_context(|| format!("cannot open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut pid = String::new();
        file.read_to_string(&mut pid).with_context(|| format!("cannot read {}", path.display()))?;
        bail!("guardd runs already, as process {} ({} is locked)", pid.trim(), path.display());
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Lock(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_and_told_the_pid_of_the_first() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("run/guardd.lock");
        let first = take(&path).expect("it is free");
        let refused = take(&path).expect_err("it is taken").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        take(&path).expect("it is free again");
    }
}
