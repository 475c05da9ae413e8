//! `cargo xtask test`: everything that must pass, on the host and on the three kernels. Prints what it does, then one
//! closing line with the sum.

use std::{
    path::PathBuf,
    process::{ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    program::{as_root, program, run},
    report::Report,
    service, setup,
    suite::{self, Job},
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Kernel, Series},
        machine::{ATTEMPTS, Machine},
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
    /// Only what takes too long for every run: guardd is killed a thousand times.
    #[arg(long, conflicts_with_all = ["only", "service", "no_vm"])]
    soak: bool,
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
const DEADLINE: Duration = Duration::from_secs(35 * 60);
/// The same of a soak.
const LONG_DEADLINE: Duration = Duration::from_secs(4 * 3_600);
/// In the name of the scenario that boots in another way.
const WITHOUT: &str = "without_bpf_lsm";

pub(crate) fn run_all(arguments: &Arguments) -> Result<ExitCode> {
    let started = Instant::now();
    if arguments.list {
        let tests = build::guard_tests()?;
        run(program(tests).args(["scenarios", "--list"]))?;
        return Ok(ExitCode::SUCCESS);
    }
    setup::build_tools()?;
    let mut sum = Report::default();
    let whole = arguments.only.is_none() && !arguments.service && !arguments.soak;
    if whole {
        part(&mut sum, "host tests", host_tests());
    }
    let binaries = build::for_vm(true)?;
    if whole {
        part(&mut sum, "trip tier on this machine", native(&binaries));
    }
    if !arguments.no_vm {
        setup::vm_tools()?;
        part(&mut sum, "machines", machines(arguments, &binaries));
        sum.compare_kernels();
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

/// The scenarios on each kernel, and the package on its systems.
fn machines(arguments: &Arguments, binaries: &[PathBuf]) -> Result<Report> {
    let wanted = |series: &Series| series.is_wanted(&arguments.kernel);
    let mut jobs: Vec<Job<'_>> = Vec::new();
    if !arguments.service {
        root::image()?;
        // The newest first: it is what dies most often under emulation and needs another boot.
        for series in Series::TESTED.into_iter().rev().filter(wanted) {
            let kernel = Arc::new(kernel::fetch(series)?);
            // What a single scenario is wanted for is there in one of the parts only.
            let only = arguments.only.as_deref();
            let mut parts = match only {
                // It is in none of the others.
                Some(only) if only.split(',').all(|part| part.contains(WITHOUT)) => vec![],
                Some(_) => vec![WHOLE],
                None if arguments.soak => vec![WHOLE],
                None => HALVES.to_vec(),
            };
            if series == Series::V6_12 && only.is_none_or(|only| only.contains(WITHOUT)) && !arguments.soak {
                parts.push(UNPROTECTED);
            }
            for part in parts {
                let kernel = Arc::clone(&kernel);
                let job = move || one(arguments, series, &kernel, part, binaries);
                jobs.push((part.on(series), Box::new(job)));
            }
        }
    }
    if arguments.only.is_none() && !arguments.soak {
        let files = service::files()?;
        for system in service::SYSTEMS.into_iter().filter(|(series, _)| wanted(series)) {
            // Two of them run on one, which both would make.
            root::service_image(system.1)?;
            let files = files.clone();
            let job = move || service::run(system, &files, arguments.verbose);
            jobs.insert(jobs.len().min(1), (format!("the package on {}, {}", system.1, system.0), Box::new(job)));
        }
    }
    let mut sum = Report::default();
    for (name, result) in suite::run(jobs) {
        part(&mut sum, &name, result);
    }
    Ok(sum)
}

/// Scenarios that share a machine.
#[derive(Clone, Copy)]
struct Part {
    name: &'static str,
    /// What `guard-tests scenarios` is told to run.
    options: &'static [&'static str],
    /// For the kernel's command line.
    append: &'static str,
}

const WHOLE: Part = Part { name: "", options: &[], append: "" };
const HALVES: [Part; 2] = [
    Part { name: "1/2", options: &["--part", "1/2"], append: "" },
    Part { name: "2/2", options: &["--part", "2/2"], append: "" },
];
/// What guardd does where the kernel lets no BPF program hold anything. Of two lists the last one counts.
const UNPROTECTED: Part = Part { name: "without BPF LSM", options: &["--unprotected"], append: "lsm=landlock,yama" };

impl Part {
    fn on(self, series: Series) -> String {
        format!("kernel {series} {}", self.name).trim_end().to_owned()
    }
}

/// One part of the scenarios on one kernel. After the death of a machine the next goes on where it was.
fn one(arguments: &Arguments, series: Series, kernel: &Kernel, part: Part, binaries: &[PathBuf]) -> Result<Report> {
    let root = root::image()?;
    let mut sum = Report::default();
    for _ in 0..ATTEMPTS {
        let mut argv: Vec<String> = ["guard-tests", "scenarios"].map(str::to_owned).to_vec();
        let mut option = |name: &str, value: &str| argv.extend([name.to_owned(), value.to_owned()]);
        if let Some(only) = &arguments.only {
            option("--only", only);
        }
        if let Some(last) = &sum.last {
            option("--after", last);
        }
        argv.extend(part.options.iter().map(|option| (*option).to_owned()));
        if arguments.soak {
            argv.push("--soak".to_owned());
        }
        let initramfs = initramfs::pack(kernel, &Boot::new(argv, false), binaries)?;
        let machine = Machine {
            kernel,
            root: &root,
            initramfs: initramfs.path(),
            icount: false,
            processors: 2,
            memory: 2560,
            timeout: if arguments.soak { LONG_DEADLINE } else { DEADLINE },
            append: part.append,
            verbose: arguments.verbose,
        };
        println!("{}: starting {}", part.on(series), kernel.release);
        if suite::boot(&machine, &series.to_string(), &mut sum)?.is_some() {
            return Ok(sum);
        }
    }
    bail!("the machine died {ATTEMPTS} times, the last time after {}", sum.last.as_deref().unwrap_or("its start"))
}

/// Counts a line of `guard-tests scenarios` and shows it.
fn show(sum: &mut Report, place: &str, line: &str) {
    if sum.line(place, line) {
        println!("[{place}] {line}");
    }
}
