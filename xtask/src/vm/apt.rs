//! Packages of a Debian suite other than the machine's own, from the mirror this machine is configured for, without
//! touching the machine's apt. No host name is known here: apt is asked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::program::{self, program};

/// Where the machine's own packages come from.
pub(crate) struct Mirror {
    pub(crate) uri: String,
    /// Code name of the machine's release.
    pub(crate) suite: String,
    /// `debian`, `ubuntu`, …
    pub(crate) distribution: String,
}

/// Asks apt and os-release.
pub(crate) fn mirror() -> Result<Mirror> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let field = |name: &str| {
        let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    let suite = field("VERSION_CODENAME").context("/etc/os-release names no VERSION_CODENAME")?;
    let distribution = field("ID").context("/etc/os-release names no ID")?;
    let targets = program::read(program("apt-get").args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    let uri = targets
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, rest)| *rest == format!("{suite} main"))
        .map(|(uri, _)| uri.to_owned())
        .with_context(|| format!("apt has no source for {suite} main"))?;
    Ok(Mirror { uri, suite, distribution })
}

impl Mirror {
    /// The line of a sources list for one suite of this mirror.
    pub(crate) fn source(&self, suite: &str) -> String {
        let components = if self.distribution == "ubuntu" { "main universe" } else { "main" };
        let keyring = Path::new("/usr/share/keyrings").join(format!("{}-archive-keyring.gpg", self.distribution));
        let signed = if keyring.exists() { format!("[signed-by={}] ", keyring.display()) } else { String::new() };
        format!("deb {signed}{} {suite} {components}", self.uri)
    }
}

/// Has `fill` unpack into a directory unless it is there. That is done beside it and renamed at the end: an interrupted fetch
/// leaves nothing that looks whole.
pub(crate) fn unpacked(directory: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if directory.exists() {
        return Ok(());
    }
    let partial = directory.with_extension("partial");
    fs::remove_dir_all(&partial)
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    fill(&partial)?;
    fs::rename(&partial, directory).with_context(|| format!("cannot rename {}", partial.display()))
}

/// apt on one suite, with lists of its own below `target/vm/apt`.
pub(crate) struct Suite {
    directory: PathBuf,
}

impl Suite {
    /// Writes the sources and fetches the lists.
    pub(crate) fn open(mirror: &Mirror, suite: &str) -> Result<Self> {
        let directory = program::target().join("vm/apt").join(suite);
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = directory.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let sources = directory.join("sources.list");
        fs::write(&sources, mirror.source(suite)).with_context(|| format!("cannot write {}", sources.display()))?;
        let suite = Self { directory };
        retried(|| program::run_quiet(suite.apt("apt-get").arg("update")))?;
        Ok(suite)
    }

    /// The packages that the newest version of `package` depends on, by name.
    pub(crate) fn dependencies(&self, package: &str) -> Result<Vec<String>> {
        let shown = program::read(self.apt("apt-cache").args(["show", "--no-all-versions", package]))?;
        let depends = shown.lines().find_map(|line| line.strip_prefix("Depends: "));
        let names = depends.into_iter().flat_map(|list| list.split(", "));
        Ok(names.filter_map(|name| name.split_whitespace().next()).map(str::to_owned).collect())
    }

    /// Downloads a package and unpacks its files into `destination`.
    pub(crate) fn unpack(&self, package: &str, destination: &Path) -> Result<()> {
        let downloads = self.directory.join("download");
        fs::create_dir_all(&downloads).with_context(|| format!("cannot make {}", downloads.display()))?;
        retried(|| program::run_quiet(self.apt("apt-get").arg("download").arg(package).current_dir(&downloads)))?;
        let prefix = format!("{package}_");
        for entry in fs::read_dir(&downloads)? {
            let file = entry?.path();
            if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)) {
                program::run_quiet(program("dpkg-deb").arg("--extract").arg(&file).arg(destination))?;
                return fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()));
            }
        }
        bail!("apt-get downloaded no file of {package}")
    }

    fn apt(&self, name: &str) -> Command {
        let mut command = program(name);
        let path = |name: &str| self.directory.join(name).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", path("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", path("lists")),
            format!("Dir::Cache={}", path("cache")),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=3".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            "Debug::NoLocking=1".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Three attempts: mirrors and the networks before them fail now and then.
fn retried(mut attempt: impl FnMut() -> Result<()>) -> Result<()> {
    let mut last = attempt();
    for _ in 1..3 {
        let Err(error) = &last else { return last };
        println!("vm: {error:#}; trying again");
        last = attempt();
    }
    last
}
