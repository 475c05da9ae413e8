//! What befalls a host: guardd killed at any moment, without memory or files, a clock that jumps, processors with more work
//! than they can do. Nothing held happens, nothing is forgotten, and guardd goes on.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
    time::{ClockId, Timespec, clock_gettime, clock_settime},
};

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate,
    limit::whole,
};
use crate::{
    guard::{Guard, id},
    patience::{never, until},
};

/// Files removed in the suite, and in the soak: guardd is killed at least once for each.
const ROUNDS: u32 = 6;
const SOAK: u32 = 1_000;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("guardd_killed_at_any_moment_loses_no_hold_and_leaks_no_approval", |guard| crashes(guard, ROUNDS)),
        gate("guardd_without_memory_is_killed_and_the_next_one_goes_on", no_memory),
        gate("guardd_without_files_holds_and_goes_on_when_it_has_some", no_files),
        gate("a_clock_that_jumps_ten_years_changes_no_hold", clock),
        gate("holds_are_made_and_decided_while_every_processor_is_busy", busy),
    ]
}

/// What takes too long for every run.
pub(super) fn soak() -> Vec<Scenario> {
    vec![gate("guardd_killed_a_thousand_times_loses_no_hold_and_leaks_no_approval", |guard| crashes(guard, SOAK))]
}

/// Numbers that look like chance. The first one is printed, so that a failure can be had again.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        let seed = now.tv_nsec.unsigned_abs() | 1;
        println!("chance begins with {seed}");
        Self(seed)
    }

    fn below(&mut self, end: u64) -> u64 {
        // xorshift64: G. Marsaglia, "Xorshift RNGs", 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The agent deletes one file after the other; guardd is killed somewhere between the request for an approval and well after
/// its answer. Every file that is gone was approved, and the log says so; every one that waits is found again.
fn crashes(guard: &mut Guard, rounds: u32) -> Result<()> {
    /// In milliseconds. Longer than an approval takes on an emulated processor that another machine wants, too.
    const MOMENTS: u64 = 200;
    fresh()?;
    for number in 0..rounds {
        fs::write(format!("{GUARDED}/n{number}"), "").context("cannot make a file")?;
    }
    let mut load = guard.agent("while [ ! -e enough ]; do echo some > made; rm made; done")?;
    let mut agent = guard.agent(&format!("for ((n = 0; n < {rounds}; n++)); do rm {GUARDED}/n$n || exit 1; done"))?;
    let mut chance = Chance::new();
    let (mut slowest, mut approved, mut killed) = (Duration::ZERO, 0, 0);
    for round in 0..rounds {
        let mut next = waiting(guard, rounds, round)?;
        // Most often the first attempt is cut short; it is tried again with the next guardd.
        for attempt in 0.. {
            ensure!(attempt < 20, "n{round} cannot be approved");
            let kills = attempt == 0 || chance.below(2) == 0;
            let mut approve = guard.command();
            let approve = approve.args(["approve", &next]).stdout(Stdio::null()).stderr(Stdio::null());
            let mut approve = approve.spawn().context("cannot start guardctl")?;
            if kills {
                thread::sleep(Duration::from_millis(chance.below(MOMENTS)));
                guard.crash()?;
                killed += 1;
            }
            let accepted = approve.wait().context("cannot wait for guardctl")?.success();
            if kills {
                let early = round + 1 < rounds && gone(&format!("n{}", round + 1));
                ensure!(!early, "n{} went without a request", round + 1);
                let started = Instant::now();
                guard.start_again()?;
                slowest = slowest.max(started.elapsed());
            }
            if accepted || gone(&format!("n{round}")) {
                approved += 1;
                break;
            }
            next = waiting(guard, rounds, round)?;
            if gone(&format!("n{round}")) {
                approved += 1;
                break;
            }
        }
    }
    agent.ends_with(0)?;
    fs::write(load.workspace().join("enough"), "").context("cannot end the load")?;
    load.ends_with(0)?;
    println!("{killed} kills: {approved} approvals, guardd back after {} ms at most", slowest.as_millis());
    let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
    for number in 0..rounds {
        ensure!(gone(&format!("n{number}")), "n{number} was approved and is there");
        let path = format!("\"{GUARDED}/n{number}\"");
        let mut lines = log.lines().filter(|line| line.contains(&path));
        ensure!(lines.any(|line| line.contains("\"kind\":\"decision\"")), "no line says that n{number} was approved");
    }
    whole(guard)
}

/// The id of the hold that waits in this round; anything before it may be gone, nothing behind it.
fn waiting(guard: &Guard, rounds: u32, round: u32) -> Result<String> {
    let path = format!("{GUARDED}/n{round}");
    let after = until(&format!("the hold of n{round}"), || {
        ensure!(!(round + 1..rounds).any(|later| gone(&format!("n{later}"))), "something went before its turn");
        if gone(&format!("n{round}")) {
            return Ok(Some(String::new()));
        }
        let pending = guard.pending()?;
        ensure!(pending.len() <= 1, "{} holds, where one thread waits: {pending:?}", pending.len());
        let found = pending.iter().find(|hold| hold["operation"]["path"] == path.as_str());
        found.map(|hold| id(hold).map(str::to_owned)).transpose()
    })?;
    Ok(after)
}

/// A cgroup of the host's, removed when dropped.
struct Group(std::path::PathBuf);

impl Group {
    fn new(name: &str) -> Result<Self> {
        let path = std::path::Path::new("/sys/fs/cgroup").join(name);
        fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").context("cannot have memory counted")?;
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    fn join(&self, pid: u32) -> Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).context("cannot join the group")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A group that somebody is in stays: the next scenario works there as well.
        drop(fs::remove_dir(&self.0));
    }
}

