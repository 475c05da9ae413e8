//! Which clearances the kernel is told to remember.

use guard_common::op::Op;

use super::{Bench, Effect, Operation, core_with, unlink};
use crate::circumstances::{Circumstances, Found};

#[test]
fn only_an_exec_judged_by_its_record_alone_may_be_remembered() {
    let exec = |path: &str| Operation { op: Op::Exec, ..unlink(7, path) };
    let remembered = |policy: &str, operation: &Operation| {
        let mut bench = Bench { core: core_with(policy), ..Bench::new() };
        bench.candidate(operation);
        let policy = |effect: &Effect| if let Effect::Grant { grant, .. } = effect { Some(grant.policy) } else { None };
        bench.seen.iter().find_map(policy).expect("a grant")
    };
    assert_ne!(remembered("", &exec("/free/tool")), 0);
    assert_eq!(remembered("", &unlink(7, "/free/a")), 0, "not an exec");
    assert_eq!(remembered("", &exec("/watch/tool")), 0, "each is logged");
    assert_eq!(remembered("", &exec("/count/tool")), 0, "each is counted");
    assert_eq!(remembered("brief", &exec("/free/tool")), 0, "the agent's time will be over");
    assert_eq!(remembered("", &Operation { doubt: 4, ..exec("/free/tool") }), 0, "in doubt");
    let circumstances = Circumstances { directory: Found::Is("/home".into()), ..Circumstances::default() };
    assert_eq!(remembered("", &Operation { circumstances, ..exec("/free/tool") }), 0, "something else was asked");
}
