//! What a new guardd knows of what the last one left.

use std::collections::BTreeSet;

use super::*;

/// What is written when guardd stops.
fn saved(bench: &mut Bench) -> crate::daemon::state::Saved {
    bench.input(Input::Stopping);
    let saved = bench.seen.iter().find_map(|effect| match effect {
        Effect::Save(saved) => Some(saved.as_ref().clone()),
        _other => None,
    });
    saved.expect("it is saved")
}

/// What waits for a person, by id.
fn names(bench: &Bench) -> Vec<(String, HoldName)> {
    let pending = bench.core.holds.iter().filter(|hold| hold.stage == crate::holds::Stage::Pending);
    let mut names: Vec<_> = pending.map(|hold| (hold.id(), hold.operation.name)).collect();
    names.sort();
    names
}

#[test]
fn what_waits_has_the_same_id_after_a_restart_and_a_new_hold_has_another() {
    let mut first = Bench::new();
    for pid in [20, 21, 22] {
        first.candidate(&unlink(pid, "/hold/a"));
    }
    first.decide("h1", Verdict::Deny, Scope::Once);
    let waits = names(&first);
    let left = saved(&mut first);
    assert_eq!(left.holds.len(), 2, "what was decided is a new question: {left:?}");

    let mut second = Bench::new();
    second.input(Input::Numbered { holds: left.holds, execs_unseen: 0 });
    // The kernel lists them in any order, and something new may stand before them.
    for pid in [30, 22, 21] {
        second.candidate(&unlink(pid, "/hold/a"));
    }
    let mut after = names(&second);
    let new = after.pop().expect("three wait");
    assert_eq!(after, waits);
    assert_eq!((new.0.as_str(), new.1), ("h4", unlink(30, "/hold/a").name));
}

#[test]
fn what_waits_is_where_the_next_guardd_finds_it_without_an_orderly_end() {
    let mut first = Bench::new();
    let is_saved = |bench: &Bench| {
        bench.seen.iter().find_map(|effect| match effect {
            Effect::Save(saved) => Some(saved.holds.iter().map(|hold| hold.number).collect::<BTreeSet<_>>()),
            _other => None,
        })
    };
    for pid in [20, 21] {
        first.candidate(&unlink(pid, "/hold/a"));
        assert_eq!(
            is_saved(&first).is_some(),
            pid == 20,
            "many come at once: only a block of numbers is saved at once"
        );
    }
    first.now = first.core.next_tick().expect("it is saved later") / crate::daemon::clock::MILLISECOND;
    first.input(Input::Tick);
    assert_eq!(is_saved(&first), Some(BTreeSet::from([1, 2])));
    assert_eq!(first.core.next_tick(), None, "an idle guardd does nothing");
    first.decide("h1", Verdict::Deny, Scope::Once);
    first.now += 201;
    first.input(Input::Tick);
    assert_eq!(is_saved(&first), Some(BTreeSet::from([2])));
}

#[test]
fn another_operation_of_the_same_thread_does_not_take_the_id() {
    let mut first = Bench::new();
    first.candidate(&unlink(20, "/hold/a"));
    let left = saved(&mut first);
    let mut second = Bench::new();
    second.input(Input::Numbered { holds: left.holds, execs_unseen: 0 });
    let mut later = unlink(20, "/hold/b");
    later.name.hold += 1;
    second.candidate(&later);
    assert_eq!(names(&second), [("h2".to_owned(), later.name)]);
}

/// The last thing that was written, whatever it was for.
fn last_saved(bench: &Bench) -> Option<u64> {
    bench.seen.iter().rev().find_map(|effect| match effect {
        Effect::Save(saved) => Some(saved.last_hold),
        _other => None,
    })
}

#[test]
fn no_number_is_shown_that_a_guardd_after_a_crash_could_give_again() {
    let mut first = Bench::new();
    let mut on_disk = 0;
    for pid in 1_000..1_250 {
        first.candidate(&unlink(pid, "/hold/a"));
        on_disk = last_saved(&first).unwrap_or(on_disk);
        assert!(first.core.holds.last() <= on_disk, "{} is not saved as given: {on_disk}", first.core.holds.last());
    }
    assert_eq!(first.core.holds.last(), 250);
    // Who ends in order leaves no gap.
    assert_eq!(saved(&mut first).last_hold, 250);

    let mut second = Bench::new();
    second.core.holds.continue_after(on_disk);
    second.candidate(&unlink(20, "/hold/a"));
    assert!(second.core.holds.last() > on_disk);
    assert!(last_saved(&second).is_some_and(|saved| saved >= second.core.holds.last()));
}
