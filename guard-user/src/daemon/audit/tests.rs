//! The log on real files: what is safe, what is lost, and what is said of it.

use std::{
    fs::{self, OpenOptions},
    path::Path,
    sync::mpsc::{Sender, channel},
    time::Duration,
};

use super::{
    open::{TAIL, options},
    *,
};
use crate::{
    audit::{
        query::{Filter, Query},
        verify::{self, Trust, What},
    },
    daemon::record::Record,
};

const SOON: Duration = Duration::from_secs(10);

fn masks() -> Masks {
    Masks::new(&[]).expect("they are understood")
}

#[test]
fn no_secret_reaches_the_disk() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("audit.jsonl");
    let (sender, receiver) = channel();
    let audit = start(&path, plain(), sender);
    let mut record = Box::new(Record::new(Kind::Hold));
    record.seq = 1;
    record.processes = vec![crate::api::Process {
        pid: 20,
        ppid: 1,
        uid: 1000,
        user: "dev".to_owned(),
        comm: "tool".to_owned(),
        exe: "/usr/bin/tool".to_owned(),
        argv: ["tool", "--token", "hunter2"].map(str::to_owned).to_vec(),
        cwd: "/".to_owned(),
    }];
    audit.record(record, true).expect("room");
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(1)));
    let text = fs::read_to_string(&path).expect("text");
    assert!(text.contains(r#"["tool","--token","***"]"#) && !text.contains("hunter2"), "{text}");
}

/// Without a key, and with segments that never end.
fn plain() -> Options {
    Options { segment_size: u64::MAX, key: None, checkpoint: None, masks: masks(), command: Vec::new() }
}

fn start(path: &Path, options: Options, sender: Sender<Report>) -> Audit {
    let report = move |report| sender.send(report).expect("the test waits");
    Audit::start(open(path).expect("it opens"), options, report).expect("a thread")
}

fn record(seq: u64) -> Vec<u8> {
    format!("{{\"seq\":{seq}}}").into_bytes()
}

#[test]
fn numbers_continue_and_a_torn_line_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log/audit.jsonl");
    {
        let opened = open(&path).expect("it is made");
        assert_eq!((opened.last_seq, opened.torn), (0, false));
        drop(opened);
        let (sender, receiver) = channel();
        let audit = start(&path, plain(), sender);
        audit.write(1, b"{\"seq\":1,\"hold\":\"h7\"}".to_vec(), Mark::Plain, false).expect("room");
        audit.write(2, record(2), Mark::Plain, true).expect("room");
        assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(2)));
    }
    OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"{\"seq\":3,\"ti").expect("written");
    let opened = open(&path).expect("it opens again");
    assert_eq!((opened.last_seq, opened.last_hold, opened.torn), (2, 7, true));
    drop(opened);
    let before = fs::read_to_string(&path).expect("text");
    let (sender, receiver) = channel();
    start(&path, plain(), sender).write(3, record(3), Mark::Plain, true).expect("room");
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(3)));
    assert!(fs::read_to_string(&path).expect("text").starts_with(&(before + "\n{\"seq\":3,\"prev\":")));
    let report = verify::verify(&path, &Trust::default(), &mut |_| {}).expect("it can be read");
    let found: Vec<_> = report.findings.iter().map(|finding| (finding.what, finding.broken, finding.line)).collect();
    assert_eq!((report.whole, found), (true, vec![(What::Torn, false, 3)]));
    assert_eq!(last_lines(&path, 2).expect("lines")[0]["seq"], 2);
}

#[test]
fn the_last_hold_is_found_behind_many_lines_about_none() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("audit.jsonl");
    let mut text = "{\"seq\":1,\"hold\":\"h7\"}\n".to_owned();
    (2..40_000).for_each(|seq| text += &format!("{{\"seq\":{seq},\"kind\":\"would_hold\"}}\n"));
    assert!(text.len() as u64 > 2 * TAIL);
    std::fs::write(&path, text).expect("written");
    let opened = open(&path).expect("it opens");
    assert_eq!((opened.last_seq, opened.last_hold), (39_999, 7));
}

#[test]
fn a_thousand_lines_that_wait_share_a_few_flushes() {
    let flushes = flushes(1_000, "");
    println!("{flushes} flushes for 1000 lines");
    assert!(flushes <= 4, "{flushes} flushes");
}

