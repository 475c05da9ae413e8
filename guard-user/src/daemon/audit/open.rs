//! Opening the log that an earlier guardd left: where its chain ends, and the last numbers in it. Writes nothing.
#![forbid(unsafe_code)]

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;

use crate::audit::{
    chain::{self, Head, Kind},
    segment,
};

/// Bytes at the end of the file that are looked through for the last numbers.
pub(super) const TAIL: u64 = 256 << 10;
/// The most that is looked through for the last hold.
const FAR: u64 = 64 * TAIL;

/// A log that was opened and looked at, not yet written to.
pub struct Opened {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Bytes in it.
    pub(super) length: u64,
    pub(super) head: Head,
    /// Of the segment it is.
    pub(super) number: u64,
    pub last_seq: u64,
    /// Number of the last hold.
    pub last_hold: u64,
    /// The last line had no end: an earlier guardd was cut off while it wrote. It is kept.
    pub torn: bool,
    /// Nothing is in it.
    pub fresh: bool,
    /// Since 1970, in nanoseconds: the time of its first record.
    pub since: Option<i128>,
}

/// Opens or makes the log, and finds the end of its chain and the last numbers.
///
/// # Errors
/// When it cannot be opened for appending, or is a symbolic link, or the segment before it cannot be read.
pub fn open(path: &Path) -> anyhow::Result<Opened> {
    look(path).with_context(|| format!("cannot open the audit log {}", path.display()))
}

/// As the log must be opened whenever it is.
pub(super) fn options() -> OpenOptions {
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o640).custom_flags(nofollow);
    options
}

fn look(path: &Path) -> anyhow::Result<Opened> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut file = options().open(path)?;
    let metadata = file.metadata()?;
    let length = if metadata.is_file() { metadata.len() } else { 0 };
    let closed = segment::closed(path)?;
    let mut end = End::default();
    if length > 0 {
        end.tail(&mut file, length)?;
    }
    if !end.chained {
        // The chain goes on from the segment before, and answers for all that is here.
        end.head = Head::default();
        if let Some(last) = closed.last() {
            end.whole(segment::read(&last.path)?).with_context(|| format!("cannot read {}", last.path.display()))?;
        }
        if length > 0 {
            file.seek(SeekFrom::Start(0))?;
            end.whole(BufReader::new(&file))?;
        }
    }
    let first = if length > 0 { first(&mut file)? } else { Value::Null };
    let own = chain::link(first.to_string().as_bytes()).filter(|link| link.kind == Some(Kind::Segment));
    let number = own.and_then(|link| link.segment).unwrap_or(1);
    // A name that is taken is not given again.
    let number = closed.last().map_or(number, |last| number.max(last.number.saturating_add(1)));
    end.numbers(&first);
    let since = first["time"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    Ok(Opened {
        file,
        path: path.to_owned(),
        length,
        head: end.head,
        number,
        last_seq: end.last_seq,
        last_hold: end.last_hold,
        torn: end.torn,
        fresh: length == 0,
        since: since.map(jiff::Timestamp::as_nanosecond),
    })
}

/// What is found at the end of a log.
#[derive(Default)]
struct End {
    head: Head,
    /// A record is in what was looked at.
    chained: bool,
    last_seq: u64,
    last_hold: u64,
    torn: bool,
}

impl End {
    /// Looks back from the end, as far as it takes to find the last record and the last hold.
    fn tail(&mut self, file: &mut File, length: u64) -> io::Result<()> {
        let mut reach = TAIL;
        loop {
            let bytes = tail_of(file, length, reach)?;
            self.torn = !bytes.ends_with(b"\n");
            let (mut at, mut record) = (0, None);
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                let Ok(value) = serde_json::from_slice::<Value>(line) else {
                    at += line.len();
                    continue;
                };
                self.numbers(&value);
                if chain::link(line).is_some() {
                    record = Some((at, line.len()));
                }
                at += line.len();
            }
            if let Some((start, length)) = record {
                self.head.record(&bytes[start..start + length]);
                self.head.junk(&bytes[start + length..]);
                self.chained = true;
            }
            // Many lines are about no hold: the last one may be far back.
            if self.chained && self.last_hold > 0 || reach >= length || reach >= FAR {
                return Ok(());
            }
            reach *= 8;
        }
    }

    /// Reads all of it.
    fn whole(&mut self, mut text: impl io::BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut text).take(FAR).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.torn = !line.ends_with(b"\n");
            if let Ok(value) = serde_json::from_slice(&line) {
                self.numbers(&value);
            }
            if chain::link(&line).is_some() {
                self.head.record(&line);
            } else {
                self.head.junk(&line);
            }
        }
    }

    fn numbers(&mut self, record: &Value) {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        self.last_seq = self.last_seq.max(number(&record["seq"]));
        let hold = record["hold"].as_str().and_then(|hold| hold.strip_prefix('h')?.parse().ok()).unwrap_or(0);
        self.last_hold = self.last_hold.max(hold).max(number(&record["last_hold"]));
    }
}

/// The first line, if it is JSON.
fn first(file: &mut File) -> io::Result<Value> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    BufReader::new(file.take(TAIL)).read_until(b'\n', &mut line)?;
    Ok(serde_json::from_slice(&line).unwrap_or(Value::Null))
}

pub(super) fn tail_of(file: &mut File, length: u64, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
