//! What an agent executed, as the daemon sees it: an entry of the kernel's ring, checked once and decoded. No IO happens here.
#![forbid(unsafe_code)]

use std::{
    ffi::{OsStr, OsString},
    mem::offset_of,
    os::unix::ffi::OsStrExt as _,
    path::{Component, Path, PathBuf},
};

use guard_common::{
    execution::{ANCESTORS, Ancestor, ExecRecord},
    record::COMM_LEN,
};

use crate::operation::split_argv;

/// A program that an agent began with. Nothing here is what the program says of itself: it had not run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub time: u64,
    /// Cgroup id of the agent.
    pub agent: u64,
    pub tgid: u32,
    /// Of the process, in `CLOCK_BOOTTIME` nanoseconds.
    pub start_boottime: u64,
    pub uid: u32,
    pub comm: Vec<u8>,
    pub program: Program,
    /// From the root of the mount namespace's tree; empty where it could not be read, as are the others.
    pub path: PathBuf,
    pub cwd: PathBuf,
    pub argv: Vec<OsString>,
    /// Arguments the kernel counted; may be more than `argv` has.
    pub argc: u32,
    /// Bits of [`guard_common::record::doubt`]: what is missing.
    pub doubt: u32,
    /// The parent first, as far as they are known.
    pub ancestors: Vec<Above>,
}

/// The file that was executed; of a script, its interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// major << 20 | minor.
    pub dev: u32,
    pub ino: u64,
    pub generation: u32,
    /// Bytes.
    pub size: u64,
    /// `statfs` magic number of the file system.
    pub magic: u32,
}

/// A process above another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Above {
    pub pid: u32,
    /// `CLOCK_BOOTTIME` nanoseconds.
    pub start_boottime: u64,
    pub uid: u32,
    pub comm: Vec<u8>,
}

impl Execution {
    /// The script it is the interpreter of, by the arguments that the kernel gives to that: of the name that the process has
    /// since, as it was called.
    #[must_use]
    pub fn script(&self) -> Option<PathBuf> {
        let is_named = |path: &Path| {
            path.file_name().is_some_and(|name| !self.comm.is_empty() && name.as_bytes().starts_with(&self.comm))
        };
        if is_named(&self.path) {
            return None;
        }
        let script = self.argv.iter().skip(1).take(2).map(Path::new).find(|argument| is_named(argument))?;
        let mut plain = PathBuf::new();
        for part in self.cwd.join(script).components() {
            match part {
                Component::ParentDir => _ = plain.pop(),
                Component::CurDir => {}
                part => plain.push(part),
            }
        }
        plain.is_absolute().then_some(plain)
    }

    /// Decodes an entry of `EXECUTIONS`; `None` for one whose parts are not as long as it says, which no program of ours writes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (record, text) = bytes.split_at_checked(size_of::<ExecRecord>())?;
        let word = |at: usize| record[at..].first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        let long = |at: usize| record[at..].first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
        let mut rest = text;
        let mut cut = |at: usize| {
            let (part, behind) = rest.split_at_checked(usize::try_from(word(at)?).ok()?)?;
            rest = behind;
            Some(part)
        };
        let path = cut(offset_of!(ExecRecord, path_len))?;
        let cwd = cut(offset_of!(ExecRecord, cwd_len))?;
        let argv = cut(offset_of!(ExecRecord, argv_len))?;
        if !rest.is_empty() {
            return None;
        }
        let mut ancestors = Vec::new();
        for number in 0..ANCESTORS {
            let at = offset_of!(ExecRecord, ancestors) + number * size_of::<Ancestor>();
            let pid = word(at + offset_of!(Ancestor, tgid))?;
            if pid == 0 {
                break;
            }
            ancestors.push(Above {
                pid,
                start_boottime: long(at + offset_of!(Ancestor, start_boottime))?,
                uid: word(at + offset_of!(Ancestor, uid))?,
                comm: name(&record[at + offset_of!(Ancestor, comm)..]),
            });
        }
        Some(Self {
            time: long(offset_of!(ExecRecord, time))?,
            agent: long(offset_of!(ExecRecord, agent))?,
            tgid: word(offset_of!(ExecRecord, tgid))?,
            start_boottime: long(offset_of!(ExecRecord, start_boottime))?,
            uid: word(offset_of!(ExecRecord, uid))?,
            comm: name(&record[offset_of!(ExecRecord, comm)..]),
            program: Program {
                dev: word(offset_of!(ExecRecord, dev))?,
                ino: long(offset_of!(ExecRecord, ino))?,
                generation: word(offset_of!(ExecRecord, generation))?,
                size: long(offset_of!(ExecRecord, size))?,
                magic: word(offset_of!(ExecRecord, magic))?,
            },
            path: PathBuf::from(OsStr::from_bytes(path)),
            cwd: PathBuf::from(OsStr::from_bytes(cwd)),
            argv: split_argv(argv),
            argc: word(offset_of!(ExecRecord, argc))?,
            doubt: word(offset_of!(ExecRecord, doubt))?,
            ancestors,
        })
    }
}

