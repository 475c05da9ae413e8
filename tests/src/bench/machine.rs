//! What guard itself takes: its start, memory, processor time while nothing happens, and how fast the kill switch is.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{Measure, kernel};
use crate::{guard::Guard, patience::until_within};

/// Processes of the fork bomb.
const BOMB: usize = 1000;

/// From starting guardd, with the rules that come with it, until it tells systemd that it is ready.
pub(super) fn start_up(tier: &str) -> Result<Measure> {
    const DIRECTORY: &str = "/run/guard-start";
    fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
    let place = format!("{DIRECTORY}/notify");
    let socket = UnixDatagram::bind(&place).context("cannot listen")?;
    socket.set_read_timeout(Some(Duration::from_secs(120))).context("cannot set a timeout")?;
    let started = Instant::now();
    let mut guardd = Command::new("guardd")
        .args(["--run-dir", DIRECTORY, "--socket", "/run/guard-start/guard.sock"])
        .args(["--audit", "/run/guard-start/audit.jsonl", "--tier", tier])
        .env("NOTIFY_SOCKET", &place)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start guardd")?;
    let mut told = [0; 256];
    let ready = loop {
        let len = socket.recv(&mut told).context("guardd did not say that it is ready")?;
        if told.get(..len).is_some_and(|told| told.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")) {
            break started.elapsed();
        }
    };
    guardd.kill().context("cannot end guardd")?;
    guardd.wait().context("cannot wait for guardd")?;
    fs::remove_dir_all("/sys/fs/bpf/guard").context("cannot remove the programs")?;
    fs::remove_dir_all(DIRECTORY).with_context(|| format!("cannot remove {DIRECTORY}"))?;
    Ok(Measure {
        name: "guardd, start to ready".to_owned(),
        value: (ready.as_secs_f64() * 100.0).round() / 100.0,
        unit: "s",
        limit: Some(1.0),
        kernel: kernel(),
        method: "READY=1 to systemd, the rules that come with guard, two emulated processors",
    })
}

/// Processor time of guardd in a while in which no agent does anything.
fn idle(guard: &Guard) -> Result<Measure> {
    const WHILE: Duration = Duration::from_secs(20);
    let spent = || -> Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", guard.pid())).context("guardd is gone")?;
        // `utime` and `stime`, in hundredths of a second; the name before them may hold anything.
        let (_, fields) = text.rsplit_once(')').context("a process has a name")?;
        let times: Vec<u64> = fields.split(' ').skip(12).take(2).filter_map(|field| field.parse().ok()).collect();
        ensure!(times.len() == 2, "no times in {fields}");
        Ok(times.iter().sum())
    };
    let before = spent()?;
    thread::sleep(WHILE);
    let used = Duration::from_millis((spent()? - before) * 10);
    Ok(Measure {
        name: "guardd, processor time while nothing happens".to_owned(),
        value: (used.as_secs_f64() / WHILE.as_secs_f64() * 10_000.0).round() / 100.0,
        unit: "%",
        // What a person reads as none.
        limit: Some(0.5),
        kernel: kernel(),
        method: "utime and stime over 20 s, two emulated processors",
    })
}

pub(super) fn measure(guard: &Guard) -> Result<Vec<Measure>> {
    let status = fs::read_to_string(format!("/proc/{}/status", guard.pid())).context("cannot read guardd's status")?;
    let resident: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|value| value.trim().strip_suffix(" kB")?.trim().parse().ok())
        .context("guardd's status has no VmRSS")?;
    Ok(vec![
        Measure {
            name: "guardd, resident memory".to_owned(),
            value: (resident / 1024.0 * 10.0).round() / 10.0,
            unit: "MiB",
            limit: Some(32.0),
            kernel: kernel(),
            method: "VmRSS after the latency measures",
        },
        idle(guard)?,
        kill_switch(guard)?,
    ])
}

pub(super) fn kill_switch(guard: &Guard) -> Result<Measure> {
    let mut agent = guard.agent(&format!("exec guard-tests act bomb {BOMB}"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let root = fields.find_map(|fields| (fields.get(2) == Some(&"cgroup2")).then(|| fields.get(1).copied())).flatten();
    let place = format!("{}/guard-agents", root.context("cgroups of version 2 are mounted nowhere")?);
    let group = || -> Result<usize> {
        let agents = fs::read_dir(&place).with_context(|| format!("no agents in {place}"))?;
        let groups = agents.filter_map(Result::ok).map(|entry| entry.path().join("cgroup.procs"));
        Ok(groups.map(|procs| fs::read_to_string(procs).map_or(0, |text| text.lines().count())).sum())
    };
    until_within(Duration::from_secs(120), "the bomb to grow", || Ok((group()? >= BOMB * 9 / 10).then_some(())))?;
    let started = Instant::now();
    let answer = guard.guardctl(&["kill", "--all"])?;
    ensure!(answer.code == 0, "kill ended with {}: {}", answer.code, answer.stderr);
    until_within(Duration::from_secs(60), "nobody to be left", || Ok((group()? == 0).then_some(())))?;
    let spent = started.elapsed();
    agent.end()?;
    Ok(Measure {
        name: "kill switch on a fork bomb of about 1,000 processes".to_owned(),
        value: spent.as_secs_f64(),
        unit: "s",
        limit: Some(1.0),
        kernel: kernel(),
        method: "guardctl kill --all until the cgroup is empty, two emulated processors",
    })
}
