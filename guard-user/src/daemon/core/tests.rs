//! Inputs in, effects out: what the core does in each situation.

mod canary;
mod ends;
mod execution;
mod footprint;
mod handover;
mod remembered;
mod result;
mod segments;
mod shielded;

use guard_common::{
    grant::{APPROVE, CLEAR, DENY},
    record::HoldKey,
};

use super::*;
use crate::{
    api::{Command, Decide, Outcome, ProblemKind, Scope, Verdict},
    daemon::{
        record::Kind,
        scope::Root,
        testing::{Book, about, at, core, core_with, unlink},
    },
    holds::{Facts, Losses},
    operation::{Context, HoldName},
};

/// A core at work, and everything it asked for since the last look.
struct Bench {
    core: Core,
    now: u64,
    seen: Vec<Effect>,
    /// The last record that asked to be on the disk.
    flushed: u64,
    /// What the edge finds when it is asked: does the hold wait, does its thread live, what is counted.
    kernel: (bool, bool, Losses),
}

impl Bench {
    fn new() -> Self {
        Self { core: core(), now: 1, seen: Vec::new(), flushed: 0, kernel: (false, true, Losses::default()) }
    }

    fn input(&mut self, input: Input) {
        self.seen = self.core.handle(at(self.now), input);
        for effect in &self.seen {
            if let Effect::Audit { record, flush: true } = effect {
                self.flushed = record.seq;
            }
        }
        let settle = self.seen.iter().find_map(|effect| match effect {
            Effect::Settle { number, .. } => Some(*number),
            _other => None,
        });
        if let Some(number) = settle {
            let (waits, lives, losses) = self.kernel;
            self.seen.append(&mut self.core.handle(at(self.now), Input::Settled { number, waits, lives, losses }));
        }
    }

    fn candidate(&mut self, operation: &Operation) {
        self.input(Input::Candidate(Box::new(operation.clone())));
    }

    fn decide(&mut self, id: &str, verdict: Verdict, scope: Scope) {
        let decide = Decide { verdict, scope, note: String::new() };
        let request = Request::Decide { id: id.to_owned(), decide };
        self.input(Input::Request { token: 1, by: "uid 0 (root), pid 2".to_owned(), request });
    }

    /// What is to be on the disk before anything else happens gets there, and what was logged before it.
    fn flush(&mut self) {
        self.input(Input::AuditFlushed(self.flushed));
    }

    fn facts(&mut self, operation: &Operation, root: &str) {
        let facts = Facts {
            processes: Vec::new(),
            root: Some(Root { path: root.into(), named: true }),
            links: vec![crate::tool_calls::Link { pid: operation.tgid, start_ticks: u64::from(operation.tgid) }],
            ..Facts::default()
        };
        self.input(Input::Facts { name: operation.name, facts: Box::new(facts) });
    }

    fn grants(&self) -> Vec<u32> {
        let grant = |effect: &Effect| if let Effect::Grant { grant, .. } = effect { Some(grant.verdict) } else { None };
        self.seen.iter().filter_map(grant).collect()
    }

    fn logged(&self) -> Vec<Kind> {
        let kind = |effect: &Effect| if let Effect::Audit { record, .. } = effect { Some(record.kind) } else { None };
        self.seen.iter().filter_map(kind).collect()
    }

    fn has(&self, wanted: impl Fn(&Effect) -> bool) -> bool {
        self.seen.iter().any(wanted)
    }

    fn problem(&self) -> Option<ProblemKind> {
        self.seen.iter().find_map(|effect| match effect {
            Effect::Reply { answer: Answer::Problem(problem), .. } => Some(problem.kind),
            _other => None,
        })
    }

    fn outcome(&self, number: u64) -> Option<Outcome> {
        self.core.holds.get(number).and_then(|hold| hold.outcome)
    }
}

#[test]
fn what_the_rules_clear_is_released_at_once_and_never_shown() {
    let mut bench = Bench::new();
    let operation = unlink(7, "/free/a");
    bench.candidate(&operation);
    assert_eq!(bench.grants(), [CLEAR]);
    assert!(bench.has(|effect| matches!(effect, Effect::Continue { tgid: 7 })) && bench.logged().is_empty());
    bench.input(Input::Consumed { name: operation.name, approved: true });
    assert_eq!(bench.core.next_tick(), None, "an idle guardd does nothing");
}

