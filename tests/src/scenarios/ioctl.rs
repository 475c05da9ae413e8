//! ioctls that destroy, change what a file may be done to, or type into a terminal: held like any other operation.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh},
    gate,
};
use crate::{
    guard::Guard,
    patience::{never, until},
};

/// What a loop device stands on.
const BACKING: &str = "/srv/loop-backing";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("chattr_is_held_and_changes_the_file_after_approval", attributes_approved),
        gate("chattr_is_held_and_fails_cleanly_after_denial", attributes_denied),
        gate("discarding_a_block_device_is_held_and_happens_after_approval", |guard| discard(guard, true)),
        gate("discarding_a_block_device_is_held_and_fails_cleanly_after_denial", |guard| discard(guard, false)),
        gate("sharing_the_blocks_of_another_file_is_held_and_happens_after_approval", |guard| clone(guard, true)),
        gate("sharing_the_blocks_of_another_file_is_held_and_fails_cleanly_after_denial", |guard| clone(guard, false)),
        gate("typing_into_its_terminal_is_held_and_happens_after_approval", |guard| typing(guard, true)),
        gate("typing_into_its_terminal_is_held_and_fails_cleanly_after_denial", |guard| typing(guard, false)),
    ]
}

fn attributes_approved(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("chattr +A /srv/guarded/file; echo code $?")?;
    let hold = guard.held("ioctl", "/srv/guarded/file")?;
    never("changed before anybody decided", || no_atime(GUARDED))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n" && no_atime(GUARDED)?, "approved, and it printed {output:?}");
    Ok(())
}

fn attributes_denied(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("chattr +A /srv/guarded/file; echo code $?; echo and on")?;
    let hold = guard.held("ioctl", "/srv/guarded/file")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!no_atime(GUARDED)?, "denied, and changed");
    ensure!(
        output.contains("Operation not permitted") && output.ends_with("code 1\nand on\n"),
        "not a clean error: {output:?}"
    );
    Ok(())
}

/// Whether `file` in this directory has the attribute the agent sets.
fn no_atime(directory: &str) -> Result<bool> {
    let output = Command::new("lsattr").arg(format!("{directory}/file")).output().context("cannot start lsattr")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "lsattr ended with {}", output.status);
    Ok(text.split(' ').next().is_some_and(|flags| flags.contains('A')))
}

fn discard(guard: &Guard, approve: bool) -> Result<()> {
    fs::write(BACKING, vec![b'x'; 1 << 20]).context("cannot write the backing file")?;
    let device = LoopDevice::new()?;
    let mut agent = guard.agent(&format!("blkdiscard --force {}; echo code $?; echo and on", device.0))?;
    let hold = guard.held("ioctl", &device.0)?;
    never("discarded before anybody decided", || Ok(!device.is_whole()?))?;
    guard.decide(if approve { "approve" } else { "deny" }, &hold)?;
    let output = agent.ends_with(0)?;
    if approve {
        ensure!(output.ends_with("code 0\nand on\n") && !device.is_whole()?, "approved, and it printed {output:?}");
    } else {
        ensure!(device.is_whole()?, "denied, and discarded: {output:?}");
        ensure!(
            output.contains("Operation not permitted") && output.ends_with("code 1\nand on\n"),
            "not a clean error: {output:?}"
        );
    }
    Ok(())
}

/// A loop device on [`BACKING`], let go when dropped.
struct LoopDevice(String);

