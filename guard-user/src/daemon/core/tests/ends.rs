//! How holds and agents end.

use super::*;

#[test]
fn an_approval_that_is_not_used_in_time_expires_and_a_denial_does_not() {
    for (verdict, repeated) in [(Verdict::Approve, false), (Verdict::Deny, true)] {
        let mut bench = Bench::new();
        bench.candidate(&unlink(7, "/hold/a"));
        bench.decide("h1", verdict, Scope::Once);
        bench.flush();
        bench.now += 30;
        bench.input(Input::Tick);
        assert!(bench.has(|effect| matches!(effect, Effect::Continue { tgid: 7 })), "woken until it is used");
        bench.now += 10_100;
        bench.input(Input::Tick);
        assert_eq!(bench.outcome(1), (!repeated).then_some(Outcome::Expired));
        assert_eq!(bench.grants().is_empty(), !repeated);
        assert_eq!(bench.has(|effect| matches!(effect, Effect::RemoveHold(_))), !repeated);
    }
}

#[test]
fn a_thread_that_a_tracer_keeps_stopped_is_left_in_peace_longer_and_longer() {
    for verdict in [Verdict::Approve, Verdict::Deny] {
        let mut bench = Bench::new();
        bench.candidate(&unlink(7, "/hold/a"));
        bench.decide("h1", verdict, Scope::Once);
        bench.flush();
        let (start, mut woken) = (bench.now, vec![]);
        while bench.now < start + 10_000 {
            bench.now += 20;
            bench.input(Input::Tick);
            if bench.has(|effect| matches!(effect, Effect::Continue { tgid: 7 })) {
                woken.push(bench.now - start);
            } else {
                assert!(bench.has(|effect| matches!(effect, Effect::ContinueIfStopped { tgid: 7, .. })));
            }
        }
        assert_eq!(woken, [20, 40, 80, 160, 320, 640, 1_280, 2_560, 5_120], "ms");
    }
}

#[test]
fn a_refused_call_may_be_tried_again_after_approval_and_is_never_woken() {
    let mut bench = Bench::new();
    let mut operation = unlink(7, "/hold/a");
    operation.context = Context::Denied;
    bench.candidate(&operation);
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);
    assert!(!bench.has(|effect| matches!(effect, Effect::Continue { .. })));
}

#[test]
fn whoever_decides_is_answered_once_the_decision_is_on_the_disk() {
    for context in [Context::Held, Context::Denied, Context::Tripped] {
        for verdict in [Verdict::Approve, Verdict::Deny, Verdict::Kill] {
            let mut bench = Bench::new();
            let mut operation = unlink(7, "/hold/a");
            operation.context = context;
            bench.candidate(&operation);
            bench.decide("h1", verdict, Scope::Once);
            let is_answered = |bench: &Bench| bench.has(|effect| matches!(effect, Effect::Reply { token: 1, .. }));
            assert!(!is_answered(&bench));
            bench.flush();
            assert!(is_answered(&bench), "{context:?} {verdict:?}");
        }
    }
}

#[test]
fn an_answer_whose_notice_was_lost_is_told_by_what_it_left_behind() {
    let lost = Losses { lost: 1, voided: 0 };
    let cases = [
        (true, true, lost, Verdict::Approve, Outcome::Expired),
        (false, true, Losses::default(), Verdict::Approve, Outcome::Expired),
        (false, true, lost, Verdict::Approve, Outcome::Released),
        (false, true, lost, Verdict::Deny, Outcome::Refused),
        (false, true, Losses { voided: 1, ..lost }, Verdict::Approve, Outcome::Unknown),
        (false, true, Losses { voided: 1, ..lost }, Verdict::Deny, Outcome::Expired),
        (false, false, lost, Verdict::Approve, Outcome::Unknown),
    ];
    for (waits, lives, losses, verdict, expected) in cases {
        let mut bench = Bench::new();
        bench.candidate(&unlink(7, "/hold/a"));
        bench.decide("h1", verdict, Scope::Once);
        bench.flush();
        bench.kernel = (waits, lives, losses);
        let mut other = unlink(7, "/hold/b");
        other.name.hold = 2_000;
        bench.candidate(&other);
        assert_eq!(bench.outcome(1), Some(expected), "{waits} {lives} {losses:?} {verdict:?}");
        assert_eq!(bench.core.holds.pending(None), 1, "the next one waits");
    }
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.flush();
    bench.kernel = (false, false, lost);
    bench.input(Input::ProcessGone { tgid: 7 });
    assert_eq!(bench.outcome(1), Some(Outcome::Unknown));
}

