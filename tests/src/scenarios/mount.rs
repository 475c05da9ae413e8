//! Mounting: held, because it changes what every path means.

use std::{fs, os::fd::AsRawFd as _};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate,
};
use crate::{guard::Guard, patience::never};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("mount_is_held_and_mounts_after_approval", mounting),
        gate("umount_is_held_and_fails_cleanly_after_denial", unmounting),
        gate("remounting_by_fsconfig_is_refused_and_told", remounting),
        gate("pivot_root_is_held_and_fails_cleanly_after_denial", pivoting),
        gate("pivot_root_is_held_and_happens_after_approval", pivoted),
        gate("move_mount_is_held_and_mounts_after_approval", |guard| moving(guard, true)),
        gate("move_mount_is_held_and_fails_cleanly_after_denial", |guard| moving(guard, false)),
        gate("a_file_in_a_tree_that_is_mounted_nowhere_is_held", detached),
        gate("a_directory_that_was_unmounted_under_its_user_is_held", lazily_unmounted),
    ]
}

pub(super) fn is_mounted(at: &str) -> Result<bool> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
    Ok(mounts.lines().any(|line| line.split(' ').nth(1) == Some(at)))
}

fn mounting(guard: &mut Guard) -> Result<()> {
    fs::create_dir_all("/srv/mount").context("cannot make /srv/mount")?;
    let mut agent = guard.agent("mount -t tmpfs none /srv/mount; echo code $?")?;
    let hold = approve_until(guard, "mount", "/srv/mount")?;
    ensure!(hold, "nothing was held");
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n" && is_mounted("/srv/mount")?, "approved, and not mounted: {output:?}");
    rustix::mount::unmount("/srv/mount", rustix::mount::UnmountFlags::empty()).context("cannot unmount")
}

/// `mount` makes several calls; each is held. Approves them as they come, after seeing that nothing is mounted yet.
fn approve_until(guard: &Guard, op: &str, path: &str) -> Result<bool> {
    let hold = guard.held(op, path)?;
    never("mounted before anybody decided", || is_mounted(path))?;
    guard.decide("approve", &hold)?;
    crate::patience::until("the mount", || {
        for hold in guard.pending()? {
            guard.guardctl(&["approve", crate::guard::id(&hold)?])?;
        }
        Ok(is_mounted(path)?.then_some(()))
    })?;
    Ok(true)
}

fn unmounting(guard: &mut Guard) -> Result<()> {
    fs::create_dir_all("/srv/mounted").context("cannot make /srv/mounted")?;
    rustix::mount::mount("none", "/srv/mounted", "tmpfs", rustix::mount::MountFlags::empty(), None)
        .context("cannot mount")?;
    let mut agent = guard.agent("umount /srv/mounted; echo code $?")?;
    let hold = guard.held("umount", "/srv/mounted")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!output.contains("code 0\n") && is_mounted("/srv/mounted")?, "denied, and unmounted: {output:?}");
    rustix::mount::unmount("/srv/mounted", rustix::mount::UnmountFlags::empty()).context("cannot unmount")
}

/// 433 is `fspick`, 431 `fsconfig`: a flag is set, and the file system configured anew. It says what went wrong.
const REMOUNT: &str = "$place = \"/srv/remounted\"; $ro = \"ro\"; $context = syscall(433, -100, $place, 0); \
                       $context < 0 || syscall(431, $context, 0, $ro, 0, 0) < 0 || syscall(431, $context, 7, 0, 0, 0) < 0 \
                       ? print \"$!\\n\" : print \"done\\n\"";

fn remounting(guard: &mut Guard) -> Result<()> {
    const PLACE: &str = "/srv/remounted";
    let is_read_only = || -> Result<bool> { Ok(fs::write(format!("{PLACE}/file"), "").is_err()) };
    fs::create_dir_all(PLACE).with_context(|| format!("cannot make {PLACE}"))?;
    rustix::mount::mount("none", PLACE, "tmpfs", rustix::mount::MountFlags::empty(), None).context("cannot mount")?;
    let before = guard.count("denied_context")?;
    let mut agent = guard.agent(&format!("perl -e '{REMOUNT}'; echo and on"))?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\nand on\n" && !is_read_only()?, "it printed {output:?}");
    ensure!(guard.count("denied_context")? > before, "nothing was counted");
    let line = crate::patience::until("the refusal in the log", || {
        let log = fs::read_to_string(guard.audit()).context("cannot read the audit log")?;
        let mut records = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        Ok(records.find(|record| record["kind"] == "hold" && record["agent_name"] == agent.name()))
    })?;
    let operation = &line["operation"];
    ensure!(operation["op"] == "mount" && operation["other_path"] == "tmpfs", "the log says {line}");
    ensure!(operation["detail"] == "fsconfig(2) remounts the file system tmpfs", "the log says {line}");
    // The same by nobody's agent.
    let output = std::process::Command::new("perl").args(["-e", REMOUNT]).output().context("cannot start perl")?;
    ensure!(output.stdout == b"done\n" && is_read_only()?, "it printed {:?}", String::from_utf8_lossy(&output.stdout));
    rustix::mount::unmount(PLACE, rustix::mount::UnmountFlags::empty()).context("cannot unmount")
}

