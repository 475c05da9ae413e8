//! What is where in a closed segment: of each part, from when to when its records are, and which words they say, so that a
//! question reads only where an answer may be. Made from the segment, of which it proves nothing: where there is none, or one
//! that does not fit, the whole segment is read.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64ct::{Base64, Encoding as _};
use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{chain::Digest, query};

/// Version of what is written here.
const SCHEMA: u32 = 1;
/// A larger file is no index of guard's.
const LARGEST: u64 = 64 << 20;
/// Bits a word takes: of a hundred words that are not there, one is looked for all the same.
const BITS: usize = 10;
/// Bits that are set for a word.
const MARKS: u64 = 7;

/// The index of one segment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Index {
    schema: u32,
    /// Bytes of the segment.
    bytes: u64,
    pub parts: Vec<Part>,
}

/// Some records that follow each other, compressed by themselves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Part {
    /// Where it is in the segment, in bytes.
    pub at: u64,
    pub length: u64,
    /// `seq` of its first and its last record; of no record at all, `first` is the larger one.
    pub first: u64,
    pub last: u64,
    /// Earliest and latest time in it, in milliseconds since 1970.
    pub since: i64,
    pub until: i64,
    words: Words,
}

impl Part {
    /// Of these lines, in a segment where they are.
    #[must_use]
    pub fn of(lines: &[u8], at: u64, length: u64) -> Self {
        let mut part =
            Self { at, length, first: u64::MAX, last: 0, since: i64::MAX, until: i64::MIN, words: Words::default() };
        let mut words = BTreeSet::new();
        for line in lines.split(|byte| *byte == b'\n') {
            let Ok(record) = serde_json::from_slice::<Value>(line) else { continue };
            if let Some(seq) = record["seq"].as_u64() {
                (part.first, part.last) = (part.first.min(seq), part.last.max(seq));
            }
            if let Some(time) = query::time(&record).map(jiff::Timestamp::as_millisecond) {
                (part.since, part.until) = (part.since.min(time), part.until.max(time));
            }
            words_of(&record, |field, text| {
                words.insert(mark(field, text));
            });
        }
        part.words = Words::of(&words);
        part
    }

    /// Whether a record in it may say this.
    #[must_use]
    pub fn may_say(&self, field: &str, text: &str) -> bool {
        self.words.may_have(mark(field, text))
    }
}

/// What a record can be found by.
fn words_of(record: &Value, mut say: impl FnMut(&str, &str)) {
    for field in ["agent", "agent_name", "hold", "kind", "rule", "verdict"] {
        if let Some(text) = record[field].as_str() {
            say(field, text);
        }
    }
    for field in ["path", "other_path"] {
        let path = record["operation"][field].as_str().unwrap_or_default();
        // Everything it is below.
        let ends = path.char_indices().filter(|(at, letter)| *letter == '/' && *at > 0).map(|(at, _)| at);
        for end in ends.chain((!path.is_empty()).then_some(path.len())) {
            say("path", &path[..end]);
        }
    }
}

type Mark = (u64, u64);

fn mark(field: &str, text: &str) -> Mark {
    let digest = Sha256::new().chain_update(field).chain_update([0]).chain_update(text).finalize();
    let number = |at: usize| digest[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number(0), number(8) | 1)
}

/// A Bloom filter: it knows every word that was put in, and says of a few others that they may be in it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Words(Vec<u8>);

impl Words {
    fn of(marks: &BTreeSet<Mark>) -> Self {
        let mut bits = vec![0; (marks.len() * BITS).div_ceil(8)];
        for mark in marks {
            for (byte, bit) in places(*mark, bits.len()) {
                bits[byte] |= bit;
            }
        }
        Self(bits)
    }

    fn may_have(&self, mark: Mark) -> bool {
        !self.0.is_empty() && places(mark, self.0.len()).all(|(byte, bit)| self.0[byte] & bit != 0)
    }
}

/// Bytes and bits in them, of so many bytes.
fn places((start, step): Mark, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let bits = (bytes * 8) as u64;
    (0..MARKS).map(move |turn| {
        let place = start.wrapping_add(turn.wrapping_mul(step)) % bits;
        (usize::try_from(place / 8).unwrap_or(0), 1 << (place % 8))
    })
}

impl TryFrom<String> for Words {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Base64::decode_vec(&text).map(Self).map_err(|error| error.to_string())
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        Base64::encode_string(&words.0)
    }
}

/// Where the index of a segment is.
#[must_use]
pub fn path(segment: &Path) -> PathBuf {
    segment.with_added_extension("index")
}

impl Index {
    /// Of a segment of so many bytes.
    #[must_use]
    pub fn new(bytes: u64, parts: Vec<Part>) -> Self {
        Self { schema: SCHEMA, bytes, parts }
    }

    /// The one beside a segment; `None` where there is none that is whole and of this very segment.
    #[must_use]
    pub fn of(segment: &Path) -> Option<Self> {
        let mut text = Vec::new();
        File::open(path(segment)).ok()?.take(LARGEST).read_to_end(&mut text).ok()?;
        let text = text.strip_suffix(b"\n")?;
        let (json, digest) = text.split_at(text.iter().rposition(|byte| *byte == b'\n')?);
        if Digest::of(json).to_string().as_bytes() != &digest[1..] {
            return None;
        }
        let index: Self = serde_json::from_slice(json).ok()?;
        (index.schema == SCHEMA && index.bytes == fs::metadata(segment).ok()?.len()).then_some(index)
    }

    /// Writes it beside its segment. It is there whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, segment: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        let digest = Digest::of(&text);
        writeln!(text, "\n{digest}")?;
        let fresh = path(segment).with_added_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
        let done = file.write_all(&text).and_then(|()| fs::rename(&fresh, path(segment)));
        if done.is_err() {
            // What is left of it takes room that the log may need.
            drop(fs::remove_file(&fresh));
        }
        done
    }

    /// Makes it from a compressed segment.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn make(segment: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(File::open(segment)?);
        let mut parts = Vec::new();
        let (mut start, mut lines) = (0, Vec::new());
        while !file.fill_buf()?.is_empty() {
            GzDecoder::new(&mut file).read_to_end(&mut lines)?;
            let end = file.stream_position()?;
            // Of what others compressed, a record may go on in the next one.
            if lines.ends_with(b"\n") || file.fill_buf()?.is_empty() {
                parts.push(Part::of(&lines, start, end - start));
                start = end;
                lines.clear();
            }
        }
        Ok(Self::new(start, parts))
    }
}

/// The lines of a part.
///
/// # Errors
/// When they cannot be read.
pub fn lines(segment: &mut File, part: &Part) -> io::Result<Vec<u8>> {
    segment.seek(SeekFrom::Start(part.at))?;
    let mut lines = Vec::new();
    flate2::bufread::MultiGzDecoder::new(BufReader::new(segment.take(part.length))).read_to_end(&mut lines)?;
    Ok(lines)
}
