//! The house rules that no other tool knows: what must be at the head of a file, where `unsafe` and maps may be, what
//! stands above a kernel program, and what must never be written into the repository.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::program::{self, program, read};

/// Lines of a file beyond which it is two files.
const LONGEST: usize = 400;

/// Where `unsafe` may be. Kernel programs call helpers, which are unsafe by nature; each block says why it is sound.
const UNSAFE: &[&str] = &[
    "guard-common/src/pod.rs",
    "guard-ebpf/src/agent.rs",
    "guard-ebpf/src/arguments.rs",
    "guard-ebpf/src/argv.rs",
    "guard-ebpf/src/clear.rs",
    "guard-ebpf/src/count.rs",
    "guard-ebpf/src/destination.rs",
    "guard-ebpf/src/execution.rs",
    "guard-ebpf/src/expected.rs",
    "guard-ebpf/src/footprint.rs",
    "guard-ebpf/src/gate.rs",
    "guard-ebpf/src/guards.rs",
    "guard-ebpf/src/held.rs",
    "guard-ebpf/src/hooks/descriptor.rs",
    "guard-ebpf/src/hooks/exec.rs",
    "guard-ebpf/src/hooks/file.rs",
    "guard-ebpf/src/hooks/net.rs",
    "guard-ebpf/src/hooks/returned.rs",
    "guard-ebpf/src/hooks/task.rs",
    "guard-ebpf/src/hooks/trip.rs",
    "guard-ebpf/src/kread.rs",
    "guard-ebpf/src/main.rs",
    "guard-ebpf/src/maps.rs",
    "guard-ebpf/src/object.rs",
    "guard-ebpf/src/own.rs",
    "guard-ebpf/src/pass.rs",
    "guard-ebpf/src/path.rs",
    "guard-ebpf/src/prefilter.rs",
    "guard-ebpf/src/quota.rs",
    "guard-ebpf/src/result.rs",
    "guard-ebpf/src/scratch.rs",
    "guard-user/src/kernel/source.rs",
    "tests/src/bench/seccomp.rs",
    "tests/src/kept.rs",
];

/// Where the verbs of guardctl are listed, and where a person reads of them.
const VERBS: &str = "guard-user/src/cli/mod.rs";
const README: &str = "README.md";

/// The one place for maps.
const MAPS: &str = "guard-ebpf/src/maps.rs";

/// Paths of one machine: the repository is built on others. The folder it lies in now is another.
const FOREIGN: &[&str] = &["/root/."];

/// Files that may name such a path: this one, and the rules and their tests, which are about such directories.
const FOREIGN_ALLOWED: &[&str] = &["xtask/src/tidy.rs", "rules/", "guard-user/src/rules/", "guard-user/src/cli/"];

pub(crate) fn run() -> Result<()> {
    let listed = read(program("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut problems = Vec::new();
    for file in listed.lines() {
        let path = program::workspace().join(file);
        // Deleted and not yet committed, or not text: nothing to read.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        foreign(file, &text, &mut problems);
        if Path::new(file).extension().is_some_and(|extension| extension == "rs") {
            rust(file, &text, &mut problems);
        }
    }
    let text = |file: &str| fs::read_to_string(program::workspace().join(file)).with_context(|| format!("no {file}"));
    verbs(&text(VERBS)?, &text(README)?, &mut problems);
    if !problems.is_empty() {
        bail!("{} problems\n{}", problems.len(), problems.join("\n"));
    }
    workspace_files()
}

fn rust(file: &str, text: &str, problems: &mut Vec<String>) {
    if !text.starts_with("//!") {
        problems.push(format!("{file}:1: open the file with `//!`, saying what lives here"));
    }
    let length = text.lines().count();
    if length > LONGEST {
        problems.push(format!("{file}:{LONGEST}: {length} lines are two files"));
    }
    let hooks = file.starts_with("guard-ebpf/src/hooks/");
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        let at = format!("{file}:{}", number + 1);
        if is_unsafe(code) && !UNSAFE.contains(&file) {
            problems.push(format!("{at}: `unsafe` lives in named files only"));
        }
        if code.starts_with("#[map") && file != MAPS {
            problems.push(format!("{at}: maps live in {MAPS}"));
        }
        if hooks
            && ["#[lsm", "#[tracepoint", "#[btf_tracepoint", "#[raw_tracepoint", "#[fentry"]
                .iter()
                .any(|mark| code.starts_with(mark))
            && !has_prototype(&lines[..number])
        {
            problems.push(format!("{at}: the kernel's prototype belongs into a `///` comment above the program"));
        }
    }
}

/// Every verb of guardctl is in the README: as `guardctl verb`, or first in backquotes.
fn verbs(source: &str, readme: &str, problems: &mut Vec<String>) {
    let mut found = 0;
    for line in source.lines() {
        let Some((_, module)) = line.trim().split_once('(') else { continue };
        let Some(verb) = module.strip_suffix("::Arguments),") else { continue };
        found += 1;
        let verb = verb.replace('_', "-");
        let is_there = ["guardctl ", "`"].iter().any(|before| {
            let wanted = format!("{before}{verb}");
            let ends =
                |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_:".contains(next));
            readme.match_indices(&wanted).any(|(at, _)| ends(&readme[at + wanted.len()..]))
        });
        if !is_there {
            problems.push(format!("{README}: `guardctl {verb}` is not documented"));
        }
    }
    if found == 0 {
        problems.push(format!("{VERBS}: no verbs are found there any more"));
    }
}

/// `unsafe` as a keyword, not inside a word, a lint's name or a text.
fn is_unsafe(code: &str) -> bool {
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "#[unsafe("]
        .iter()
        .any(|form| code.find(form).is_some_and(|at| code[..at].matches('"').count().is_multiple_of(2)))
}

