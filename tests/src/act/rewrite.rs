//! A program that lies about its arguments: one thread executes while another changes them where they lie, through
//! `/proc/self/mem`, which is all that shared memory can do and needs no unsafe code.

use std::{
    fs::{self, OpenOptions},
    os::unix::{
        fs::FileExt as _,
        process::{CommandExt as _, ExitStatusExt as _},
    },
    process::{Command, exit},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};

const HARMLESS: &str = "harmless-arguments";
/// As long as the other: one replaces the other.
const DANGEROUS: &str = "destroy-everything";
/// Said by a round in which the kernel refused the program.
const REFUSED: i32 = 3;

/// Executes a program of `/bin` so often, each time in a new process, and says what came of each.
pub(super) fn rounds(count: u32, program: &str) -> Result<()> {
    for _ in 0..count {
        let status = super::me()?.args(["rewrite-once", program]).status().context("cannot start a process")?;
        match (status.code(), status.signal()) {
            (Some(0), _) => println!("round: ran"),
            (Some(REFUSED), _) => println!("round: refused"),
            (_, Some(9)) => println!("round: killed"),
            _ => bail!("a round ended with {status}"),
        }
    }
    Ok(())
}

/// Executes it with arguments that change all the time. Comes back only when the kernel refuses.
pub(super) fn once(program: &str) -> Result<()> {
    // A long way to the program: the kernel copies the arguments before it goes there, and asks after it arrived.
    let mut command = Command::new(format!("/bin/{}{program}", "./".repeat(1800)));
    command.arg0(program).arg(HARMLESS);
    let places = find(HARMLESS.as_bytes())?;
    ensure!(!places.is_empty(), "the arguments were not found");
    let memory = OpenOptions::new().write(true).open("/proc/self/mem").context("cannot open this memory")?;
    let started = Arc::new(AtomicBool::new(false));
    let telling = Arc::clone(&started);
    thread::spawn(move || -> std::io::Result<()> {
        loop {
            for text in [DANGEROUS, HARMLESS] {
                for place in &places {
                    memory.write_all_at(text.as_bytes(), *place)?;
                }
                telling.store(true, Ordering::Relaxed);
            }
        }
    });
    while !started.load(Ordering::Relaxed) {
        thread::yield_now();
    }
    let error = command.exec();
    ensure!(error.kind() == std::io::ErrorKind::PermissionDenied, "the program did not start: {error}");
    exit(REFUSED);
}

/// Where a text stands in this process's writable memory.
fn find(text: &[u8]) -> Result<Vec<u64>> {
    let memory = fs::File::open("/proc/self/mem").context("cannot open this memory")?;
    let maps = fs::read_to_string("/proc/self/maps").context("cannot read the maps")?;
    let mut places = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.context("a mapping has a range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - start).context("a mapping fits")?];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            let found = bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text);
            places.extend(found.map(|(at, _)| start + at as u64));
        }
    }
    Ok(places)
}
