//! Any bytes as what an earlier guardd left: the audit log, and the file of its agents. Numbers are never given twice, a
//! line that was cut off stays where it is, and what is shown of the log is in it.

use std::fs;

use serde_json::Value;

use super::place::Place;
use crate::{
    audit::{
        query::{self, Filter, Query},
        segment,
        verify::{Trust, verify},
    },
    daemon::{
        audit::{Audit, Mark, Options, open, records},
        state,
    },
    mask::Masks,
};

/// Opens `bytes` as a log, and reads it.
pub fn audit(bytes: &[u8]) {
    let place = Place::new();
    let path = place.path().join("audit.jsonl");
    fs::write(&path, bytes).expect("it is ours");
    let opened = open(&path).expect("whatever is in it, it is a file");
    let (last_seq, last_hold, torn) = (opened.last_seq, opened.last_hold, opened.torn);
    assert_eq!(torn, bytes.last().is_some_and(|last| *last != b'\n'));
    let lines: Vec<Value> =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    for line in &lines {
        assert!(line["seq"].as_u64().is_none_or(|seq| seq <= last_seq), "{line} has a number that is given again");
    }
    for count in [0, 1, 3, usize::MAX] {
        let filter = Filter::new(Query::last(count)).expect("it is understood");
        let shown = records(&path, &filter).expect("it can be read");
        assert_eq!(shown, lines[lines.len().saturating_sub(count)..], "the last {count} lines");
    }
    // What is in it may be anything; a record that is added is not lost on whoever verifies it.
    let before = verify(&path, &Trust::default(), &mut |_| {}).expect("there is a log");
    let next = last_seq.saturating_add(1);
    let options = Options {
        segment_size: u64::MAX,
        key: None,
        checkpoint: None,
        masks: Masks::new(&[]).expect("they are understood"),
        command: Vec::new(),
    };
    let audit = Audit::start(opened, options, |_| {}).expect("a thread");
    audit.write(next, format!("{{\"seq\":{next}}}").into_bytes(), Mark::Plain, true).expect("room");
    drop(audit);
    let kept = fs::read(&path).expect("it is there");
    let end = if torn { "\n" } else { "" };
    let added = [bytes, end.as_bytes(), format!("{{\"seq\":{next},\"prev\":\"").as_bytes()].concat();
    assert!(kept.starts_with(&added), "what was there is kept");
    let after = verify(&path, &Trust::default(), &mut |_| {}).expect("there is a log");
    assert_eq!(after.records, before.records + 1);
    assert_eq!(after.last_seq, next);
    // The next guardd finds the same, and the record that this one added.
    let again = open(&path).expect("it is there");
    assert_eq!((again.last_seq, again.last_hold, again.torn), (next, last_hold, false));
    agents(&place, bytes);
    closed(&place, bytes, &lines);
}

/// What is asked of a compressed segment is answered as if every record of it was looked at.
fn closed(place: &Place, bytes: &[u8], lines: &[Value]) {
    let live = place.path().join("closed.jsonl");
    let plain = segment::name(&live, 1);
    fs::write(&live, "").and_then(|()| fs::write(&plain, bytes)).expect("they are ours");
    segment::compress(&segment::Closed { number: 1, path: plain }).expect("it is a file");
    for record in lines.iter().take(3) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let moment = query::time(record);
        for query in [
            Query { agent: text(&record["agent"]), kind: text(&record["kind"]), ..Query::default() },
            Query { agent: text(&record["agent_name"]), rule: text(&record["rule"]), ..Query::default() },
            Query { hold: text(&record["hold"]), decision: text(&record["verdict"]), ..Query::default() },
            Query { path: text(&record["operation"]["path"]), since: moment, ..Query::default() },
            Query { path: text(&record["operation"]["other_path"]), until: moment, ..Query::default() },
        ] {
            let query = Query { n: usize::MAX, ..query };
            // A name that is no pattern is nobody's.
            let Ok(filter) = Filter::new(query) else { continue };
            let fit: Vec<Value> = bytes.split(|byte| *byte == b'\n').filter_map(|line| filter.wanted(line)).collect();
            assert_eq!(records(&live, &filter).expect("it can be read"), fit, "{filter:?}");
        }
    }
}

/// The file of the agents is understood as a whole, or an error.
fn agents(place: &Place, bytes: &[u8]) {
    let path = place.path().join("agents.json");
    fs::write(&path, bytes).expect("it is ours");
    let Ok(saved) = state::read(&path) else { return };
    for agent in &saved.agents {
        assert_eq!(agent.places().home.as_os_str().as_encoded_bytes(), agent.home);
    }
    state::write(&path, &saved).expect("it is ours");
    assert_eq!(state::read(&path).expect("what guardd writes is right"), saved);
}
