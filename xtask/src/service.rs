//! The part of `cargo xtask test` about the package: Debian with systemd boots, and the package is installed, used,
//! upgraded and removed there. What happens inside is `tests/src/service.rs`.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{
    build, dist,
    report::Report,
    vm::{
        initramfs::{self, Boot},
        kernel::{self, Series},
        machine::{Machine, Screen},
        root,
    },
};

/// The systems: a kernel and the release it is of.
pub(crate) const SYSTEMS: [(Series, &str); 1] = [(Series::V6_12, "trixie")];

/// A machine that is not done after this long has hung.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Starts no unit that waits for a device: without udev none ever appears.
const APPEND: &str = "systemd.mask=serial-getty@ttyS0.service systemd.mask=getty@tty1.service";

/// Boots one of the systems and counts what happened there.
pub(crate) fn run((series, suite): (Series, &str), verbose: bool) -> Result<Report> {
    let (first, second) = (dist::trial(1)?, dist::trial(2)?);
    let kernel = kernel::fetch(series)?;
    let root = root::service_image(suite)?;
    let place = |deb: &std::path::Path| -> Result<String> {
        let name = deb.file_name().and_then(|name| name.to_str()).context("a package has a name")?;
        Ok(format!("/usr/local/bin/{name}"))
    };
    let argv = ["guard-tests".to_owned(), "service".to_owned(), place(&first)?, place(&second)?].to_vec();
    let files = [build::guard_tests()?, first, second];
    let initramfs = initramfs::pack(&kernel, &Boot::under_systemd(argv), &files)?;
    let machine = Machine {
        kernel: &kernel,
        root: &root,
        initramfs: initramfs.path(),
        icount: false,
        memory: 2560,
        timeout: DEADLINE,
        append: APPEND,
        verbose,
    };
    println!("service on {suite}: starting {}", kernel.release);
    let mut sum = Report::default();
    let mut closed = false;
    let place = format!("service, {suite}");
    let mut take = |line: &str| {
        closed |= line.ends_with(" failed") && line.contains(" passed, ");
        if sum.line(&place, line) {
            println!("[{place}] {line}");
        }
        Ok(())
    };
    let code = machine.boot(Screen::Lines(&mut take))?;
    if !closed || (code != 0 && sum.failed == 0) || sum.passed + sum.failed == 0 {
        bail!("the test of the package ended with {code} and without a closing line");
    }
    Ok(sum)
}
