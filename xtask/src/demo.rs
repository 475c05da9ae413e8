//! `cargo xtask demo`: shows guard's main job, natively where the gate tier loads and in a virtual machine where not,
//! and says which and why. What is shown lives in `tests/src/demo.rs`.

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build,
    program::{as_root, is_root, program, read},
    setup,
    vm::{
        apt, initramfs,
        initramfs::Boot,
        kernel::{self, Series},
        machine::{Machine, Screen},
        root,
    },
};

/// What `guard-tests demo` ends with where operations cannot be held.
const NO_GATE: i32 = 77;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Decide without a person.
    #[arg(long, value_parser = ["approve", "deny", "kill"])]
    decide: Option<String>,
    /// Use a virtual machine even where the gate tier loads.
    #[arg(long)]
    vm: bool,
    /// Which kernel, in a virtual machine: 6.1, 6.12, newest or own.
    #[arg(long)]
    kernel: Option<Series>,
    /// Print the QEMU command and the kernel's messages.
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let person = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if arguments.decide.is_none() && !person {
        bail!("nobody can answer here: use --decide approve, deny or kill");
    }
    let binaries = build::for_vm(true)?;
    let mut words = vec!["demo".to_owned()];
    if let Some(decide) = &arguments.decide {
        words.extend(["--decide".to_owned(), decide.clone()]);
    }
    let reason = match why_not_native(arguments) {
        Some(reason) => reason,
        None => {
            println!("demo: trying natively: this kernel has BPF among its security modules");
            match native(&binaries, &words)? {
                NO_GATE => "the gate tier does not load on this kernel, as guardd said above".to_owned(),
                code => return Ok(exit(code)),
            }
        }
    };
    println!("demo: in a virtual machine, because {reason}");
    virtually(arguments, words, &binaries)
}

/// The reason not even to try on this machine.
fn why_not_native(arguments: &Arguments) -> Option<String> {
    if arguments.vm || arguments.kernel.is_some() {
        return Some("you asked for one".to_owned());
    }
    let active = fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    if !active.trim().split(',').any(|name| name == "bpf") {
        return Some(
            "bpf is not in /sys/kernel/security/lsm here (lsm= on the kernel's command line adds it)".to_owned(),
        );
    }
    if !is_root() && read(program("sudo").args(["-n", "true"])).is_err() {
        return Some("guardd needs root, and sudo asks for a password".to_owned());
    }
    if Path::new("/run/guard/guardd.lock").exists() || Path::new("/sys/fs/bpf/guard").exists() {
        return Some("a guardd is at work on this machine already".to_owned());
    }
    None
}

fn native(binaries: &[PathBuf], words: &[String]) -> Result<i32> {
    let directory = binaries.first().and_then(|binary| binary.parent()).context("binaries have a directory")?;
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let status = as_root("env")
        .arg(format!("PATH={path}"))
        .arg(directory.join("guard-tests"))
        .args(words)
        .status()
        .context("cannot start the demo")?;
    Ok(status.code().unwrap_or(1))
}

fn virtually(arguments: &Arguments, words: Vec<String>, binaries: &[PathBuf]) -> Result<ExitCode> {
    setup::vm_tools()?;
    let series = match arguments.kernel {
        Some(series) => series,
        None if apt::mirror()?.distribution == "debian" => Series::V6_12,
        None => Series::Own,
    };
    let kernel = kernel::fetch(series)?;
    let root = root::image()?;
    let argv = [vec!["guard-tests".to_owned()], words].concat();
    let interactive = arguments.decide.is_none();
    let initramfs = initramfs::pack(&kernel, &Boot::new(argv, interactive), binaries)?;
    println!("demo: starting Linux {} with QEMU", kernel.release);
    let machine = Machine {
        kernel: &kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount: false,
        processors: 2,
        memory: 2048,
        timeout: Duration::from_secs(if interactive { 3600 } else { 300 }),
        append: "",
        verbose: arguments.verbose,
    };
    let mut print = |line: &str| writeln!(std::io::stdout().lock(), "{line}").context("cannot write");
    let screen = if interactive { Screen::Person } else { Screen::Lines(&mut print) };
    Ok(exit(machine.boot(screen)?))
}

fn exit(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
