//! What the daemon's tests share: operations, rules and a kernel made of maps. For tests and fuzzing.
#![cfg_attr(not(test), allow(dead_code, reason = "fuzzing needs some of it"))]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex},
};

use guard_common::{
    count::Count,
    grant::Grant,
    notice::Notice,
    op::Op,
    record::{HoldKey, HoldRecord, SLOT_HELD},
    table,
};

use super::{
    clock::Now,
    core::{About, Core, Effect, Input},
    effect::Kernel,
    rulebook::{Judge, Judged, Places, Rulebook, Ruling},
};
use crate::{
    api::{self, Action, Reversibility},
    execution::Execution,
    kernel::source::Ring,
    operation::{Context, HoldName, ObjectFacts, Operation, Stopped},
    rules::{agent_policy::Terms, lower::Tables, until::Until},
    tally::Counter,
    touched::Touched,
};

/// Cgroup id of the agent in the tests.
pub(crate) const AGENT: u64 = 77;

/// `unlink(path)` by the only thread of a process of [`AGENT`].
pub(crate) fn unlink(pid: u32, path: &str) -> Operation {
    Operation {
        name: HoldName { key: HoldKey { id: pid, slot: SLOT_HELD }, hold: 1_000 },
        op: Op::Unlink,
        context: Context::Held,
        agent: AGENT,
        tid: pid,
        tgid: pid,
        start_boottime: 500,
        uid: 1000,
        gid: 1000,
        flags: 0,
        doubt: 0,
        stops: 1,
        detail: [0; 4],
        target: ObjectFacts { ino: 9, mode: 0o100_644, size: 3, ..ObjectFacts::default() },
        other: ObjectFacts::default(),
        path: PathBuf::from(path),
        other_path: PathBuf::new(),
        argv: Vec::new(),
        argc: 0,
        address: None,
        comm: b"rm".to_vec(),
        passed: guard_common::quota::Passed::default(),
        circumstances: crate::circumstances::Circumstances::default(),
    }
}

/// Rules by the first directory: `/hold`, `/deny`, `/kill`, `/watch` that only observes, and `/count` that holds the
/// third thing within a minute; everything else is clear.
pub(crate) struct Book;

impl Rulebook for Book {
    fn policy(&self, _places: &Places, extra: Option<&str>) -> Result<Box<dyn Judge>, String> {
        match extra {
            Some("bad") => Err("agent rules:1:1: expected `rules:`".to_owned()),
            Some(_) | None => Ok(Box::new(Book)),
        }
    }

    fn terms(&self, policy: &str) -> Option<&Terms> {
        // A second after the first of the tests' moments.
        static BRIEF: LazyLock<Terms> = LazyLock::new(|| {
            let moment = jiff::Timestamp::from_nanosecond(at(1_000).wall).expect("a moment");
            Terms { workspace: Some("/srv/brief".into()), until: Some(Until::Moment(moment)) }
        });
        (policy == "brief").then_some(&*BRIEF)
    }

    fn len(&self) -> usize {
        3
    }
}

impl Judge for Book {
    fn judge(&self, operation: &Operation) -> Judged {
        let actions = [
            ("/hold", Action::Hold),
            ("/deny", Action::Deny),
            ("/kill", Action::Kill),
            ("/watch", Action::Hold),
            ("/count", Action::Hold),
        ];
        let counted = operation.circumstances.tallies.known().and_then(|tallies| tallies.first());
        let few = counted.is_some_and(|(_, tally)| tally.files <= 2);
        let action = actions.iter().find(|(place, _)| !few && operation.path.starts_with(place));
        let ruling = action.map(|(place, action)| Ruling {
            action: *action,
            rule: place[1..].to_owned(),
            text: "Tests say so.".to_owned(),
            instead: String::new(),
            reversibility: Reversibility::Irreversible,
        });
        match ruling {
            None => Judged::Clear,
            Some(ruling) if ruling.rule == "watch" => Judged::WouldStop(ruling),
            Some(ruling) => Judged::Stop(ruling),
        }
    }

    fn counters(&self, operation: &Operation) -> Vec<Counter> {
        let counted = operation.path.starts_with("/count");
        counted.then(|| Counter { key: "count#0".to_owned(), within: 60 }).into_iter().collect()
    }