#[test]
fn a_flood_of_long_lines_loses_none_while_the_disk_works() {
    assert!(flushes(40, &"x".repeat(1 << 20)) <= 41);
}

#[test]
fn a_line_too_long_to_keep_fails_the_log_and_is_never_called_safe() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (sender, receiver) = channel();
    let audit = start(&directory.path().join("audit.jsonl"), plain(), sender);
    audit.write(1, vec![b'x'; KEPT + 1], Mark::Plain, true).expect("room");
    assert!(matches!(receiver.recv_timeout(SOON), Ok(Report::Failed(_))));
    audit.write(2, record(2), Mark::Plain, true).expect("room");
    audit.probe().expect("room");
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Recovered));
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(2)));
}

/// Flushes that it takes until all lines are safe, when they come faster than the disk works.
fn flushes(total: u64, text: &str) -> u32 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("audit.jsonl");
    let (sender, receiver) = channel();
    // The disk is slow: the first flush is not over before everything else waits.
    let (go, gate) = channel();
    let seen = path.clone();
    let audit = Audit::start(open(&path).expect("it is made"), plain(), move |report| {
        let lines = std::fs::read_to_string(&seen).expect("text").lines().count() as u64;
        sender.send((report, lines)).expect("the test waits");
        gate.recv().expect("the test lets it go on");
    })
    .expect("a thread");
    for seq in 1..=total {
        let record = format!("{{\"seq\":{seq},\"text\":\"{text}\"}}").into_bytes();
        audit.write(seq, record, Mark::Plain, true).expect("room");
    }
    let mut flushes = 0;
    loop {
        let (report, lines) = receiver.recv_timeout(SOON).expect("it goes on");
        let Report::Flushed(safe) = report else { panic!("{report:?}") };
        assert_eq!(safe, lines, "what is said to be safe is what is in the file");
        flushes += 1;
        go.send(()).expect("it waits");
        if safe == total {
            break;
        }
    }
    // The last flush is the one at the end.
    go.send(()).expect("it waits");
    drop(audit);
    flushes
}

#[test]
fn a_full_disk_is_reported_once_and_a_link_is_refused() {
    let (sender, receiver) = channel();
    let audit = start(Path::new("/dev/full"), plain(), sender);
    audit.write(1, record(1), Mark::Plain, true).expect("room");
    assert!(matches!(receiver.recv_timeout(SOON), Ok(Report::Failed(_))));
    audit.write(2, record(2), Mark::Plain, true).expect("room");
    audit.probe().expect("room");
    drop(audit);
    assert_eq!(receiver.try_iter().count(), 0, "never flushed, never recovered");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let link = directory.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/tmp/elsewhere", &link).expect("linked");
    assert!(open(&link).is_err());
}

#[test]
fn a_log_that_was_moved_away_counts_as_failed_until_it_is_back() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, aside) = (directory.path().join("audit.jsonl"), directory.path().join("aside"));
    let (sender, receiver) = channel();
    let audit = start(&path, plain(), sender);
    fs::rename(&path, &aside).expect("moved");
    audit.write(1, record(1), Mark::Plain, true).expect("room");
    assert!(matches!(receiver.recv_timeout(SOON), Ok(Report::Failed(_))), "nobody would find it there");
    fs::rename(&aside, &path).expect("moved");
    audit.probe().expect("room");
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Recovered));
    assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(1)));
    drop(audit);
    assert_eq!(verified(&path, &Trust::default()).records, 1);
}

/// A log of three segments, the last one of which is finished by a checkpoint, and its public key.
fn finished(directory: &Path) -> (PathBuf, Trust) {
    let path = directory.join("audit.jsonl");
    let key = Private::open(&directory.join("audit.key")).expect("it is made");
    let trust = Trust { keys: vec![key.public()], kept: Vec::new(), grows: false };
    let (sender, receiver) = channel();
    let audit = start(
        &path,
        Options { segment_size: 1, key: Some(key), checkpoint: None, masks: masks(), command: Vec::new() },
        sender,
    );
    let mut seq = 0;
    for segment in 1..=3 {
        for (kind, mark) in
            [("segment", Mark::Opens), ("hold", Mark::Plain), ("tag", Mark::Plain), ("checkpoint", Mark::Closes)]
        {
            seq += 1;
            let mark = if segment == 3 && mark == Mark::Closes { Mark::Signed } else { mark };
            let record = format!("{{\"seq\":{seq},\"kind\":\"{kind}\"}}").into_bytes();
            audit.write(seq, record, mark, false).expect("room");
        }
    }
    drop(audit);
    let reports: Vec<Report> = receiver.try_iter().collect();
    assert_eq!(reports.iter().filter(|report| **report == Report::Rotated).count(), 2, "{reports:?}");
    assert!(reports.contains(&Report::Full) && !reports.iter().any(|report| matches!(report, Report::Trouble(_))));
    (path, trust)
}

