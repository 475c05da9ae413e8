//! `cargo xtask fuzz`: runs libFuzzer on every place where guard reads what others wrote, two targets at a time, and says
//! in a line each how fast it was and what it found.
//!
//! What a target does is in `guard-user/src/fuzzing`; `fuzz/` only makes programs of them. Inputs are taken from
//! `fuzz/corpus/TARGET`, which is small and kept by hand, and from `target/fuzz/corpus/TARGET`, where new ones go. An input
//! that crashes stays in `target/fuzz/crashes/TARGET`, with the command that runs it again. Once what it shows is put
//! right, it belongs into `fuzz/corpus`: plain `cargo test` feeds those to the targets too.
//!
//! It needs no nightly toolchain: the compiler of `rust-toolchain.toml` takes the flags that are not stable where
//! `RUSTC_BOOTSTRAP` says so. There is no sanitizer: what the targets reach of guard has no `unsafe`, so what can be
//! wrong is a panic, a broken promise, a hang or too much memory, and a sanitizer makes building and running slow.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    program::{self, program, run, shown},
    setup,
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; may be repeated.
    #[arg(long)]
    target: Vec<String>,
    /// Seconds that each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Run one target on this one input, to see what it does.
    #[arg(long, conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

/// Each keeps one processor busy.
const SIDE_BY_SIDE: usize = 2;
/// Longer than this on one input, in seconds, is a finding: an input is a few kilobytes.
const SLOW: u32 = 10;
/// More memory than this, in MiB, is one too.
const LARGE: u32 = 2_048;
/// No input is longer. The largest record with its texts has nine kilobytes.
const LONGEST: u32 = 12_000;
/// Where the compiler puts programs for this machine when a target is named, as cargo-fuzz does.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// What a run of one target came to.
struct Outcome {
    line: String,
    failed: bool,
}

pub(crate) fn run_all(arguments: &Arguments) -> Result<ExitCode> {
    let all = targets()?;
    if let Some(unknown) = arguments.target.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let chosen: Vec<String> =
        all.into_iter().filter(|name| arguments.target.is_empty() || arguments.target.contains(name)).collect();
    build(&chosen)?;
    if let Some(input) = &arguments.input {
        let [target] = &chosen[..] else { bail!("an input is for one target: name it with --target") };
        // Paths are the caller's; the program runs in the workspace.
        let input = fs::canonicalize(input).with_context(|| format!("no {}", input.display()))?;
        run(fuzzer(target).arg(input))?;
        return Ok(ExitCode::SUCCESS);
    }
    let started = Instant::now();
    let queue = Mutex::new(VecDeque::from(chosen));
    let outcomes = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(target) = next else { return };
            let outcome = one(&target, arguments.seconds)
                .unwrap_or_else(|error| Outcome { line: format!("FAILED {target}: {error:#}"), failed: true });
            println!("{}", outcome.line);
            outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(worker);
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let failed = outcomes.iter().filter(|outcome| outcome.failed).count();
    println!("{} passed, {failed} failed, in {} s", outcomes.len() - failed, started.elapsed().as_secs());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The targets, by their files.
fn targets() -> Result<Vec<String>> {
    let directory = program::workspace().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("no {}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn home() -> PathBuf {
    program::target().join("fuzz")
}

fn build(chosen: &[String]) -> Result<()> {
    let tool = setup::fuzz_tools()?;
    println!("building {} targets", chosen.len());
    let mut command = program(tool);
    command.args(["build", "--sanitizer", "none"]).arg("--target-dir").arg(home());
    // One that is named is built alone.
    if let [target] = chosen {
        command.arg(target);
    }
    // cargo-fuzz asks for one codegen unit, and of a flag the last one counts: guard-user is large, for one processor.
    command.env("RUSTFLAGS", "-Ccodegen-units=16");
    run(command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TERM_QUIET", "true"))
}

/// The program of a target, to be told what to do.
fn fuzzer(target: &str) -> Command {
    let mut command = program(home().join(HOST).join("release").join(target));
    // The kernel's limit on a stack is that of the main thread alone; a leak is not what is looked for, and looking takes
    // rights that a container may lack.
    command.args([format!("-timeout={SLOW}"), format!("-rss_limit_mb={LARGE}"), "-detect_leaks=0".to_owned()]);
    command
}

fn one(target: &str, seconds: u64) -> Result<Outcome> {
    let (grown, crashes) = (home().join("corpus").join(target), home().join("crashes").join(target));
    for directory in [&grown, &crashes] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let mut command = fuzzer(target);
    command.args([format!("-max_total_time={seconds}"), format!("-max_len={LONGEST}")]);
    command.args(["-print_final_stats=1", "-use_value_profile=0"]);
    command.arg(format!("-artifact_prefix={}/", crashes.display()));
    let dictionary = program::workspace().join("fuzz/dictionaries").join(target);
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    // New inputs go into the first.
    command.arg(&grown).arg(program::workspace().join("fuzz/corpus").join(target));
    let before = fs::read_dir(&grown).map(Iterator::count).unwrap_or(0);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let Run { runs, speed, coverage, started } = Run::read(&said);
    if output.status.success() {
        let inputs = fs::read_dir(&grown).map(Iterator::count).unwrap_or(0).saturating_sub(before);
        let new = coverage.saturating_sub(started);
        let line = format!(
            "ok {target}: {runs} runs, {speed}/s, {new} new edges of {coverage} that were reached, {inputs} new inputs"
        );
        return Ok(Outcome { line, failed: false });
    }
    let log = crashes.join("log");
    fs::write(&log, said.as_bytes()).with_context(|| format!("cannot write {}", log.display()))?;
    Ok(Outcome { line: failure(target, &said, &log), failed: true })
}

/// What went wrong, and how to see it again.
fn failure(target: &str, said: &str, log: &Path) -> String {
    let reason = reason(said);
    let input = said.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, path)| path.trim()));
    let again = match input {
        Some(input) => format!("again with: cargo xtask fuzz --target {target} --input {input}"),
        None => "it kept no input".to_owned(),
    };
    format!("FAILED {target}: {reason}\n  {again}\n  all it said: {}", log.display())
}