#[test]
fn an_approval_reaches_the_kernel_only_after_its_line_is_on_the_disk() {
    let mut bench = Bench::new();
    let operation = unlink(7, "/hold/a");
    bench.candidate(&operation);
    assert!(bench.grants().is_empty() && bench.has(|effect| matches!(effect, Effect::Gather(_))));
    bench.decide("h1", Verdict::Approve, Scope::Once);
    assert!(bench.grants().is_empty() && !bench.has(|effect| matches!(effect, Effect::Reply { .. })));
    assert_eq!(bench.logged(), [Kind::Decision]);
    bench.input(Input::AuditFlushed(bench.core.seq - 1));
    assert!(bench.grants().is_empty(), "an earlier line is not this line");
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);
    assert!(bench.has(|effect| matches!(effect, Effect::Reply { answer: Answer::Hold(_), .. })));
    bench.decide("h1", Verdict::Deny, Scope::Once);
    assert_eq!(bench.problem(), Some(ProblemKind::AlreadyDecided));
    bench.input(Input::Consumed { name: operation.name, approved: true });
    assert_eq!(bench.outcome(1), Some(Outcome::Released));
    bench.decide("h1", Verdict::Approve, Scope::Once);
    assert_eq!(bench.problem(), Some(ProblemKind::AlreadyDecided));
    bench.decide("h2", Verdict::Approve, Scope::Once);
    assert_eq!(bench.problem(), Some(ProblemKind::NotFound));
}

#[test]
fn without_a_log_nothing_is_approved_and_denying_and_killing_still_work() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.input(Input::AuditFailed("No space left on device".to_owned()));
    assert_eq!(bench.problem(), Some(ProblemKind::AuditUnavailable));
    bench.flush();
    assert!(bench.grants().is_empty());
    bench.candidate(&unlink(8, "/hold/b"));
    bench.decide("h2", Verdict::Approve, Scope::Once);
    assert_eq!(bench.problem(), Some(ProblemKind::AuditUnavailable));
    bench.decide("h2", Verdict::Deny, Scope::Once);
    assert_eq!(bench.grants(), [DENY]);
    let request = Request::SetState { agent: "*".to_owned(), command: Command::Kill };
    bench.input(Input::Request { token: 2, by: String::new(), request });
    assert!(matches!(bench.seen[..], [Effect::Act { act: Act::Kill, .. }]), "nothing comes before the kill");
    assert!(!bench.core.status().audit_ok);
    bench.input(Input::AuditRecovered);
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE], "the withdrawn approval can be given again");
}

#[test]
fn a_decision_for_the_process_covers_its_threads_that_wait_already() {
    let mut bench = Bench::new();
    let first = unlink(7, "/hold/data/a");
    let mut other = unlink(7, "/hold/data/b");
    let mut elsewhere = unlink(7, "/hold/else");
    (other.tid, other.name.key.id) = (17, 17);
    (elsewhere.tid, elsewhere.name.key.id) = (18, 18);
    for operation in [&first, &other, &elsewhere] {
        bench.candidate(operation);
        bench.facts(operation, "/hold/data");
    }
    bench.decide("h1", Verdict::Approve, Scope::Process);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE], "the decision itself");
    assert_eq!(bench.logged(), [Kind::Decision], "about the thread that waits below the root");
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);
    assert_eq!(bench.core.holds.pending(None), 1, "another place is asked about");
}

#[test]
fn a_decision_for_the_process_covers_its_threads_below_the_root_and_nothing_else() {
    let mut bench = Bench::new();
    let first = unlink(7, "/hold/data/a");
    bench.candidate(&first);
    bench.facts(&first, "/hold/data");
    bench.decide("h1", Verdict::Approve, Scope::Process);
    bench.flush();
    bench.input(Input::Consumed { name: first.name, approved: true });

    let mut second = unlink(7, "/hold/data/b");
    second.name.hold = 2_000;
    bench.candidate(&second);
    assert!(bench.grants().is_empty(), "covered, and still logged first");
    assert_eq!(bench.logged(), [Kind::Decision]);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);
    bench.input(Input::Consumed { name: second.name, approved: true });

    let mut thread = unlink(7, "/hold/data/c");
    (thread.tid, thread.name.key.id) = (9, 9);
    bench.candidate(&thread);
    assert!(bench.logged().is_empty(), "a thread nobody knows waits for what /proc says");
    bench.facts(&thread, "/hold/data");
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE]);

    let mut outside = unlink(7, "/hold/database/a");
    outside.name.hold = 3_000;
    bench.candidate(&outside);
    bench.facts(&outside, "/hold/database");
    bench.flush();
    assert!(bench.grants().is_empty());

    bench.input(Input::ProcessGone { tgid: 7 });
    let mut later = unlink(7, "/hold/data/d");
    later.name.hold = 4_000;
    bench.candidate(&later);
    bench.facts(&later, "/hold/data");
    bench.flush();
    assert!(bench.grants().is_empty(), "the process that was approved is gone");
}

