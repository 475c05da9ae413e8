//! Other names for the same file: links, roots, mounts, handles and spellings. What is done to it is mostly a removal.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};

use super::{Way, destroy::said, each_is_held, gone, is_changed, way};
use crate::{
    guard::Guard,
    scenarios::{Scenario, file::GUARDED, gate},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![gate("a_file_is_held_by_whatever_name_it_is_reached", reached), gate("every_way_to_mount_is_held", mounted)]
}

const fn removal(name: &'static str, does: &'static str) -> Way {
    way(name, "unlink", does, |d| gone(d, "file"))
}

const NAMES: &[Way] = &[
    removal("symlink_on_the_way", r#"(my $path = $d) =~ s,^/srv/guarded,/srv/way,; unlink("$path/file")"#),
    removal("own_root", r#"unlink("/proc/self/root$d/file")"#),
    removal("own_directory", r#"chdir($d) && unlink("/proc/self/cwd/file")"#),
    removal("root_of_another", r#"unlink("/proc/" . getppid() . "/root$d/file")"#),
    removal("chroot", r#"(my $path = $d) =~ s,^/srv,,; chroot("/srv") && chdir("/") && unlink("$path/file")"#),
    // CLONE_NEWUSER: nobody there, and the files are still those of who it was.
    removal("user_namespace", r#"call(UNSHARE, 0x10000000) && unlink("$d/file")"#),
    way(
        "handle",
        "open_write",
        r#"my $handle = pack("L2 x128", 128, 0); my $mount = pack("L", 0);
           syscall(NAME_TO_HANDLE_AT, CWD, "$d/file", $handle, $mount, 0) == -1 and return 0;
           syscall(OPEN_BY_HANDLE_AT, fd("/", 0), $handle, O_TRUNC) != -1"#,
        is_changed,
    ),
    // The kernel has forgotten its name, and gives it none.
    way(
        "handle_without_a_name",
        "open_write",
        r#"my $handle = pack("L2 x128", 128, 0); my $mount = pack("L", 0);
           syscall(NAME_TO_HANDLE_AT, CWD, "$d/file", $handle, $mount, 0) == -1 and return 0;
           await($d); syscall(OPEN_BY_HANDLE_AT, fd("/", 0), $handle, O_TRUNC) != -1"#,
        is_changed,
    )
    .meanwhile(|_| fs::write("/proc/sys/vm/drop_caches", "2").context("cannot drop the names")),
    // A second mount of the root's file system, attached nowhere.
    removal(
        "fsmount",
        r#"my ($kind, $key, $disk) = ("ext4", "source", "/dev/vda");
           my $fs = syscall(FSOPEN, $kind, 0);
           call(FSCONFIG, $fs, 1, $key, $disk, 0) && call(FSCONFIG, $fs, 6, 0, 0, 0) or return 0;
           my $mount = syscall(FSMOUNT, $fs, 0, 0);
           (my $path = $d) =~ s,^/,,;
           call(UNLINKAT, $mount, "$path/file", 0)"#,
    ),
    way(
        "path_longer_than_any",
        "unlink",
        r#"chdir($d); for (1 .. 20) { chdir("x" x 250) or die $! } unlink("file")"#,
        |d| !far(d, "-e 'file'"),
    )
    .prepared(|d| {
        let make =
            r#"for (1 .. 20) { mkdir("x" x 250) && chdir("x" x 250) or die $! } open(my $f, ">", "file") or die $!"#;
        said(Command::new("perl").args(["-e", make]).current_dir(d))
    }),
    removal("dots", r#"unlink("$d/empty/../file")"#),
    removal("slashes", r#"unlink("$d//.///file")"#),
    way("dot_at_the_end", "chmod", r#"chmod(0700, "$d/empty/.")"#, |d| {
        fs::metadata(d.join("empty")).is_ok_and(|found| found.permissions().mode() & 0o777 == 0o700)
    }),
    // `AT_EMPTY_PATH`
    way("link_of_a_descriptor", "link", r#"call(LINKAT, fd("$d/file", O_PATH), "", CWD, "$d/linked", 0x1000)"#, |d| {
        !gone(d, "linked")
    }),
];

fn reached(guard: &mut Guard) -> Result<()> {
    let way = Path::new("/srv/way");
    // It is there after an earlier run.
    drop(fs::remove_file(way));
    symlink(GUARDED, way).context("cannot link the way")?;
    each_is_held(guard, NAMES)
}

/// Whether a test of perl's is true in the directory at the end of the long path.
fn far(directory: &Path, test: &str) -> bool {
    let look = format!(r#"for (1 .. 20) {{ chdir("x" x 250) or exit 1 }} exit !({test})"#);
    Command::new("perl").args(["-e", &look]).current_dir(directory).status().is_ok_and(|status| status.success())
}

const MOUNTS: &[Way] = &[
    way("bind", "mount", r#"call(MOUNT, "$d/from", "$d/empty", 0, 0x1000, 0)"#, |d| !gone(d, "empty/marker"))
        .prepared(|d| fs::create_dir_all(d.join("from/marker")).context("cannot make what to bind")),
    way("move", "mount", r#"call(MOUNT, "$d/from", "$d/empty", 0, 0x2000, 0)"#, |d| mounted_as(d).is_some()).prepared(
        |d| {
            fs::create_dir(d.join("from")).context("cannot make what to move")?;
            mount("none", d.join("from"), "tmpfs", MountFlags::empty(), None).context("cannot mount")
        },
    ),
    way("remount", "mount", r#"call(MOUNT, "none", "$d/empty", "tmpfs", 0x21, 0)"#, |d| {
        mounted_as(d).is_some_and(|options| options.starts_with("ro"))
    })
    .prepared(|d| mount("none", d.join("empty"), "tmpfs", MountFlags::empty(), None).context("cannot mount")),
    way(
        "fuse",
        "mount",
        r#"my $f = fd("/dev/fuse", 2) or return 0;
           call(MOUNT, "x", "$d/empty", "fuse", 0, "fd=$f,rootmode=40000,user_id=0,group_id=0")"#,
        |d| mounted_as(d).is_some(),
    ),
];

fn mounted(guard: &mut Guard) -> Result<()> {
    each_is_held(guard, MOUNTS)
}

/// The options of what is mounted on the directory that was empty.
fn mounted_as(directory: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
    let found = fields.find(|fields| fields.get(1).is_some_and(|at| Path::new(at) == directory.join("empty")))?;
    Some((*found.get(3)?).to_owned())
}
