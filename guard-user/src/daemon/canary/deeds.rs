//! What the canary does: one harmless operation for each of many hooks, all of which guard must refuse. It runs in a process
//! of its own, tagged, and says which were not refused. Nothing here knows what that means.
#![forbid(unsafe_code)]

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, Write as _},
    os::unix::{fs as unix, net::UnixStream, process::CommandExt as _},
    path::Path,
    process::Command,
};

use rustix::{
    fs::{CWD, FileType, IFlags, Mode},
    process::{Pid, Signal},
};

/// A file with something in it, and an empty directory: what there must be in the canary's directory.
pub(super) const FILE: &str = "file";
pub(super) const EMPTY: &str = "empty";
/// What it says before it is tagged.
pub(super) const READY: &str = "ready";
/// The hook of an exec.
const EXEC_HOOK: &str = "bprm_check_security";
/// A name nothing has.
const OTHER: &str = "other";

/// The argument that makes this program say it was executed, and nothing else.
pub const EXECUTED: &str = "--canary-executed";

/// Answers each line on standard input with one on standard output: the hooks that refused nothing, with blanks between
/// them. Ends with the input.
///
/// # Errors
/// When the directory is not as it must be, or nobody reads the answers.
pub fn run(directory: &Path) -> io::Result<()> {
    // Opened before it is tagged: a truncation needs an open file.
    let kept = OpenOptions::new().write(true).open(directory.join(FILE))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{READY}")?;
    for line in io::stdin().lock().lines() {
        line?;
        let mut passed: Vec<&str> =
            deeds(directory, &kept).into_iter().filter(|(_, result)| !refused(result)).map(|(hook, _)| hook).collect();
        // The last, because it does not come back: what runs then gives the answer.
        if passed.is_empty() && !refused(&Err(Command::new("/proc/self/exe").arg(EXECUTED).exec())) {
            passed.push(EXEC_HOOK);
        }
        writeln!(out, "{}", passed.join(" "))?;
    }
    Ok(())
}

/// What the program says that should not have run.
///
/// # Errors
/// When nobody reads it.
pub fn executed() -> io::Result<()> {
    writeln!(io::stdout(), "{EXEC_HOOK}")
}

/// Only guard answers root like this here. Any other error means that the operation got past it.
fn refused(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()))
}

/// Each operation under the name of its hook.
fn deeds(directory: &Path, kept: &File) -> Vec<(&'static str, io::Result<()>)> {
    let (file, empty, other) = (directory.join(FILE), directory.join(EMPTY), directory.join(OTHER));
    vec![
        ("file_open", File::open(&file).map(drop)),
        ("file_truncate", kept.set_len(0)),
        ("file_ioctl", rustix::fs::ioctl_setflags(kept, IFlags::empty()).map_err(io::Error::from)),
        ("path_chmod", rustix::fs::chmod(&file, Mode::RUSR).map_err(io::Error::from)),
        ("path_chown", unix::chown(&file, Some(0), Some(0))),
        ("path_link", fs::hard_link(&file, &other)),
        ("path_symlink", unix::symlink(FILE, &other)),
        ("path_mknod", rustix::fs::mknodat(CWD, &other, FileType::Fifo, Mode::RUSR, 0).map_err(io::Error::from)),
        ("path_rename", fs::rename(&file, &other)),
        ("path_rmdir", fs::remove_dir(&empty)),
        ("path_unlink", fs::remove_file(&file)),
        ("socket_connect", UnixStream::connect(&other).map(drop)),
        ("task_kill", signal_guardd()),
        ("bpf", programs()),
    ]
}

/// A signal that changes nothing.
fn signal_guardd() -> io::Result<()> {
    let guardd = rustix::process::getppid().unwrap_or(Pid::INIT);
    rustix::process::kill_process(guardd, Signal::WINCH).map_err(io::Error::from)
}

/// `bpf(2)`: which programs are loaded.
fn programs() -> io::Result<()> {
    match aya::programs::loaded_programs().next() {
        Some(Err(aya::programs::ProgramError::SyscallError(error))) => Err(error.io_error),
        Some(_) | None => Ok(()),
    }
}