fn last_lines(path: &Path, count: usize) -> io::Result<Vec<serde_json::Value>> {
    records(path, &Filter::new(Query::last(count)).expect("it is understood"))
}

fn verified(path: &Path, trust: &Trust) -> verify::Report {
    verify::verify(path, trust, &mut |_| {}).expect("the directory can be read")
}

#[test]
fn segments_are_chained_signed_and_found_whole_compressed_or_not() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, trust) = finished(directory.path());
    let report = verified(&path, &trust);
    assert!(report.whole && report.findings.is_empty(), "{report:?}");
    assert_eq!((report.segments, report.records, report.last_seq, report.signed_seq), (3, 12, 12, 12));
    let opened = open(&path).expect("it opens");
    assert_eq!((opened.number, opened.last_seq, opened.torn), (3, 12, false));
    assert_eq!(opened.head.digest().to_string(), report.head, "the next record follows");
    let keep = keep::Keep { size: u64::MAX, age: None };
    assert_eq!(keep::tidy(&path, keep).expect("compressed"), []);
    assert!(path.with_file_name("audit-00000001.jsonl.gz").exists());
    assert_eq!(verified(&path, &trust), verify::Report { findings: Vec::new(), ..report });
    let lines = last_lines(&path, 7).expect("lines");
    assert_eq!(
        lines.iter().map(|line| line["seq"].as_u64()).collect::<Vec<_>>(),
        (6..=12).map(Some).collect::<Vec<_>>()
    );
    let asked = |query: Query| records(&path, &Filter::new(query).expect("it is understood")).expect("records");
    let numbers = |query: Query| asked(query).iter().filter_map(|record| record["seq"].as_u64()).collect::<Vec<_>>();
    assert_eq!(numbers(Query { kind: Some("tag".to_owned()), ..Query::default() }), [3, 7, 11]);
    assert_eq!(numbers(Query { kind: Some("tag".to_owned()), ..Query::last(2) }), [7, 11]);
    assert_eq!(numbers(Query { after: Some(9), ..Query::default() }), [10, 11, 12]);
    assert_eq!(numbers(Query { after: Some(6), kind: Some("hold,tag".to_owned()), ..Query::default() }), [7, 10, 11]);
    // A crash between the two renames: the log goes on where the last segment ended.
    fs::remove_file(&path).expect("removed");
    let opened = open(&path).expect("it opens");
    assert_eq!((opened.number, opened.last_seq, opened.fresh), (3, 8, true));
}

#[test]
fn a_removed_segment_is_missing_unless_a_record_says_that_guardd_removed_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, trust) = finished(directory.path());
    let old = keep::tidy(&path, keep::Keep { size: 0, age: None }).expect("compressed");
    assert_eq!(old.iter().map(|old| old.number).collect::<Vec<_>>(), [1, 2]);
    let (sender, _receiver) = channel();
    let audit = start(&path, plain(), sender);
    let retired = format!("{{\"seq\":13,\"kind\":\"retired\",\"segment\":1,\"last\":\"{}\"}}", old[0].last);
    audit.write(13, retired.into_bytes(), Mark::Plain, true).expect("room");
    drop(audit);
    keep::remove(&path, 1).expect("removed");
    let report = verified(&path, &trust);
    let found: Vec<_> = report.findings.iter().map(|finding| finding.what).collect();
    assert_eq!((report.whole, found, report.first_seq), (true, vec![What::Retired], 5));
    keep::remove(&path, 2).expect("removed");
    let report = verified(&path, &trust);
    assert!(!report.whole && report.findings.iter().any(|finding| finding.what == What::SegmentMissing), "{report:?}");
}

