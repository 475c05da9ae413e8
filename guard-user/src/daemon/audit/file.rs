//! The file under the log's name: that it is still there, and another one in its place when a segment ends.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use rustix::fs::{CWD, RenameFlags};

use super::open;
use crate::audit::segment;

/// The file is the one that has the log's name: written into another, nobody would find it.
pub(super) fn is_in_place(file: &File, path: &Path) -> io::Result<()> {
    let (own, named) = (file.metadata()?, fs::metadata(path)?);
    if (own.dev(), own.ino()) == (named.dev(), named.ino()) {
        return Ok(());
    }
    Err(io::Error::other("somebody put another file in its place; `systemctl restart guardd` goes on in that one"))
}

/// Closes the segment of this number: the file of the next one, in its place.
pub(super) fn next(path: &Path, number: u64) -> io::Result<File> {
    let fresh = path.with_added_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let file = open::options().create_new(true).open(&fresh)?;
    let closed = segment::name(path, number);
    // No segment is ever replaced.
    rustix::fs::renameat_with(CWD, path, CWD, &closed, RenameFlags::NOREPLACE)?;
    if let Err(error) = fs::rename(&fresh, path) {
        fs::rename(&closed, path)?;
        return Err(error);
    }
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}
