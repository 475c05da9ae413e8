//! Programs that are not what they seem, other users and namespaces, and other entries into the kernel. Whether what waits
//! can be woken is `wake`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use rustix::fs::{XattrFlags, setxattr};

use super::{Way, destroy::said, each_is_held, free, gone, is_changed, way};
use crate::{
    guard::Guard,
    scenarios::{Scenario, gate},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("whatever_starts_a_program_what_it_does_is_held", started),
        gate("an_agent_is_held_as_whatever_user_and_in_whatever_namespace", elsewhere),
        gate("every_entry_into_the_kernel_is_held", entered),
    ]
}

const fn removal(name: &'static str, does: &'static str) -> Way {
    way(name, "unlink", does, |d| gone(d, "file"))
}

/// A program that rules name, and that does its work where nothing is held.
fn named(directory: &Path) -> Result<()> {
    fs::copy("/usr/bin/touch", directory.join("guarded-program")).context("cannot copy a program").map(drop)
}

fn ran(directory: &Path) -> bool {
    free(directory).exists()
}

const STARTED: &[Way] = &[
    way("other_argv0", "exec", r#"started("$d/guarded-program", "harmless", $free)"#, ran).prepared(named),
    // PR_SET_NAME, and the same by its file.
    way(
        "other_comm",
        "exec",
        r#"call(PRCTL, 15, "harmless", 0, 0, 0) or return 0; open(my $f, ">", "/proc/self/comm"); syswrite($f, "harmless");
           started("$d/guarded-program", "harmless", $free)"#,
        ran,
    )
    .prepared(named),
    removal("loader", r#"run("/lib64/ld-linux-x86-64.so.2 /usr/bin/rm $d/file")"#),
    // What has no root at all is a doubt, whatever it is called: its start is held, and what it does after that.
    way("memfd", "exec", MEMFD, |d| gone(d, "file")),
    removal("memfd_that_runs", MEMFD).through("exec"),
    removal(
        "file_without_a_name",
        r#"my $f = fd("/srv/free", O_TMPFILE) or return 0; open(my $to, ">&=", $f); copied("/usr/bin/rm", $to);
           my $again = fd("/proc/self/fd/$f", 0); close($to); started("/proc/$$/fd/$again", "rm", "$d/file")"#,
    )
    .through("exec"),
    removal(
        "removed_file",
        r#"open(my $to, ">", $free) or return 0; copied("/usr/bin/rm", $to); close($to); chmod(0755, $free);
           my $f = fd($free, 0); unlink($free); started("/proc/$$/fd/$f", "rm", "$d/file")"#,
    )
    .through("exec"),
    removal("base64", r#"run("echo rm $d/file | base64 | base64 -d | sh")"#),
    removal("awk", r#"run("awk 'BEGIN { exit system(\"rm $d/file\") != 0 }'")"#),
    removal("vim", r#"run("vim.tiny -es -c '!rm $d/file' -c qa! < /dev/null; test ! -e $d/file")"#),
    removal("git_alias", r#"run("git -c alias.x='!rm $d/file' x")"#),
    removal("make", r#"run("printf 'all:\\n\\trm $d/file\\n' | make -f -")"#),
    removal("preloaded", r#"run("REMOVED_BY_A_LIBRARY=$d/file LD_PRELOAD=/srv/entry.so /bin/true")"#),
    removal("written_code", r#"entry("code", "$d/file")"#),
];

const MEMFD: &str = r#"my $empty = "x"; my $f = syscall(MEMFD_CREATE, $empty, 0); open(my $to, ">&=", $f);
    copied("/usr/bin/rm", $to); executed($f, "rm", "$d/file")"#;

fn started(guard: &mut Guard) -> Result<()> {
    compile()?;
    each_is_held(guard, STARTED)
}

/// The directory is the other user's, so that only guard stands in the way.
fn others(directory: &Path) -> Result<()> {
    chown(directory, Some(1000), Some(1000)).context("cannot give the directory away")
}

/// A copy of `rm` that anybody may run.
fn copy(directory: &Path) -> Result<std::path::PathBuf> {
    let copy = free(directory);
    fs::copy("/usr/bin/rm", &copy).context("cannot copy rm")?;
    Ok(copy)
}

const ELSEWHERE: &[Way] = &[
    removal("setresuid", r#"call(SETRESUID, 1000, 1000, 1000) && unlink("$d/file")"#).prepared(others),
    removal("setuid_program", r#"call(SETRESUID, 1000, 1000, 1000) && started($free, "rm", "-f", "$d/file")"#)
        .prepared(|d| {
            fs::set_permissions(copy(d)?, fs::Permissions::from_mode(0o4755)).context("cannot make it setuid")
        }),
    // CAP_DAC_OVERRIDE, permitted and effective.
    removal("file_capabilities", r#"call(SETRESUID, 1000, 1000, 1000) && started($free, "rm", "-f", "$d/file")"#)
        .prepared(|d| {
            let rights = [0x0200_0001_u32, 2, 0, 0, 0].map(u32::to_le_bytes).concat();
            setxattr(copy(d)?, "security.capability", &rights, XattrFlags::empty())
                .context("cannot give it a capability")
        }),
    removal("new_users", r#"run("unshare --user rm $d/file")"#),
    removal("new_processes", r#"run("unshare --pid --fork rm $d/file")"#),
    // A namespace is a file without a root: a rule on reading that is anywhere makes a doubt of opening it.
    removal(
        "entered_users",
        r#"pipe(my $out, my $in); my $child = fork;
           if (!$child) { call(UNSHARE, 0x10000000); syswrite($in, "x"); sleep 600; exit }
           sysread($out, my $byte, 1);
           my $done = call(SETNS, fd("/proc/$child/ns/user", 0), 0) && unlink("$d/file");
           my $error = $!; kill("KILL", $child); $! = $error; $done"#,
    )
    .through("open_read"),
    removal(
        "entered_processes",
        r#"pipe(my $out, my $in); my $child = fork;
           if (!$child) { call(UNSHARE, 0x20000000); fork || sleep 600; syswrite($in, "x"); sleep 600; exit }
           sysread($out, my $byte, 1);
           call(SETNS, fd("/proc/$child/ns/pid_for_children", 0), 0) && started("/usr/bin/rm", "rm", "$d/file")"#,
    )
    .through("open_read"),
];

fn elsewhere(guard: &mut Guard) -> Result<()> {
    each_is_held(guard, ELSEWHERE)
}

const ENTRIES: &[Way] = &[
    removal("unlink_by_int_80", r#"entry("unlink32", "$d/file")"#),
    way("open_by_int_80", "open_write", r#"entry("open32", "$d/file")"#, is_changed),
    way("exec_by_int_80", "exec", r#"entry("exec32", "$d/guarded-program", $free); -e $free"#, ran).prepared(named),
    way("ioctl_by_int_80", "ioctl", r#"entry("ioctl32", "$d/file")"#, |d| super::destroy::no_atime(d).unwrap_or(false)),
    way("vfork", "exec", r#"entry("vfork", "$d/guarded-program", $free)"#, ran).prepared(named),
    way("posix_spawn", "exec", r#"entry("spawn", "$d/guarded-program", $free)"#, ran).prepared(named),
    way("second_thread", "exec", r#"entry("thread", "$d/guarded-program", $free)"#, ran).prepared(named),
];

fn entered(guard: &mut Guard) -> Result<()> {
    compile()?;
    each_is_held(guard, ENTRIES)
}

/// Makes a program and a library of `entry.c`, once in a machine.
pub(super) fn compile() -> Result<()> {
    let program = Path::new(super::ENTRY);
    if program.exists() {
        return Ok(());
    }
    let source = Path::new("/srv/entry.c");
    fs::write(source, include_str!("entry.c")).context("cannot write the program")?;
    let make =
        "cd /srv && gcc -O1 -fPIC -c entry.c && gcc -pthread -o entry entry.o && gcc -shared -o entry.so entry.o";
    said(Command::new("sh").args(["-c", make]))
}
