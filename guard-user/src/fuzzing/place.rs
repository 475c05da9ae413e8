//! A directory for one input, gone with it. Nothing is read or written by name here.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A fresh directory, in memory where the machine has such: an input takes a fraction of a millisecond, and a disk would
/// be most of it.
pub(super) struct Place(PathBuf);

impl Place {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let above = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = above.join(format!("guard-fuzz-{}-{number}", std::process::id()));
        // One of this name is left from a process that crashed, as fuzzers do.
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("it was ours");
        }
        fs::create_dir(&directory).expect("a directory can be made");
        Self(directory)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} stays: {error}", self.0.display());
        }
    }
}
