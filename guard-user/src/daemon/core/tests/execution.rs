//! What agents execute is in the log in its order, and fills no more of it than it may.

use guard_common::record::doubt;

use super::*;
use crate::{
    audit::chain::Digest,
    daemon::{record::Record, testing::AGENT},
    execution::{Above, Execution, Program},
};

/// `rm x` by process 7 of the agent, below 5.
fn execution(argument: &str) -> Execution {
    Execution {
        time: 900_000,
        agent: AGENT,
        tgid: 7,
        start_boottime: 500,
        uid: 1000,
        comm: b"rm".to_vec(),
        program: Program { dev: 1, ino: 2, generation: 3, size: 4, magic: 5 },
        path: "/usr/bin/rm".into(),
        cwd: "/srv".into(),
        argv: vec!["rm".into(), argument.into()],
        argc: 2,
        doubt: 0,
        ancestors: vec![Above { pid: 5, start_boottime: 400, uid: 0, comm: b"sh".to_vec() }],
    }
}

impl Bench {
    fn execute(&mut self, argument: &str) {
        self.input(Input::Executed(Box::new(execution(argument))));
    }

    fn records(&self) -> Vec<&Record> {
        let records = self.seen.iter().filter_map(|effect| match effect {
            Effect::Audit { record, .. } => Some(&**record),
            _other => None,
        });
        records.collect()
    }

    /// The last arguments of the execs that were written.
    fn written(&self) -> Vec<&str> {
        self.records().iter().filter_map(|record| record.processes.first()?.argv.last().map(String::as_str)).collect()
    }
}

#[test]
fn an_exec_is_written_with_the_digest_of_its_program() {
    let mut bench = Bench::new();
    bench.execute("x");
    assert!(bench.logged().is_empty(), "its digest is not known");
    assert!(bench.has(|effect| matches!(effect, Effect::Digest { number: 1, wanted } if wanted.pid == 7)));
    let digest = Digest::of(b"rm");
    bench.input(Input::Digested { number: 1, digest: Some(digest) });
    let records = bench.records();
    let [record] = records[..] else { panic!("{records:?}") };
    assert_eq!((record.kind, record.agent.as_str(), record.agent_name.as_str()), (Kind::Exec, "a1", "builder"));
    assert_eq!((record.pid, record.uid, record.object), (Some(7), Some(1000), Some([1, 2, 3])));
    assert_eq!((record.program.clone(), record.executed_ns), (digest.to_string(), Some(900_000)));
    assert_eq!((record.starts.as_slice(), record.note.as_str()), (&[500, 400][..], ""));
    let of: Vec<_> =
        record.processes.iter().map(|process| (process.pid, process.ppid, process.comm.as_str())).collect();
    assert_eq!(of, [(7, 5, "rm"), (5, 0, "sh")]);
    assert_eq!((record.processes[0].exe.as_str(), record.processes[0].cwd.as_str()), ("/usr/bin/rm", "/srv"));
}

#[test]
fn execs_are_written_in_their_order_and_none_waits_for_ever() {
    let mut bench = Bench::new();
    bench.execute("first");
    bench.execute("second");
    bench.input(Input::Digested { number: 2, digest: None });
    assert!(bench.written().is_empty(), "the one before it waits");
    bench.input(Input::Digested { number: 1, digest: None });
    assert_eq!(bench.written(), ["first", "second"]);
    bench.execute("slow");
    bench.now += 5_001;
    assert!(bench.core.next_tick().is_some_and(|due| due <= at(bench.now).boottime));
    bench.input(Input::Tick);
    assert_eq!(bench.written(), ["slow"]);
    bench.input(Input::Digested { number: 3, digest: Some(Digest::of(b"late")) });
    assert!(bench.logged().is_empty(), "it was written without");
    bench.execute("last");
    bench.input(Input::Stopping);
    assert_eq!(bench.written(), ["last"]);
}

#[test]
fn what_could_not_be_read_of_an_exec_is_said() {
    let mut bench = Bench::new();
    bench.input(Input::Executed(Box::new(Execution { doubt: doubt::ARGV, ..execution("x") })));
    bench.input(Input::Digested { number: 1, digest: None });
    assert!(bench.records()[0].note.contains("arguments than guard reads"), "{:?}", bench.records());
}

#[test]
fn an_agent_ends_after_the_records_of_what_it_executed() {
    let mut bench = Bench::new();
    bench.execute("x");
    assert!(bench.core.may_end().is_empty());
    bench.input(Input::Digested { number: 1, digest: None });
    assert_eq!(bench.core.may_end().len(), 1);
}

#[test]
fn a_flood_of_execs_fills_no_more_of_the_log_than_it_may_and_the_log_says_how_many_there_were() {
    let mut bench = Bench::new();
    let long = "x".repeat(8_000);
    let (mut written, mut number) = (0, 0);
    for _ in 0..5_000 {
        bench.execute(&long);
        if bench.has(|effect| matches!(effect, Effect::Digest { .. })) {
            number += 1;
            bench.input(Input::Digested { number, digest: None });
            written += bench.written().len();
        }
    }
    assert!((1_800..2_300).contains(&written), "{written} records of eight thousand bytes");
    bench.now += 10_001;
    bench.input(Input::Tick);
    let records = bench.records();
    let [record] = records[..] else { panic!("{records:?}") };
    assert_eq!((record.kind, record.agent.as_str(), record.missing), (Kind::Exec, "a1", Some(5_000 - written as u64)));
    assert_eq!(bench.core.next_tick(), None, "an idle guardd does nothing");
    // It got ten seconds' worth back.
    bench.execute(&long);
    assert!(bench.has(|effect| matches!(effect, Effect::Digest { .. })));
    let count = |name: &str| {
        let status = bench.core.status_for_tests();
        status.counts.iter().find(|count| count.name == name).map(|count| count.value)
    };
    assert_eq!((count("execs"), count("execs_unwritten")), (Some(5_001), Some(5_000 - written as u64)));
}

#[test]
fn what_the_kernel_could_not_tell_of_is_said_once_and_by_one_guardd() {
    let mut bench = Bench::new();
    let missing = |bench: &mut Bench, all: u64| {
        bench.input(Input::ExecsUnseen(all));
        bench.records().first().and_then(|record| record.missing)
    };
    assert_eq!(missing(&mut bench, 0), None);
    assert_eq!(missing(&mut bench, 7), Some(7));
    assert_eq!(missing(&mut bench, 7), None);
    assert_eq!(missing(&mut bench, 9), Some(2));
    bench.now += 1_000;
    bench.input(Input::Tick);
    let saved = bench.seen.iter().find_map(|effect| match effect {
        Effect::Save(saved) => Some(saved.execs_unseen),
        _other => None,
    });
    assert_eq!(saved, Some(9));
    let mut next = Bench::new();
    next.input(Input::Numbered { holds: Vec::new(), execs_unseen: 9 });
    assert_eq!(missing(&mut next, 9), None);
    // Other programs count from nothing.
    assert_eq!(missing(&mut next, 1), Some(1));
    assert_eq!(missing(&mut next, 2), Some(1));
}