fn no_memory(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let group = Group::new("short-of-memory")?;
    guard.crash()?;
    // Memory is counted where a process starts.
    group.join(std::process::id())?;
    let started = guard.start_again();
    fs::write("/sys/fs/cgroup/cgroup.procs", std::process::id().to_string()).context("cannot leave the group")?;
    started?;
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?")?;
    guard.held("unlink", "/srv/guarded/file")?;
    fs::write(group.0.join("memory.max"), "1M").context("cannot take the memory away")?;
    let killed = until("guardd to be killed for its memory", || {
        // It needs some more to notice that there is none.
        drop(guard.guardctl(&["status"]));
        Ok(guard.has_ended()?.then_some(()))
    });
    killed.with_context(|| fs::read_to_string(group.0.join("memory.events")).unwrap_or_default())?;
    let events = fs::read_to_string(group.0.join("memory.events")).context("cannot read what happened")?;
    ensure!(!events.contains("oom_kill 0"), "guardd ended of something else: {events}");
    never("it went through when guardd was killed", || Ok(gone("file")))?;
    guard.start_again()?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file"), "approved, and still there");
    whole(guard)
}

fn no_files(guard: &mut Guard) -> Result<()> {
    const PROCESSES: usize = 20;
    fresh()?;
    for number in 0..PROCESSES {
        fs::write(format!("{GUARDED}/n{number}"), "").context("cannot make a file")?;
    }
    let pid = Pid::from_raw(guard.pid().cast_signed()).context("guardd has a pid")?;
    let mut agent = guard.agent(&format!(
        "echo ready; while [ ! -e go ]; do sleep 0.1; done
         for ((n = 0; n < {PROCESSES}; n++)); do rm {GUARDED}/n$n & done; wait; echo done"
    ))?;
    agent.says("ready")?;
    let open = fs::read_dir(format!("/proc/{}/fd", guard.pid())).context("guardd has files")?.count() as u64;
    // guardd inherited the limit that nobody is above.
    let few = Rlimit { current: Some(open + 3), maximum: getrlimit(Resource::Nofile).maximum };
    let before = prlimit(Some(pid), Resource::Nofile, few).context("cannot take the files away")?;
    fs::write(agent.workspace().join("go"), "")?;
    until("all to be stopped", || Ok((crate::agent::stopped("rm")? >= PROCESSES).then_some(())))?;
    let there = || (0..PROCESSES).filter(|number| !gone(&format!("n{number}"))).count();
    // Who asks while there are no files may get no answer; none of it lets anything through.
    let mut asks = guard.command();
    let asks = asks.arg("pending").stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut asks = asks.context("cannot start guardctl")?;
    never("something went through", || Ok(there() < PROCESSES))?;
    // It may have ended already.
    drop(asks.kill());
    asks.wait().context("cannot wait for guardctl")?;
    prlimit(Some(pid), Resource::Nofile, before).context("cannot give the files back")?;
    let held = until("every hold to be found", || {
        let pending = guard.pending()?;
        Ok((pending.len() == PROCESSES).then_some(pending))
    })?;
    ensure!(there() == PROCESSES, "{} went without a decision", PROCESSES - there());
    for (number, hold) in held.iter().enumerate() {
        guard.decide(if number % 2 == 0 { "approve" } else { "deny" }, hold)?;
    }
    agent.ends_with(0)?;
    ensure!(there() == PROCESSES / 2, "half was approved, and {} are there", there());
    whole(guard)
}

