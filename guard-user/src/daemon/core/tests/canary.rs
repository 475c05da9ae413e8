//! What follows from what the canary finds.

use super::*;
use crate::{
    api::{CanaryState, Unprotected},
    daemon::canary::Finding,
};

fn passed() -> Input {
    Input::Canary(Finding::Passed(vec!["path_unlink".to_owned()]))
}

fn freezes(bench: &Bench) -> bool {
    bench.has(|effect| matches!(effect, Effect::Act { act: Act::Freeze, .. }))
}

fn resume(bench: &mut Bench) {
    let request = Request::SetState { agent: "a1".to_owned(), command: Command::Resume };
    bench.input(Input::Request { token: 3, by: "uid 0 (root), pid 2".to_owned(), request });
}

#[test]
fn while_the_kernel_stops_nothing_agents_are_suspended_and_stay_so() {
    let mut bench = Bench::new();
    bench.input(Input::Canary(Finding::Refused));
    assert!(bench.logged().is_empty() && bench.core.status_for_tests().protecting, "all is well");
    bench.input(passed());
    assert!(freezes(&bench) && bench.logged() == [Kind::Canary]);
    let status = bench.core.status_for_tests();
    assert!(!status.protecting && status.canary.state == CanaryState::Passed);
    assert!(status.summary.contains("path_unlink"), "{}", status.summary);
    bench.input(passed());
    assert!(!freezes(&bench) && bench.logged().is_empty(), "said once, done once");
    resume(&mut bench);
    assert_eq!(bench.problem(), Some(ProblemKind::BadRequest));
    assert!(!bench.has(|effect| matches!(effect, Effect::Act { .. })));
    bench.input(Input::Canary(Finding::Refused));
    assert_eq!(bench.logged(), [Kind::Canary]);
    assert!(bench.core.status_for_tests().protecting);
    resume(&mut bench);
    assert!(bench.has(|effect| matches!(effect, Effect::Act { act: Act::Thaw, .. })), "a person wakes it");
    bench.input(passed());
    assert!(freezes(&bench), "again");
}

#[test]
fn a_silent_canary_is_said_and_stops_nobody() {
    let mut bench = Bench::new();
    bench.input(Input::Canary(Finding::Silent("it ended".to_owned())));
    assert!(!freezes(&bench) && bench.logged() == [Kind::Canary]);
    let status = bench.core.status_for_tests();
    assert!(!status.protecting && status.summary.contains("it ended"), "{}", status.summary);
}

#[test]
fn what_is_done_to_agents_is_set() {
    for (unprotected, acts) in [(Unprotected::Report, vec![]), (Unprotected::Kill, vec![Act::Kill])] {
        let mut bench = Bench::new();
        bench.core.about.unprotected = unprotected;
        bench.input(passed());
        let act = |effect: &Effect| if let Effect::Act { act, .. } = effect { Some(*act) } else { None };
        assert_eq!(bench.seen.iter().filter_map(act).collect::<Vec<_>>(), acts);
        assert_eq!(bench.logged(), [Kind::Canary], "{unprotected:?}");
    }
}
