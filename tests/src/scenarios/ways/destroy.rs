//! Ways to destroy what is in files. Who is destroyed by what name is `names`; the harness is `ways`.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{Way, each_is_held, free, gone, is_changed, way};
use crate::{
    guard::Guard,
    scenarios::{Scenario, gate},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![gate("every_call_that_destroys_a_file_is_held_and_works_only_when_approved", calls)]
}

const CALLS: &[Way] = &[
    way("unlinkat", "rmdir", r#"call(UNLINKAT, CWD, "$d/empty", 0x200)"#, |d| gone(d, "empty")),
    // It leaves a device of number 0 where the file was.
    way("whiteout", "rename", r#"call(RENAMEAT2, CWD, "$d/file", CWD, "$d/moved", 4)"#, |d| {
        fs::symlink_metadata(d.join("file")).is_ok_and(|found| found.file_type().is_char_device())
    }),
    way("creat", "open_write", r#"call(CREAT, "$d/file", 0644)"#, is_changed),
    way("openat2", "open_write", r#"call(OPENAT2, CWD, "$d/file", pack("Q3", O_TRUNC, 0, 0), 24)"#, is_changed),
    // It is open before its name is one that a rule knows.
    way("ftruncate", "truncate", r#"my $f = fd($free, 1) or return 0; await($d); call(FTRUNCATE, $f, 0)"#, |d| {
        is_changed(d) && d.join("go").exists()
    })
    .prepared(|d| fs::rename(d.join("file"), free(d)).context("cannot rename"))
    .meanwhile(|d| fs::rename(free(d), d.join("file")).context("cannot rename")),
    // A hole with what is before it and after it kept.
    way(
        "fallocate",
        "open_write",
        r#"my $f = fd("$d/file", 2) or return 0; call(FALLOCATE, $f, 3, 0, 4096)"#,
        is_changed,
    ),
    // The bytes go from a pipe straight to the memory that is the file.
    way(
        "mmap",
        "open_write",
        r#"my $f = fd("$d/file", 2) or return 0; my $at = syscall(MMAP, 0, 4096, 3, 1, $f, 0);
           pipe(my $out, my $in); syswrite($in, "new"); call(READ, fileno($out), $at, 3)"#,
        is_changed,
    ),
    way(
        "copy_file_range",
        "open_write",
        r#"my $f = fd("$d/file", 1) or return 0; call(COPY_FILE_RANGE, fd("$d/other", 0), 0, $f, 0, 4096, 0)"#,
        is_changed,
    ),
    way(
        "sendfile",
        "open_write",
        r#"my $f = fd("$d/file", 1) or return 0; call(SENDFILE, $f, fd("$d/other", 0), 0, 4096)"#,
        is_changed,
    ),
    way(
        "splice",
        "open_write",
        r#"my $f = fd("$d/file", 1) or return 0; pipe(my $out, my $in); syswrite($in, "new");
           call(SPLICE, fileno($out), 0, $f, 0, 3, 0)"#,
        is_changed,
    ),
    way("fchmod", "chmod", r#"call(FCHMOD, fd("$d/file", 0), 0600)"#, |d| mode(d) == 0o600),
    way("fchmodat2", "chmod", r#"call(FCHMODAT2, CWD, "$d/file", 0600, 0)"#, |d| mode(d) == 0o600).since((6, 6)),
    way("fchown", "chown", r#"call(FCHOWN, fd("$d/file", 0), 1000, 1000)"#, |d| owner(&d.join("file")) == 1000),
    way("lchown", "chown", r#"call(LCHOWN, "$d/link", 1000, 1000)"#, |d| owner(&d.join("link")) == 1000)
        .prepared(|d| symlink("file", d.join("link")).context("cannot link")),
    // `FS_IOC_FSSETXATTR`: no time of access.
    way(
        "fssetxattr",
        "ioctl",
        r#"call(IOCTL, fd("$d/file", 0), 0x401c5820, pack("L7", 0x40, 0, 0, 0, 0, 0, 0))"#,
        |d| no_atime(d).unwrap_or(false),
    ),
    way("opened_anew", "open_write", r#"my $f = fd("$d/file", 0); fd("/proc/self/fd/$f", O_TRUNC)"#, is_changed),
    way(
        "opened_anew_by_path",
        "open_write",
        r#"my $f = fd("$d/file", O_PATH); fd("/proc/self/fd/$f", O_TRUNC)"#,
        is_changed,
    ),
    way("swapon", "open_write", r#"call(SWAPON, "$d/swap", 0)"#, is_swapped).prepared(swap),
    way("swapoff", "open_write", r#"call(SWAPOFF, "$d/swap")"#, |d| !is_swapped(d)).prepared(|d| {
        swap(d)?;
        said(Command::new("swapon").arg(d.join("swap")))
    }),
];

fn calls(guard: &mut Guard) -> Result<()> {
    let tried = each_is_held(guard, CALLS);
    // What is swapped to cannot be removed. Without any, swapoff has nothing to do.
    Command::new("swapoff").arg("--all").status().context("cannot start swapoff")?;
    tried
}

fn swap(directory: &Path) -> Result<()> {
    let file = directory.join("swap");
    fs::write(&file, vec![0; 1 << 17]).context("cannot make a file to swap to")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).context("cannot close the file")?;
    said(Command::new("mkswap").arg(file))
}

fn is_swapped(directory: &Path) -> bool {
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    swaps.lines().any(|line| Path::new(line.split(' ').next().unwrap_or_default()).starts_with(directory))
}

fn mode(directory: &Path) -> u32 {
    fs::metadata(directory.join("file")).map_or(0, |found| found.permissions().mode() & 0o777)
}

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).map_or(u32::MAX, |found| found.uid())
}

pub(super) fn no_atime(directory: &Path) -> Result<bool> {
    let output = Command::new("lsattr").arg(directory.join("file")).output().context("cannot start lsattr")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split(' ').next().is_some_and(|flags| flags.contains('A')))
}

/// Runs a program to its end; what it said is in the error.
pub(super) fn said(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, said.trim());
    Ok(())
}
