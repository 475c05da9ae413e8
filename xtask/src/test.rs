//! `cargo xtask test`: everything that must pass, on the host and on the three kernels. Prints what it does, then one
//! closing line with the sum.

use std::{
    path::PathBuf,
    process::{ExitCode, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::{
    build,
    program::{as_root, program, run},
    setup,
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Kernel, Series},
        machine::{Machine, Screen},
        root,
    },
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this kernel: 6.1, 6.12 or newest; may be repeated.
    #[arg(long)]
    kernel: Vec<Series>,
    /// Only scenarios whose name contains this, or one of these separated by commas; no host tests.
    #[arg(long)]
    only: Option<String>,
    /// No virtual machines: the host tests alone.
    #[arg(long)]
    no_vm: bool,
    /// Print the scenarios' names and run nothing.
    #[arg(long)]
    list: bool,
    /// Print the QEMU command and the kernel's messages.
    #[arg(long, short)]
    verbose: bool,
}

/// What ran.
#[derive(Clone, Copy, Default)]
struct Sum {
    passed: u32,
    failed: u32,
}

/// A machine that is not done after this long has hung.
const DEADLINE: Duration = Duration::from_secs(25 * 60);

pub(crate) fn run_all(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    if arguments.list {
        let tests = build::guard_tests()?;
        run(program(tests).args(["scenarios", "--list"]))?;
        return Ok(ExitCode::SUCCESS);
    }
    setup::build_tools()?;
    let mut sum = Sum::default();
    if arguments.only.is_none() {
        sum.add("host tests", host_tests());
    }
    let binaries = build::for_vm(true)?;
    if arguments.only.is_none() {
        sum.add("trip tier on this machine", native(&binaries));
    }
    if !arguments.no_vm {
        setup::vm_tools()?;
        sum.add("kernels", kernels(arguments, &binaries));
    }
    println!("took {} s", started.elapsed().as_secs());
    println!("{} passed, {} failed", sum.passed, sum.failed);
    let good = sum.failed == 0 && sum.passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Sum {
    /// Adds a part; one that could not run at all counts as a failure.
    fn add(&mut self, part: &str, result: Result<Sum>) {
        match result {
            Ok(Self { passed, failed }) => {
                println!("{part}: {passed} passed, {failed} failed");
                self.passed += passed;
                self.failed += failed;
            }
            Err(error) => {
                println!("FAILED {part}: {error:#}");
                self.failed += 1;
            }
        }
    }
}

/// `cargo test` of the default members.
fn host_tests() -> Result<Sum> {
    println!("host tests: cargo test");
    let output = program("cargo")
        .args(["test", "--quiet", "--no-fail-fast"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sum = Sum::default();
    for line in text.lines() {
        if let Some(result) = line.strip_prefix("test result: ") {
            let counts = result.split_once(". ").map_or("", |(_, counts)| counts);
            for count in counts.split("; ") {
                match count.split_once(' ') {
                    Some((number, "passed")) => sum.passed += number.parse().unwrap_or(0),
                    Some((number, "failed")) => sum.failed += number.parse().unwrap_or(0),
                    Some(_) | None => {}
                }
            }
        }
    }
    if !output.status.success() {
        println!("{text}");
        // A test program that does not compile, or dies, has no counts.
        sum.failed = sum.failed.max(1);
    }
    Ok(sum)
}

/// The trip tier needs tracepoints only, so it is proven on the machine itself.
fn native(binaries: &[PathBuf]) -> Result<Sum> {
    println!("trip tier on this machine:");
    let directory = binaries.first().and_then(|binary| binary.parent()).context("binaries have a directory")?;
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = as_root("env");
    command.arg(format!("PATH={path}")).arg(directory.join("guard-tests")).args(["scenarios", "--tier", "trip"]);
    let output = command.stdin(Stdio::null()).output().context("cannot start guard-tests")?;
    let mut sum = Sum::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        sum.line("native", line);
    }
    if !output.status.success() && sum.failed == 0 {
        anyhow::bail!("guard-tests ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(sum)
}

/// The scenarios on each kernel. Two machines at once: each is mostly one busy processor.
fn kernels(arguments: &Arguments, binaries: &[PathBuf]) -> Result<Sum> {
    let wanted = if arguments.kernel.is_empty() { Series::TESTED.to_vec() } else { arguments.kernel.clone() };
    root::image()?;
    let fetched: Result<Vec<_>> = wanted.iter().map(|series| Ok((*series, kernel::fetch(*series)?))).collect();
    let queue = Mutex::new(fetched?);
    let sums = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from).min(2) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                    let Some((series, kernel)) = next else { return };
                    let result = one(arguments, series, &kernel, binaries);
                    if let Ok(mut sums) = sums.lock() {
                        sums.push((series, result));
                    }
                }
            });
        }
    });
    let mut sum = Sum::default();
    for (series, result) in sums.into_inner().context("a thread panicked")? {
        sum.add(&format!("kernel {series}"), result);
    }
    Ok(sum)
}

fn one(arguments: &Arguments, series: Series, kernel: &Kernel, binaries: &[PathBuf]) -> Result<Sum> {
    let mut argv: Vec<String> = ["guard-tests", "scenarios"].map(str::to_owned).to_vec();
    if let Some(only) = &arguments.only {
        argv.extend(["--only".to_owned(), only.clone()]);
    }
    let root = root::image()?;
    let initramfs = initramfs::pack(kernel, &Boot::new(argv, false), binaries)?;
    let machine = Machine {
        kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount: false,
        memory: 2560,
        timeout: DEADLINE,
        append: "",
        verbose: arguments.verbose,
    };
    println!("kernel {series}: starting {}", kernel.release);
    let mut sum = Sum::default();
    let mut closed = false;
    let name = series.to_string();
    let mut take = |line: &str| {
        if line.ends_with(" failed") && line.contains(" passed, ") {
            closed = true;
        }
        sum.line(&name, line);
        Ok(())
    };
    let code = machine.boot(Screen::Lines(&mut take))?;
    if !closed || (code != 0 && sum.failed == 0) || sum.passed + sum.failed == 0 {
        anyhow::bail!("the scenarios ended with {code} and without a closing line");
    }
    Ok(sum)
}

impl Sum {
    /// Counts a line of `guard-tests scenarios` and shows it.
    fn line(&mut self, place: &str, line: &str) {
        if line.starts_with("running ") {
            // A machine that died half-way begins again: what it counted before is counted anew.
            *self = Self::default();
        } else if line.starts_with("ok ") {
            self.passed += 1;
        } else if line.starts_with("FAILED ") {
            self.failed += 1;
        } else if line.ends_with(" failed") && line.contains(" passed, ") {
            return;
        }
        println!("[{place}] {line}");
    }
}
