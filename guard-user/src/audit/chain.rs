//! The chain: each record ends with the SHA-256 of every byte since the start of the record before it. That is one line,
//! or one line and what was cut off after it. Pure: no file is opened here.
#![forbid(unsafe_code)]

use std::{
    fmt,
    io::{self, Read},
    str::FromStr,
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::key::Private;

/// SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// What the first record of all names.
    pub const NONE: Self = Self([0; 32]);

    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Of all that is read.
    ///
    /// # Errors
    /// When it cannot be read to its end.
    pub fn read(mut from: impl Read) -> io::Result<Self> {
        let (mut digest, mut bytes) = (Sha256::new(), vec![0; 64 << 10]);
        loop {
            match from.read(&mut bytes)? {
                0 => return Ok(Self(digest.finalize().into())),
                count => digest.update(&bytes[..count]),
            }
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ();

    /// Sixty-four lower-case hexadecimal digits.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(()),
        };
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return Err(());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// What a record says of its place in the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Link {
    pub seq: Option<u64>,
    pub kind: Option<Kind>,
    /// Number of the segment: of a segment's first and last record, and of one that was removed.
    pub segment: Option<u64>,
    #[serde(deserialize_with = "digest")]
    pub prev: Option<Digest>,
    /// Of a checkpoint: Ed25519 over the record up to this field, as base64.
    pub signature: Option<String>,
    /// Of a segment that was removed: the `prev` of the record after it.
    #[serde(deserialize_with = "digest")]
    pub last: Option<Digest>,
}

/// Kinds that mean something to the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The first record of a segment.
    Segment,
    /// Signed; the last record of a segment is one.
    Checkpoint,
    /// A segment was removed because the log was too large or too old.
    Retired,
    #[serde(other)]
    Other,
}

fn digest<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Digest>, D::Error> {
    let text = Option::<&'de str>::deserialize(deserializer)?;
    text.map(|text| text.parse().map_err(|()| serde::de::Error::custom("not a SHA-256"))).transpose()
}

/// A line as a record of the chain, `None` when it is none: cut off, not JSON, or from before there was a chain.
#[must_use]
pub fn link(line: &[u8]) -> Option<Link> {
    serde_json::from_slice(line).ok().filter(|link: &Link| link.prev.is_some())
}

/// The end of a chain, to which records are added.
#[derive(Clone)]
pub struct Head {
    /// Over every byte since the last record began.
    since: Sha256,
    empty: bool,
}

impl Default for Head {
    fn default() -> Self {
        Self { since: Sha256::new(), empty: true }
    }
}

impl Head {
    /// What the next record must name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        if self.empty { Digest::NONE } else { Digest(self.since.clone().finalize().into()) }
    }

    /// A record begins here; `line` with its line end.
    pub fn record(&mut self, line: &[u8]) {
        self.since = Sha256::new();
        self.junk(line);
    }

    /// Bytes that are no record: the next one answers for them too.
    pub fn junk(&mut self, bytes: &[u8]) {
        self.since.update(bytes);
        self.empty = false;
    }

    /// Puts a record behind this end: `record` is a JSON object and becomes a line. `more` are fields of the chain
    /// itself, as JSON; with a key it is signed, up to the signature.
    pub fn add(&mut self, record: &mut Vec<u8>, more: &[(&str, String)], key: Option<&Private>) {
        debug_assert!(record.ends_with(b"}") && record.len() > 2, "a JSON object that says something");
        record.pop();
        for (name, value) in more {
            record.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        record.extend_from_slice(format!(",\"prev\":\"{}\"", self.digest()).as_bytes());
        if let Some(key) = key {
            let signature = key.sign(record);
            record.extend_from_slice(format!(",\"signature\":\"{signature}\"").as_bytes());
        }
        record.extend_from_slice(b"}\n");
        self.record(record);
    }
}

/// What a checkpoint's signature is over: its line up to that field.
#[must_use]
pub fn signed(line: &[u8]) -> Option<&[u8]> {
    // Inside a string of JSON the quotes would be escaped, so this is the field.
    const FIELD: &[u8] = b",\"signature\":\"";
    line.windows(FIELD.len()).rposition(|window| window == FIELD).map(|at| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_all_bytes_since_the_one_before() {
        let mut head = Head::default();
        let mut first = b"{\"seq\":1}".to_vec();
        head.add(&mut first, &[("segment", "7".to_owned())], None);
        assert_eq!(first, format!("{{\"seq\":1,\"segment\":7,\"prev\":\"{}\"}}\n", "0".repeat(64)).into_bytes());
        head.junk(b"{\"seq\":2,\"ti\n");
        let mut third = b"{\"seq\":3}".to_vec();
        let place = tempfile::tempdir().expect("a directory");
        let key = Private::open(&place.path().join("key")).expect("it is made");
        head.add(&mut third, &[], Some(&key));
        let found = link(&third).expect("a record");
        first.extend_from_slice(b"{\"seq\":2,\"ti\n");
        assert_eq!(found.prev, Some(Digest::of(&first)));
        assert_eq!(found.seq, Some(3));
        let signed = signed(&third).expect("it is signed");
        assert!(key.public().verifies(signed, &found.signature.expect("it is signed")));
    }

    #[test]
    fn what_is_no_record_is_none() {
        let before = [&b"{\"seq\":1}"[..], b"", b"\0\0", b"[1]", b"{\"seq\":1,\"prev\":\"00\"}", b"{\"prev\":null}"];
        assert!(before.iter().all(|line| link(line).is_none()));
        assert_eq!(Digest::of(b"").to_string().parse(), Ok(Digest::of(b"")));
        assert!("A".repeat(64).parse::<Digest>().is_err(), "one way to write it");
    }
}
