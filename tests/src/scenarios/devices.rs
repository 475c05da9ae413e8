//! Disks, mounts, swap and frozen file systems, by calls and ioctls: held, and done after approval. The rules name the calls;
//! devices by their kind are `shipped`.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    rc::Rc,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh},
    gate,
    mount::is_mounted,
    tries::{CALLS_PLACE, Try, held, place_calls},
};
use crate::guard::Guard;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("commands_to_a_disk_are_held_and_reach_it_after_approval", |guard| held(guard, disks)),
        gate("remounting_freezing_and_swapping_are_held_and_happen_after_approval", mounts),
    ]
}

/// Runs to the end.
fn run(program: &str, arguments: &[&str]) -> Result<Output> {
    Command::new(program).args(arguments).output().with_context(|| format!("cannot start {program}"))
}

/// The same, and it must work.
fn works(program: &str, arguments: &[&str]) -> Result<String> {
    let output = run(program, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?} ended with {}: {}", output.status, said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A loop device that can have partitions, full of `x`; let go when dropped.
pub(super) struct Disk {
    pub(super) device: String,
}

impl Disk {
    pub(super) fn new(number: u32) -> Result<Rc<Self>> {
        let (device, file) = (format!("/dev/loop{number}"), backing(number)?);
        works("losetup", &["--partscan", &device, &file])?;
        Ok(Rc::new(Self { device }))
    }

    fn system(&self, name: &str) -> String {
        format!("/sys/block/{}/{name}", self.device.trim_start_matches("/dev/"))
    }

    /// Whether every byte is still there, as the device gives it.
    pub(super) fn is_whole(&self) -> Result<bool> {
        let bytes = fs::read(&self.device).with_context(|| format!("cannot read {}", self.device))?;
        Ok(bytes.iter().all(|byte| *byte == b'x'))
    }

    fn has_partition(&self) -> bool {
        let name = self.device.trim_start_matches("/dev/").to_owned() + "p1";
        Path::new(&self.system(&name)).exists()
    }

    fn is_bound(&self) -> bool {
        Path::new(&self.system("loop/backing_file")).exists()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // An attempt may have let it go already.
        drop(run("losetup", &["--detach", &self.device]));
    }
}

/// What a loop device stands on.
fn backing(number: u32) -> Result<String> {
    let file = format!("/srv/loop-{number}");
    fs::write(&file, vec![b'x'; 1 << 18]).with_context(|| format!("cannot write {file}"))?;
    Ok(file)
}

/// A loop device that stands on nothing.
fn free(number: u32) -> Result<Rc<Disk>> {
    let disk = Disk::new(number)?;
    works("losetup", &["--detach", &disk.device])?;
    Ok(disk)
}

fn disks() -> Result<Vec<Try>> {
    let to = |disk: &Rc<Disk>, call: &str, happened: fn(&Disk) -> Result<bool>| {
        let (command, about, disk) = (format!("CALL {call} {}", disk.device), disk.device.clone(), Rc::clone(disk));
        Try::new(command, "ioctl", about, move |_| happened(&disk))
    };
    let zeroed = Disk::new(20)?;
    let read_only = Disk::new(21)?;
    let parted = Disk::new(22)?;
    // A table with one partition, which the kernel has not read.
    let table = Disk::new(23)?;
    let mut sector = [0; 512];
    sector[446..462].copy_from_slice(&[0, 0, 0, 0, 0x83, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0, 0]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::OpenOptions::new()
        .write(true)
        .open(&table.device)
        .and_then(|mut file| std::io::Write::write_all(&mut file, &sector))?;
    let (bound, bound_too, given_up) = (free(24)?, free(25)?, Disk::new(26)?);
    let (file, other) = (backing(24)?, backing(25)?);
    // A loop device knows none of these: its answer is not a denial's, and comes after the approval.
    let unknown = |number, call: &str, says| -> Result<Try> {
        Ok(to(&Disk::new(number)?, call, |disk| Ok(!disk.is_whole()?)).but_says(says))
    };
    let (configure, let_go) = (format!("losetup {} {file}", bound.device), format!("losetup -d {}", given_up.device));
    let named = |disk: &Rc<Disk>| (disk.device.clone(), Rc::clone(disk));
    let ((a, on_bound), (b, on_given_up)) = (named(&bound), named(&given_up));
    Ok(vec![
        to(&zeroed, "blkzeroout", |disk| Ok(!disk.is_whole()?)),
        to(&read_only, "blkroset", |disk| Ok(fs::read_to_string(disk.system("ro"))?.trim() == "1")),
        to(&parted, "blkpg", |disk| Ok(disk.has_partition())),
        to(&table, "blkrrpart", |disk| Ok(disk.has_partition())),
        Try::new(configure, "ioctl", a, move |_| Ok(on_bound.is_bound())),
        Try::new(let_go, "ioctl", b, move |_| Ok(!on_given_up.is_bound())),
        {
            let (command, about) = (format!("CALL loop_set_fd {} {other}", bound_too.device), bound_too.device.clone());
            Try::new(command, "ioctl", about, move |_| Ok(bound_too.is_bound()))
        },
        unknown(27, "blksecdiscard", "not supported")?,
        unknown(28, "sg_io", "Invalid argument")?,
        unknown(29, "nvme_admin", "Invalid argument")?,
    ])
}

const FROZEN: &str = "/srv/frozen";
const REMOUNTED: &str = "/srv/remounted";
const HIDDEN: &str = "/srv/hidden";

fn mounts(guard: &mut Guard) -> Result<()> {
    place_calls()?;
    let result = held(guard, mounted);
    for (program, argument) in
        [("swapoff", ON), ("swapoff", OFF), ("umount", FROZEN), ("umount", REMOUNTED), ("umount", HIDDEN)]
    {
        // What an attempt has undone already is as good.
        drop(run(program, &[argument]));
    }
    result
}

const ON: &str = "/srv/guarded/swap";
const OFF: &str = "/srv/guarded/swapped";

fn swaps(file: &str) -> Result<bool> {
    Ok(fs::read_to_string("/proc/swaps")
        .context("cannot read the swaps")?
        .lines()
        .any(|line| line.starts_with(&format!("{file} "))))
}

fn is_read_only(place: &str) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    let mut lines = mounts.lines().filter(|line| line.split(' ').nth(1) == Some(place));
    Ok(lines.any(|line| line.split(' ').nth(3).is_some_and(|options| options.split(',').any(|option| option == "ro"))))
}

fn mounted() -> Result<Vec<Try>> {
    for place in [FROZEN, REMOUNTED, HIDDEN] {
        drop(run("umount", &[place]));
        fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
    }
    for file in [ON, OFF] {
        drop(run("swapoff", &[file]));
    }
    fresh()?;
    works("mount", &["-t", "tmpfs", "none", REMOUNTED])?;
    let image = "/srv/frozen.img";
    fs::File::create(image)?.set_len(4 << 20)?;
    works("mkfs.ext4", &["-q", "-F", image])?;
    works("mount", &["-o", "loop", image, FROZEN])?;
    for file in [ON, OFF] {
        fs::write(file, vec![0; 1 << 20]).with_context(|| format!("cannot write {file}"))?;
        works("chmod", &["600", file])?;
        works("mkswap", &[file])?;
    }
    works("perl", &[CALLS_PLACE, "swapon", OFF])?;
    ensure!(swaps(OFF)?, "{OFF} is not in use");
    Ok(vec![
        // Thawing works only where something is frozen.
        Try::new(format!("CALL fifreeze {FROZEN}"), "ioctl", FROZEN, |_| {
            Ok(run("fsfreeze", &["-u", FROZEN])?.status.success())
        }),
        Try::new(format!("CALL mount none {REMOUNTED} 33"), "mount", REMOUNTED, |_| is_read_only(REMOUNTED)),
        Try::new(format!("CALL mount {GUARDED} {HIDDEN} 4096"), "mount", HIDDEN, |_| is_mounted(HIDDEN)),
        Try::new(format!("CALL swapon {ON}"), "open_write", ON, |_| swaps(ON)),
        Try::new(format!("CALL swapoff {OFF}"), "open_write", OFF, |_| Ok(!swaps(OFF)?)),
    ])
}
