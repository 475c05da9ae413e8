//! The files of the log: the one that grows, and the closed ones beside it, numbered, compressed after a while.
//! `audit.jsonl` is followed by `audit-00000001.jsonl.gz` and so on; the name says the number, and so does the first record.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use super::index::{Index, PART, Part};
use flate2::{Compression, bufread::MultiGzDecoder, write::GzEncoder};

/// A longer line is no record, and is cut.
const LONGEST: u64 = 4 << 20;
const BUFFER: usize = 256 << 10;

/// A closed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    pub number: u64,
    pub path: PathBuf,
}

impl Closed {
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "gz")
    }
}

/// Where the segment of this number is when it is closed and not compressed yet.
#[must_use]
pub fn name(live: &Path, number: u64) -> PathBuf {
    let (stem, extension) = parts(live);
    live.with_file_name(format!("{stem}-{number:08}{extension}"))
}

/// The closed segments, oldest first. Of one that is there compressed and not, guardd was stopped in between: the one that
/// is not is whole.
///
/// # Errors
/// When the directory cannot be listed.
pub fn closed(live: &Path) -> io::Result<Vec<Closed>> {
    let (stem, extension) = parts(live);
    let directory = live.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut found: BTreeMap<u64, Closed> = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
            let rest = name.strip_prefix(&stem)?.strip_prefix('-')?;
            let digits = rest.strip_suffix(".gz").unwrap_or(rest).strip_suffix(&extension)?;
            (digits.len() >= 8 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| digits.parse().ok())?
        });
        let Some(number) = number else { continue };
        let segment = Closed { number, path };
        if !segment.is_compressed() || !found.contains_key(&number) {
            found.insert(number, segment);
        }
    }
    Ok(found.into_values().collect())
}

fn parts(live: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(live.extension()).map(|extension| format!(".{extension}")).unwrap_or_default();
    (text(live.file_stem()).unwrap_or_default(), extension)
}

/// The text of a segment.
///
/// # Errors
/// When it cannot be opened; what is wrong inside a compressed one comes when it is read.
pub fn read(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let file = BufReader::with_capacity(BUFFER, File::open(path)?);
    Ok(if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(file)))
    } else {
        Box::new(file)
    })
}

/// Replaces a closed segment by a compressed one, which is as old, and its index. It is there whole, or not at all.
///
/// # Errors
/// When it cannot be read or the other not be written; the segment stays as it was.
pub fn compress(segment: &Closed) -> io::Result<PathBuf> {
    let compressed = segment.path.with_added_extension("gz");
    let fresh = compressed.with_added_extension("new");
    let source = File::open(&segment.path)?;
    let metadata = source.metadata()?;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
    let done = members(BufReader::with_capacity(BUFFER, source), &file).and_then(|index| {
        file.set_modified(metadata.modified()?)?;
        file.sync_all()?;
        fs::rename(&fresh, &compressed)?;
        fs::remove_file(&segment.path)?;
        Ok(index)
    });
    match done {
        Ok(index) => {
            if let Err(error) = index.write(&compressed) {
                tracing::warn!("{} has no index: {error}", compressed.display());
            }
            Ok(compressed)
        }
        Err(error) => {
            // What is left of it takes room that the log may need.
            drop(fs::remove_file(&fresh));
            Err(error)
        }
    }
}

/// Each part is a member of its own: that is what is read to see one record.
fn members(mut source: impl BufRead, mut target: &File) -> io::Result<Index> {
    let (mut at, mut parts) = (0, Vec::new());
    loop {
        let mut lines = Vec::new();
        while lines.len() < PART {
            if (&mut source).take(LONGEST).read_until(b'\n', &mut lines)? == 0 {
                break;
            }
        }
        if lines.is_empty() {
            return Ok(Index::new(at, parts));
        }
        let mut member = GzEncoder::new(Vec::new(), Compression::default());
        member.write_all(&lines)?;
        let member = member.finish()?;
        target.write_all(&member)?;
        parts.push(Part::of(&lines, at, member.len() as u64));
        at += member.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found_by_their_names_and_read_the_same_compressed() {
        let place = tempfile::tempdir().expect("a directory");
        let live = place.path().join("audit.jsonl");
        let text = (0..60_000).map(|line| format!("{{\"seq\":{line}}}\n")).collect::<String>();
        let long = text.repeat(3);
        for number in [2, 10] {
            fs::write(name(&live, number), &long).expect("written");
        }
        for other in
            ["audit-1.jsonl", "audit-0000000x.jsonl", "audit-00000003.log", "other-00000003.jsonl", "audit.jsonl"]
        {
            fs::write(place.path().join(other), "").expect("written");
        }
        let found = closed(&live).expect("listed");
        assert_eq!(found.iter().map(|segment| segment.number).collect::<Vec<_>>(), [2, 10]);
        let compressed = compress(&found[0]).expect("compressed");
        assert!(compressed.ends_with("audit-00000002.jsonl.gz"));
        let made = Index::make(&compressed).expect("read");
        assert!(made.parts.len() > 2);
        assert_eq!(format!("{made:?}"), format!("{:?}", Index::of(&compressed).expect("it is there")));
        let mut again = String::new();
        read(&compressed).expect("opened").read_to_string(&mut again).expect("read");
        assert!(again == long);
        // Stopped after the rename: the other is taken.
        fs::write(name(&live, 2), "").expect("written");
        assert!(closed(&live).expect("listed").iter().all(|segment| !segment.is_compressed()));
    }
}
