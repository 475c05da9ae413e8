//! `cargo xtask vm`: a Debian system in QEMU with guard's binaries in its path. The parts are in `vm/`: where
//! kernels come from, the root image, the initial RAM disk, the machine. What runs inside is the caller's choice.

mod accelerator;
pub(crate) mod apt;
pub(crate) mod cpio;
pub(crate) mod initramfs;
pub(crate) mod kernel;
pub(crate) mod machine;
pub(crate) mod qemu;
pub(crate) mod root;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};

use self::{initramfs::Boot, kernel::Series, machine::Screen};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which kernel: 6.1, 6.12, newest, or own (what this distribution ships).
    #[arg(long, default_value = "6.12")]
    kernel: Series,
    /// Count guest instructions: one CPU, a nanosecond of guest time is one instruction.
    #[arg(long)]
    icount: bool,
    /// Processors.
    #[arg(long, default_value_t = 2, conflicts_with = "icount")]
    processors: u32,
    /// Megabytes of memory.
    #[arg(long, default_value_t = 2048)]
    memory: u32,
    /// Give up after this many seconds.
    #[arg(long, default_value_t = 3600)]
    timeout: u64,
    /// Extra words for the kernel's command line.
    #[arg(long, default_value = "")]
    append: String,
    /// Print the QEMU command and the kernel's messages.
    #[arg(long, short)]
    verbose: bool,
    /// Copy this file from the host into the guest's /usr/local/bin; may be repeated.
    #[arg(long)]
    file: Vec<std::path::PathBuf>,
    /// Do not build guardd and guardctl first; take what the last build left.
    #[arg(long)]
    no_build: bool,
    /// The shell line; without one, an interactive shell.
    #[arg(last = true)]
    line: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let binaries = crate::build::for_vm(!arguments.no_build)?;
    crate::setup::vm_tools()?;
    let kernel = kernel::fetch(arguments.kernel)?;
    let root = root::image()?;
    let shell = ["/bin/bash".to_owned()];
    let argv = match arguments.line.as_slice() {
        [] => shell.to_vec(),
        words => [&shell[..], &["-c".to_owned(), words.join(" ")]].concat(),
    };
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let boot = Boot::new(argv, interactive);
    let mut files = binaries;
    files.extend(arguments.file.iter().cloned());
    let initramfs = initramfs::pack(&kernel, &boot, &files)?;
    let machine = machine::Machine {
        kernel: &kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount: arguments.icount,
        processors: arguments.processors,
        memory: arguments.memory,
        timeout: Duration::from_secs(arguments.timeout),
        append: &arguments.append,
        verbose: arguments.verbose,
    };
    let mut print = |line: &str| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").context("cannot write to standard output")
    };
    let screen = if interactive { Screen::Person } else { Screen::Lines(&mut print) };
    let code = machine.boot(screen)?;
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
