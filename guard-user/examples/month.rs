//! What a question to a large log costs: a month of a busy host, in segments as guardd closes and compresses them.
//! `cargo xtask bench` runs it on the processors and the disk of the machine that measures, and reads the line it prints.
#![allow(clippy::print_stdout, reason = "the result is a line on standard output")]

mod shared;

use std::{path::Path, time::Instant};

use anyhow::{Context as _, ensure};
use guard_user::{
    api::{OperationView, Process, Reversibility, Verdict},
    audit::query::{Filter, Query},
    daemon::{
        audit::{keep, records},
        record::{Kind, Record},
    },
};
use jiff::{SignedDuration, Timestamp};
use shared::flushed;

/// Operations that were held, decided about and ended: three records each.
const OPERATIONS: u64 = 3_333_334;
/// Records that may wait in guardd's queue.
const PORTION: u64 = 8_192;
const DAYS: i64 = 30;
const AGENTS: u64 = 40;
const RULES: [&str; 8] = [
    "delete-outside-workspace",
    "git-force-push",
    "overwrite-system-files",
    "production-data",
    "database-drop",
    "persistence",
    "package-publish",
    "cloud-delete",
];
/// What a question may take, in milliseconds.
const LIMIT: f64 = 2_000.0;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).context("usage: month DIRECTORY")?;
    let path = Path::new(&directory).join("audit.jsonl");
    std::fs::create_dir_all(&directory)?;
    written(&path)?;
    keep::tidy(&path, keep::Keep { size: u64::MAX, age: None })?;
    let text = |text: &str| Some(text.to_owned());
    let middle = begun().checked_add(SignedDuration::from_hours(24 * DAYS / 2))?;
    let hour = Query {
        since: Some(middle),
        until: Some(middle.checked_add(SignedDuration::from_hours(1))?),
        ..Query::default()
    };
    let questions = [
        ("the last 100", Query::default(), 100),
        ("one hold of the first day", Query { hold: text("h50000"), ..Query::default() }, 3),
        ("a path of the first day", Query { path: text(&place(50_000)), ..Query::default() }, 3),
        ("an hour in the middle, of one agent", Query { agent: text("claude-7"), n: 1_000_000, ..hour }, 300),
        ("the last 1,000 kills", Query { decision: text("kill"), n: 1_000, ..Query::default() }, 1_000),
        (
            "100 denials by one rule to one agent",
            Query { agent: text("claude-7"), decision: text("deny"), rule: text("database-drop"), ..Query::default() },
            100,
        ),
        ("what is not there", Query { agent: text("claude-7"), rule: text("no-such-rule"), ..Query::default() }, 0),
        ("text that is nowhere", Query { grep: text("no such text"), ..Query::default() }, 0),
        ("below a directory, by a pattern", Query { path: text("/srv/data/77/*/f*7"), ..Query::default() }, 100),
    ];
    let mut measures = Vec::new();
    for (name, query, wanted) in questions {
        let filter = Filter::new(query).map_err(anyhow::Error::msg)?;
        let started = Instant::now();
        let found = records(&path, &filter)?.len();
        let spent = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
        ensure!(found >= wanted, "{name}: {found} records instead of {wanted}");
        measures.push(serde_json::json!({
            "name": format!("log: {name}, of 10 million records"), "value": spent, "unit": "ms", "limit": LIMIT, "kernel": "",
            "method": format!("{found} records; a month in compressed segments, release build, own processors and disk"),
        }));
    }
    println!("measures {}", serde_json::to_string(&measures)?);
    Ok(())
}

fn begun() -> Timestamp {
    Timestamp::from_second(1_793_491_200).unwrap_or_default()
}

/// Numbers that look random and are the same each time.
fn random(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What operation `number` is about.
fn place(number: u64) -> String {
    let chosen = random(number.wrapping_add(1));
    format!("/srv/data/{}/{}/f{chosen}", chosen % 200, (chosen >> 8) % 5_000)
}

fn written(path: &Path) -> anyhow::Result<()> {
    let (audit, reports, _) = shared::begun(path)?;
    let mut seq = 0;
    let mut next = |mut record: Box<Record>, flush: bool| -> anyhow::Result<u64> {
        seq += 1;
        record.seq = seq;
        audit.record(record, flush).map_err(anyhow::Error::msg)?;
        Ok(seq)
    };
    for number in 0..OPERATIONS {
        let [hold, decision, outcome] = operation(number)?;
        next(hold, false)?;
        next(decision, false)?;
        let last = number % (PORTION / 4) == 0 || number + 1 == OPERATIONS;
        let seq = next(outcome, last)?;
        if last && flushed(&reports, seq)? {
            let mut record = Box::new(Record::new(Kind::Checkpoint));
            record.closes = true;
            let seq = next(record, true)?;
            flushed(&reports, seq)?;
            keep::tidy(path, keep::Keep { size: u64::MAX, age: None })?;
        }
    }
    Ok(())
}

fn operation(number: u64) -> anyhow::Result<[Box<Record>; 3]> {
    let chosen = random(number);
    let agent = chosen % AGENTS;
    let month = i64::try_from(OPERATIONS)?;
    let since = SignedDuration::from_millis(i64::try_from(number)? * DAYS * 86_400_000 / month);
    let time = format!("{:.3}", begun().checked_add(since)?);
    let record = |kind: Kind| {
        let mut record = Box::new(Record::new(kind));
        record.time.clone_from(&time);
        "0123456789abcdef0123456789abcdef".clone_into(&mut record.boot);
        record.boottime_ns = number;
        record.agent = format!("a{agent}");
        record.agent_name = format!("claude-{agent}");
        record.cgroup = format!("/guard-agents.slice/a{agent}");
        record.hold = format!("h{number}");
        RULES[usize::try_from((chosen >> 16) % 8).unwrap_or(0)].clone_into(&mut record.rule);
        record.reversibility = Some(Reversibility::Irreversible);
        let argv = vec!["rm".to_owned(), "-rf".to_owned(), place(number)];
        record.operation = Some(OperationView {
            op: "unlink".to_owned(),
            path: place(number),
            other_path: String::new(),
            argv: Vec::new(),
            address: String::new(),
            object_type: "file".to_owned(),
            size: chosen >> 40,
            own: Some(false),
            detail: String::new(),
            doubt: String::new(),
        });
        (record.pid, record.tid, record.uid) = (Some(240), Some(240), Some(1000));
        for (pid, comm, argv) in
            [(240, "rm", argv), (230, "bash", vec!["bash".to_owned()]), (220, "claude", vec!["claude".to_owned()])]
        {
            record.processes.push(Process {
                pid,
                ppid: pid - 10,
                uid: 1000,
                user: "dev".to_owned(),
                comm: comm.to_owned(),
                exe: format!("/usr/bin/{comm}"),
                argv,
                cwd: "/srv/project".to_owned(),
            });
        }
        record
    };
    let mut decision = record(Kind::Decision);
    decision.verdict = Some(match (chosen >> 24) % 1_000 {
        0 => Verdict::Kill,
        1..200 => Verdict::Deny,
        _ => Verdict::Approve,
    });
    "uid 1000 (dev)".clone_into(&mut decision.by);
    Ok([record(Kind::Hold), decision, record(Kind::Outcome)])
}
