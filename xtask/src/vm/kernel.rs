//! The kernels under test: fetched once as Debian packages, kept below `target/vm/kernels`.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};

use super::apt::{self, Mirror, Suite};
use crate::program;

/// Which kernel to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Series {
    /// Debian bookworm's.
    V6_1,
    /// Debian trixie's.
    V6_12,
    /// Debian sid's.
    Newest,
    /// What the machine's own distribution ships: for the demo where there is no Debian mirror.
    Own,
}

impl Series {
    /// The kernels every scenario must pass on.
    pub(crate) const TESTED: [Self; 3] = [Self::V6_1, Self::V6_12, Self::Newest];

    /// Is it one of those a person named? Who names none means all.
    pub(crate) fn is_wanted(self, named: &[Self]) -> bool {
        named.is_empty() || named.contains(&self)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V6_1 => "6.1",
            Self::V6_12 => "6.12",
            Self::Newest => "newest",
            Self::Own => "own",
        })
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::V6_1, Self::V6_12, Self::Newest, Self::Own];
        all.into_iter()
            .find(|series| series.to_string() == text)
            .ok_or_else(|| "expected 6.1, 6.12, newest or own".to_owned())
    }
}

/// A kernel on this machine's disk.
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    /// The directory with `kernel/` in it.
    pub(crate) modules: PathBuf,
    /// `uname -r`.
    pub(crate) release: String,
    /// What to add to the command line so that BPF LSM programs run; empty when it is so by default.
    pub(crate) lsm: String,
}

/// Fetches the kernel unless it is there already.
pub(crate) fn fetch(series: Series) -> Result<Kernel> {
    let directory = program::target().join("vm/kernels").join(series.to_string());
    apt::unpacked(&directory, |partial| {
        let mirror = apt::mirror()?;
        let (suite, meta) = package(series, &mirror)?;
        println!("vm: fetching {meta} of {} {suite}", mirror.distribution);
        unpack(&Suite::open(&mirror, &suite)?, meta, partial)
    })?;
    open(&directory)
}

/// The suite and the package that always depends on the current kernel.
fn package(series: Series, mirror: &Mirror) -> Result<(String, &'static str)> {
    let debian = "linux-image-cloud-amd64";
    let suite = match (series, mirror.distribution.as_str()) {
        (Series::V6_1, "debian") => "bookworm",
        (Series::V6_12, "debian") => "trixie",
        (Series::Newest, "debian") => "sid",
        (Series::Own, "debian") => return Ok((mirror.suite.clone(), debian)),
        (Series::Own, "ubuntu") => return Ok((mirror.suite.clone(), "linux-image-virtual")),
        (Series::V6_1 | Series::V6_12 | Series::Newest | Series::Own, other) => bail!(
            "the test kernels are Debian's and this machine's mirror is {other}'s: add a Debian source, or use --kernel own"
        ),
    };
    Ok((suite.to_owned(), debian))
}

fn unpack(suite: &Suite, meta: &str, destination: &Path) -> Result<()> {
    let image = suite.dependencies(meta)?.into_iter().find(|name| name.starts_with("linux-image-"));
    let image = image.with_context(|| format!("{meta} depends on no linux-image"))?;
    suite.unpack(&image, destination)?;
    // Newer packages keep the image itself and the modules apart.
    for part in suite.dependencies(&image)? {
        if ["linux-binary-", "linux-modules-"].iter().any(|prefix| part.starts_with(prefix)) {
            suite.unpack(&part, destination)?;
        }
    }
    Ok(())
}

fn open(directory: &Path) -> Result<Kernel> {
    let lib = [directory.join("usr/lib/modules"), directory.join("lib/modules")].into_iter().find(|path| path.exists());
    let lib = lib.with_context(|| format!("no modules in {}", directory.display()))?;
    let entry = fs::read_dir(&lib)?.next().with_context(|| format!("{} is empty", lib.display()))?;
    let modules = entry?.path();
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = [directory.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let image = images.into_iter().find(|path| path.exists());
    let image = image.with_context(|| format!("no vmlinuz in {}", directory.display()))?;
    let configs = [directory.join(format!("boot/config-{release}")), modules.join("config")];
    let config = configs.iter().find_map(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let default = config.lines().find_map(|line| line.strip_prefix("CONFIG_LSM=")).map(|list| list.trim_matches('"'));
    // A package without its config is Debian's newest, which has bpf in its default.
    let lsm = match default {
        Some(list) if !list.split(',').any(|name| name == "bpf") => format!("lsm={list},bpf"),
        Some(_) | None => String::new(),
    };
    Ok(Kernel { image, modules, release, lsm })
}