    fn tables(&self) -> Tables {
        Tables::default()
    }
}

pub(crate) fn about() -> About {
    About {
        pid: 1,
        kernel: "6.12".to_owned(),
        tier: api::Tier::Gate,
        reason: String::new(),
        summary: "everything is stopped before it takes effect".to_owned(),
        features: Vec::new(),
        audit_path: String::new(),
        audit_key: String::new(),
        boot: String::new(),
        unprotected: api::Unprotected::Suspend,
    }
}

pub(crate) const fn at(milliseconds: u64) -> Now {
    let boottime = milliseconds * 1_000_000;
    Now { boottime, wall: 1_764_000_000_000_000_000 + boottime as i128 }
}

/// A core with one agent, `a1`, whose cgroup is [`AGENT`].
pub(crate) fn core() -> Core {
    core_with("")
}

/// The same under a policy.
pub(crate) fn core_with(policy: &str) -> Core {
    let mut core = Core::new(about(), Box::new(Book), at(0), 0, 0, 0, 0);
    let saved = super::state::SavedAgent {
        number: 1,
        name: "builder".to_owned(),
        cgroup: "/guard-agents/a1".to_owned(),
        cgroup_id: AGENT,
        home: Vec::new(),
        workspace: Vec::new(),
        extra: None,
        policy: 1,
        since_boottime: 0,
        since_wall: 0,
        suspended: false,
        policy_name: policy.to_owned(),
    };
    let effects = core.handle(at(0), Input::Restored(Box::new(saved)));
    assert!(matches!(effects[..], [Effect::SetPolicy { cgroup_id: AGENT, .. }, Effect::Save(_)]), "{effects:?}");
    core
}

/// A kernel made of maps; clones share them.
#[derive(Clone, Default)]
pub(crate) struct FakeKernel(pub(crate) Arc<Mutex<Maps>>);

#[derive(Default)]
pub(crate) struct Maps {
    pub(crate) grants: HashMap<HoldKey, Grant>,
    pub(crate) records: BTreeMap<HoldKey, Box<HoldRecord>>,
    pub(crate) agents: BTreeMap<u64, table::Agent>,
    pub(crate) policies: BTreeSet<u32>,
    pub(crate) tags: HashMap<u32, u64>,
    pub(crate) adopted: BTreeMap<(u64, u64), guard_common::op::OpSet>,
    pub(crate) own: BTreeMap<table::GuardsKey, u32>,
    pub(crate) touched: Vec<Touched>,
    pub(crate) notices_lost: u64,
    pub(crate) listens: u64,
}

impl FakeKernel {
    pub(crate) fn maps(&self) -> std::sync::MutexGuard<'_, Maps> {
        self.0.lock().expect("no test panicked with it")
    }
}

