//! What `/proc` says about a process that is held. Bounded, as bytes; nothing here decides, and nothing of the
//! agent's is looked up by path but in [`blast`].
#![forbid(unsafe_code)]

pub mod blast;
mod environ;

pub use environ::LISTED;

use std::{
    ffi::OsString,
    fs,
    io::Read as _,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use crate::{
    api,
    daemon::{cgroup::Cgroups, core::Gather, scope},
    holds::Facts,
    operation::split_argv,
    text::lossy,
    tool_calls::Link,
};

/// Parents that are followed.
const DEEP: usize = 32;
/// Bytes of arguments that are read per process.
const ARGV: u64 = 32 * 1_024;

/// The chain from the acting process to the agent's first one, and the directory the act is about.
#[must_use]
pub fn gather(gather: &Gather, variables: &[String]) -> Facts {
    let operation = &gather.operation;
    let names = users();
    let (mut processes, mut links) = (Vec::new(), Vec::new());
    let mut environment = Vec::new();
    let mut pid = operation.tgid;
    let mut here = (Vec::new(), PathBuf::new());
    while processes.len() < DEEP {
        let Some((process, link, argv, cwd)) = read(pid, &names) else { break };
        let parent = process.ppid;
        processes.push(process);
        links.push(link);
        environ::add(pid, variables, &mut environment);
        if processes.len() == 1 {
            here = (argv, cwd);
        }
        if parent <= 1 || gather.cgroup.is_empty() || !belongs(parent, &gather.cgroup) {
            break;
        }
        pid = parent;
    }
    // The thread must still be the one that was held, or all of this was about somebody else.
    if !lives(operation.tgid, operation.tid, operation.start_boottime) {
        return Facts::default();
    }
    let (argv, cwd) = here;
    Facts { processes, root: scope::root(operation, &argv, &cwd), links, environment }
}

/// A process and those above it, as they are told from later ones with their numbers.
#[must_use]
pub fn lineage(mut pid: u32) -> Vec<Link> {
    let mut links = Vec::new();
    while pid > 1 && links.len() < DEEP {
        let Some((parent, start_ticks)) = parent_and_start(pid) else { break };
        links.push(Link { pid, start_ticks });
        pid = parent;
    }
    links
}

/// The very thread is there.
#[must_use]
pub fn lives(tgid: u32, tid: u32, start_boottime: u64) -> bool {
    start_ticks(&format!("/proc/{tgid}/task/{tid}/stat")) == Some(start_boottime / NANOSECONDS_PER_TICK)
}

/// The very thread is there and has not ended: one that has is in `/proc` until somebody waits for it.
#[must_use]
pub fn runs(tgid: u32, tid: u32, start_boottime: u64) -> bool {
    let stat = bounded(&format!("/proc/{tgid}/task/{tid}/stat"), 4_096);
    stat.and_then(|stat| after_name(&stat)).is_some_and(|fields| {
        let ended = fields.first().is_none_or(|state| ["Z", "X"].contains(&state.as_str()));
        let start = fields.get(19).and_then(|ticks| ticks.parse().ok());
        !ended && start == Some(start_boottime / NANOSECONDS_PER_TICK)
    })
}

/// The thread is stopped by a signal.
#[must_use]
pub fn is_stopped(tgid: u32, tid: u32) -> bool {
    let stat = bounded(&format!("/proc/{tgid}/task/{tid}/stat"), 4_096);
    stat.and_then(|stat| after_name(&stat)).is_some_and(|fields| fields.first().is_some_and(|state| state == "T"))
}

/// One of its threads is.
#[must_use]
pub fn has_stopped(tgid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{tgid}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()).any(|tid| is_stopped(tgid, tid))
}

/// `USER_HZ` is 100 on every architecture guard runs on.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// Field 22 of a `stat` file. The name of the process is in brackets and may hold anything.
pub(super) fn start_ticks(stat: &str) -> Option<u64> {
    let text = bounded(stat, 4_096)?;
    after_name(&text)?.get(19)?.parse().ok()
}

/// The fields after the name, the first being the state.
pub(crate) fn after_name(stat: &[u8]) -> Option<Vec<String>> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    Some(fields.split_ascii_whitespace().map(str::to_owned).collect())
}

/// Parent, and start in ticks.
pub(super) fn parent_and_start(pid: u32) -> Option<(u32, u64)> {
    let fields = after_name(&bounded(&format!("/proc/{pid}/stat"), 4_096)?)?;
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

fn read(pid: u32, users: &[(u32, String)]) -> Option<(api::Process, Link, Vec<OsString>, PathBuf)> {
    let of = |file: &str| format!("/proc/{pid}/{file}");
    let stat = bounded(&of("stat"), 4_096)?;
    let name_start = stat.iter().position(|byte| *byte == b'(')? + 1;
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let comm = lossy(stat.get(name_start..name_end)?);
    let fields = after_name(&stat)?;
    let ppid = fields.get(1)?.parse().ok()?;
    let own = Link { pid, start_ticks: fields.get(19)?.parse().ok()? };
    let status = bounded(&of("status"), 8_192)?;
    let uid = status_numbers(&status, "Uid:").first().copied().unwrap_or(u32::MAX);
    let argv = split_argv(&bounded(&of("cmdline"), ARGV).unwrap_or_default());
    let exe = link(&of("exe"));
    let cwd = link(&of("cwd"));
    let process = api::Process {
        pid,
        ppid,
        uid,
        user: users.iter().find(|(known, _)| *known == uid).map(|(_, name)| name.clone()).unwrap_or_default(),
        comm,
        exe: lossy(exe.as_os_str().as_bytes()),
        argv: argv.iter().map(|argument| lossy(argument.as_bytes())).collect(),
        cwd: lossy(cwd.as_os_str().as_bytes()),
    };
    Some((process, own, argv, cwd))
}

/// The numbers of one line of a `status` file.
#[must_use]
pub fn status_numbers(status: &[u8], key: &str) -> Vec<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(key.as_bytes()));
    let line = line.map(String::from_utf8_lossy).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

