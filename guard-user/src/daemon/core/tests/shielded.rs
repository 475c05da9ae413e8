//! What harms guard is refused by the kernel; here it is written down.

use guard_common::shield::Shield;

use super::*;
use crate::daemon::testing::AGENT;

#[test]
fn a_try_is_written_down_once_in_a_while_and_a_flood_of_processes_fills_nothing() {
    let mut bench = Bench::new();
    let tried = |bench: &mut Bench, tgid: u32, what: Shield| {
        bench.input(Input::Shielded { agent: AGENT, tgid, what: what as u32 });
        bench.logged()
    };
    assert_eq!(tried(&mut bench, 7, Shield::Signal), [Kind::Shielded]);
    let noted = bench.seen.iter().find_map(|effect| match effect {
        Effect::Audit { record, .. } => Some((record.agent.clone(), record.pid, record.note.clone())),
        _other => None,
    });
    let note = "refused: this process of an agent tried to signal guardd".to_owned();
    assert_eq!(noted, Some(("a1".to_owned(), Some(7), note)));
    assert!(tried(&mut bench, 7, Shield::Signal).is_empty(), "the same again");
    assert_eq!(tried(&mut bench, 7, Shield::Clock), [Kind::Shielded], "something else");
    let logged = (1_000..9_000).filter(|tgid| !tried(&mut bench, *tgid, Shield::Bpf).is_empty()).count();
    assert!(logged < 1_100, "{logged} lines");
    bench.now += 10_001;
    assert_eq!(tried(&mut bench, 7, Shield::Signal), [Kind::Shielded], "a while later");
    bench.input(Input::Shielded { agent: 5, tgid: 8, what: 99 });
    assert_eq!(bench.logged(), [Kind::Shielded], "of an agent and a kind nobody knows");
}
