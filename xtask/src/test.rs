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
    report::Report,
    service, setup,
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
    /// Only the package, as a service under systemd.
    #[arg(long, conflicts_with = "only")]
    service: bool,
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
    let mut sum = Report::default();
    let whole = arguments.only.is_none() && !arguments.service;
    if whole {
        part(&mut sum, "host tests", host_tests());
    }
    if !arguments.service {
        let binaries = build::for_vm(true)?;
        if whole {
            part(&mut sum, "trip tier on this machine", native(&binaries));
        }
        if !arguments.no_vm {
            setup::vm_tools()?;
            part(&mut sum, "kernels", kernels(arguments, &binaries));
            sum.compare_kernels();
        }
    }
    if arguments.only.is_none() && !arguments.no_vm {
        setup::vm_tools()?;
        let wanted = |series: &Series| arguments.kernel.is_empty() || arguments.kernel.contains(series);
        for system in service::SYSTEMS.into_iter().filter(|(series, _)| wanted(series)) {
            part(&mut sum, "the package as a service", service::run(system, arguments.verbose));
        }
    }
    // Once more at the end, where a person looks first.
    for failure in sum.failures() {
        println!("{failure}");
    }
    println!("took {} s", started.elapsed().as_secs());
    println!("{} passed, {} failed", sum.passed, sum.failed);
    let good = sum.failed == 0 && sum.passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds a part; one that could not run at all counts as a failure.
fn part(sum: &mut Report, name: &str, result: Result<Report>) {
    match result {
        Ok(report) => {
            println!("{name}: {} passed, {} failed", report.passed, report.failed);
            sum.add(report);
        }
        Err(error) => {
            println!("FAILED {name}: {error:#}");
            sum.broken(name, &error);
        }
    }
}

/// `cargo test` of the default members.
fn host_tests() -> Result<Report> {
    println!("host tests: cargo test");
    let output = program("cargo")
        .args(["test", "--quiet", "--no-fail-fast"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.context("cannot start cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut sum = Report::default();
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
        let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("---- ")).collect();
        sum.explain(format!("cargo test {}: {}", output.status, failed.join(" ")));
    }
    Ok(sum)
}

/// The trip tier needs tracepoints only, so it is proven on the machine itself.
fn native(binaries: &[PathBuf]) -> Result<Report> {
    println!("trip tier on this machine:");
    let directory = binaries.first().and_then(|binary| binary.parent()).context("binaries have a directory")?;
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = as_root("env");
    command.arg(format!("PATH={path}")).arg(directory.join("guard-tests")).args(["scenarios", "--tier", "trip"]);
    let output = command.stdin(Stdio::null()).output().context("cannot start guard-tests")?;
    let mut sum = Report::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        show(&mut sum, "native", line);
    }
    if !output.status.success() && sum.failed == 0 {
        anyhow::bail!("guard-tests ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(sum)
}

/// The scenarios on each kernel. Two machines at once: each is mostly one busy processor.
fn kernels(arguments: &Arguments, binaries: &[PathBuf]) -> Result<Report> {
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
    let mut sum = Report::default();
    for (series, result) in sums.into_inner().context("a thread panicked")? {
        part(&mut sum, &format!("kernel {series}"), result);
    }
    Ok(sum)
}

fn one(arguments: &Arguments, series: Series, kernel: &Kernel, binaries: &[PathBuf]) -> Result<Report> {
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
    let mut sum = Report::default();
    let mut closed = false;
    let name = series.to_string();
    let mut take = |line: &str| {
        if line.ends_with(" failed") && line.contains(" passed, ") {
            closed = true;
        }
        show(&mut sum, &name, line);
        Ok(())
    };
    let code = machine.boot(Screen::Lines(&mut take))?;
    if !closed || (code != 0 && sum.failed == 0) || sum.passed + sum.failed == 0 {
        anyhow::bail!("the scenarios ended with {code} and without a closing line");
    }
    Ok(sum)
}

/// Counts a line of `guard-tests scenarios` and shows it.
fn show(sum: &mut Report, place: &str, line: &str) {
    if sum.line(place, line) {
        println!("[{place}] {line}");
    }
}
