//! The log on real files: what is safe, what is lost, and what is said of it.

use std::{sync::mpsc::channel, time::Duration};

use super::*;

const SOON: Duration = Duration::from_secs(10);

#[test]
fn numbers_continue_and_a_torn_line_is_kept() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("log/audit.jsonl");
    {
        let opened = open(&path).expect("it is made");
        assert_eq!((opened.last_seq, opened.torn), (0, false));
        let (sender, receiver) = channel();
        let audit = Audit::start(opened, move |report| sender.send(report).expect("the test waits")).expect("a thread");
        audit.write(1, b"{\"seq\":1,\"hold\":\"h7\"}\n".to_vec(), false).expect("room");
        audit.write(2, b"{\"seq\":2}\n".to_vec(), true).expect("room");
        assert_eq!(receiver.recv_timeout(SOON), Ok(Report::Flushed(2)));
    }
    OpenOptions::new().append(true).open(&path).expect("opens").write_all(b"{\"seq\":3,\"ti").expect("written");
    let opened = open(&path).expect("it opens again");
    assert_eq!((opened.last_seq, opened.last_hold, opened.torn), (2, 7, true));
    assert!(std::fs::read_to_string(&path).expect("text").ends_with("\"ti\n"));
    assert_eq!(last_lines(&path, 1).expect("lines")[0]["seq"], 2);
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
    let opened = open(&directory.path().join("audit.jsonl")).expect("it is made");
    let (sender, receiver) = channel();
    let audit = Audit::start(opened, move |report| sender.send(report).expect("the test waits")).expect("a thread");
    audit.write(1, vec![b'x'; KEPT + 1], true).expect("room");
    assert!(matches!(receiver.recv_timeout(SOON), Ok(Report::Failed(_))));
    audit.write(2, b"{}\n".to_vec(), true).expect("room");
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
    let audit = Audit::start(open(&path).expect("it is made"), move |report| {
        let lines = std::fs::read_to_string(&seen).expect("text").lines().count() as u64;
        sender.send((report, lines)).expect("the test waits");
        gate.recv().expect("the test lets it go on");
    })
    .expect("a thread");
    for seq in 1..=total {
        audit.write(seq, format!("{{\"seq\":{seq},\"text\":\"{text}\"}}\n").into_bytes(), true).expect("room");
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
    let opened = open(Path::new("/dev/full")).expect("it opens");
    let (sender, receiver) = channel();
    let audit = Audit::start(opened, move |report| sender.send(report).expect("the test waits")).expect("a thread");
    audit.write(1, b"{}\n".to_vec(), true).expect("room");
    assert!(matches!(receiver.recv_timeout(SOON), Ok(Report::Failed(_))));
    audit.write(2, b"{}\n".to_vec(), true).expect("room");
    audit.probe().expect("room");
    drop(audit);
    assert_eq!(receiver.try_iter().count(), 0, "never flushed, never recovered");

    let directory = tempfile::tempdir().expect("a temporary directory");
    let link = directory.path().join("audit.jsonl");
    std::os::unix::fs::symlink("/tmp/elsewhere", &link).expect("linked");
    assert!(open(&link).is_err());
}
