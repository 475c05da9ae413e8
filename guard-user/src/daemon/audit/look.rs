//! Reading the log for somebody who asks: from the newest segment back, until there are enough.
#![forbid(unsafe_code)]

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, Read as _},
    path::Path,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::open::{TAIL, tail_of};
use crate::audit::{
    index::{self, Index},
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
        let (mut before, count) = (Found::default(), count - found.records.len());
        match Index::of(&segment.path) {
            Some(index) => before.indexed(&segment.path, &index, filter, count)?,
            None => before.segment(segment::read(&segment.path)?, filter, count)?,
        }
        before.records.append(&mut found.records);
        found = before;
    }
    Ok(found.records.into())
}

/// What a segment had.
#[derive(Default)]
struct Found {
    records: VecDeque<Value>,
    /// `seq` of the first record of the segment, wanted or not.
    first: Option<u64>,
    /// Time of the last one.
    last: Option<Timestamp>,
}

impl Found {
    /// Keeps the last `count` that are wanted.
    fn segment(&mut self, mut text: impl BufRead, filter: &Filter, count: usize) -> io::Result<()> {
        let (mut line, mut last) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            if (&mut text).take(LONGEST).read_until(b'\n', &mut line)? == 0 {
                self.last = serde_json::from_slice(&last).ok().as_ref().and_then(time);
                return Ok(());
            }
            if self.first.is_none() {
                self.first = serde_json::from_slice::<Value>(&line).ok().and_then(|record| record["seq"].as_u64());
            }
            if let Some(record) = filter.wanted(&line) {
                self.records.push_back(record);
                if self.records.len() > count {
                    self.records.pop_front();
                }
            }
            std::mem::swap(&mut last, &mut line);
        }
    }

    /// The same, from the parts that may have one, the last one first.
    fn indexed(&mut self, path: &Path, index: &Index, filter: &Filter, count: usize) -> io::Result<()> {
        self.first = index.parts.iter().map(|part| part.first).min();
        let latest = index.parts.iter().map(|part| part.until).max();
        self.last = latest.and_then(|latest| Timestamp::from_millisecond(latest).ok());
        let mut file = File::open(path)?;
        for part in index.parts.iter().rev().filter(|part| filter.may_be_in(part)) {
            let mut before = Self::default();
            before.segment(&index::lines(&mut file, part)?[..], filter, count - self.records.len())?;
            before.records.append(&mut self.records);
            self.records = before.records;
            if self.records.len() >= count {
                break;
            }
        }
        Ok(())
    }

    /// Nothing in an earlier segment can be wanted.
    fn is_past(&self, filter: &Filter) -> bool {
        let query = filter.query();
        let by_number = query.after.is_some_and(|after| self.first.is_some_and(|seq| seq <= after.saturating_add(1)));
        let by_time = query.since.is_some_and(|since| {
            self.last.is_some_and(|time| time.checked_add(SET_BACK).is_ok_and(|latest| latest < since))
        });
        by_number || by_time
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        audit::query::Query,
        daemon::audit::keep::{self, Keep},
    };

    #[test]
    fn an_answer_is_the_same_whatever_became_of_the_index() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("audit.jsonl");
        let kinds = ["hold", "decision", "tag", "outcome"];
        // Three parts to a segment.
        let line =
            |seq: usize| format!("{{\"seq\":{seq},\"kind\":\"{}\",\"hold\":\"h{}\"}}\n", kinds[seq % 4], seq / 4);
        for number in [1, 2] {
            let lines: String = (60_000 * (number - 1)..60_000 * number).map(line).collect();
            fs::write(segment::name(&path, number as u64), lines).expect("written");
        }
        fs::write(&path, line(120_000)).expect("written");
        let keep = Keep { size: u64::MAX, age: None };
        keep::tidy(&path, keep).expect("compressed");
        let numbers = |query: Query| -> Vec<u64> {
            let found = records(&path, &Filter::new(query).expect("it is understood")).expect("it can be read");
            found.iter().filter_map(|record| record["seq"].as_u64()).collect()
        };
        let text = |text: &str| Some(text.to_owned());
        let ask = || {
            assert_eq!(numbers(Query { hold: text("h7"), ..Query::default() }), [28, 29, 30, 31]);
            assert_eq!(numbers(Query { kind: text("tag"), ..Query::last(2) }), [119_994, 119_998]);
            assert_eq!(
                numbers(Query { hold: text("h15000"), kind: text("tag,hold"), ..Query::default() }),
                [60_000, 60_002]
            );
            assert_eq!(numbers(Query { after: Some(119_998), ..Query::default() }), [119_999, 120_000]);
        };
        ask();
        let [index, other] =
            ["audit-00000001.jsonl.gz", "audit-00000002.jsonl.gz"].map(|name| index::path(&path.with_file_name(name)));
        let (text, other) = (fs::read(&index).expect("there is one"), fs::read(other).expect("there is another"));
        let mut changed = text.clone();
        changed[text.len() / 2] ^= 1;
        for wrong in [&text[..text.len() / 2], &other, &changed, b"{}\n"] {
            fs::write(&index, wrong).expect("written");
            ask();
        }
        fs::remove_file(&index).expect("removed");
        ask();
        keep::tidy(&path, keep).expect("looked at");
        assert!(fs::read(&index).expect("it is there again") == text);
    }
}