/// The name of a thread at the beginning of these bytes.
fn name(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().take(COMM_LEN).take_while(|byte| *byte != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sh -c true` by process 7, below 5, below 1.
    fn entry() -> Vec<u8> {
        let mut bytes = vec![0; size_of::<ExecRecord>()];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(offset_of!(ExecRecord, time), &9_u64.to_ne_bytes());
        put(offset_of!(ExecRecord, tgid), &7_u32.to_ne_bytes());
        put(offset_of!(ExecRecord, ino), &40_u64.to_ne_bytes());
        put(offset_of!(ExecRecord, comm), b"sh");
        put(offset_of!(ExecRecord, argc), &3_u32.to_ne_bytes());
        put(offset_of!(ExecRecord, path_len), &7_u32.to_ne_bytes());
        put(offset_of!(ExecRecord, cwd_len), &1_u32.to_ne_bytes());
        put(offset_of!(ExecRecord, argv_len), &11_u32.to_ne_bytes());
        for (number, pid) in [5_u32, 1].into_iter().enumerate() {
            let at = offset_of!(ExecRecord, ancestors) + number * size_of::<Ancestor>();
            put(at + offset_of!(Ancestor, tgid), &pid.to_ne_bytes());
            put(at + offset_of!(Ancestor, start_boottime), &(u64::from(pid) + 100).to_ne_bytes());
            put(at + offset_of!(Ancestor, comm), b"0123456789abcdef");
        }
        bytes.extend(b"/bin/sh/sh\0-c\0true\0");
        bytes
    }

    #[test]
    fn an_entry_is_an_execution() {
        let execution = Execution::decode(&entry()).expect("it is one");
        assert_eq!((execution.time, execution.tgid, execution.argc), (9, 7, 3));
        assert_eq!((execution.comm.as_slice(), execution.program.ino), (&b"sh"[..], 40));
        assert_eq!((execution.path, execution.cwd), ("/bin/sh".into(), "/".into()));
        assert_eq!(execution.argv, ["sh", "-c", "true"]);
        let above: Vec<_> = execution.ancestors.iter().map(|above| (above.pid, above.start_boottime)).collect();
        assert_eq!(above, [(5, 105), (1, 101)]);
        assert_eq!(execution.ancestors[0].comm, b"0123456789abcdef");
    }

    #[test]
    fn an_entry_that_is_not_as_long_as_it_says_is_none() {
        let whole = entry();
        for len in 0..whole.len() {
            assert_eq!(Execution::decode(&whole[..len]), None, "{len} bytes");
        }
        assert_eq!(Execution::decode(&[&whole[..], b"x"].concat()), None);
        let mut long = whole;
        long[offset_of!(ExecRecord, cwd_len)..][..4].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(Execution::decode(&long), None);
    }
}
