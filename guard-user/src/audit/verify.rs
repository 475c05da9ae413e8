//! Is the log whole? Goes through every segment once and says what is wrong where. It believes nothing but the bytes, the
//! key it is given and the checkpoints somebody kept elsewhere.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead, Read as _},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    chain::{self, Digest, Head, Kind, Link},
    key::Public,
    segment,
};

/// A line beyond this is no record: guardd keeps no longer one.
const LONGEST: u64 = 16 << 20;

/// How long the end of a line that is being written is waited for.
const WAIT: std::time::Duration = std::time::Duration::from_millis(50);
const WAITS: u32 = 10;

/// What the log is measured by.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// One of these must have signed a checkpoint. Without any, signatures are not looked at.
    pub keys: Vec<Public>,
    /// Checkpoints that were kept elsewhere: number and SHA-256 of the line.
    pub kept: Vec<(u64, Digest)>,
    /// guardd may be at work: a last line without an end is waited for.
    pub grows: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Nothing was found that is broken.
    pub whole: bool,
    pub segments: u64,
    pub records: u64,
    pub bytes: u64,
    pub first_seq: u64,
    pub last_seq: u64,
    /// Number of the last record that a good signature answers for; 0 when there is none.
    pub signed_seq: u64,
    /// SHA-256 that the next record will name.
    pub head: String,
    pub findings: Vec<Finding>,
}

/// Something that is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub what: What,
    /// The log is not what guardd wrote.
    pub broken: bool,
    pub file: PathBuf,
    /// Counted from 1.
    pub line: u64,
    pub text: String,
}

/// Kinds of findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A record was changed, or something was put after it.
    Changed,
    Removed,
    /// A number that is not above the one before.
    Reordered,
    /// The end of a file is missing.
    Truncated,
    /// A line has no end, or is no record.
    Torn,
    /// Whole files are not there.
    SegmentMissing,
    /// The first record does not belong into a file of this name.
    SegmentMisplaced,
    Unreadable,
    BadSignature,
    Unsigned,
    /// A checkpoint that was kept elsewhere is not in the log, or is another one there.
    CheckpointMissing,
    /// guardd could not write these, and said so by their numbers.
    Lost,
    /// Records of a guard that had no chain.
    Unchained,
    /// Removed by age or size, which a record says.
    Retired,
}

/// Verifies the log that grows at `live`, with its closed segments. `progress` hears of the bytes read until now.
///
/// # Errors
/// When there is no log, or its directory cannot be listed. What cannot be read of it is a finding.
pub fn verify(live: &Path, trust: &Trust, progress: &mut dyn FnMut(u64)) -> io::Result<Report> {
    let mut walk = Walk::new(trust, progress);
    let closed = segment::closed(live)?;
    if closed.is_empty() && !live.exists() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no log"));
    }
    for segment in &closed {
        walk.missing(&segment.path, segment.number);
        walk.segment(&segment.path, Some(segment.number));
    }
    if live.exists() {
        walk.segment(live, None);
    } else {
        live.clone_into(&mut walk.file);
        walk.find(What::Truncated, true, 0, "the segment that grows is missing".to_owned());
    }
    Ok(walk.end())
}

struct Walk<'a> {
    trust: &'a Trust,
    progress: &'a mut dyn FnMut(u64),
    report: Report,
    head: Head,
    file: PathBuf,
    line: u64,
    /// Of the last segment that was read.
    number: Option<u64>,
    /// Of the segment that is read, when its name says it.
    named: Option<u64>,
    /// No record of this segment was read.
    at_start: bool,
    /// The last thing read was a checkpoint.
    at_checkpoint: bool,
    /// Line, and bytes, since the last record that are none.
    junk: Option<(u64, u64)>,
    /// What the very first record names, when that is not there.
    base: Option<(Option<u64>, Digest)>,
    retired: HashMap<u64, Digest>,
    kept: BTreeMap<u64, Digest>,
}