/// The line that says most of why a fuzzer ended: what panicked, with its message, else what libFuzzer or the sanitizer
/// calls it.
fn reason(said: &str) -> String {
    let mut lines = said.lines();
    if let Some(line) = lines.find(|line| line.contains("panicked at ")) {
        let message = lines.next().unwrap_or_default();
        return format!("{line} {message}");
    }
    let named = |line: &&str| line.contains("ERROR: ");
    said.lines().find(named).unwrap_or("it ended without a word").to_owned()
}

/// What libFuzzer says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Run {
    runs: u64,
    speed: u64,
    /// Edges that some input reached: at the end, and by the inputs there were before.
    coverage: u64,
    started: u64,
}

impl Run {
    fn read(said: &str) -> Self {
        let mut run = Self::default();
        let number = |text: &str| text.trim().parse().unwrap_or(0);
        for line in said.lines() {
            if let Some(value) = line.strip_prefix("stat::number_of_executed_units:") {
                run.runs = number(value);
            } else if let Some(value) = line.strip_prefix("stat::average_exec_per_sec:") {
                run.speed = number(value);
            } else if let Some((_, rest)) = line.split_once(" cov: ") {
                run.coverage = number(rest.split(' ').next().unwrap_or_default());
                if line.contains("INITED") {
                    run.started = run.coverage;
                }
            }
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::{Run, reason};

    #[test]
    fn the_numbers_of_a_run_are_what_libfuzzer_says() {
        let said = "#5\tINITED cov: 120 ft: 130 corp: 3/10b exec/s: 0 rss: 30Mb\n\
            #64\tNEW    cov: 125 ft: 140 corp: 4/12b lim: 4 exec/s: 0 rss: 30Mb L: 3/4 MS: 1 ChangeBit-\n\
            #999\tDONE   cov: 125 ft: 140 corp: 4/12b lim: 4 exec/s: 333 rss: 31Mb\n\
            stat::number_of_executed_units: 999\nstat::average_exec_per_sec:     333\n";
        assert_eq!(Run::read(said), Run { runs: 999, speed: 333, coverage: 125, started: 120 });
        assert_eq!(Run::read("nothing of it"), Run::default());
    }

    #[test]
    fn a_panic_is_told_with_its_message() {
        let said = "INFO: Seed: 1\nthread '<unnamed>' panicked at a.rs:1:2:\nwrong\nnote: run with\n==1== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(reason(said), "thread '<unnamed>' panicked at a.rs:1:2: wrong");
        assert_eq!(
            reason("==1== ERROR: libFuzzer: timeout after 11 seconds\n"),
            "==1== ERROR: libFuzzer: timeout after 11 seconds"
        );
        assert_eq!(reason(""), "it ended without a word");
    }
}
