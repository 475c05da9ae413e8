//! What is found out about real processes of this host. Tests only.

use std::process::{Child, Command, Stdio};

use super::*;
use crate::daemon::testing::unlink;

/// A process that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        assert!(self.0.kill().is_ok() && self.0.wait().is_ok(), "it was running");
    }
}

fn running(command: &mut Command) -> (Running, Operation) {
    let child = command.stdout(Stdio::null()).spawn().expect("it starts");
    let pid = child.id();
    let ticks = facts::start_ticks(&format!("/proc/{pid}/stat")).expect("it runs");
    let operation = Operation { start_boottime: ticks * NANOSECONDS_PER_TICK, ..unlink(pid, "/x") };
    (Running(child), operation)
}

fn question(need: Need) -> Question {
    Question { needs: Needs::of(need), cgroup: String::new(), since: u64::MAX }
}

#[test]
fn only_what_is_asked_for_is_read() {
    let (_running, operation) = running(Command::new("sleep").arg("60").current_dir("/"));
    let found = question(Need::Directory).answer(&operation);
    assert_eq!(found, Circumstances { directory: Found::Is("/".into()), ..Circumstances::default() });
}

#[test]
fn a_process_has_its_environment_and_its_program() {
    // Until it became the other program, a child is this one, and for a moment it has no environment.
    let (_running, operation) = running(Command::new("sleep").arg("60").env_clear().env("STAGE", "prod=1"));
    let whole = Found::Is(vec![(b"STAGE".to_vec(), b"prod=1".to_vec())]);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let (lineage, environment) = loop {
        let lineage = question(Need::Lineage).answer(&operation).lineage.known().expect("it is readable").clone();
        let environment = question(Need::Environment).answer(&operation).environment;
        let became = lineage.programs[0].aliases.contains(&b"sleep".to_vec()) && environment == whole;
        if became || std::time::Instant::now() > deadline {
            break (lineage, environment);
        }
    };
    assert!(lineage.whole && lineage.programs[0].aliases.contains(&b"sleep".to_vec()), "{lineage:?}");
    assert_eq!(environment, whole);
}

#[test]
fn a_process_that_is_younger_than_the_agent_and_has_no_parent_in_it_may_descend_from_anything() {
    let (_running, operation) = running(Command::new("sleep").arg("60"));
    let found = Question { since: 0, ..question(Need::Lineage) }.answer(&operation);
    assert!(!found.lineage.known().expect("it is readable").whole);
}

#[test]
fn another_process_under_the_same_number_answers_nothing() {
    let (_running, mut operation) = running(Command::new("sleep").arg("60"));
    operation.start_boottime += 2 * NANOSECONDS_PER_TICK;
    let found = question(Need::Directory).answer(&operation);
    assert_eq!(found.directory, Found::Unreadable);
}

#[test]
fn a_program_is_hashed_only_when_it_is_the_file_the_kernel_means() {
    let (_running, operation) = running(Command::new("sleep").arg("60"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().canonicalize().expect("it is there").join("tool");
    fs::write(&path, "abc").expect("written");
    let metadata = fs::metadata(&path).expect("it is there");
    let mut operation = Operation { op: Op::Exec, path, ..operation };
    (operation.target.ino, operation.target.size) = (metadata.ino(), metadata.size());
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let found = question(Need::Hash).answer(&operation);
    assert_eq!(found.hash.known().map(hex).as_deref(), Some(expected));
    operation.target.ino += 1;
    assert_eq!(question(Need::Hash).answer(&operation).hash, Found::Unreadable);
    operation.target.ino -= 1;
    operation.target.magic = 0x6573_5546;
    assert_eq!(question(Need::Hash).answer(&operation).hash, Found::Unreadable, "FUSE may never answer");
}

#[test]
fn the_environment_of_an_exec_is_where_the_call_points() {
    assert_eq!(environment_address("59 0x1 0x2 0x7ffd10 0x0 0x0 0x0 0x7ffe 0x7fff\n"), Some(0x7f_fd10));
    assert_eq!(environment_address("322 0x1 0x2 0x3 0x40 0x0 0x0 0x7ffe 0x7fff\n"), Some(0x40));
    assert_eq!(environment_address("11 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n"), None, "a 32-bit call");
    assert_eq!(environment_address("running\n"), None);
}

#[test]
fn texts_are_read_across_pages_and_no_further_than_allowed() {
    let long = vec![b'x'; 10_000];
    let memory = tempfile::NamedTempFile::new().expect("a file");
    fs::write(memory.path(), [&b"ab\0"[..], &long, b"\0"].concat()).expect("written");
    let file = File::open(memory.path()).expect("it is there");
    let mut left = 20_000;
    assert_eq!(text_at(&file, 0, &mut left), Some(b"ab".to_vec()));
    assert_eq!(text_at(&file, 3, &mut left), Some(long));
    assert_eq!(text_at(&file, 3, &mut 5_000), None);
    assert_eq!(text_at(&file, 99_999, &mut 5_000), None);
}
