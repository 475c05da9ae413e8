//! The part of `cargo xtask test` about the package: Debian with systemd boots, and the package is installed, used,
//! upgraded and removed there. What happens inside is `tests/src/service.rs`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build, dist,
    report::Report,
    suite,
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Series},
        machine::{ATTEMPTS, Machine},
        root,
    },
};

/// The systems: a kernel, and the release it is of or, for the newest, runs on.
pub(crate) const SYSTEMS: [(Series, &str); 3] =
    [(Series::V6_1, "bookworm"), (Series::V6_12, "trixie"), (Series::Newest, "trixie")];

/// A machine that is not done after this long has hung.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Starts no unit that waits for a device: without udev none ever appears.
const APPEND: &str = "systemd.mask=serial-getty@ttyS0.service systemd.mask=getty@tty1.service";

/// What a machine needs: the package twice, the second as an upgrade, and the program that uses it.
pub(crate) fn files() -> Result<[PathBuf; 3]> {
    Ok([build::guard_tests()?, dist::trial(1)?, dist::trial(2)?])
}

/// Boots one of the systems and counts what happened there.
pub(crate) fn run((series, release): (Series, &str), files: &[PathBuf; 3], verbose: bool) -> Result<Report> {
    let kernel = kernel::fetch(series)?;
    let root = root::service_image(release)?;
    let installed = |deb: &Path| -> Result<String> {
        let name = deb.file_name().and_then(|name| name.to_str()).context("a package has a name")?;
        Ok(format!("/usr/local/bin/{name}"))
    };
    let [_, first, second] = files;
    let argv = ["guard-tests".to_owned(), "service".to_owned(), installed(first)?, installed(second)?].to_vec();
    let initramfs = initramfs::pack(&kernel, &Boot::under_systemd(argv), files)?;
    let machine = Machine {
        kernel: &kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount: false,
        processors: 2,
        memory: 2560,
        timeout: DEADLINE,
        append: APPEND,
        verbose,
    };
    let place = format!("service, {release}, {series}");
    println!("{place}: starting {}", kernel.release);
    // Each chapter stands on the one before: a machine that died begins again.
    for _ in 0..ATTEMPTS {
        let mut sum = Report::default();
        if suite::boot(&machine, &place, &mut sum)?.is_some() {
            return Ok(sum);
        }
    }
    bail!("the machine died {ATTEMPTS} times")
}