#[test]
fn an_edit_of_any_byte_of_a_finished_log_is_found() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, trust) = finished(directory.path());
    let files =
        [path.with_file_name("audit-00000001.jsonl"), path.with_file_name("audit-00000002.jsonl"), path.clone()];
    for file in files {
        let whole = fs::read(&file).expect("bytes");
        for at in 0..whole.len() {
            // Another byte, one more, and one less.
            let mut others = vec![whole.clone(), whole.clone(), whole.clone()];
            others[0][at] ^= 1;
            others[1].insert(at, b' ');
            others[2].remove(at);
            for other in others {
                fs::write(&file, &other).expect("written");
                let report = verified(&path, &trust);
                assert!(!report.whole, "byte {at} of {}: {}", file.display(), String::from_utf8_lossy(&other));
            }
        }
        fs::write(&file, &whole).expect("written");
    }
    assert!(verified(&path, &trust).whole);
}

#[test]
fn lines_that_are_removed_or_moved_are_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, trust) = finished(directory.path());
    let text = fs::read_to_string(&path).expect("text");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let finds = |lines: &[&str]| {
        fs::write(&path, lines.concat()).expect("written");
        let report = verified(&path, &trust);
        report
            .findings
            .iter()
            .filter(|finding| finding.broken)
            .map(|finding| (finding.what, finding.line))
            .collect::<Vec<_>>()
    };
    assert_eq!(finds(&[lines[0], lines[1], lines[3]]), [(What::Removed, 3)]);
    assert_eq!(finds(&[lines[0], lines[2], lines[1], lines[3]])[..2], [(What::Removed, 2), (What::Reordered, 3)]);
    assert_eq!(finds(&[lines[0], lines[1], lines[1], lines[2], lines[3]]), [(What::Reordered, 3)]);
    assert_eq!(finds(&[lines[0], lines[1], "{\"seq\":11}\n", lines[2], lines[3]]), [(What::Changed, 4)]);
    assert_eq!(finds(&[lines[0], lines[1], lines[2], &lines[3][..40]]), [(What::Torn, 4)]);
    // Only a checkpoint that was kept elsewhere tells that a finished end was cut off.
    assert_eq!(finds(&lines[..3]), []);
    let last = crate::audit::chain::Digest::of(lines[3].as_bytes());
    let kept = Trust { kept: vec![(12, last)], ..trust };
    let missing = verified(&path, &kept);
    assert!(!missing.whole && missing.findings[0].what == What::CheckpointMissing, "{missing:?}");
    fs::write(&path, &text).expect("written");
    assert!(verified(&path, &kept).whole);
}

#[test]
fn a_log_cut_off_at_any_byte_of_its_last_record_can_be_read_and_goes_on() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (path, trust) = finished(directory.path());
    let whole = fs::read(&path).expect("bytes");
    let start_of_last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    for cut in start_of_last..=whole.len() {
        fs::write(&path, &whole[..cut]).expect("written");
        let opened = open(&path).expect("it opens");
        assert_eq!(opened.torn, cut > start_of_last && cut < whole.len());
        let seq = opened.last_seq + 1;
        let (sender, receiver) = channel();
        let report = move |report| sender.send(report).expect("the test waits");
        let audit = Audit::start(opened, plain(), report).expect("a thread");
        audit.write(seq, record(seq), Mark::Plain, true).expect("room");
        assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(seq)));
        drop(audit);
        let report = verified(&path, &trust);
        assert!(report.whole && report.records >= 12, "cut at {cut}: {report:?}");
        let last = last_lines(&path, 1).expect("it can be read");
        assert_eq!(last[0]["seq"], seq);
    }
}

#[test]
fn a_failed_flush_leaves_no_line_twice() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("audit.jsonl");
    let mut writer = Writer::new(open(&path).expect("it opens"), plain(), Arc::default(), |_| {}).expect("a thread");
    writer.add(1, record(1), Mark::Plain);
    writer.push(true);
    writer.add(2, record(2), Mark::Plain);
    writer.write().expect("written");
    // The disk failed just here: what was written since is written again.
    writer.file = options().open("/dev/null").expect("it opens");
    assert!(writer.sync().is_err(), "no disk is behind it");
    writer.file = options().open(&path).expect("it opens");
    writer.add(3, record(3), Mark::Plain);
    writer.push(true);
    assert!(!writer.failed);
    let report = verified(&path, &Trust::default());
    assert!(report.whole && report.findings.is_empty() && report.records == 3, "{report:?}");
}
