//! Mounting: held, because it changes what every path means.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{Scenario, gate};
use crate::{guard::Guard, patience::never};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("mount_is_held_and_mounts_after_approval", mounting),
        gate("umount_is_held_and_fails_cleanly_after_denial", unmounting),
        gate("pivot_root_is_held", pivoting),
    ]
}

fn is_mounted(at: &str) -> Result<bool> {
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

fn pivoting(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("guard-tests act pivot; echo code $?")?;
    let hold = guard.held("pivot_root", "")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(!output.contains("code 0\n"), "it printed {output:?}");
    Ok(())
}
