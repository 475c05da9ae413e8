//! Random histories against a small model of the kernel: nothing that was not approved on disk ever goes on, each
//! grant is used at most once, and the first final answer wins.

use std::collections::{HashMap, HashSet};

use guard_common::{
    grant::{APPROVE, CLEAR, Grant},
    record::HoldKey,
};
use proptest::prelude::*;

use super::*;
use crate::{
    api::{Decide, Scope, Verdict},
    daemon::testing::{Book, about, at, core, unlink},
    operation::HoldName,
};

#[derive(Clone, Debug)]
enum Step {
    /// Task `pid` calls unlink on object `file`, or does it again.
    Hook {
        pid: u32,
        file: u8,
    },
    Decide {
        hold: u64,
        verdict: u8,
        process: bool,
    },
    Flush,
    DiskFails,
    DiskWorks,
    Wait {
        milliseconds: u64,
    },
    Die {
        pid: u32,
    },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (7_u32..10, 0_u8..4).prop_map(|(pid, file)| Step::Hook { pid, file }),
        5 => (1_u64..8, 0_u8..3, any::<bool>())
            .prop_map(|(hold, verdict, process)| Step::Decide { hold, verdict, process }),
        4 => Just(Step::Flush),
        1 => Just(Step::DiskFails),
        1 => Just(Step::DiskWorks),
        2 => (1_u64..15_000).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => (7_u32..10).prop_map(|pid| Step::Die { pid }),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..60)
}

/// The kernel's half of the protocol, and a log that remembers what is safe.
struct Model {
    core: Core,
    now: u64,
    /// `HOLDS`: which object waits under the key, and since when.
    held: HashMap<HoldKey, (u8, u64)>,
    grants: HashMap<HoldKey, Grant>,
    used: HashSet<(HoldKey, u64)>,
    /// Lines about approvals: number, hold, and whether they are on the disk.
    approvals: Vec<(u64, String)>,
    flushed: u64,
    disk: bool,
    /// Names of holds in the kernel by the id people use.
    names: HashMap<String, (HoldKey, u64)>,
    finals: HashMap<String, Verdict>,
    starts: HashMap<u32, u64>,
}

/// Object 3 is in a place the rules clear.
fn path(file: u8) -> String {
    if file == 3 { "/free/x".to_owned() } else { format!("/hold/{file}") }
}

impl Model {
    fn new() -> Self {
        Self {
            core: core(),
            now: 1,
            held: HashMap::new(),
            grants: HashMap::new(),
            used: HashSet::new(),
            approvals: Vec::new(),
            flushed: 0,
            disk: true,
            names: HashMap::new(),
            finals: HashMap::new(),
            starts: HashMap::new(),
        }
    }

    fn input(&mut self, input: Input) {
        for effect in self.core.handle(at(self.now), input) {
            match effect {
                Effect::Grant { name, grant } => {
                    if self.held.get(&name.key).is_some_and(|(file, _)| *file != 3)
                        && matches!(grant.verdict, APPROVE | CLEAR)
                    {
                        let on_disk = self.approvals.iter().any(|(seq, hold)| {
                            *seq <= self.flushed && self.names.get(hold) == Some(&(name.key, name.hold))
                        });
                        assert!(on_disk, "a grant before its line is on the disk");
                    }
                    self.grants.insert(name.key, grant);
                }
                Effect::RemoveHold(name) => {
                    if self.held.get(&name.key).is_some_and(|(_, hold)| *hold == name.hold) {
                        self.held.remove(&name.key);
                    }
                }
                Effect::Settle { number, name, .. } => {
                    let waits = self.held.get(&name.key).is_some_and(|(_, hold)| *hold == name.hold);
                    let (lives, losses) = (true, crate::holds::Losses::default());
                    self.input(Input::Settled { number, waits, lives, losses });
                }
                Effect::KillProcess { tgid } => self.kill(tgid),
                Effect::Audit { record, .. } => {
                    if let (crate::daemon::record::Kind::Decision, Some(verdict)) = (record.kind, record.verdict) {
                        let name = self.core.holds.find(&record.hold).and_then(|number| self.core.holds.get(number));
                        let name = name.map(|hold| (hold.operation.name.key, hold.operation.name.hold));
                        self.names.extend(name.map(|name| (record.hold.clone(), name)));
                        let before = self.finals.insert(record.hold.clone(), verdict);
                        assert!(before.is_none(), "{} was decided twice", record.hold);
                        if verdict == Verdict::Approve {
                            self.approvals.push((record.seq, record.hold));
                        }
                    } else if record.kind == crate::daemon::record::Kind::Withdrawn {
                        self.finals.remove(&record.hold);
                        self.approvals.retain(|(_, hold)| *hold != record.hold);
                    }
                }
                _other => {}
            }
        }
    }

