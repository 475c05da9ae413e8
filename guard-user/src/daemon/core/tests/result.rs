//! How approved operations ended: what is heard of their calls.

use super::*;
use crate::{daemon::core::result as awaited, result::CallResult};

/// Until when the kernel is to be listened to, as it was said last.
fn listens(bench: &Bench) -> Option<u64> {
    let until = |effect: &Effect| if let Effect::Listen { until } = effect { Some(*until) } else { None };
    bench.seen.iter().rev().find_map(until)
}

fn approved(bench: &mut Bench, operation: &Operation) {
    bench.candidate(operation);
    bench.decide("h1", Verdict::Approve, Scope::Once);
    let before = bench.seen.iter().position(|effect| matches!(effect, Effect::Audit { .. }));
    let listens = bench.seen.iter().position(|effect| matches!(effect, Effect::Listen { .. }));
    assert!(listens.is_some() && listens < before, "it listens before the disk is waited for");
    bench.flush();
}

#[test]
fn an_approved_call_has_a_result_and_then_nothing_is_listened_to() {
    let mut bench = Bench::new();
    let operation = unlink(7, "/hold/a");
    approved(&mut bench, &operation);
    bench.input(Input::Consumed { name: operation.name, approved: true });
    assert_eq!((bench.outcome(1), bench.logged()), (Some(Outcome::Released), vec![Kind::Outcome]));
    bench.input(Input::Result { name: operation.name, errno: 2 });
    assert_eq!(bench.core.holds.get(1).and_then(|hold| hold.result.clone()), Some(CallResult::of(2)));
    assert_eq!(bench.logged(), [Kind::Result]);
    assert_eq!(listens(&bench), Some(at(bench.now).boottime + awaited::LINGER));
    bench.input(Input::Result { name: operation.name, errno: 0 });
    assert!(bench.seen.is_empty(), "a call has one result");
}

#[test]
fn a_result_says_that_the_approval_was_used_when_the_notice_of_that_was_lost() {
    let mut bench = Bench::new();
    let operation = unlink(7, "/hold/a");
    approved(&mut bench, &operation);
    bench.input(Input::Result { name: operation.name, errno: 0 });
    assert_eq!((bench.outcome(1), bench.logged()), (Some(Outcome::Released), vec![Kind::Outcome, Kind::Result]));
    bench.input(Input::Consumed { name: operation.name, approved: true });
    assert!(bench.seen.is_empty());
}

#[test]
fn what_nobody_approved_has_no_result() {
    let name = unlink(7, "/hold/a").name;
    for verdict in [None, Some(Verdict::Deny), Some(Verdict::Kill)] {
        let mut bench = Bench::new();
        bench.candidate(&unlink(7, "/hold/a"));
        if let Some(verdict) = verdict {
            bench.decide("h1", verdict, Scope::Once);
            bench.flush();
        }
        assert_eq!(listens(&bench), None);
        bench.input(Input::Result { name, errno: 0 });
        assert!(bench.seen.is_empty() && bench.outcome(1).is_none(), "{verdict:?}");
    }
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/free/a"));
    assert_eq!(listens(&bench), None, "what the rules clear is nobody's to hear of");
    bench.input(Input::Result { name, errno: 0 });
    assert!(bench.seen.is_empty());
}

#[test]
fn an_approval_that_comes_to_nothing_is_not_listened_for() {
    let mut bench = Bench::new();
    let operation = unlink(7, "/hold/a");
    approved(&mut bench, &operation);
    bench.input(Input::Gone(operation.name));
    assert_eq!(listens(&bench), Some(at(bench.now).boottime + awaited::LINGER));
    bench.input(Input::Result { name: operation.name, errno: 0 });
    assert!(bench.seen.is_empty());

    let mut bench = Bench::new();
    approved(&mut bench, &operation);
    bench.input(Input::Consumed { name: operation.name, approved: true });
    bench.input(Input::Unheard(operation.name));
    assert_eq!(listens(&bench), Some(at(bench.now).boottime + awaited::LINGER), "its end will not be told");
}

#[test]
fn whoever_looks_at_what_waits_is_expected_to_decide() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    bench.input(Input::Request { token: 1, by: String::new(), request: Request::Hold("h1".to_owned()) });
    assert_eq!(listens(&bench), Some(at(bench.now).boottime + awaited::LISTEN_FOR));
    bench.decide("h1", Verdict::Deny, Scope::Once);
    bench.flush();
    bench.input(Input::Request { token: 1, by: String::new(), request: Request::Hold("h1".to_owned()) });
    assert_eq!(listens(&bench), None);
    let mut tripped = unlink(8, "/hold/b");
    tripped.context = Context::Tripped;
    bench.candidate(&tripped);
    bench.input(Input::Request { token: 1, by: String::new(), request: Request::Hold("h2".to_owned()) });
    assert_eq!(listens(&bench), None, "it happened before anybody approved it");
}