impl LoopDevice {
    fn new() -> Result<Self> {
        let output = Command::new("losetup").args(["--find", "--show", BACKING]).output();
        let output = output.context("cannot start losetup")?;
        ensure!(output.status.success(), "losetup ended with {}", output.status);
        Ok(Self(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }

    /// Whether every byte is still there, as the device gives it.
    fn is_whole(&self) -> Result<bool> {
        let bytes = fs::read(&self.0).with_context(|| format!("cannot read {}", self.0))?;
        Ok(bytes.iter().all(|byte| *byte == b'x'))
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // It was made by `new`; if it is gone there is nothing to let go.
        drop(Command::new("losetup").args(["--detach", &self.0]).status());
    }
}

/// Where there is a file system that can share blocks.
pub(super) const SHARING: &str = "/srv/sharing";

/// `FICLONE` (0x40049409) replaces what is in a file by what is in another, and calls neither write nor truncate.
fn clone(guard: &Guard, approve: bool) -> Result<()> {
    let _mounted = Sharing::mount()?;
    let (from, to) = (format!("{SHARING}/from"), format!("{SHARING}/to"));
    fs::write(&from, vec![b'n'; 1 << 16]).context("cannot write the new data")?;
    fs::write(&to, vec![b'o'; 1 << 16]).context("cannot write the old data")?;
    let clone = format!(
        "open(F, \"<\", \"{from}\"); open(T, \"+<\", \"{to}\"); \
         print ioctl(T, 0x40049409, fileno(F)) ? \"cloned\\n\" : \"$!\\n\""
    );
    let mut agent = guard.agent(&format!("perl -e '{clone}'; echo and on"))?;
    let hold = guard.held("ioctl", &to)?;
    let is_old = || -> Result<bool> { Ok(fs::read(&to).context("cannot read the file")?.iter().all(|b| *b == b'o')) };
    never("overwritten before anybody decided", || Ok(!is_old()?))?;
    guard.decide(if approve { "approve" } else { "deny" }, &hold)?;
    let output = agent.ends_with(0)?;
    if approve {
        ensure!(output == "cloned\nand on\n" && !is_old()?, "approved, and it printed {output:?}");
        let map = Command::new("filefrag").args(["-v", &to]).output().context("cannot start filefrag")?;
        let map = String::from_utf8_lossy(&map.stdout).into_owned();
        ensure!(map.contains("shared"), "its blocks are not another file's too: {map}");
    } else {
        ensure!(output == "Operation not permitted\nand on\n" && is_old()?, "denied, and it printed {output:?}");
    }
    Ok(())
}

/// An XFS on a loop device, unmounted when dropped.
pub(super) struct Sharing;

impl Sharing {
    pub(super) fn mount() -> Result<Self> {
        let image = "/srv/sharing.img";
        fs::create_dir_all(SHARING).with_context(|| format!("cannot make {SHARING}"))?;
        let file = fs::File::create(image).with_context(|| format!("cannot make {image}"))?;
        // XFS is not made smaller than this; the file has holes.
        file.set_len(320 << 20).with_context(|| format!("cannot lengthen {image}"))?;
        for (program, arguments) in
            [("mkfs.xfs", ["-q", "-f", "-m", "reflink=1", image]), ("mount", ["-t", "xfs", "-oloop", image, SHARING])]
        {
            let output = Command::new(program).args(arguments).output();
            let output = output.with_context(|| format!("cannot start {program}"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{program} ended with {}: {}", output.status, said.trim());
        }
        Ok(Self)
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        // Whatever still has a file open there keeps it until it ends.
        if let Err(error) = rustix::mount::unmount(SHARING, rustix::mount::UnmountFlags::DETACH) {
            eprintln!("cannot unmount {SHARING}: {error}");
        }
    }
}

/// `TIOCSTI` (0x5412) puts a character where the person's own typing goes: a shell would obey it.
fn typing(guard: &Guard, approve: bool) -> Result<()> {
    let typed = "$c = \"X\"; print ioctl(STDIN, 0x5412, $c) ? \"typed\\n\" : \"$!\\n\"; \
                 $c = \"\\n\"; ioctl(STDIN, 0x5412, $c); print \"said \", scalar(<STDIN>)";
    // `script` gives it a terminal; what a person types there comes from a pipe that stays open.
    let file = "/srv/type.pl";
    fs::write(file, format!("$| = 1; {typed}")).context("cannot write the program")?;
    let mut agent =
        guard.agent(&format!("(sleep 300) | script -qec \"bash -c 'perl {file}; echo and on'\" /dev/null"))?;
    let hold = guard.held("ioctl", "/dev/pts")?;
    never("typed before anybody decided", || Ok(agent.output()?.contains("typed")))?;
    guard.decide(if approve { "approve" } else { "deny" }, &hold)?;
    let wanted = if approve { "said X" } else { "Operation not permitted" };
    until("the program to go on", || Ok(agent.output()?.contains(wanted).then_some(())))
        .with_context(|| format!("it printed {:?}", agent.output().unwrap_or_default()))?;
    if !approve {
        ensure!(!agent.output()?.contains("typed"), "denied, and typed: {:?}", agent.output()?);
    }
    guard.guardctl(&["kill", "--all"])?;
    agent.end()?;
    Ok(())
}