/// A doc comment directly above with a prototype or a tracepoint's format in backquotes.
fn has_prototype(above: &[&str]) -> bool {
    let comment =
        above.iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with("///") || line.starts_with("#["));
    comment.filter(|line| line.starts_with("///")).any(|line| line.contains('`') || line.contains('('))
}

fn foreign(file: &str, text: &str, problems: &mut Vec<String>) {
    if FOREIGN_ALLOWED.iter().any(|allowed| file.starts_with(allowed)) {
        return;
    }
    let here = std::env::current_dir().unwrap_or_default().display().to_string();
    for (number, line) in text.lines().enumerate() {
        let found = FOREIGN.iter().copied().chain([here.as_str()]).find(|found| line.contains(found));
        if let Some(found) = found {
            problems.push(format!("{file}:{}: {found} is of one machine", number + 1));
        }
    }
}

/// Files whose absence breaks the promise of one command.
fn workspace_files() -> Result<()> {
    for file in ["Cargo.lock", "rust-toolchain.toml", ".ci/run", "deny.toml"] {
        let path: PathBuf = program::workspace().join(file);
        path.metadata().with_context(|| format!("{file} is missing"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{foreign, rust, verbs};

    fn problems(file: &str, text: &str) -> usize {
        let mut problems = Vec::new();
        rust(file, text, &mut problems);
        foreign(file, text, &mut problems);
        problems.len()
    }

    #[test]
    fn a_file_without_a_header_is_a_problem() {
        assert_eq!(problems("xtask/src/a.rs", "fn a() {}\n"), 1);
        assert_eq!(problems("xtask/src/a.rs", "//! A.\nfn a() {}\n"), 0);
    }

    #[test]
    fn unsafe_outside_the_named_files_is_a_problem() {
        let text = "//! A.\nfn a() { unsafe { b() } }\n";
        assert_eq!(problems("guard-user/src/a.rs", text), 1);
        assert_eq!(problems("guard-ebpf/src/a.rs", text), 1);
        assert_eq!(problems("guard-ebpf/src/gate.rs", text), 0);
    }

    #[test]
    fn a_hook_without_the_kernels_prototype_is_a_problem() {
        let hook = "#[lsm(hook = \"path_unlink\")]\npub fn path_unlink() {}\n";
        assert_eq!(problems("guard-ebpf/src/hooks/a.rs", &format!("//! A.\n{hook}")), 1);
        assert_eq!(
            problems("guard-ebpf/src/hooks/a.rs", &format!("//! A.\n/// `int security_path_unlink(void)`\n{hook}")),
            0
        );
    }

    #[test]
    fn a_verb_the_readme_does_not_name_is_a_problem() {
        let check = |readme: &str| {
            let mut problems = Vec::new();
            verbs("enum Verb {\n    Log(log::Arguments),\n}\n", readme, &mut problems);
            problems.len()
        };
        assert_eq!((check("see `log --follow`"), check("$ guardctl log"), check("`logs`, a log")), (0, 0, 1));
        let mut problems = Vec::new();
        verbs("nothing", "", &mut problems);
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn a_path_of_one_machine_is_a_problem() {
        let mut problems = Vec::new();
        let here = std::env::current_dir().unwrap();
        foreign("README.md", &format!("see {}/x\n", here.display()), &mut problems);
        assert_eq!(problems.len(), 1);
    }
}
