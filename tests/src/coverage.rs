//! `guard-tests coverage [--check FILE]`: writes docs/coverage.md, what guard does about each way past it that is known.
//! The words of the table, its printing and the tests that keep it true are here; the rows are in `coverage/`, a section
//! a file. Nothing here looks at a kernel: what proves a line is a scenario, and the scenarios are `scenarios.rs`'s.

mod agents;
mod destroy;
mod disguise;
mod faults;
mod guarding;
mod hold;
mod leaving;
mod machine;
mod network;
mod paths;
mod print;
mod prompts;
mod strain;

#[cfg(test)]
mod tests;

use std::{fs, process::ExitCode};

use anyhow::{Context as _, Result, bail};

/// Rows about one subject.
struct Section {
    title: &'static str,
    rows: &'static [Row],
}

const SECTIONS: &[Section] = &[
    Section { title: "Destroying data in files", rows: destroy::ROWS },
    Section { title: "Making the path lie", rows: paths::ROWS },
    Section { title: "Disguising a program", rows: disguise::ROWS },
    Section { title: "Attacking the hold", rows: hold::ROWS },
    Section { title: "Having somebody else do it", rows: leaving::ROWS },
    Section { title: "Attacking guard", rows: guarding::ROWS },
    Section { title: "Destroying by calls to the machine", rows: machine::ROWS },
    Section { title: "Floods, want and names used again", rows: strain::ROWS },
    Section { title: "Getting an approval", rows: prompts::ROWS },
    Section { title: "Network and wire protocols", rows: network::ROWS },
    Section { title: "What must always hold", rows: agents::ROWS },
    Section { title: "Faults", rows: faults::ROWS },
];

/// One way past guard.
struct Row {
    id: &'static str,
    class: &'static str,
    lines: &'static [Line],
}

/// One form of it, with a status of its own.
struct Line {
    what: &'static str,
    status: Status,
    /// The kernels it is about. On the others there is no such thing, or another line speaks of it.
    kernels: &'static [Kernel],
    note: &'static str,
}

#[derive(Clone, Copy)]
enum Status {
    /// Held or refused before the effect. These scenarios, or chapters of `service.rs`, fail where it is not.
    Enforced(&'static [&'static str]),
    /// The same for command lines of `rules/cases` that this shipped rule must stop, with this text in them, where one is run.
    CommandLines { rule: &'static str, text: &'static str },
    /// Seen and told, not prevented; these scenarios show it.
    Audited(&'static [&'static str]),
    /// Held or refused by this, and no scenario shows it.
    Unproven(&'static str),
    /// Neither, and why.
    NotCovered(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    V6_1,
    V6_12,
    Newest,
}

impl Kernel {
    const ALL: &[Self] = &[Self::V6_1, Self::V6_12, Self::Newest];

    const fn name(self) -> &'static str {
        match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
        }
    }
}

const fn line(what: &'static str, status: Status) -> Line {
    Line { what, status, kernels: Kernel::ALL, note: "" }
}

const fn enforced(what: &'static str, shown_by: &'static [&'static str]) -> Line {
    line(what, Status::Enforced(shown_by))
}

const fn command_line(what: &'static str, rule: &'static str, text: &'static str) -> Line {
    line(what, Status::CommandLines { rule, text })
}

const fn audited(what: &'static str, shown_by: &'static [&'static str]) -> Line {
    line(what, Status::Audited(shown_by))
}

const fn unproven(what: &'static str, by: &'static str) -> Line {
    line(what, Status::Unproven(by))
}

const fn gap(what: &'static str, why: &'static str) -> Line {
    line(what, Status::NotCovered(why))
}

impl Line {
    const fn on(self, kernels: &'static [Kernel]) -> Self {
        Self { kernels, ..self }
    }

    const fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

pub(crate) fn run(arguments: &[String]) -> Result<ExitCode> {
    match arguments {
        [] => {
            print!("{}", print::page());
            Ok(ExitCode::SUCCESS)
        }
        [check, file] if check == "--check" => {
            let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
            if text == print::page() {
                return Ok(ExitCode::SUCCESS);
            }
            eprintln!("{file} is not what tests/src/coverage says: `cargo xtask coverage` writes it anew");
            Ok(ExitCode::FAILURE)
        }
        _ => bail!("usage: guard-tests coverage [--check FILE]"),
    }
}
