//! `cargo xtask`: parses the command and calls its file. One command per file; nothing is built or run here.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a build tool talks to the person who started it")]

mod bench;
mod build;
mod check;
mod coverage;
mod demo;
mod dist;
mod ebpf;
mod fuzz;
mod program;
mod report;
mod service;
mod setup;
mod stats;
mod suite;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, tests, measures and shows guard.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need and this machine lacks; silent when nothing is missing.
    Setup,
    /// Build guardd and guardctl, static, with the eBPF object inside.
    Build(build::Arguments),
    /// Build the Debian and the RPM package, into target/dist.
    Dist(dist::Arguments),
    /// Show guard's main job: an agent is stopped before it deletes, you decide.
    Demo(demo::Arguments),
    /// Build the eBPF object, and show what the verifier of each kernel makes of it.
    Ebpf(ebpf::Arguments),
    /// Check format, lints, spelling, licences and the house rules.
    Check,
    /// Run every test, on this machine and on three kernels.
    Test(test::Arguments),
    /// Feed everything that guard reads from outside with what a fuzzer makes up.
    Fuzz(fuzz::Arguments),
    /// Measure what guard costs, against the limits of its design.
    Bench(bench::Arguments),
    /// Write docs/coverage.md: what each known way past guard meets, and which scenario shows it.
    Coverage(coverage::Arguments),
    /// Run a shell line (or an interactive shell) on a Debian system with a kernel of your choice, in QEMU.
    Vm(vm::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::run().map(|()| ExitCode::SUCCESS),
        Command::Build(arguments) => build::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Ebpf(arguments) => ebpf::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Dist(arguments) => dist::run(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check => check::run_all(),
        Command::Test(arguments) => test::run_all(&arguments),
        Command::Fuzz(arguments) => fuzz::run_all(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Coverage(arguments) => coverage::run(&arguments),
        Command::Vm(arguments) => vm::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
