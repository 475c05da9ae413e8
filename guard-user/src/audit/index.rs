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

use flate2::bufread::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::query;

/// Version of what is written here.
const SCHEMA: u32 = 1;
/// Bytes of a SHA-256.
const DIGEST: usize = 32;
/// A larger file is no index of guard's.
const LARGEST: u64 = 64 << 20;
/// About as many bytes are in a part.
pub const PART: usize = 1 << 20;
/// Bits a word takes: of a hundred words that are not there, one is looked for all the same.
const BITS: usize = 10;
/// Bits that are set for a word.
const MARKS: u64 = 7;

/// The index of one segment: in its file JSON on a line, then the words of all parts, then the SHA-256 of both.
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
    /// Bytes of `words`, which are not in the JSON.
    size: usize,
    #[serde(skip)]
    words: Words,
}

impl Part {
    /// Of these lines, in a segment where they are.
    #[must_use]
    pub fn of(lines: &[u8], at: u64, length: u64) -> Self {
        let (since, until) = (i64::MAX, i64::MIN);
        let mut part = Self { at, length, first: u64::MAX, last: 0, since, until, size: 0, words: Words::default() };
        let mut words = BTreeSet::new();
        for line in lines.split(|byte| *byte == b'\n') {
            let Ok(record) = serde_json::from_slice::<Value>(line) else { continue };
            if let Some(seq) = record["seq"].as_u64() {
                (part.first, part.last) = (part.first.min(seq), part.last.max(seq));
            }
            if let Some(time) = query::time(&record).map(jiff::Timestamp::as_millisecond) {
                (part.since, part.until) = (part.since.min(time), part.until.max(time));
            }
            words_of(&record, |said| {
                words.insert(mark(said));
            });
        }
        part.words = Words::of(&words);
        part.size = part.words.0.len();
        part
    }

    /// Whether a record in it may say this.
    #[must_use]
    pub fn may_say(&self, word: Word<'_>) -> bool {
        self.words.may_have(mark(&[word]))
    }

    /// Whether one may say both.
    #[must_use]
    pub fn may_say_both(&self, one: Word<'_>, other: Word<'_>) -> bool {
        let both = if place(one.0) < place(other.0) { [one, other] } else { [other, one] };
        self.may_say(one) && self.may_say(other) && (!is_pair(one.0, other.0) || self.words.may_have(mark(&both)))
    }
}

/// A field and what it says.
pub type Word<'a> = (&'a str, &'a str);

/// Fields that a record can be found by, and by two of them together: each may be in every part, and both in hardly any
/// record.
const FIELDS: [&str; 6] = ["agent", "agent_name", "kind", "rule", "verdict", "hold"];

fn place(field: &str) -> Option<usize> {
    FIELDS.iter().position(|known| *known == field)
}

/// The number of a hold says more than any pair, and paths are too many.
fn is_pair(one: &str, other: &str) -> bool {
    let pairs = |field: &str| FIELDS[..5].contains(&field);
    pairs(one) && pairs(other) && !(one.starts_with("agent") && other.starts_with("agent"))
}

/// What a record can be found by.
fn words_of(record: &Value, mut say: impl FnMut(&[Word<'_>])) {
    let said: Vec<Word<'_>> = FIELDS.iter().filter_map(|field| Some((*field, record[*field].as_str()?))).collect();
    for (at, word) in said.iter().enumerate() {
        say(&[*word]);
        for other in said[at + 1..].iter().filter(|other| is_pair(word.0, other.0)) {
            say(&[*word, *other]);
        }
    }
    let operation = &record["operation"];
    let program = if record["kind"] == "exec" { &record["processes"][0]["exe"] } else { &Value::Null };
    for (field, path) in [("path", &operation["path"]), ("path", &operation["other_path"]), ("exe", program)] {
        let path = path.as_str().unwrap_or_default();
        // Everything it is below.
        let ends = path.char_indices().filter(|(at, letter)| *letter == '/' && *at > 0).map(|(at, _)| at);
        for end in ends.chain((!path.is_empty()).then_some(path.len())) {
            say(&[(field, &path[..end])]);
        }
    }
}

type Mark = (u64, u64);

fn mark(words: &[Word<'_>]) -> Mark {
    let mut digest = Sha256::new();
    for part in words.iter().flat_map(|(field, text)| [field, text]) {
        digest.update(part);
        digest.update([0]);
    }
    let digest = digest.finalize();
    let number = |at: usize| digest[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    (number(0), number(8) | 1)
}

/// A Bloom filter: it knows every word that was put in, and says of a few others that they may be in it.
#[derive(Debug, Default)]
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
        let (text, digest) = text.split_last_chunk::<DIGEST>()?;
        if Sha256::digest(text)[..] != digest[..] {
            return None;
        }
        let (json, words) = text.split_at(text.iter().position(|byte| *byte == b'\n')?);
        let mut index: Self = serde_json::from_slice(json).ok()?;
        let mut words = &words[1..];
        for part in &mut index.parts {
            let (own, rest) = words.split_at_checked(part.size)?;
            part.words = Words(own.to_vec());
            words = rest;
        }
        (index.schema == SCHEMA && index.bytes == fs::metadata(segment).ok()?.len()).then_some(index)
    }

    /// Writes it beside its segment. It is there whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, segment: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        for part in &self.parts {
            text.extend_from_slice(&part.words.0);
        }
        let digest = Sha256::digest(&text);
        text.extend_from_slice(&digest);
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
    let mut lines = Vec::with_capacity(PART);
    flate2::bufread::MultiGzDecoder::new(BufReader::new(segment.take(part.length))).read_to_end(&mut lines)?;
    Ok(lines)
}
