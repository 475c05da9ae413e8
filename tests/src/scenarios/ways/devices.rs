//! Ways below and around files: blocks that two files share, ioctls of whole file systems, loop devices, nodes of disks.

use std::{
    fs::{self, File},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Way, destroy::said, each_is_held, each_is_held_in, free, is_changed, way};
use crate::{
    guard::Guard,
    scenarios::{
        Scenario, gate,
        ioctl::{SHARING, Sharing},
        short,
    },
    setting::Setting,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("whatever_puts_the_blocks_of_one_file_into_another_is_held", shared),
        gate("every_ioctl_on_a_whole_file_system_or_a_loop_device_is_held", whole),
    ]
}

/// Under the rules that come with guard.
pub(super) fn shipped() -> Vec<Scenario> {
    vec![short(Setting::Shipped, "a_disk_is_held_by_whatever_name_it_is_reached", disks)]
}

const SHARED: &[Way] = &[
    // FICLONERANGE of the whole.
    way(
        "ficlonerange",
        "ioctl",
        r#"call(IOCTL, fd("$d/file", 1), 0x4020940d, pack("q Q3", fd("$d/other", 0), 0, 0, 0))"#,
        is_changed,
    ),
    // FIDEDUPERANGE; that it compared and found no difference is in its answer.
    way(
        "fideduperange",
        "ioctl",
        r#"my $asked = pack("Q2 S2 L q Q2 l L", 0, 8192, 1, 0, 0, fd("$d/other", 2), 0, 0, 0, 0);
           syscall(IOCTL, fd("$d/file", 0), 0xc0189436, $asked) == 0 && unpack("x48 l", $asked) == 0"#,
        |d| {
            let map = Command::new("filefrag").arg("-v").arg(d.join("other")).output();
            map.is_ok_and(|map| String::from_utf8_lossy(&map.stdout).contains("shared"))
        },
    )
    .prepared(|d| fs::write(d.join("other"), [b'o'; 8192]).context("cannot make it the same")),
];

fn shared(guard: &mut Guard) -> Result<()> {
    let _mounted = Sharing::mount()?;
    each_is_held_in(guard, Path::new(SHARING), SHARED)
}

const WHOLE: &[Way] = &[
    // FIFREEZE. Only what is frozen can be thawed.
    way("fifreeze", "ioctl", r#"call(IOCTL, fd("$d/empty", 0), 0xc0045877, 0)"#, |d| {
        let frozen = free(d);
        if Command::new("fsfreeze").arg("-u").arg(d.join("empty")).output().is_ok_and(|output| output.status.success())
        {
            drop(fs::write(&frozen, ""));
        }
        frozen.exists()
    })
    .prepared(small),
    // FITRIM: blocks that the file system does not use any more are gone from below it.
    way(
        "fitrim",
        "ioctl",
        r#"my $range = pack("Q3", 0, 1 << 40, 0); call(IOCTL, fd("$d/empty", 0), 0xc0185879, $range)"#,
        |d| fs::metadata(image(d)).is_ok_and(|found| found.blocks() * 512 < 3 << 20),
    )
    .prepared(|d| {
        small(d)?;
        let big = d.join("empty/big");
        fs::write(&big, vec![b'x'; 4 << 20]).context("cannot fill the file system")?;
        rustix::fs::sync();
        fs::remove_file(big).context("cannot remove the big file")?;
        rustix::fs::sync();
        Ok(())
    }),
    // EXT4_IOC_RESIZE_FS, to 12 MiB.
    way("resize_fs", "ioctl", r#"call(IOCTL, fd("$d/empty", 0), 0x40086610, pack("Q", 12288))"#, |d| {
        rustix::fs::statvfs(d.join("empty")).is_ok_and(|found| found.f_blocks * found.f_frsize > 9 << 20)
    })
    .prepared(small),
    // EXT4_IOC_SHUTDOWN without a last flush.
    way("shutdown", "ioctl", r#"call(IOCTL, fd("$d/empty", 0), 0x8004587d, pack("L", 2))"#, |d| {
        fs::write(d.join("empty/alive"), "").is_err()
    })
    .prepared(small),
    // The same numbers for both, as the devices are made by the try: LOOP_CTL_ADD, then LOOP_SET_FD.
    way(
        "loop_set_fd",
        "ioctl",
        r#"call(IOCTL, added($name =~ /deny/ ? 40 : 41), 0x4c00, fd("$d/file", 0))"#,
        is_backing,
    ),
    way(
        "loop_configure",
        "ioctl",
        r#"call(IOCTL, added($name =~ /deny/ ? 42 : 43), 0x4c0a, pack("L x300", fd("$d/file", 0)))"#,
        is_backing,
    ),
    way(
        "loop_change_fd",
        "ioctl",
        r#"open(my $f, "<", $free); chomp(my $device = <$f>); call(IOCTL, fd($device, 0), 0x4c06, fd("$d/file", 0))"#,
        is_backing,
    )
    .prepared(|d| fs::write(free(d), attached(&d.join("other"), &["--read-only"])?).context("cannot say which device")),
];