#[test]
fn the_log_says_what_was_wanted_before_it_says_that_the_process_died() {
    let mut bench = Bench::new();
    let mut operation = unlink(7, "/hold/a");
    operation.context = Context::Denied;
    bench.candidate(&operation);
    bench.input(Input::ProcessGone { tgid: 7 });
    assert_eq!(bench.logged(), [Kind::Hold, Kind::Outcome]);
    assert_eq!(bench.outcome(1), Some(Outcome::Died));
    bench.candidate(&unlink(8, "/hold/b"));
    bench.facts(&unlink(8, "/hold/b"), "/hold");
    assert_eq!(bench.logged(), [Kind::Hold]);
    bench.input(Input::ProcessGone { tgid: 8 });
    assert_eq!(bench.logged(), [Kind::Outcome], "once is enough");
}

#[test]
fn what_is_held_of_the_next_process_with_a_number_outlives_the_news_of_the_first_ones_end() {
    let mut bench = Bench::new();
    let first = unlink(7, "/hold/a");
    bench.candidate(&first);
    bench.input(Input::Gone(first.name));
    let mut next = unlink(7, "/hold/b");
    (next.name.hold, next.start_boottime) = (2_000, 900);
    bench.candidate(&next);
    bench.input(Input::Succeeded { tgid: 7, own: vec![next.name] });
    assert!(!bench.has(|effect| matches!(effect, Effect::RemoveHold(_))), "it waits in the kernel");
    assert!(bench.has(|effect| matches!(effect, Effect::Watch { tgid: 7 })), "its own end is heard of");
    assert_eq!((bench.outcome(1), bench.outcome(2)), (Some(Outcome::Died), None));
    bench.decide("h2", Verdict::Approve, Scope::Once);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);
}

#[test]
fn what_is_held_of_the_next_process_with_a_number_says_that_the_first_one_died() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    let mut next = unlink(7, "/hold/b");
    (next.name.hold, next.start_boottime) = (2_000, 900);
    bench.candidate(&next);
    assert_eq!((bench.outcome(1), bench.outcome(2)), (Some(Outcome::Died), None));
}

#[test]
fn an_agent_ends_when_nothing_of_it_waits_and_a_full_table_is_said() {
    let mut bench = Bench::new();
    assert!(bench.core.may_end()[0].own);
    bench.candidate(&unlink(7, "/hold/a"));
    assert_eq!(bench.core.may_end(), []);
    bench.input(Input::AgentsEnded(vec![1]));
    assert!(!bench.has(|effect| matches!(effect, Effect::EndAgent { .. })), "a hold came meanwhile");
    bench.input(Input::ProcessGone { tgid: 7 });
    bench.input(Input::AgentsEnded(vec![1]));
    assert!(bench.has(|effect| matches!(effect, Effect::EndAgent { .. })) && bench.logged() == [Kind::AgentEnded]);
    let places = crate::daemon::rulebook::Places::default();
    for number in 0..=guard_common::table::AGENTS_MAX {
        let tag = TagRequest {
            name: String::new(),
            places: places.clone(),
            extra: None,
            target: Target::Fresh { pid: number, itself: true },
        };
        bench.input(Input::Request { token: 3, by: String::new(), request: Request::Tag(Box::new(tag)) });
    }
    assert_eq!(bench.problem(), Some(ProblemKind::BadRequest));
}

#[test]
fn a_call_that_resolves_to_something_else_is_a_new_hold_and_the_approval_is_dropped() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    bench.decide("h1", Verdict::Approve, Scope::Once);
    let mut other = unlink(7, "/hold/b");
    other.name.hold = 2_000;
    bench.candidate(&other);
    assert_eq!(bench.outcome(1), Some(Outcome::Expired));
    bench.flush();
    assert!(bench.grants().is_empty());
    assert_eq!(bench.core.holds.pending(None), 1);
}