#[test]
fn in_the_trip_tier_the_agent_is_frozen_until_every_trip_is_decided() {
    let mut bench = Bench::new();
    for pid in [7, 8] {
        let mut operation = unlink(pid, "/hold/a");
        operation.context = Context::Tripped;
        bench.candidate(&operation);
        assert!(bench.has(|effect| matches!(effect, Effect::Act { act: Act::Freeze, .. })));
    }
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.flush();
    assert!(bench.has(|effect| matches!(effect, Effect::Continue { tgid: 7 })));
    assert!(!bench.has(|effect| matches!(effect, Effect::Act { .. })));
    bench.decide("h2", Verdict::Deny, Scope::Once);
    assert!(bench.has(|effect| matches!(effect, Effect::KillProcess { tgid: 8 })));
    bench.input(Input::ProcessGone { tgid: 8 });
    assert!(bench.has(|effect| matches!(effect, Effect::Act { act: Act::Thaw, .. })));
    assert_eq!((bench.outcome(1), bench.outcome(2)), (Some(Outcome::Released), Some(Outcome::Killed)));
}

#[test]
fn in_the_trip_tier_what_is_let_go_is_woken_once_however_often_it_was_found() {
    let mut bench = Bench::new();
    let mut operation = unlink(7, "/free/a");
    operation.context = Context::Tripped;
    bench.candidate(&operation);
    assert!(bench.has(|effect| matches!(effect, Effect::RemoveHold(_))));
    assert!(bench.has(|effect| matches!(effect, Effect::Continue { tgid: 7 })));
    bench.candidate(&operation);
    assert!(!bench.has(|effect| matches!(effect, Effect::Continue { .. })));
    for later in [21, 41, 81, 9_000] {
        bench.now = later;
        bench.input(Input::Tick);
        assert!(bench.has(|effect| matches!(effect, Effect::ContinueStopped { tgid: 7, .. })), "{later}");
        assert!(!bench.has(|effect| matches!(effect, Effect::Continue { .. })));
    }
    bench.now = 11_000;
    bench.input(Input::Tick);
    assert!(!bench.has(|effect| matches!(effect, Effect::Continue { .. } | Effect::ContinueStopped { .. })));
    assert_eq!(bench.core.next_tick(), None);
}

#[test]
fn what_an_observing_rule_would_hold_goes_on_and_is_logged_and_counted() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/watch/a"));
    assert_eq!(bench.grants(), [CLEAR]);
    assert_eq!(bench.logged(), [Kind::WouldHold]);
    let record = bench.seen.iter().find_map(|effect| match effect {
        Effect::Audit { record, .. } => Some(record),
        _other => None,
    });
    let record = record.expect("it was logged");
    assert_eq!((record.rule.as_str(), record.agent.as_str(), record.pid), ("watch", "a1", Some(7)));
    assert_eq!(record.operation.as_ref().map(|operation| operation.path.as_str()), Some("/watch/a"));
    let status = bench.core.status();
    assert!(status.counts.iter().any(|count| count.name == "would_hold" && count.value == 1));
    assert_eq!(status.pending, 0);
}

#[test]
fn a_rule_may_deny_at_once_or_kill_the_whole_agent() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/deny/a"));
    assert_eq!(bench.grants(), [DENY]);
    assert_eq!(bench.logged(), [Kind::Decision]);
    bench.candidate(&unlink(8, "/kill/a"));
    assert!(matches!(bench.seen[..2], [Effect::KillProcess { tgid: 8 }, Effect::Act { act: Act::Kill, .. }]));
}

#[test]
fn a_task_of_an_unknown_agent_is_held_whatever_it_does() {
    let mut bench = Bench::new();
    let mut operation = unlink(7, "/free/a");
    operation.agent = 1234;
    bench.candidate(&operation);
    assert!(bench.grants().is_empty());
    assert_eq!(bench.core.hold_views(false)[0].rule, "unknown-agent");
}