fn whole(guard: &mut Guard) -> Result<()> {
    let _loops = Loops(Path::new(super::GUARDED));
    each_is_held(guard, WHOLE)
}

fn image(directory: &Path) -> PathBuf {
    free(directory).with_extension("img")
}

/// Mounts an ext4 of 8 MiB, with room to grow, on the directory that is empty.
fn small(directory: &Path) -> Result<()> {
    let (image, first) = (image(directory), Path::new(super::FREE).join("first.img"));
    if !first.exists() {
        let file = File::create(&first).with_context(|| format!("cannot make {}", first.display()))?;
        file.set_len(16 << 20).with_context(|| format!("cannot lengthen {}", first.display()))?;
        said(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "1024"]).arg(&first).arg("8m"))?;
    }
    said(Command::new("cp").arg("--sparse=always").arg(&first).arg(&image))?;
    said(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(directory.join("empty")))
}

/// Attaches a file to a loop device, whose name is returned.
fn attached(file: &Path, options: &[&str]) -> Result<String> {
    let output = Command::new("losetup").args(["--find", "--show"]).args(options).arg(file).output();
    let output = output.context("cannot start losetup")?;
    ensure!(output.status.success(), "losetup ended with {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The loop devices and what is below each.
fn loops() -> Vec<(String, PathBuf)> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
    let loops = devices.filter_map(|device| {
        let below = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        Some((format!("/dev/{}", device.file_name().to_string_lossy()), PathBuf::from(below.trim_end())))
    });
    loops.collect()
}

fn is_backing(directory: &Path) -> bool {
    loops().iter().any(|(_, below)| *below == directory.join("file"))
}

/// Lets go, when dropped, of the loop devices on files below a place.
struct Loops<'a>(&'a Path);

impl Drop for Loops<'_> {
    fn drop(&mut self) {
        for (device, _) in loops().iter().filter(|(_, below)| below.starts_with(self.0)) {
            if let Err(error) = said(Command::new("losetup").args(["--detach", device])) {
                eprintln!("{error:#}");
            }
        }
    }
}

const DISKS: &[Way] = &[
    way("another_node", "mknod", r#"call(MKNOD, $free, 060600, 7 << 8)"#, |d| {
        fs::symlink_metadata(free(d)).is_ok_and(|found| found.file_type().is_block_device())
    }),
    way(
        "another_name",
        "open_write",
        r#"my $f = fd("$d/disk", 1) or return 0; call(WRITE, $f, "new", 3) && call(FSYNC, $f)"#,
        is_changed,
    )
    .prepared(|d| {
        let device = attached(&d.join("file"), &[])?;
        let number = fs::metadata(device).context("a loop device is there")?.rdev();
        mknodat(CWD, d.join("disk"), FileType::BlockDevice, Mode::from_raw_mode(0o600), number)
            .context("cannot make another node")
    }),
];

fn disks(guard: &mut Guard) -> Result<()> {
    let place = Path::new("/srv/disks");
    let _loops = Loops(place);
    each_is_held_in(guard, place, DISKS)
}
