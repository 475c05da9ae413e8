//! `cargo xtask bench`: the limits of the design, measured in machines, as a table, as JSON, and as docs/bench.md.

use std::{
    fs,
    path::PathBuf,
    process::{ExitCode, Output, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::{
    build, program, setup,
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Series},
        machine::{Machine, Screen},
        root,
    },
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print the object `{"measures": […]}` instead of a table; docs/bench.md stays as it is.
    #[arg(long)]
    json: bool,
    /// Which kernel: 6.1, 6.12 or newest.
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Only the part `cost` (instructions of operations), `rules` (of judging), `work` (of a day's work), `latency`, `strain` or
    /// `host` (what needs no gate, on this machine's own processors), `log` (the audit log, there, too), `month` (questions to a large one)
    /// or `hook` (what an agent feels of its hooks).
    #[arg(long, value_parser = ["cost", "rules", "work", "latency", "strain", "host", "log", "month", "hook"])]
    only: Option<String>,
    /// Print the QEMU command and the kernel's messages.
    #[arg(long, short)]
    verbose: bool,
}

/// Above the table in docs/bench.md.
const HEAD: &str = "# Measures

Written by `cargo xtask bench`; with `--only PART` it measures that part again and leaves the others.
Instructions understate mechanisms that switch context. Times are those of two emulated processors: they compare with each
other, not with hardware. Those of *own processors* are of the machine that measured, where LSM programs may not load.

";

/// As `guard-tests bench` prints it.
#[derive(Serialize, Deserialize)]
struct Measure {
    name: String,
    value: f64,
    unit: String,
    #[serde(default)]
    limit: Option<f64>,
    kernel: String,
    method: String,
}

#[derive(Serialize)]
struct Report {
    measures: Vec<Measure>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::build_tools()?;
    setup::vm_tools()?;
    build::binaries(true)?;
    build::guard_tests()?;
    let mut measures = Vec::new();
    let wanted = |part: &str| arguments.only.as_deref().is_none_or(|only| only == part);
    if wanted("cost") {
        measures.extend(measure(arguments, &["guard-tests", "bench", "cost"], &build::for_bench(), true)?);
    }
    if wanted("rules") {
        measures.extend(measure(arguments, &["judge"], &[build::example("judge")?, build::guard_tests()?], true)?);
    }
    if wanted("work") {
        measures.extend(measure(arguments, &["guard-tests", "bench", "work"], &build::for_bench(), true)?);
    }
    if wanted("latency") {
        measures.extend(measure(arguments, &["guard-tests", "bench", "latency"], &build::for_bench(), false)?);
    }
    if wanted("strain") {
        measures.extend(measure(arguments, &["guard-tests", "bench", "strain"], &build::for_bench(), false)?);
    }
    if wanted("host") {
        measures.extend(host(&build::for_bench())?);
    }
    if wanted("log") {
        measures.extend(on_disk("log", &[])?);
    }
    if wanted("month") {
        measures.extend(on_disk("month", &[])?);
    }
    if wanted("hook") {
        measures.extend(on_disk("hook", &[build::output(true).join("guardctl")])?);
    }
    measures.extend(size()?);
    let report = Report { measures };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", table(rows(&report.measures)));
        let file = program::workspace().join("docs/bench.md");
        // Of a part alone the other measures stay.
        let kept = if arguments.only.is_some() { fs::read_to_string(&file).unwrap_or_default() } else { String::new() };
        let table = table(merged(&kept, rows(&report.measures)));
        fs::create_dir_all(program::workspace().join("docs")).context("cannot make docs")?;
        fs::write(&file, format!("{HEAD}{table}")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a program of `binaries` in a machine and takes what it measured from the line it prints.
fn measure(arguments: &Arguments, argv: &[&str], binaries: &[PathBuf], icount: bool) -> Result<Vec<Measure>> {
    let kernel = kernel::fetch(arguments.kernel)?;
    let root = root::image()?;
    let words = argv.iter().map(|word| (*word).to_owned()).collect();
    let initramfs = initramfs::pack(&kernel, &Boot::new(words, false), binaries)?;
    let machine = Machine {
        kernel: &kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount,
        processors: 2,
        memory: 2560,
        timeout: Duration::from_secs(3600),
        append: "",
        verbose: arguments.verbose,
    };
    let mut found = None;
    let mut take = |line: &str| {
        match line.strip_prefix("measures ") {
            Some(text) => {
                found = Some(
                    serde_json::from_str(text).with_context(|| format!("{} printed no measures", argv.join(" ")))?,
                )
            }
            None => eprintln!("{line}"),
        }
        Ok(())
    };
    let code = machine.boot(Screen::Lines(&mut take))?;
    match found {
        Some(measures) if code == 0 => Ok(measures),
        Some(_) | None => bail!("{} ended with {code}", argv.join(" ")),
    }
}

/// Runs a part on this machine, as root and with a bpffs of its own: a guard that works here keeps its pins.
fn host(binaries: &[PathBuf]) -> Result<Vec<Measure>> {
    // What was built for release is last among them, and first on the path.
    let directories: Vec<String> =
        binaries.iter().rev().filter_map(|binary| Some(binary.parent()?.display().to_string())).collect();
    let path = format!("PATH={}:{}", directories.join(":"), std::env::var("PATH").unwrap_or_default());
    let script = "mount -t bpf none /sys/fs/bpf && exec guard-tests bench host";
    let mut command = program::as_root("env");
    let output = command.arg(path).args(["unshare", "--mount", "sh", "-c", script]).stdin(Stdio::null()).output();
    printed("guard-tests bench host", &output.context("cannot start guard-tests")?)
}

/// Runs an example on this machine, with a directory on the disk where this workspace is as its last argument.
fn on_disk(name: &str, arguments: &[PathBuf]) -> Result<Vec<Measure>> {
    let program = build::example(name)?;
    let directory = program::target().join("bench-files");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let output = program::program(&program).args(arguments).arg(&directory).stdin(Stdio::null()).output();
    let measures = printed(name, &output.with_context(|| format!("cannot start {name}"))?)?;
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    Ok(measures)
}

/// What a program measured, by the line it printed.
fn printed(name: &str, output: &Output) -> Result<Vec<Measure>> {
    let said = String::from_utf8_lossy(&output.stdout);
    match said.lines().find_map(|line| line.strip_prefix("measures ")) {
        Some(text) if output.status.success() => {
            serde_json::from_str(text).with_context(|| format!("{name} printed no measures"))
        }
        Some(_) | None => bail!("{name} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)),
    }
}

/// What is installed.
fn size() -> Result<Vec<Measure>> {
    let path = build::output(true).join("guardd");
    let bytes = fs::metadata(&path).with_context(|| format!("no {}", path.display()))?.len();
    #[expect(clippy::cast_precision_loss, reason = "a program is far below 2^53 bytes")]
    let value = (bytes as f64 / 1024.0 / 1024.0 * 10.0).round() / 10.0;
    let method = "size of the stripped static binary".to_owned();
    Ok(vec![Measure {
        name: "guardd, binary".to_owned(),
        value,
        unit: "MiB".to_owned(),
        limit: Some(12.0),
        kernel: String::new(),
        method,
    }])
}

/// What was measured and its line of the table.
fn rows(measures: &[Measure]) -> Vec<(String, String)> {
    let row = |measure: &Measure| {
        let Measure { name, value, unit, limit, kernel, method } = measure;
        let verdict = match limit {
            Some(limit) if value <= limit => "ok",
            Some(_) => "over",
            None => "",
        };
        let limit = limit.map_or_else(String::new, |limit| format!("{limit} {unit}"));
        (name.clone(), format!("| {name} | {value} {unit} | {limit} | {verdict} | {kernel} | {method} |"))
    };
    measures.iter().map(row).collect()
}

/// The lines of an earlier table with the new ones in their places; what is new comes last.
fn merged(earlier: &str, mut new: Vec<(String, String)>) -> Vec<(String, String)> {
    let lines = earlier.lines().skip_while(|line| !line.starts_with("| ---")).skip(1);
    let mut all = Vec::new();
    for line in lines.filter(|line| line.starts_with("| ")) {
        let name = line.split(" | ").next().unwrap_or_default().trim_start_matches("| ").to_owned();
        let at = new.iter().position(|(other, _)| *other == name);
        all.push(at.map_or_else(|| (name, line.to_owned()), |at| new.remove(at)));
    }
    all.extend(new);
    all
}

fn table(rows: Vec<(String, String)>) -> String {
    let head = "| what | value | limit | | kernel | method |\n| --- | ---: | ---: | --- | --- | --- |\n";
    rows.into_iter().fold(head.to_owned(), |text, (_, row)| text + &row + "\n")
}

#[cfg(test)]
mod tests {
    use super::{merged, table};

    fn row(name: &str, value: u32) -> (String, String) {
        (name.to_owned(), format!("| {name} | {value} |"))
    }

    #[test]
    fn a_part_that_is_measured_again_leaves_the_others() {
        let first = table(vec![row("a", 1), row("b", 2)]);
        let both = merged(&first, vec![row("b", 3), row("c", 4)]);
        assert_eq!(both, [row("a", 1), row("b", 3), row("c", 4)]);
        assert_eq!(merged("", vec![row("c", 4)]), [row("c", 4)]);
    }
}