#[test]
fn holds_of_an_earlier_guardd_stand_again_and_numbers_go_on() {
    let mut core = Core::new(about(), Box::new(Book), at(0), 41, 12, 3, 9);
    drop(core.handle(at(1), Input::Candidate(Box::new(unlink(7, "/hold/a")))));
    assert_eq!(core.hold_views(false)[0].id, "h13");
    drop(core.handle(at(2), Input::Consumed { name: unlink(7, "/hold/a").name, approved: true }));
    assert_eq!(core.hold_views(true)[0].outcome, Some(Outcome::Released));
    assert_eq!(core.seq, 43, "who wanted what, and what became of it");
}

#[test]
fn bad_rules_on_reload_change_nothing() {
    let mut bench = Bench::new();
    bench.input(Input::Reloaded { token: Some(1), by: String::new(), result: Err("rules.yaml:3:1: typo".to_owned()) });
    assert!(!bench.has(|effect| matches!(effect, Effect::SetPolicy { .. })));
    bench.flush();
    assert_eq!(bench.problem(), Some(ProblemKind::BadRequest));
    bench.input(Input::Reloaded { token: Some(1), by: String::new(), result: Ok(Box::new(Book)) });
    assert!(bench.has(|effect| matches!(effect, Effect::SetPolicy { old: Some(_), .. })));
}

#[test]
fn a_suspended_agent_is_resumed_before_its_holds_are_approved() {
    let mut bench = Bench::new();
    bench.candidate(&unlink(7, "/hold/a"));
    let request = Request::SetState { agent: "builder".to_owned(), command: Command::Suspend };
    bench.input(Input::Request { token: 2, by: String::new(), request });
    bench.decide("h1", Verdict::Approve, Scope::Once);
    assert_eq!(bench.problem(), Some(ProblemKind::BadRequest));
    assert_eq!(bench.core.holds.pending(None), 1);
}

#[test]
fn a_script_and_its_interpreter_are_one_call_though_the_program_is_stopped_twice() {
    let mut bench = Bench::new();
    let mut program = unlink(7, "/hold/script");
    program.op = guard_common::op::Op::Exec;
    bench.candidate(&program);
    bench.decide("h1", Verdict::Approve, Scope::Once);
    bench.flush();
    bench.input(Input::Consumed { name: program.name, approved: true });
    let mut interpreter = unlink(7, "/hold/python");
    (interpreter.op, interpreter.name.key.slot) = (guard_common::op::Op::Exec, 2);
    bench.candidate(&interpreter);
    let mut again = program.clone();
    again.name.hold = 2_000;
    bench.candidate(&again);
    bench.flush();
    assert!(bench.grants().is_empty(), "while the interpreter waits the program does too");
    bench.decide("h2", Verdict::Approve, Scope::Once);
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE], "the interpreter first");
    bench.flush();
    assert_eq!(bench.grants(), [APPROVE], "then the program that was stopped again meanwhile");
    let granted = HoldName { key: HoldKey { id: 7, slot: 0 }, hold: 2_000 };
    bench.input(Input::Consumed { name: granted, approved: true });
    assert_eq!(bench.outcome(3), Some(Outcome::Released));
}

#[test]
fn an_agent_whose_time_is_over_gets_other_rules_once_and_the_log_says_so() {
    let mut core = core_with("brief");
    assert_eq!(core.next_tick(), Some(at(1_000).boottime));
    let early = core.handle(at(999), Input::Tick);
    assert!(early.is_empty(), "{early:?}");
    let effects = core.handle(at(1_000), Input::Tick);
    let logged = |effect: &Effect| matches!(effect, Effect::Audit { record, .. } if record.kind == Kind::Expired);
    assert!(matches!(effects[0], Effect::SetPolicy { .. }) && effects.iter().any(logged), "{effects:?}");
    assert_eq!(core.next_tick(), None);
    assert!(core.handle(at(2_000), Input::Tick).is_empty());
}

#[test]
fn what_an_agent_does_is_counted_over_all_its_processes_and_each_stop_once() {
    let mut bench = Bench::new();
    let mut held = |pid: u32| {
        let operation = unlink(pid, "/count/x");
        bench.candidate(&operation);
        let first = bench.seen.iter().any(|effect| matches!(effect, Effect::Gather(_)));
        bench.candidate(&operation);
        first
    };
    assert_eq!([held(7), held(8), held(9), held(10)], [false, false, true, true]);
}
