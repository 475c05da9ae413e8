//! Which QEMU runs the machines: the system's, or a newer one of the same distribution's backports where the system's is
//! known to be slow and to crash guests. Nothing of the system is changed for it.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result};

use super::apt::{self, Suite};
use crate::program::{self, program};

const NAME: &str = "qemu-system-x86_64";

/// 7.2 emulates system calls and page faults at half the speed, and crashes a guest at cmpxchg16b now and then.
const GOOD: u32 = 8;

/// What the emulator is made of, besides libraries, which Debian's own package has brought.
const PACKAGES: &[&str] = &["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"];

/// An emulator and where its firmware is; the system's knows that itself.
pub(crate) struct Qemu {
    program: PathBuf,
    firmware: Vec<PathBuf>,
    /// Has it the faults of 7.2?
    old: bool,
}

impl Qemu {
    /// A command that starts it.
    pub(crate) fn command(&self) -> Command {
        let mut command = program(&self.program);
        for directory in &self.firmware {
            command.arg("-L").arg(directory);
        }
        command
    }

    /// The processor to emulate for a kernel of this release. Copying by one instruction, which newer kernels choose when they
    /// may, is a loop over bytes here.
    pub(crate) fn processor(&self, release: &str) -> String {
        if !self.old {
            return "max,-erms,-fsrm".to_owned();
        }
        // Without cmpxchg16b a kernel from 7.0 on has no memory for what programs store with an inode, and nothing is an
        // agent's own; there a crash costs another boot.
        let major = release.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major < 7) { "max,-erms,-cx16".to_owned() } else { "max,-erms".to_owned() }
    }
}

/// The QEMU to use, fetched the first time.
///
/// # Errors
/// When there is none.
pub(crate) fn get() -> Result<&'static Qemu> {
    static FOUND: OnceLock<Qemu> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found);
    }
    let own = Path::new(NAME);
    let found = if major(own).context("there is no qemu-system-x86_64: cargo xtask setup installs it")? >= GOOD {
        Qemu { program: own.to_owned(), firmware: Vec::new(), old: false }
    } else {
        backport().unwrap_or_else(|error| {
            println!("vm: QEMU stays the system's, which is slow: {error:#}");
            Qemu { program: own.to_owned(), firmware: Vec::new(), old: true }
        })
    };
    Ok(FOUND.get_or_init(|| found))
}

/// The version's first number.
fn major(qemu: &Path) -> Result<u32> {
    let text = program::read(program(qemu).arg("--version"))?;
    let version = text.split_whitespace().skip_while(|word| *word != "version").nth(1).unwrap_or_default();
    let major = version.split('.').next().unwrap_or_default();
    major.parse().with_context(|| format!("{} does not tell its version", qemu.display()))
}

/// The one of the distribution's backports, unpacked below `target/vm/qemu`.
fn backport() -> Result<Qemu> {
    let directory = program::target().join("vm/qemu");
    apt::unpacked(&directory, |partial| {
        let mirror = apt::mirror()?;
        let suite = format!("{}-backports", mirror.suite);
        println!("vm: fetching qemu-system-x86 of {} {suite}", mirror.distribution);
        let suite = Suite::open(&mirror, &suite)?;
        PACKAGES.iter().try_for_each(|package| suite.unpack(package, partial))
    })?;
    let qemu = directory.join("usr/bin").join(NAME);
    // It runs here, with the libraries that are here.
    let version = major(&qemu)?;
    let share = directory.join("usr/share");
    Ok(Qemu { program: qemu, firmware: vec![share.join("qemu"), share.join("seabios")], old: version < GOOD })
}
