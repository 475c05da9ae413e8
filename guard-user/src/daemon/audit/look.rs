//! Reading the log for somebody who asks: from the newest segment back, until there are enough.
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, Read as _},
    path::Path,
};

use jiff::SignedDuration;
use serde_json::Value;

use super::open::{TAIL, tail_of};
use crate::audit::{
    query::{Filter, time},
    segment,
};

/// How far a clock may have been set back before a segment is missed for its time.
const SET_BACK: SignedDuration = SignedDuration::from_hours(24);
/// A longer line is no record.
const LONGEST: u64 = 64 * TAIL;

/// The last records that are wanted, as JSON values, oldest first; lines that are not JSON are left out.
///
/// # Errors
/// When a file cannot be read.
pub fn records(path: &Path, filter: &Filter) -> io::Result<Vec<Value>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let length = if metadata.is_file() { metadata.len() } else { 0 };
    let count = filter.query().n;
    let mut found = Found::default();
    // Nearly always enough, and far less to read.
    if filter.is_all() {
        let bytes = tail_of(&mut file, length, 16 * TAIL)?;
        found.segment(&bytes[..], filter, count)?;
        if found.records.len() >= count || found.is_past(filter) {
            return Ok(found.records.into());
        }
        found = Found::default();
    }
    if length > 0 {
        found.segment(segment::read(path)?, filter, count)?;
    }
    for segment in segment::closed(path)?.into_iter().rev() {
        if found.records.len() >= count || found.is_past(filter) {
            break;
        }
        let mut before = Found::default();
        before.segment(segment::read(&segment.path)?, filter, count - found.records.len())?;
        before.records.append(&mut found.records);
        found = before;
    }
    Ok(found.records.into())
}

/// What a segment had.
#[derive(Default)]
struct Found {
    records: VecDeque<Value>,
    /// The first record of the segment, wanted or not, and the last one.
    first: Value,
    last: Vec<u8>,
}

impl Found {
    /// Keeps the last `count` that are wanted.
    fn segment(&mut self, mut text: impl BufRead, filter: &Filter, count: usize) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            if (&mut text).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            if self.first.is_null() {
                self.first = serde_json::from_slice(&line).unwrap_or_default();
            }
            if let Some(record) = filter.wanted(&line) {
                self.records.push_back(record);
                if self.records.len() > count {
                    self.records.pop_front();
                }
            }
            std::mem::swap(&mut self.last, &mut line);
        }
    }

    /// Nothing in an earlier segment can be wanted.
    fn is_past(&self, filter: &Filter) -> bool {
        let query = filter.query();
        let by_number = query.after.is_some_and(|after| self.first["seq"].as_u64().is_some_and(|seq| seq <= after + 1));
        let last: Value = serde_json::from_slice(&self.last).unwrap_or_default();
        let by_time = query.since.is_some_and(|since| {
            time(&last).is_some_and(|time| time.checked_add(SET_BACK).is_ok_and(|latest| latest < since))
        });
        by_number || by_time
    }
}
