//! The program that runs inside a test machine: as PID 1 it boots it; otherwise it is the command it is called with.
//! Arguments are parsed here; the commands live in their files.
#![deny(unsafe_code)]
#![allow(clippy::print_stdout, reason = "results are lines on standard output")]

mod act;
mod agent;
mod bench;
mod coverage;
mod demo;
mod guard;
mod init;
mod kept;
mod lists;
mod log;
mod patience;
mod scenarios;
mod service;
mod setting;
mod socket;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = if std::process::id() == 1 {
        init::run().map(|()| ExitCode::FAILURE)
    } else if let Some(name) = lists::stub::name() {
        lists::stub::run(&name).map(|()| ExitCode::SUCCESS)
    } else {
        match arguments.split_first() {
            Some((command, rest)) if command == "scenarios" => scenarios::run(rest),
            Some((command, rest)) if command == "lists" && rest.len() <= 1 => {
                scenarios::lists::whole(rest.first().map(String::as_str))
            }
            Some((command, rest)) if command == "serve" && rest.is_empty() => init::serve().map(|()| ExitCode::FAILURE),
            Some((command, rest)) if command == "service" => service::run(rest),
            Some((command, rest)) if command == "demo" => demo::run(rest),
            Some((command, rest)) if command == "coverage" => coverage::run(rest),
            Some((command, rest)) if command == "bench" => bench::run(rest),
            Some((command, rest)) if command == "act" => act::run(rest).map(|()| ExitCode::SUCCESS),
            Some((command, rest)) if command == "drain" && rest.is_empty() => init::drain().map(|()| ExitCode::SUCCESS),
            Some(_) | None => Err(anyhow::anyhow!("usage: guard-tests COMMAND")),
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("guard-tests: {error:#}");
        ExitCode::FAILURE
    })
}
