//! The Debian systems the machines run on: made once as ext4 images, never written to by a machine (they boot with
//! QEMU's `snapshot=on`). Nothing of guard is in them; that arrives with each boot.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::apt::{self, Mirror};
use crate::program::{self, as_root, is_root, run_quiet};

/// What agents and scenarios use. Part of the image's key: a change makes a new image.
const PACKAGES: &[&str] = &[
    "bash",
    "cargo",
    "ca-certificates",
    "coreutils",
    "curl",
    "e2fsprogs",
    "gcc",
    "git",
    "iproute2",
    "libc6-dev",
    "make",
    "nodejs",
    "npm",
    "passwd",
    "procps",
    "psmisc",
    "python3-minimal",
    "python3-pip",
    "python3-venv",
    "strace",
    "util-linux",
    "vim-tiny",
    "xfsprogs",
];

/// What a host has on which guard is a service.
const SERVICE_PACKAGES: &[&str] = &["dbus", "debconf", "kmod", "passwd", "procps", "systemd", "util-linux"];

/// Raised when the image is made differently.
const EDITION: u32 = 2;

/// The system agents and scenarios run on, in this machine's own suite. Makes the image unless it is there already, and
/// returns its path.
pub(crate) fn image() -> Result<PathBuf> {
    made("root", &apt::mirror()?, None, PACKAGES, "4G")
}

/// A system of this suite that systemd starts.
pub(crate) fn service_image(suite: &str) -> Result<PathBuf> {
    made(&format!("systemd-{suite}"), &apt::mirror()?, Some(suite), SERVICE_PACKAGES, "2G")
}

fn made(name: &str, mirror: &Mirror, suite: Option<&str>, packages: &[&str], size: &str) -> Result<PathBuf> {
    let directory = program::target().join("vm");
    let file = |end: &str| directory.join(format!("{name}.{end}"));
    let (image, key_file) = (file("ext4"), file("key"));
    let key = format!("{EDITION} {}\n", packages.join(" "));
    if image.exists() && fs::read_to_string(&key_file).is_ok_and(|found| found == key) {
        return Ok(image);
    }
    let suite = suite.unwrap_or(&mirror.suite);
    println!("vm: making a {} {suite} system; this takes a minute or two, once", mirror.distribution);
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let (tree, partial) = (file("tree"), file("partial"));
    run_quiet(as_root("rm").args(["-rf", "--"]).arg(&tree).arg(&partial))?;
    // A person to be the agent; /srv is where demos keep their data.
    let user = "chroot \"$1\" useradd --create-home --shell /bin/bash --uid 1000 dev";
    run_quiet(
        as_root("mmdebstrap")
            .args(["--quiet", "--mode=root", "--variant=minbase", "--format=directory"])
            .arg(format!("--include={}", packages.join(",")))
            .args(["--aptopt=Acquire::Retries \"3\"", "--dpkgopt=path-exclude=/usr/share/doc/*"])
            .args(["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/man/*"])
            .arg(format!("--customize-hook={user}"))
            .args(["--customize-hook=echo guard-vm > \"$1/etc/hostname\""])
            // Without one, systemd takes every boot for the first and asks a person.
            .args(["--customize-hook=echo 0123456789abcdef0123456789abcdef > \"$1/etc/machine-id\""])
            .arg(suite)
            .arg(&tree)
            .arg(mirror.source(suite)),
    )
    .context("cannot make the Debian system")?;
    // `-d` fills the file system without mounting anything, which a container may not.
    run_quiet(
        as_root("mke2fs")
            .args(["-q", "-t", "ext4", "-L", "guard-root", "-m", "0", "-d"])
            .arg(&tree)
            .arg(&partial)
            .arg(size),
    )?;
    run_quiet(as_root("rm").args(["-rf", "--"]).arg(&tree))?;
    if !is_root() {
        let owner = program::read(program::program("id").arg("-u"))?;
        run_quiet(as_root("chown").arg(owner.trim()).arg(&partial))?;
    }
    fs::rename(&partial, &image).with_context(|| format!("cannot rename {}", partial.display()))?;
    fs::write(&key_file, key).with_context(|| format!("cannot write {}", key_file.display()))?;
    Ok(image)
}
