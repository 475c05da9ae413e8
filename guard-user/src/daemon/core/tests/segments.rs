//! When the log is signed, when a segment ends, and when one is removed.

use super::*;
use crate::{audit::chain::Digest, daemon::audit::keep::Old};

const DAY: i128 = 86_400 * 1_000_000_000;

/// A core whose log is new.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.input(Input::AuditOpened { fresh: true, since: None, age: DAY });
    assert_eq!(bench.logged(), [Kind::Segment]);
    bench
}

#[test]
fn a_segment_that_is_full_or_old_ends_before_the_next_record() {
    let mut bench = bench();
    bench.input(Input::SegmentFull);
    assert_eq!(bench.logged(), []);
    bench.input(Input::Started);
    assert_eq!(bench.logged(), [Kind::Checkpoint, Kind::Segment, Kind::Start]);
    bench.input(Input::Started);
    assert_eq!(bench.logged(), [Kind::Start], "once");
    bench.now += 86_400_000;
    bench.input(Input::Started);
    assert_eq!(bench.logged(), [Kind::Checkpoint, Kind::Segment, Kind::Start]);
    // The clock is set back: nothing is old.
    bench.now = 1;
    bench.input(Input::Started);
    assert_eq!(bench.logged(), [Kind::Start]);
}

#[test]
fn what_is_logged_is_signed_within_ten_minutes_and_at_the_end() {
    let mut bench = bench();
    bench.input(Input::Started);
    let due = bench.core.next_tick().expect("something is due");
    bench.now = due / 1_000_000;
    bench.input(Input::Tick);
    assert_eq!(bench.logged(), [Kind::Checkpoint]);
    assert_eq!(bench.core.next_tick(), None, "a checkpoint needs no other");
    bench.input(Input::Stopping);
    assert_eq!(bench.logged(), [Kind::Stop, Kind::Checkpoint]);
}

#[test]
fn a_segment_is_removed_once_the_record_that_says_so_is_on_the_disk() {
    let mut bench = bench();
    let old = || vec![Old { number: 1, last: Digest::NONE }];
    bench.input(Input::SegmentsOld(old()));
    assert_eq!(bench.logged(), [Kind::Retired]);
    let removes = |bench: &Bench| bench.seen.iter().any(|effect| matches!(effect, Effect::RemoveSegment(1)));
    assert!(!removes(&bench));
    bench.flush();
    assert!(removes(&bench));
    bench.input(Input::SegmentsOld(old()));
    bench.input(Input::AuditFailed("full".to_owned()));
    bench.input(Input::AuditRecovered);
    bench.flush();
    assert!(!removes(&bench), "it is named again when the next segment is closed");
}

#[test]
fn a_checkpoint_that_is_asked_for_is_answered_when_it_is_on_the_disk_or_cannot_be() {
    let mut bench = bench();
    let ask = |bench: &mut Bench, token| {
        bench.input(Input::Request { token, by: String::new(), request: Request::Checkpoint });
    };
    let answers = |bench: &Bench| -> Vec<bool> {
        let done = |effect: &Effect| match effect {
            Effect::Reply { answer, .. } => Some(*answer == Answer::Done),
            _other => None,
        };
        bench.seen.iter().filter_map(done).collect()
    };
    ask(&mut bench, 1);
    assert_eq!((bench.logged(), answers(&bench)), (vec![Kind::Checkpoint], vec![]));
    bench.flush();
    assert_eq!(answers(&bench), [true]);
    ask(&mut bench, 2);
    bench.input(Input::AuditFailed("full".to_owned()));
    assert_eq!(answers(&bench), [false]);
    ask(&mut bench, 3);
    assert_eq!((bench.logged(), answers(&bench)), (vec![], vec![false]));
}