fn pivoting(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("guard-tests act pivot / /; echo code $?")?;
    let hold = guard.held("pivot_root", "")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("Operation not permitted") && output.contains("code 1\n"), "it printed {output:?}");
    Ok(())
}

/// In a mount namespace of its own, whose making is held as well.
fn pivoted(guard: &mut Guard) -> Result<()> {
    fs::create_dir_all("/srv/newroot/old").context("cannot make /srv/newroot")?;
    fs::write("/srv/newroot/marker", "").context("cannot make a marker")?;
    let inside = "mount --bind /srv/newroot /srv/newroot; \
                  guard-tests act pivot /srv/newroot /srv/newroot/old; echo code $?";
    let mut agent = guard.agent(&format!("unshare --mount bash -c '{inside}'"))?;
    let hold = crate::patience::until("a held pivot_root", || {
        let mut pending = guard.pending()?;
        if let Some(at) = pending.iter().position(|hold| hold["operation"]["op"] == "pivot_root") {
            return Ok(Some(pending.swap_remove(at)));
        }
        for hold in pending {
            // It may have been decided with the one before since it was listed.
            guard.guardctl(&["approve", crate::guard::id(&hold)?])?;
        }
        Ok(None)
    })
    .with_context(|| format!("it printed {:?}", agent.output().unwrap_or_default()))?;
    never("pivoted before anybody decided", || Ok(agent.output()?.contains("the root")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "the root has a marker: true\ncode 0\n", "it printed {output:?}");
    Ok(())
}

/// The newer way to mount: `open_tree(2)` and `move_mount(2)`.
fn moving(guard: &Guard, approve: bool) -> Result<()> {
    let (from, to) = ("/srv/moved-from", "/srv/moved-to");
    for directory in [from, to] {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {directory}"))?;
    }
    let mut agent = guard.agent(&format!("guard-tests act move-mount {from} {to}; echo code $?; echo and on"))?;
    let hold = guard.held("move_mount", to)?;
    never("mounted before anybody decided", || is_mounted(to))?;
    guard.decide(if approve { "approve" } else { "deny" }, &hold)?;
    let output = agent.ends_with(0)?;
    if approve {
        ensure!(output == "code 0\nand on\n" && is_mounted(to)?, "approved, and it printed {output:?}");
        return rustix::mount::unmount(to, rustix::mount::UnmountFlags::empty()).context("cannot unmount");
    }
    ensure!(!is_mounted(to)?, "denied, and mounted: {output:?}");
    ensure!(
        output.contains("Operation not permitted") && output.ends_with("code 1\nand on\n"),
        "not a clean error: {output:?}"
    );
    Ok(())
}

/// The path ends where the tree was cut off. What is missing of it is a doubt, also in a namespace where no right is needed.
fn detached(guard: &mut Guard) -> Result<()> {
    fresh()?;
    for within in ["", "unshare -U -r -m --propagation unchanged "] {
        let mut agent =
            guard.agent(&format!("{within}guard-tests act unlink-in-clone {GUARDED} file; echo code $?"))?;
        let hold = guard.held("unlink", "/file")?;
        never("removed before anybody decided", || Ok(gone("file")))?;
        guard.decide("deny", &hold)?;
        let output = agent.ends_with(0)?;
        ensure!(output.contains("code 1") && !gone("file"), "denied, and it printed {output:?}");
    }
    Ok(())
}

fn lazily_unmounted(guard: &mut Guard) -> Result<()> {
    let place = "/srv/guarded-mount";
    fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
    rustix::mount::mount("none", place, "tmpfs", rustix::mount::MountFlags::empty(), None).context("cannot mount")?;
    let kept = fs::File::open(place).context("cannot open the mount")?;
    fs::write(format!("{place}/file"), "").context("cannot make a file")?;
    let script = format!("cd {place}; echo ready; while [ ! -e go ]; do sleep 0.1; done; rm file; echo code $?");
    let mut agent = guard.agent(&script)?;
    agent.says("ready")?;
    rustix::mount::unmount(place, rustix::mount::UnmountFlags::DETACH).context("cannot unmount")?;
    fs::write(format!("/proc/self/fd/{}/go", kept.as_raw_fd()), "").context("cannot tell the agent")?;
    let hold = guard.held("unlink", "/file")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    let there = fs::exists(format!("/proc/self/fd/{}/file", kept.as_raw_fd())).context("cannot look")?;
    ensure!(output.contains("code 1") && there, "denied, and it printed {output:?}");
    Ok(())
}
