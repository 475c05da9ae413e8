//! Instructions per operation, in the configurations that people will be in. The configurations take turns, so that
//! whatever else the machine does falls on all of them alike; the median of the rounds counts.

use std::{
    fs::{self, File},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::time::{ClockId, clock_gettime};

use super::{Measure, kernel};
use crate::guard::{Guard, Tier};

const ROUNDS: usize = 5;
/// Operations per round; many enough that what guardd does once about an agent that ended does not show.
const COUNT: u32 = 4_000;

const METHOD: &str = "guest instructions, QEMU -icount shift=0, tmpfs, median of 5 rounds that take turns";

/// Rules under which every operation is looked up, none of the ordinary ones matches, and the daemon must be asked
/// about, and clears, every deletion in one directory.
const CLEARED: &str = "rules:
  - name: never-matches
    text: Only the size of the prefilter's net matters here.
    action: hold
    reversibility: irreversible
    match:
      op: delete
      path: /tmp/bench-cleared/**/*.never
  - name: somewhere-else
    text: Every operation is looked up.
    action: hold
    reversibility: irreversible
    match:
      op: [delete, overwrite, read, create]
      path: /srv/somewhere/else/**
  - name: another-program
    text: Every program is looked up.
    action: hold
    reversibility: irreversible
    match:
      op: exec
      program: terraform
";

/// Who does it, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Untagged,
    Seen,
    New,
    Cleared,
}

/// What is done.
const OPERATIONS: [&str; 3] = ["create+unlink", "open+close", "fork+exec+exit"];

pub(super) fn measure() -> Result<Vec<Measure>> {
    settle()?;
    // Without any guard first: its programs stay in the kernel afterwards. Paths nobody has looked up before cost
    // more by themselves, so they have a base of their own.
    let bare = |operation: &str, who: Who| -> Result<f64> {
        Ok(median((0..ROUNDS).map(|_| round(None, operation, who)).collect::<Result<_>>()?))
    };
    let mut bases = Vec::new();
    for operation in OPERATIONS {
        let new = if limit(operation, Who::New).is_some() { bare(operation, Who::New)? } else { f64::NAN };
        bases.push((bare(operation, Who::Untagged)?, new));
    }
    let guard = Guard::start(Tier::Gate, Some(CLEARED))?;
    let mut measures = Vec::new();
    for (operation, (base, base_of_new)) in OPERATIONS.iter().zip(bases) {
        measures.push(figure(&format!("{operation}, no guard"), base, None));
        if limit(operation, Who::New).is_some() {
            measures.push(figure(&format!("{operation}, no guard, depth 6, path not seen before"), base_of_new, None));
        }
        let mut costs: Vec<(Who, Vec<f64>)> =
            [Who::Untagged, Who::Seen, Who::New, Who::Cleared].map(|who| (who, Vec::new())).to_vec();
        for _ in 0..ROUNDS {
            for (who, values) in &mut costs {
                if limit(operation, *who).is_some() {
                    values.push(round(Some(&guard), operation, *who)?);
                }
            }
        }
        for (who, values) in costs {
            if let Some(limit) = limit(operation, who) {
                let base = if who == Who::New { base_of_new } else { base };
                let name = format!("{operation}, added: {}", name(who));
                measures.push(figure(&name, median(values) - base, Some(limit)));
            }
        }
    }
    Ok(measures)
}

/// Waits until nothing else runs: a kernel that has just booted still has work of its own, which would be counted.
fn settle() -> Result<()> {
    let quiet = || -> Result<f64> { round(None, "open+close", Who::Untagged) };
    let mut last = quiet()?;
    for _ in 0..100 {
        thread::sleep(Duration::from_secs(1));
        let now = quiet()?;
        eprintln!("open+close while the machine settles: {now:.0}");
        if (now - last).abs() / now < 0.01 {
            return Ok(());
        }
        last = now;
    }
    bail!("the machine does not settle: two rounds in a row never agreed within one percent")
}

fn name(who: Who) -> &'static str {
    match who {
        Who::Untagged => "untagged process",
        Who::Seen => "agent, nothing matches, directory seen before",
        Who::New => "agent, nothing matches, depth 6, directory not seen before",
        Who::Cleared => "agent, candidate cleared by guardd (whole machine)",
    }
}

/// The limit for an operation; none where the combination is not measured.
fn limit(operation: &str, who: Who) -> Option<f64> {
    match (operation, who) {
        ("create+unlink", Who::Untagged) => Some(500.0),
        ("open+close", Who::Untagged) => Some(300.0),
        ("create+unlink", Who::Seen) => Some(1_200.0),
        ("open+close", Who::Seen) => Some(800.0),
        ("create+unlink" | "open+close", Who::New) => Some(4_000.0),
        ("create+unlink", Who::Cleared) => Some(25_000.0),
        ("fork+exec+exit", Who::Seen) => Some(20_000.0),
        (_, Who::Untagged | Who::Seen | Who::New | Who::Cleared) => None,
    }
}

/// One round in a process of its own; nanoseconds, which are instructions, per operation.
fn round(guard: Option<&Guard>, operation: &str, who: Who) -> Result<f64> {
    let directory = if who == Who::Cleared { "/tmp/bench-cleared" } else { "/tmp/bench" };
    fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    // Directories that were never seen are made first, and a kernel keeps only so many in its caches.
    let count = match (operation, who) {
        ("fork+exec+exit", _) => COUNT / 20,
        (_, Who::New) => COUNT / 10,
        (_, Who::Untagged | Who::Seen | Who::Cleared) => COUNT,
    };
    let operation = if who == Who::New { format!("{operation}@new") } else { operation.to_owned() };
    let words = ["bench".to_owned(), "loop".to_owned(), operation, directory.to_owned(), count.to_string()];
    let mut command = match (guard, who) {
        (Some(guard), Who::Seen | Who::New | Who::Cleared) => {
            let mut command = guard.command();
            command.args(["run", "--no-workspace", "--", "guard-tests"]);
            command
        }
        (Some(_) | None, Who::Untagged) | (None, Who::Seen | Who::New | Who::Cleared) => Command::new("guard-tests"),
    };
    let output = command.args(words).output().context("cannot start a round")?;
    ensure!(
        output.status.success(),
        "a round ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().parse().context("a round printed no number")
}

/// `guard-tests bench loop OPERATION DIRECTORY COUNT`: does it and prints nanoseconds for each.
pub(super) fn looped(operation: &str, directory: &str, count: u32) -> Result<ExitCode> {
    let directory = Path::new(directory);
    let (operation, fresh) = operation.split_once('@').map_or((operation, false), |(operation, _)| (operation, true));
    let places: Vec<_> = (0..count)
        .map(|number| {
            if fresh {
                directory.join(format!("{}-{number}/b/c/d", std::process::id()))
            } else {
                directory.to_path_buf()
            }
        })
        .collect();
    if fresh {
        for place in &places {
            fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
        }
    }
    let once = |place: &Path| -> Result<()> {
        let file = place.join("file");
        match operation {
            "create+unlink" => {
                drop(File::create_new(&file).context("cannot create")?);
                fs::remove_file(&file).context("cannot unlink")
            }
            "open+close" => File::open(&file).map(drop).context("cannot open"),
            _ => {
                let status = Command::new("/bin/true").status().context("cannot start true")?;
                ensure!(status.success(), "true ended with {status}");
                Ok(())
            }
        }
    };
    if operation == "open+close" {
        for place in &places {
            fs::write(place.join("file"), "").context("cannot write")?;
        }
    }
    // The first times load caches that every later one finds loaded; a new place must stay new.
    if !fresh {
        for _ in 0..20.min(count) {
            once(directory)?;
        }
    }
    let started = now();
    for place in &places {
        once(place)?;
    }
    let spent = now() - started;
    println!("{}", spent / f64::from(count));
    if operation == "open+close" && !fresh {
        fs::remove_file(directory.join("file")).context("cannot unlink")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn now() -> f64 {
    let time = clock_gettime(ClockId::Monotonic);
    #[expect(clippy::cast_precision_loss, reason = "a machine runs for minutes: far below 2^53 ns")]
    let nanoseconds = (time.tv_sec * 1_000_000_000 + time.tv_nsec) as f64;
    nanoseconds
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn figure(name: &str, value: f64, limit: Option<f64>) -> Measure {
    Measure {
        name: name.to_owned(),
        value: value.round(),
        unit: "instructions",
        limit,
        kernel: kernel(),
        method: METHOD,
    }
}
