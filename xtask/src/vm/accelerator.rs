//! Whether hardware virtualisation works here. The device alone proves nothing: inside some clouds it is there, opens,
//! and stops at the first instruction its emulator does not know. So a kernel is booted on it, once.

use std::{
    fs::{self, OpenOptions},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{kernel::Kernel, qemu};
use crate::program;

/// A kernel without a root file system panics, and QEMU ends, within a second where KVM works.
const DEADLINE: Duration = Duration::from_secs(10);

/// True when a kernel runs under KVM. The answer is kept in `target/vm/kvm`.
pub(crate) fn kvm_works(kernel: &Kernel) -> Result<bool> {
    if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(false);
    }
    let answer = program::target().join("vm/kvm");
    if let Ok(known) = fs::read_to_string(&answer) {
        return Ok(known.trim() == "yes");
    }
    let works = probe(kernel)?;
    if !works {
        println!("vm: /dev/kvm is here but no kernel runs on it; emulating instead");
    }
    fs::write(&answer, if works { "yes\n" } else { "no\n" })
        .with_context(|| format!("cannot write {}", answer.display()))?;
    Ok(works)
}

fn probe(kernel: &Kernel) -> Result<bool> {
    let mut child = qemu::get()?
        .command()
        .args(["-accel", "kvm", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(&kernel.image)
        .args(["-append", "panic=-1 quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start qemu-system-x86_64")?;
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
            return Ok(status.success());
        }
        if Instant::now() > deadline {
            child.kill().context("cannot end QEMU")?;
            child.wait().context("cannot wait for QEMU")?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}