impl Kernel for FakeKernel {
    fn grant(&mut self, key: HoldKey, grant: Grant) -> io::Result<()> {
        self.maps().grants.insert(key, grant);
        Ok(())
    }
    fn remove_hold(&mut self, key: HoldKey, hold: u64) -> io::Result<()> {
        let mut maps = self.maps();
        if maps.records.get(&key).is_some_and(|record| record.hold == hold) {
            maps.records.remove(&key);
        }
        Ok(())
    }
    fn record(&self, key: HoldKey) -> io::Result<Option<Stopped>> {
        let sealed = |record: &HoldRecord| Stopped { record: HoldRecord { seal: record.hold, ..*record }, text: None };
        Ok(self.maps().records.get(&key).map(|record| sealed(record)))
    }
    fn records(&self) -> io::Result<Vec<HoldKey>> {
        Ok(self.maps().records.keys().copied().collect())
    }
    fn set_agent(&mut self, cgroup_id: u64, agent: table::Agent) -> io::Result<()> {
        let mut maps = self.maps();
        assert!(maps.policies.contains(&agent.policy), "the tables come before the agent");
        maps.agents.insert(cgroup_id, agent);
        Ok(())
    }
    fn set_canary(&mut self, _cgroup_id: u64) -> io::Result<()> {
        Ok(())
    }
    fn remove_agent(&mut self, cgroup_id: u64) -> io::Result<()> {
        self.maps().agents.remove(&cgroup_id);
        Ok(())
    }
    fn end_agent(&mut self, cgroup_id: u64) -> io::Result<()> {
        self.remove_agent(cgroup_id)
    }
    fn tagged(&self) -> io::Result<BTreeSet<u64>> {
        Ok(self.maps().tags.values().copied().collect())
    }
    fn purge(&mut self) -> io::Result<usize> {
        let mut maps = self.maps();
        let used: BTreeSet<u32> = maps.agents.values().map(|agent| agent.policy).collect();
        let before = maps.policies.len();
        maps.policies.retain(|policy| used.contains(policy));
        Ok(before - maps.policies.len())
    }
    fn set_policy(&mut self, policy: u32, _tables: &Tables) -> io::Result<()> {
        self.maps().policies.insert(policy);
        Ok(())
    }
    fn remove_policy(&mut self, policy: u32) {
        self.maps().policies.remove(&policy);
    }
    fn tag_task(&mut self, tid: u32, agent: u64) -> io::Result<()> {
        self.maps().tags.insert(tid, agent);
        Ok(())
    }
    fn guard(&mut self, own: &BTreeMap<table::GuardsKey, u32>) -> io::Result<()> {
        self.maps().own.clone_from(own);
        Ok(())
    }
    fn adopt(&mut self, agent: u64, inodes: &BTreeMap<u64, guard_common::op::OpSet>) -> io::Result<()> {
        self.maps().adopted.extend(inodes.iter().map(|(ino, ops)| ((agent, *ino), *ops)));
        Ok(())
    }
    fn agent_of(&self, tid: u32) -> io::Result<Option<u64>> {
        Ok(self.maps().tags.get(&tid).copied())
    }
    fn inherit(&mut self, _earlier: &crate::kernel::pins::Earlier) -> io::Result<BTreeSet<u32>> {
        Ok(BTreeSet::new())
    }
    fn touched(&mut self, _counted: bool) -> io::Result<Vec<Touched>> {
        Ok(std::mem::take(&mut self.maps().touched))
    }
    fn listen(&mut self, until: u64) {
        self.maps().listens = until;
    }
    fn counts(&self) -> io::Result<Vec<(Count, u64)>> {
        Ok(vec![(Count::NoticeLost, self.maps().notices_lost)])
    }
}

/// A daemon whose things are in `directory`, with the cgroup `/agent` in which nobody is.
pub(crate) fn setup(
    directory: &std::path::Path,
    kernel: FakeKernel,
    notices: FakeRing<Notice>,
) -> super::run::Setup<FakeKernel, FakeRing<Notice>, FakeRing<Execution>> {
    let root = directory.join("cgroup");
    std::fs::create_dir_all(root.join("agent")).expect("made");
    std::fs::write(root.join("agent/cgroup.procs"), "").expect("written");
    super::run::Setup {
        canary: None,
        about: about(),
        kernel,
        notices,
        executions: FakeRing(tokio::sync::mpsc::unbounded_channel().1),
        cgroups: super::cgroup::Cgroups::at(root),
        rulebook: Box::new(Book),
        rules: Some("/nonexistent/rules".into()),
        audit: super::audit::Settings {
            path: directory.join("audit.jsonl"),
            key: directory.join("audit.key"),
            ..super::audit::Settings::default()
        },
        state_file: directory.join("agents.json"),
        fresh: false,
        earlier: Vec::new(),
        own_files: super::own_files::OwnFiles::none(),
        variables: Vec::new(),
    }
}

/// Where a daemon in `directory` listens.
pub(crate) fn listeners(directory: &std::path::Path) -> super::server::Listeners {
    let bind = |name: &str| tokio::net::UnixListener::bind(directory.join(name)).expect("bound");
    super::server::Listeners { people: bind("guard.sock"), agents: bind("agent.sock") }
}

/// A ring a test writes into.
pub(crate) struct FakeRing<T>(pub(crate) tokio::sync::mpsc::UnboundedReceiver<T>);

impl<T> Ring<T> for FakeRing<T> {
    async fn next(&mut self) -> io::Result<Vec<T>> {
        match self.0.recv().await {
            Some(entry) => Ok(vec![entry]),
            None => std::future::pending().await,
        }
    }

    fn now(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
