//! Finds out what rules ask about a held process: environment, directory, ancestors, users, the program's hash.
//! Bounded, and away from the loop; what cannot be read is said to be unreadable, and that holds the operation.
#![forbid(unsafe_code)]

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::Read as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use guard_common::op::Op;
use sha2::{Digest as _, Sha256};

use super::facts;
use crate::{
    circumstances::{Circumstances, Found, Lineage, Need, Needs, Program},
    operation::Operation,
};

/// What is wanted, and about which agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub needs: Needs,
    /// Of the agent, below the cgroup root: ancestors are followed as long as they are in it.
    pub cgroup: String,
    /// When the agent was tagged: `CLOCK_BOOTTIME` nanoseconds. What is older has no ancestors in it.
    pub since: u64,
}

/// Ancestors that are followed.
const DEEP: usize = 64;
/// Bytes of an environment that are read.
const ENVIRONMENT: usize = 256 << 10;
/// Variables of an environment that are read.
const VARIABLES: usize = 4_096;
/// Programs larger than this are not hashed.
const LARGEST: u64 = 512 << 20;
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

/// `statfs` numbers of file systems that somebody else serves and may never answer: FUSE, NFS, CIFS, SMB2, 9p, Ceph,
/// AFS.
const SERVED: [u64; 7] = [0x6573_5546, 0x6969, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

impl Question {
    /// When the process does not answer, or answers too late.
    #[must_use]
    pub fn unanswered(&self) -> Circumstances {
        fn asked<T>(question: &Question, need: Need) -> Found<T> {
            if question.needs.contains(need) { Found::Unreadable } else { Found::NotAsked }
        }
        Circumstances {
            environment: asked(self, Need::Environment),
            directory: asked(self, Need::Directory),
            lineage: asked(self, Need::Lineage),
            users: asked(self, Need::Users),
            hash: asked(self, Need::Hash),
            ..Circumstances::default()
        }
    }

    /// Reads what was asked for, of a process that is stopped.
    #[must_use]
    pub fn answer(&self, operation: &Operation) -> Circumstances {
        let mut found = Circumstances::default();
        let pid = operation.tgid;
        if self.needs.contains(Need::Environment) {
            found.environment = environment(operation).into();
        }
        if self.needs.contains(Need::Directory) {
            let directory = fs::read_link(format!("/proc/{pid}/cwd")).ok();
            found.directory = directory.filter(|directory| directory.has_root()).into();
        }
        if self.needs.contains(Need::Lineage) {
            found.lineage = self.lineage(pid).into();
        }
        if self.needs.contains(Need::Users) {
            found.users = facts::local_users().into();
        }
        if self.needs.contains(Need::Hash) {
            found.hash = hash(operation).into();
        }
        // The thread must still be the one that was held, or all of this was about somebody else.
        let thread = facts::start_ticks(&format!("/proc/{pid}/task/{}/stat", operation.tid));
        if thread == Some(operation.start_boottime / NANOSECONDS_PER_TICK) { found } else { self.unanswered() }
    }

    fn lineage(&self, pid: u32) -> Option<Lineage> {
        let mut lineage = Lineage { programs: vec![program(pid)?], whole: false };
        let mut pid = pid;
        while lineage.programs.len() < DEEP {
            let (parent, start) = facts::parent_and_start(pid)?;
            if !facts::belongs(parent, &self.cgroup) {
                // Its first process is older than the tag. A younger one lost its parent, which may have run anything.
                lineage.whole = start.saturating_mul(NANOSECONDS_PER_TICK) <= self.since;
                return Some(lineage);
            }
            let Some(program) = program(parent) else { return Some(lineage) };
            lineage.programs.push(program);
            pid = parent;
        }
        Some(lineage)
    }
}

fn program(pid: u32) -> Option<Program> {
    let file = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let bytes = file.as_os_str().as_bytes();
    let file = PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)));
    let own = facts::bounded(&format!("/proc/{pid}/comm"), 64).unwrap_or_default();
    let cmdline = facts::bounded(&format!("/proc/{pid}/cmdline"), 8 << 10).unwrap_or_default();
    let last = |path: &[u8]| path.rsplit(|byte| *byte == b'/').next().unwrap_or(path).to_vec();
    let mut aliases: Vec<Vec<u8>> = cmdline.split(|byte| *byte == 0).take(3).map(last).collect();
    aliases.push(own.strip_suffix(b"\n").unwrap_or(&own).to_vec());
    aliases.retain(|alias| !alias.is_empty());
    Some(Program { file, aliases })
}

