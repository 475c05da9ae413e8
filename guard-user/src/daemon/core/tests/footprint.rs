//! What agents touched is in the log, less what they were refused, and fills no more of it than it may.

use super::*;
use crate::{
    daemon::{record::Record, testing::AGENT},
    footprint::{Directory, Footprint},
    operation::Address,
    touched::{Touched, What},
};

impl Bench {
    fn touch(&mut self, path: &str, reads: u64, writes: u64, all: bool) {
        let touched = vec![Touched { agent: AGENT, what: What::Directory(path.into()), reads, writes }];
        self.input(Input::Touched { touched, all });
    }

    /// Those that the last input wrote.
    fn footprints(&self) -> Vec<&Footprint> {
        let records = self.seen.iter().filter_map(|effect| match effect {
            Effect::Audit { record, .. } if record.kind == Kind::Footprint => Some(&**record),
            _other => None,
        });
        records.filter_map(|record: &Record| record.footprint.as_deref()).collect()
    }
}

fn directory(path: &str, reads: u64, writes: u64) -> Directory {
    Directory { path: path.to_owned(), reads, writes, below: false }
}

#[test]
fn what_is_new_is_written_after_a_while_and_what_was_refused_is_not() {
    let mut bench = Bench::new();
    bench.touch("/srv/data", 3, 1, false);
    // The kernel counts what it stops, and what it refuses afterwards.
    bench.input(Input::Candidate(Box::new(unlink(7, "/deny/x"))));
    bench.touch("/deny", 0, 2, true);
    let name = unlink(7, "/deny/x").name;
    bench.input(Input::Consumed { name, approved: false });
    assert!(bench.footprints().is_empty(), "it is not time yet");
    bench.now += 600_001;
    let to = What::Address(Address::Inet(([192, 0, 2, 1], 443).into()));
    bench.input(Input::Touched { touched: vec![Touched { agent: AGENT, what: to, reads: 2, writes: 0 }], all: true });
    let footprints = bench.footprints();
    let [footprint] = footprints[..] else { panic!("{footprints:?}") };
    assert_eq!(footprint.directories, [directory("/srv/data", 3, 1)]);
    assert_eq!((footprint.reached[0].name.as_str(), footprint.reached[0].times), ("192.0.2.1:443", 2));
    bench.now += 600_001;
    bench.input(Input::Touched { touched: Vec::new(), all: true });
    assert!(bench.footprints().is_empty(), "nothing is new");
}

#[test]
fn the_last_is_written_before_an_agent_ends_and_whoever_asks_gets_an_answer() {
    let mut bench = Bench::new();
    let asked = |token| Input::Request { token, by: String::new(), request: Request::Footprints };
    bench.input(asked(1));
    assert!(bench.has(|effect| matches!(effect, Effect::Reply { token: 1, answer: Answer::Done })), "nothing to write");
    bench.touch("/srv/data", 1, 0, false);
    bench.input(asked(2));
    assert_eq!(bench.footprints().len(), 1);
    bench.touch("/srv/data", 1, 0, false);
    bench.input(Input::AgentsEnded(vec![1]));
    let kinds = bench.logged();
    assert_eq!(kinds, [Kind::Footprint, Kind::AgentEnded]);
}

#[test]
fn an_agent_that_touches_too_much_does_not_fill_the_log() {
    let mut bench = Bench::new();
    let (mut bytes, mut all) = (0, 0);
    for round in 0..100 {
        let long = "x".repeat(200);
        let touched = (0..2_000)
            .map(|number| {
                let what = What::Directory(format!("/srv/{long}/{long}/{round}/{number}").into());
                Touched { agent: AGENT, what, reads: 1, writes: 0 }
            })
            .collect();
        bench.now += 600_001;
        bench.input(Input::Touched { touched, all: true });
        bytes += bench.footprints().iter().map(|part| serde_json::to_vec(part).expect("JSON").len()).sum::<usize>();
        all += bench.footprints().iter().flat_map(|part| &part.directories).map(|one| one.reads).sum::<u64>();
    }
    // 2 MiB at once, and 128 bytes a second.
    assert!((2 << 20..(2 << 20) + 100 * 600 * 128 + (1 << 20)).contains(&bytes), "{bytes} bytes");
    assert!(all > 190_000, "{all} of 200,000: nothing is forgotten, said more roughly");
}
