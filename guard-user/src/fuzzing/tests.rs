//! Every input of every corpus, without a fuzzer: what crashed once never does again.

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use super::{TARGETS, Target};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect()
}

/// Feeds a target all that is kept for it, and names what it did not stand.
fn fed(target: &str) {
    let function: Target = TARGETS.iter().find(|(name, _)| *name == target).expect("there is such a target").1;
    let directory = corpus().join(target);
    let inputs = names(&directory);
    assert!(!inputs.is_empty(), "{target} has no inputs");
    let kept = inputs.into_iter().map(|name| (fs::read(directory.join(&name)).expect("an input"), name));
    // Nobody would keep these, and every reader meets them.
    let plain: [(&[u8], &str); 4] =
        [(b"", "nothing"), (b"\0", "a zero"), (b"\n", "an end of a line"), (&[0xff; 2_000], "what is no text")];
    let plain = plain.map(|(bytes, name)| (bytes.to_vec(), name.to_owned()));
    let broken: Vec<String> = kept
        .chain(plain)
        .filter(|(bytes, _)| catch_unwind(|| function(bytes)).is_err())
        .map(|(_, name)| name)
        .collect();
    assert!(broken.is_empty(), "{target} broke a promise with {broken:?}: see above");
}

#[test]
fn requests_on_the_socket() {
    fed("api");
}

#[test]
fn files_of_an_earlier_guardd() {
    fed("audit");
}

#[test]
fn files_of_proc_and_etc() {
    fed("cgroup");
}

#[test]
fn command_lines() {
    fed("command");
}

#[test]
fn texts_of_agents() {
    fed("escape");
}

#[test]
fn words_of_agents_about_themselves() {
    fed("hook");
}

#[test]
fn records_of_the_kernel() {
    fed("record");
}

#[test]
fn files_of_operators() {
    fed("rules");
}

#[test]
fn every_target_has_a_corpus_and_a_program_and_nothing_else_has() {
    let expected: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&corpus()), expected);
    let programs = names(&corpus().join("../fuzz_targets"));
    assert_eq!(programs, expected.iter().map(|name| format!("{name}.rs")).collect());
}