/// The clock of the host, put right when dropped.
struct Clock {
    wall: Timespec,
    since: Instant,
}

impl Clock {
    fn new() -> Self {
        Self { wall: clock_gettime(ClockId::Realtime), since: Instant::now() }
    }

    fn set(&self, years: i64) -> Result<()> {
        const YEAR: i64 = 365 * 24 * 3_600;
        let passed = i64::try_from(self.since.elapsed().as_secs()).context("not that long")?;
        let wall = Timespec { tv_sec: self.wall.tv_sec + passed + years * YEAR, tv_nsec: self.wall.tv_nsec };
        clock_settime(ClockId::Realtime, wall).context("cannot set the clock")
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Err(error) = self.set(0) {
            println!("the clock stays wrong: {error:#}");
        }
    }
}

fn clock(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let clock = Clock::new();
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?; rm /srv/guarded/other; echo code $?")?;
    let first = guard.held("unlink", "/srv/guarded/file")?;
    for years in [10, -10] {
        clock.set(years)?;
        let pending = guard.pending()?;
        ensure!(pending.len() == 1 && id(&pending[0])? == id(&first)?, "{years} years later: {pending:?}");
        never("the clock let it through", || Ok(gone("file")))?;
    }
    guard.decide("approve", &first)?;
    let second = guard.held("unlink", "/srv/guarded/other")?;
    ensure!(gone("file"), "approved, and still there");
    clock.set(10)?;
    guard.crash()?;
    guard.start_again()?;
    let again = guard.held("unlink", "/srv/guarded/other")?;
    clock.set(0)?;
    guard.decide("deny", &again)?;
    agent.ends_with(0)?;
    ensure!(!gone("other"), "denied, and gone");
    ensure!(second["operation"]["path"] == again["operation"]["path"], "another hold: {second} {again}");
    whole(guard)
}

fn busy(guard: &mut Guard) -> Result<()> {
    const SPINNERS: usize = 8;
    fresh()?;
    let mut spinners = Vec::new();
    for _ in 0..SPINNERS {
        let mut spinner = Command::new("nice");
        spinners.push(Spinner(spinner.args(["-n", "-5", "sh", "-c", "while :; do :; done"]).spawn()?));
    }
    decided_while_busy(guard)
}

/// One is approved and happens, another is denied and does not, and the canary is still refused.
pub(super) fn decided_while_busy(guard: &Guard) -> Result<()> {
    let mut agent = guard.agent("rm /srv/guarded/file; echo code $?; rm /srv/guarded/other; echo code $?")?;
    let hold = guard.held("unlink", "/srv/guarded/file")?;
    guard.decide("approve", &hold)?;
    let hold = guard.held("unlink", "/srv/guarded/other")?;
    guard.decide("deny", &hold)?;
    agent.ends_with(0)?;
    ensure!(gone("file") && !gone("other"), "the decisions were not carried out");
    let canary = &guard.status()?["canary"];
    ensure!(canary["state"] == "refused", "a busy host is taken for one without protection: {canary}");
    Ok(())
}

/// A process that does nothing but run; ended when dropped.
struct Spinner(std::process::Child);

impl Drop for Spinner {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