pub(super) fn belongs(pid: u32, cgroup: &str) -> bool {
    Cgroups::of(pid).is_ok_and(|own| crate::daemon::core::within(&own, cgroup))
}

/// The target of a magic link. The kernel answers without looking anything up.
fn link(path: &str) -> PathBuf {
    fs::read_link(path).unwrap_or_default()
}

/// The first bytes of a file of `/proc`; `None` when the process is gone.
#[must_use]
pub fn bounded(path: &str, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Ids and names of the local users.
fn users() -> Vec<(u32, String)> {
    let passwd = bounded("/etc/passwd", 1 << 20).unwrap_or_default();
    entries(&passwd).map(|(name, id, _)| (id, name)).collect()
}

/// Ids and names of the local users; `None` when they cannot be read.
pub(super) fn local_users() -> Option<Vec<(u32, String)>> {
    let passwd = bounded("/etc/passwd", 1 << 20).filter(|passwd| passwd.len() < 1 << 20)?;
    Some(entries(&passwd).map(|(name, id, _)| (id, name)).collect())
}

/// Name of a local user, or nothing.
#[must_use]
pub fn user_name(uid: u32) -> String {
    users().into_iter().find(|(known, _)| *known == uid).map(|(_, name)| name).unwrap_or_default()
}

/// Home directory of a local user; empty when there is none.
#[must_use]
pub fn home(uid: u32) -> PathBuf {
    let passwd = bounded("/etc/passwd", 1 << 20).unwrap_or_default();
    let home = entries(&passwd).find(|(_, id, _)| *id == uid).and_then(|(_, _, fields)| fields.get(5).cloned());
    home.map(|home| PathBuf::from(OsString::from_vec(home))).unwrap_or_default()
}

/// Number of a local group.
#[must_use]
pub fn group(name: &str) -> Option<u32> {
    let groups = bounded("/etc/group", 1 << 20)?;
    entries(&groups).find(|(own, _, _)| own == name).map(|(_, id, _)| id)
}

/// Name, id and fields of the lines of `passwd` and `group`, which both keep the id third.
pub(crate) fn entries(file: &[u8]) -> impl Iterator<Item = (String, u32, Vec<Vec<u8>>)> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<Vec<u8>> = line.split(|byte| *byte == b':').map(<[u8]>::to_vec).collect();
        let id = std::str::from_utf8(fields.get(2)?).ok()?.parse().ok()?;
        Some((lossy(fields.first()?), id, fields))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_move_the_fields() {
        let stat = b"42 (a) R 1 ) S 7 8 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 12345 0";
        let fields = after_name(stat).expect("it is a stat line");
        assert_eq!((fields[0].as_str(), fields[1].as_str(), fields[19].as_str()), ("S", "7", "12345"));
    }

    #[test]
    fn what_has_ended_and_is_waited_for_is_there_and_does_not_run() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep starts");
        let pid = child.id();
        let start = start_ticks(&format!("/proc/{pid}/stat")).expect("it has a start") * NANOSECONDS_PER_TICK;
        assert!(runs(pid, pid, start) && !runs(pid, pid, start + NANOSECONDS_PER_TICK));
        let process = crate::daemon::process::Process::open(pid).expect("it is there");
        child.kill().expect("it can be killed");
        while process.lives() {
            std::thread::yield_now();
        }
        assert!(lives(pid, pid, start) && !runs(pid, pid, start), "nobody waited for it yet");
        child.wait().expect("it ended");
        assert!(!lives(pid, pid, start) && !runs(pid, pid, start));
    }

    #[test]
    fn groups_of_a_status_file_are_numbers() {
        assert_eq!(status_numbers(b"Uid:\t0\t1\t2\t3\nGroups:\t4 24 1000 \n", "Groups:"), [4, 24, 1000]);
        assert_eq!(status_numbers(b"Uid:\t0\t1\t2\t3\n", "Uid:"), [0, 1, 2, 3]);
    }

    #[test]
    fn this_process_has_a_chain_with_its_arguments() {
        let mut operation = crate::daemon::testing::unlink(std::process::id(), "/srv/data/a");
        operation.tid = operation.tgid;
        let ticks = start_ticks("/proc/self/stat").expect("this process has a start");
        operation.start_boottime = ticks * NANOSECONDS_PER_TICK;
        let path = ["PATH".to_owned()];
        let facts = gather(&Gather { operation: operation.clone(), cgroup: String::new() }, &path);
        assert_eq!((facts.processes.len(), facts.links.len()), (1, 1));
        assert_eq!(facts.links, lineage(operation.tgid)[..1]);
        assert_eq!(facts.environment.iter().map(|own| own.name.as_str()).collect::<Vec<_>>(), ["PATH"]);
        assert_eq!(facts.processes[0].argv.len(), std::env::args().count());
        assert_eq!(facts.start_ticks(), Some(ticks));
        operation.start_boottime += 2 * NANOSECONDS_PER_TICK;
        assert_eq!(gather(&Gather { operation, cgroup: String::new() }, &path), Facts::default());
    }
}