    fn kill(&mut self, pid: u32) {
        let key = HoldKey { id: pid, slot: 0 };
        self.held.remove(&key);
        self.grants.remove(&key);
        *self.starts.entry(pid).or_default() += 1;
    }

    /// What the kernel does each time the hook runs. True when the operation went on.
    fn hook(&mut self, pid: u32, file: u8) {
        let key = HoldKey { id: pid, slot: 0 };
        if let Some((held, hold)) = self.held.get(&key).copied()
            && held == file
        {
            if let Some(grant) = self.grants.remove(&key)
                && grant.hold == hold
                && at(self.now).boottime <= grant.deadline
            {
                assert!(self.used.insert((key, hold)), "a grant was used twice");
                self.held.remove(&key);
                let approved = matches!(grant.verdict, APPROVE | CLEAR);
                if approved && file != 3 {
                    let named = |name: &&String| self.names.get(*name) == Some(&(key, hold));
                    // After a restart the same hold has another id, and a person may decide anew.
                    let mut verdicts = self.finals.iter().filter(|(name, _)| named(name)).map(|(_, verdict)| *verdict);
                    assert!(verdicts.any(|verdict| verdict == Verdict::Approve), "released without an approval");
                }
                let name = HoldName { key, hold };
                return self.input(Input::Consumed { name, approved });
            }
            return self.input(Input::HeldAgain(HoldName { key, hold }));
        }
        self.grants.remove(&key);
        self.now += 1;
        let hold = self.now;
        self.held.insert(key, (file, hold));
        let operation = self.operation(key, file, hold);
        self.input(Input::Candidate(Box::new(operation)));
    }

    fn operation(&self, key: HoldKey, file: u8, hold: u64) -> Operation {
        let mut operation = unlink(key.id, &path(file));
        operation.name.hold = hold;
        operation.start_boottime = self.starts.get(&key.id).copied().unwrap_or(0);
        operation.target.ino = u64::from(file) + 1;
        operation
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Hook { pid, file } => self.hook(*pid, *file),
            Step::Decide { hold, verdict, process } => {
                let verdict = [Verdict::Approve, Verdict::Deny, Verdict::Kill][usize::from(*verdict)];
                let scope = if *process { Scope::Process } else { Scope::Once };
                let decide = Decide { verdict, scope, note: String::new() };
                let request = Request::Decide { id: format!("h{hold}"), decide };
                self.input(Input::Request { token: 1, by: "a person".to_owned(), request });
            }
            Step::Flush if self.disk => {
                self.flushed = self.core.seq;
                self.input(Input::AuditFlushed(self.flushed));
            }
            Step::Flush => {}
            Step::DiskFails => {
                self.disk = false;
                self.input(Input::AuditFailed("No space left on device".to_owned()));
            }
            Step::DiskWorks => {
                self.disk = true;
                self.input(Input::AuditRecovered);
            }
            Step::Wait { milliseconds } => {
                self.now += milliseconds;
                self.input(Input::Tick);
            }
            Step::Die { pid } => {
                self.kill(*pid);
                self.input(Input::ProcessGone { tgid: *pid });
            }
            Step::Restart => self.restart(),
        }
    }

    /// guardd is killed and started again: the maps stand, everything in its memory is gone.
    fn restart(&mut self) {
        let last = self.core.holds.last();
        let (seq, fresh) = (self.core.seq, core());
        self.core = fresh;
        self.core.seq = seq;
        self.core.holds.continue_after(last);
        let mut held: Vec<_> = self.held.iter().map(|(key, (file, hold))| (*key, *file, *hold)).collect();
        held.sort_unstable_by_key(|(key, _, _)| *key);
        for (key, file, hold) in held {
            let operation = self.operation(key, file, hold);
            self.input(Input::Candidate(Box::new(operation)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_releases_what_was_not_approved(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
        }
    }
}

#[test]
fn the_model_can_release_at_all() {
    let mut model = Model::new();
    for step in [
        Step::Hook { pid: 7, file: 0 },
        Step::Decide { hold: 1, verdict: 0, process: false },
        Step::Flush,
        Step::Hook { pid: 7, file: 0 },
    ] {
        model.step(&step);
    }
    assert_eq!(model.used.len(), 1);
    let other = Core::new(about(), Box::new(Book), at(0), 0, 0, 0, 0);
    assert_eq!(other.next_tick(), None);
}