/// Of an exec, what the new program would get: the process still holds it in its own memory, where the call points.
fn environment(operation: &Operation) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let pid = operation.tgid;
    if !matches!(operation.op, Op::Exec) {
        let bytes = facts::bounded(&format!("/proc/{pid}/environ"), ENVIRONMENT as u64 + 1)?;
        return (bytes.len() <= ENVIRONMENT).then(|| bytes.split(|byte| *byte == 0).filter_map(variable).collect());
    }
    // Another thread could write there until the call runs again.
    let status = facts::bounded(&format!("/proc/{pid}/status"), 8 << 10)?;
    if facts::status_numbers(&status, "Threads:") != [1] {
        return None;
    }
    let call = facts::bounded(&format!("/proc/{pid}/task/{}/syscall", operation.tid), 512)?;
    let mut address = environment_address(std::str::from_utf8(&call).ok()?)?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut variables = Vec::new();
    let mut left = ENVIRONMENT;
    while address != 0 && variables.len() < VARIABLES {
        let mut pointer = [0; 8];
        memory.read_exact_at(&mut pointer, address).ok()?;
        let string = u64::from_ne_bytes(pointer);
        if string == 0 {
            return Some(variables);
        }
        let text = text_at(&memory, string, &mut left)?;
        variables.extend(variable(&text));
        address = address.checked_add(8)?;
    }
    // No environment at all is one that is empty; more than can be read is not known.
    (address == 0).then_some(variables)
}

/// Where `execve` and `execveat` have their environment, from a line of `/proc/PID/syscall`.
pub(crate) fn environment_address(line: &str) -> Option<u64> {
    const EXECVE: &str = if cfg!(target_arch = "x86_64") { "59" } else { "221" };
    const EXECVEAT: &str = if cfg!(target_arch = "x86_64") { "322" } else { "281" };
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let argument = match *fields.first()? {
        EXECVE => 3,
        EXECVEAT => 4,
        _ => return None,
    };
    u64::from_str_radix(fields.get(argument)?.strip_prefix("0x")?, 16).ok()
}

/// The bytes up to a NUL, taken page by page: memory may end behind them.
fn text_at(memory: &File, address: u64, left: &mut usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = address;
    while *left > 0 {
        let mut page = vec![0; 4_096 - usize::try_from(at % 4_096).ok()?];
        let read = memory.read_at(&mut page, at).ok().filter(|read| *read > 0)?;
        let end = page[..read].iter().position(|byte| *byte == 0);
        let part = &page[..end.unwrap_or(read)];
        text.extend_from_slice(part);
        *left = left.saturating_sub(part.len() + 1);
        if end.is_some() {
            return Some(text);
        }
        at = at.checked_add(read as u64)?;
    }
    None
}

pub(crate) fn variable(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((text[..equals].to_vec(), text[equals + 1..].to_vec()))
}

/// The program's file as the process sees it, if it is the one the kernel means.
fn hash(operation: &Operation) -> Option<[u8; 32]> {
    if !matches!(operation.op, Op::Exec) || SERVED.contains(&operation.target.magic) {
        return None;
    }
    let root = Path::new("/proc").join(operation.tgid.to_string()).join("root");
    let path = root.join(operation.path.strip_prefix("/").ok()?);
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::NOFOLLOW;
    let flags = i32::try_from(flags.bits()).ok()?;
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    let same = metadata.ino() == operation.target.ino && metadata.size() == operation.target.size;
    if !metadata.is_file() || !same || metadata.size() > LARGEST {
        return None;
    }
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    let mut rest = metadata.size();
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            break;
        }
        // It grew meanwhile: what would run is not what was read.
        rest = rest.checked_sub(read as u64)?;
        hasher.update(&buffer[..read]);
    }
    (rest == 0).then(|| hasher.finalize().into())
}

#[cfg(test)]
mod tests;