impl<'a> Walk<'a> {
    fn new(trust: &'a Trust, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self {
            trust,
            progress,
            report: Report::default(),
            head: Head::default(),
            file: PathBuf::new(),
            line: 0,
            number: None,
            named: None,
            at_start: true,
            at_checkpoint: false,
            junk: None,
            base: None,
            retired: HashMap::new(),
            kept: trust.kept.iter().copied().collect(),
        }
    }

    fn find(&mut self, what: What, broken: bool, line: u64, text: String) {
        self.report.findings.push(Finding { what, broken, file: self.file.clone(), line, text });
    }

    fn missing(&mut self, file: &Path, number: u64) {
        let Some(last) = self.number.replace(number) else { return };
        if number != last + 1 {
            file.clone_into(&mut self.file);
            let text = match number - last {
                2 => format!("segment {} is missing", last + 1),
                _ => format!("segments {} to {} are missing", last + 1, number - 1),
            };
            self.find(What::SegmentMissing, true, 0, text);
        }
    }

    fn segment(&mut self, path: &Path, named: Option<u64>) {
        path.clone_into(&mut self.file);
        (self.line, self.named, self.at_start) = (0, named, true);
        self.report.segments += 1;
        if let Err(error) = segment::read(path).and_then(|mut text| self.lines(&mut text)) {
            self.find(What::Unreadable, true, self.line + 1, format!("the rest cannot be read: {error}"));
        } else if named.is_some() && !self.at_checkpoint {
            self.find(What::Truncated, true, self.line, "a closed segment must end with a checkpoint".to_owned());
        }
    }

    fn lines(&mut self, text: &mut dyn BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if text.take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let mut waits = if self.trust.grows && self.named.is_none() { WAITS } else { 0 };
            while waits > 0 && !line.ends_with(b"\n") && (line.len() as u64) < LONGEST {
                std::thread::sleep(WAIT);
                waits -= 1;
                let room = LONGEST - line.len() as u64;
                text.take(room).read_until(b'\n', &mut line)?;
            }
            self.line += 1;
            self.report.bytes += line.len() as u64;
            (self.progress)(self.report.bytes);
            if line.ends_with(b"\n") {
                self.take(&line);
            } else {
                let at = self.line;
                self.add_junk(&line);
                let ended = self.rest(text)?;
                if !ended {
                    self.find(What::Torn, true, at, "the last line has no end: it was cut off".to_owned());
                }
            }
        }
    }

    /// What follows of a line too long to be a record; true when it has an end.
    fn rest(&mut self, text: &mut dyn BufRead) -> io::Result<bool> {
        loop {
            let there = text.fill_buf()?;
            if there.is_empty() {
                return Ok(false);
            }
            let end = there.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let part = there[..end.unwrap_or(there.len())].to_vec();
            text.consume(part.len());
            self.report.bytes += part.len() as u64;
            self.add_junk(&part);
            if end.is_some() {
                return Ok(true);
            }
        }
    }

    fn add_junk(&mut self, bytes: &[u8]) {
        self.head.junk(bytes);
        self.at_checkpoint = false;
        let (line, before) = self.junk.unwrap_or((self.line, 0));
        self.junk = Some((line, before + bytes.len() as u64));
    }

    fn take(&mut self, line: &[u8]) {
        let Some(link) = chain::link(line) else { return self.add_junk(line) };
        let (Some(seq), Some(prev)) = (link.seq, link.prev) else { return self.add_junk(line) };
        let last = self.report.last_seq;
        let follows = self.head.digest() == prev;
        if self.report.records == 0 && (self.named.is_some_and(|named| named > 1) || !follows) {
            // Whether that is right is known when every record of what was removed was read.
            self.base = Some((self.named.or(link.segment), prev));
        } else if !follows {
            let (what, text) = if seq > last + 1 {
                (What::Removed, format!("records {} to {} are missing before this one", last + 1, seq - 1))
            } else if seq <= last {
                (What::Reordered, format!("record {seq} stands after record {last}"))
            } else {
                (What::Changed, format!("record {last} was changed, or something was put after it"))
            };
            self.find(what, true, self.line, text);
        } else {
            self.in_order(seq);
        }
        self.report.first_seq = if self.report.records == 0 { seq } else { self.report.first_seq };
        if std::mem::take(&mut self.at_start) {
            self.first(&link);
        }
        self.at_checkpoint = link.kind == Some(Kind::Checkpoint);
        // Whatever it calls itself: a signature is of a checkpoint.
        if self.at_checkpoint || link.signature.is_some() {
            self.checkpoint(line, seq, &link);
        }
        if link.kind == Some(Kind::Retired) {
            self.retired.extend(link.segment.zip(link.last));
        }
        self.junk = None;
        self.report.records += 1;
        self.report.last_seq = seq;
        self.head.record(line);
    }

    /// A record that is where it belongs: what is between it and the one before is known.
    fn in_order(&mut self, seq: u64) {
        let last = self.report.last_seq;
        if let Some((line, bytes)) = self.junk {
            let (what, text) = if self.report.records == 0 {
                (What::Unchained, format!("{bytes} bytes are from before there was a chain"))
            } else {
                let text = format!("{bytes} bytes were cut off while they were written; record {seq} answers for them");
                (What::Torn, text)
            };
            self.find(what, false, line, text);
        }
        if self.report.records > 0 && seq <= last {
            self.find(What::Reordered, true, self.line, format!("record {seq} stands after record {last}"));
        } else if self.report.records > 0 && seq > last + 1 {
            let text = format!(
                "guardd could not write {} records before this one: {} to {}",
                seq - last - 1,
                last + 1,
                seq - 1
            );
            self.find(What::Lost, false, self.line, text);
        }
    }

    /// The first record of a segment.
    fn first(&mut self, link: &Link) {
        let is_segment = link.kind == Some(Kind::Segment);
        match (self.named, link.segment) {
            (Some(named), Some(number)) if is_segment && named != number => {
                let text = format!("this is segment {number}, in the place of {named}");
                self.find(What::SegmentMisplaced, true, self.line, text);
            }
            (Some(_), _) if !is_segment && self.junk.is_none() => {
                let text = "the first record of a segment is missing".to_owned();
                self.find(What::SegmentMisplaced, true, self.line, text);
            }
            (None, Some(number)) if is_segment => {
                let file = self.file.clone();
                self.missing(&file, number);
            }
            _ => {}
        }
    }

    fn checkpoint(&mut self, line: &[u8], seq: u64, link: &Link) {
        if let Some(kept) = self.kept.remove(&seq)
            && kept != Digest::of(line)
        {
            let text = format!("checkpoint {seq} is not the one that was kept elsewhere");
            self.find(What::CheckpointMissing, true, self.line, text);
        }
        let keys = &self.trust.keys;
        match &link.signature {
            _ if keys.is_empty() => {}
            None => self.find(What::Unsigned, true, self.line, format!("checkpoint {seq} is not signed")),
            Some(signature) if keys.iter().any(|key| is_signed(key, line, signature)) => self.report.signed_seq = seq,
            Some(_) => {
                let text = format!("the signature of checkpoint {seq} is not of the key, or not of this record");
                self.find(What::BadSignature, true, self.line, text);
            }
        }
    }

    fn end(mut self) -> Report {
        if let Some((line, bytes)) = self.junk
            && !self.report.findings.iter().any(|finding| finding.what == What::Torn && finding.broken)
        {
            let text = format!("{bytes} bytes at the end are no record");
            self.find(What::Torn, true, line, text);
        }
        if let Some((number, prev)) = self.base {
            let before = number.and_then(|number| number.checked_sub(1));
            let removed = before.is_some_and(|before| self.retired.get(&before) == Some(&prev));
            let (what, text) = match before {
                Some(before) if removed => {
                    (What::Retired, format!("segments up to {before} were removed by guardd, as a record says"))
                }
                Some(before) if before > 0 => {
                    (What::SegmentMissing, format!("segments up to {before} are missing, and no record says why"))
                }
                Some(_) | None => (What::Removed, "what came before the first record is missing".to_owned()),
            };
            self.find(what, !removed, 0, text);
        }
        let first = self.report.first_seq;
        for seq in std::mem::take(&mut self.kept).into_keys().filter(|seq| *seq >= first) {
            let text = format!("checkpoint {seq}, which was kept elsewhere, is missing");
            self.find(What::CheckpointMissing, true, self.line, text);
        }
        self.report.head = self.head.digest().to_string();
        self.report.whole = !self.report.findings.iter().any(|finding| finding.broken);
        self.report
    }
}

/// The line is what was signed, the signature, and nothing else.
fn is_signed(key: &Public, line: &[u8], signature: &str) -> bool {
    chain::signed(line).is_some_and(|signed| {
        let rest = format!(",\"signature\":\"{signature}\"}}\n");
        &line[signed.len()..] == rest.as_bytes() && key.verifies(signed, signature)
    })
}
