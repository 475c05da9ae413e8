//! What the audit log costs: adding a record, having a decision on the disk, verifying what was written. `cargo xtask bench`
//! runs it on the processors and the disk of the machine that measures, and reads the line it prints.
#![allow(clippy::print_stdout, reason = "the result is a line on standard output")]

mod shared;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use guard_user::{
    api::{Process, Reversibility},
    audit::{
        segment,
        verify::{self, Trust},
    },
    daemon::{
        audit::{Audit, keep},
        record::{Kind, Record},
    },
};
use shared::{begun, flushed};

/// Records without a flush, in portions that fit into guardd's queue.
const PORTIONS: u64 = 40;
const PORTION: u64 = 8_192;
/// Decisions, each waited for.
const DECISIONS: u64 = 500;
/// What has to be verified in a second, in bytes.
const SECOND: f64 = 200e6;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).context("usage: log DIRECTORY")?;
    let path = Path::new(&directory).join("audit.jsonl");
    ensure!(!path.exists(), "there is a log in {directory}");
    let (audit, reports, public) = begun(&path)?;

    let mut seq = 0;
    let mut spent = Duration::ZERO;
    for _ in 0..PORTIONS {
        let started = Instant::now();
        for _ in 1..PORTION {
            add(&audit, &mut seq, Kind::Hold, false)?;
        }
        // The last of a portion waits until all of it is in the file.
        add(&audit, &mut seq, Kind::Hold, true)?;
        let full = flushed(&reports, seq)?;
        spent += started.elapsed();
        if full {
            add(&audit, &mut seq, Kind::Checkpoint, true)?;
            flushed(&reports, seq)?;
        }
    }
    let mut flushes = Vec::new();
    for _ in 0..DECISIONS {
        let started = Instant::now();
        add(&audit, &mut seq, Kind::Decision, true)?;
        flushed(&reports, seq)?;
        flushes.push(started.elapsed());
    }
    add(&audit, &mut seq, Kind::Checkpoint, true)?;
    drop(audit);
    flushes.sort();

    let trust = Trust { keys: vec![public], ..Trust::default() };
    let verified = |trust: &Trust| -> anyhow::Result<Duration> {
        let started = Instant::now();
        let report = verify::verify(&path, trust, &mut |_| {})?;
        let spent = started.elapsed();
        // It begins without a `segment` record, which is all that is to be found.
        ensure!(report.records == seq, "{} of {seq} records were verified", report.records);
        ensure!(report.findings.iter().all(|finding| finding.what == verify::What::SegmentMisplaced), "{report:?}");
        #[expect(clippy::cast_precision_loss, reason = "a log for measuring is far below 2^53 bytes")]
        Ok(spent.mul_f64(SECOND / report.bytes as f64))
    };
    let plain = verified(&trust)?;
    keep::tidy(&path, keep::Keep { size: u64::MAX, age: None })?;
    ensure!(segment::closed(&path)?.iter().all(segment::Closed::is_compressed), "a segment is not compressed");
    let compressed = verified(&trust)?;

    let microseconds = |time: Duration| (time.as_secs_f64() * 1e8).round() / 100.0;
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 100.0;
    let at = |part: usize| flushes.get(flushes.len() * part / 100).copied().unwrap_or_default();
    let records = u32::try_from(PORTIONS * PORTION)?;
    let figure = |name: &str, value: f64, unit: &str, limit: Option<f64>, method: &str| {
        serde_json::json!({
            "name": name, "value": value, "unit": unit, "limit": limit, "kernel": "",
            "method": format!("{method}, release build, own processors and disk"),
        })
    };
    let each = "hold with three processes, from its fields to the file, one flush for 8,192";
    let measures = [
        figure("log: adding a record", microseconds(spent / records), "µs", Some(20.0), each),
        figure("log: a decision until it is on the disk, p50", milliseconds(at(50)), "ms", None, "500 one by one"),
        figure("log: a decision until it is on the disk, p99", milliseconds(at(99)), "ms", None, "500 one by one"),
        figure("log: verifying 200 MB", milliseconds(plain), "ms", Some(1000.0), "segments as they are written"),
        figure("log: verifying 200 MB, compressed", milliseconds(compressed), "ms", Some(1000.0), "closed segments"),
    ];
    println!("measures {}", serde_json::to_string(&measures)?);
    Ok(())
}

/// Numbers a record and sends it off, as guardd does.
fn add(audit: &Audit, seq: &mut u64, kind: Kind, flush: bool) -> anyhow::Result<()> {
    *seq += 1;
    let mut record = Box::new(Record::new(kind));
    record.seq = *seq;
    "2026-11-30T12:00:00.000Z".clone_into(&mut record.time);
    "0123456789abcdef0123456789abcdef".clone_into(&mut record.boot);
    record.boottime_ns = 1_000_000_000 + *seq;
    record.closes = kind == Kind::Checkpoint;
    if kind != Kind::Checkpoint {
        record.agent = "a1".to_owned();
        record.agent_name = "claude".to_owned();
        record.cgroup = "guard-agents.slice/a1".to_owned();
        record.hold = format!("h{seq}");
        record.rule = "delete-outside-workspace".to_owned();
        record.reversibility = Some(Reversibility::Irreversible);
        (record.pid, record.tid, record.uid) = (Some(240), Some(240), Some(1000));
        record.object = Some([0xfe01, 262_147, 1]);
        for (pid, comm) in [(240, "rm"), (230, "bash"), (220, "claude")] {
            record.processes.push(Process {
                pid,
                ppid: pid - 10,
                uid: 1000,
                user: "dev".to_owned(),
                comm: comm.to_owned(),
                exe: format!("/usr/bin/{comm}"),
                argv: vec![comm.to_owned(), "-rf".to_owned(), "/srv/production/2026-11".to_owned()],
                cwd: "/srv/project".to_owned(),
            });
        }
    }
    audit.record(record, flush).map_err(anyhow::Error::msg)
}
