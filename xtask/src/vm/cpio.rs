//! Writes the archive format of an initial RAM disk ("newc", see the kernel's
//! `Documentation/driver-api/early-userspace/buffer-format.rst`). Owners are root whoever builds it.

use std::io::{self, Write};

/// An archive under construction.
pub(crate) struct Archive<W: Write> {
    sink: W,
    written: usize,
    entries: u32,
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink, written: 0, entries: 0 }
    }

    /// Adds a directory; its parent must be there already.
    pub(crate) fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, 0o040_755, (0, 0), &[])
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, permissions: u32, content: &[u8]) -> io::Result<()> {
        self.entry(path, 0o100_000 | permissions, (0, 0), content)
    }

    /// Adds the console, which the kernel opens for PID 1 before any file system is mounted.
    pub(crate) fn console(&mut self) -> io::Result<()> {
        self.entry("dev/console", 0o020_600, (5, 1), &[])
    }

    /// Writes the end mark and returns the sink.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), &[])?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), content: &[u8]) -> io::Result<()> {
        let size = u32::try_from(content.len()).map_err(|_| io::Error::other("a file of an archive is below 4 GiB"))?;
        let name_size = u32::try_from(path.len() + 1).map_err(|_| io::Error::other("name too long"))?;
        self.entries += 1;
        let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
        // inode, mode, uid, gid, links, mtime, size, device (2), device node (2), name size, checksum
        let fields = [self.entries, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let header: String =
            std::iter::once("070701".to_owned()).chain(fields.iter().map(|field| format!("{field:08x}"))).collect();
        self.put(header.as_bytes())?;
        self.put(path.as_bytes())?;
        self.put(&[0])?;
        self.align()?;
        self.put(content)?;
        self.align()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.sink.write_all(bytes)
    }

    fn align(&mut self) -> io::Result<()> {
        let padding = self.written.wrapping_neg() % 4;
        self.put(&[0; 3][..padding])
    }
}

#[cfg(test)]
mod tests {
    use super::Archive;

    #[test]
    fn every_part_of_an_archive_starts_at_a_multiple_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.directory("a").unwrap();
        archive.file("a/bcd", 0o755, b"12345").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let magic = bytes.windows(6).enumerate().filter(|(_, window)| window == b"070701");
        assert!(magic.map(|(at, _)| at).all(|at| at % 4 == 0));
    }
}
