//! `cargo xtask dist`: the Debian and the RPM package, with everything a host needs, into target/dist. What is in them is
//! listed in guard-user/Cargo.toml; what their scripts do is in packaging/. The same commit and the same compiler give
//! the same packages: each is packed twice, and the two must be equal.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    build,
    program::{self, program, read, run_quiet},
    setup,
};

const CARGO_DEB: &str = "3.8.0";
const CARGO_GENERATE_RPM: &str = "0.21.1";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Revision of the packages, the last part of their version.
    #[arg(long, default_value_t = 1)]
    revision: u32,
}

/// Files of one version.
struct Packages {
    deb: PathBuf,
    rpm: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::build_tools()?;
    let Packages { deb, rpm } = packages(arguments.revision)?;
    println!("{}\n{}", deb.display(), rpm.display());
    Ok(())
}

/// Builds what is shipped and packs it, twice.
fn packages(revision: u32) -> Result<Packages> {
    build::binaries(true)?;
    let directory = program::target().join("dist");
    let pack = |directory: &Path| -> Result<Packages> {
        fill(true)?;
        Ok(Packages { deb: deb(revision, directory)?, rpm: rpm(revision, directory)? })
    };
    let first = pack(&directory)?;
    let again = directory.join("again");
    let second = pack(&again)?;
    for (first, second) in [(&first.deb, &second.deb), (&first.rpm, &second.rpm)] {
        let bytes = |file: &Path| fs::read(file).with_context(|| format!("cannot read {}", file.display()));
        ensure!(bytes(first)? == bytes(second)?, "{} and {} differ", first.display(), second.display());
    }
    empty(&again)?;
    Ok(first)
}

/// The Debian package with the programs the scenarios run, which are there already: what is shipped takes minutes to link.
pub(crate) fn trial(revision: u32) -> Result<PathBuf> {
    build::binaries(false)?;
    fill(false)?;
    let stage = stage();
    run_quiet(program("strip").args([stage.join("usr/sbin/guardd"), stage.join("usr/bin/guardctl")]))?;
    deb(revision, &program::target().join("dist/trial"))
}

/// Where the files are laid out as the packages have them.
fn stage() -> PathBuf {
    program::target().join("dist/stage")
}

fn deb(revision: u32, directory: &Path) -> Result<PathBuf> {
    let tool = setup::cargo_tool("cargo-deb", CARGO_DEB)?;
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let deb = directory.join(format!("guard_{}-{revision}_amd64.deb", env!("CARGO_PKG_VERSION")));
    let mut command = program(tool);
    command.env("SOURCE_DATE_EPOCH", date()?).args(["--quiet", "--package", "guard-user", "--target", build::TARGET]);
    command.args(["--no-build", "--no-strip", "--locked", "--deb-revision", &revision.to_string()]);
    run_quiet(command.arg("--output").arg(&deb))?;
    Ok(deb)
}

fn rpm(revision: u32, directory: &Path) -> Result<PathBuf> {
    let tool = setup::cargo_tool("cargo-generate-rpm", CARGO_GENERATE_RPM)?;
    let rpm = directory.join(format!("guard-{}-{revision}.x86_64.rpm", env!("CARGO_PKG_VERSION")));
    let mut command = program(tool);
    command.env("SOURCE_DATE_EPOCH", date()?).args(["generate-rpm", "--package", "guard-user", "--arch", "x86_64"]);
    // Every program is static.
    command.args(["--auto-req", "disabled", "--set-metadata", &format!("release = \"{revision}\"")]);
    run_quiet(command.arg("--output").arg(&rpm))?;
    Ok(rpm)
}

/// Lays the files out as the packages have them: `stage/usr/sbin/guardd` and so on.
fn fill(release: bool) -> Result<()> {
    let (stage, binaries) = (stage(), build::output(release));
    empty(&stage)?;
    let packaging = program::workspace().join("packaging");
    let guardctl = binaries.join("guardctl");
    for (from, to) in [
        (binaries.join("guardd"), "usr/sbin/guardd"),
        (guardctl.clone(), "usr/bin/guardctl"),
        (packaging.join("before-removal"), "usr/lib/guard/before-removal"),
        (packaging.join("guardd.service"), "usr/lib/systemd/system/guardd.service"),
        (packaging.join("guard-agents.service"), "usr/lib/systemd/system/guard-agents.service"),
        (packaging.join("guard-agents.slice"), "usr/lib/systemd/system/guard-agents.slice"),
        (packaging.join("guard-otlp.service"), "usr/lib/systemd/system/guard-otlp.service"),
        (packaging.join("guard.sysusers"), "usr/lib/sysusers.d/guard.conf"),
        (packaging.join("guard.tmpfiles"), "usr/lib/tmpfiles.d/guard.conf"),
        (packaging.join("guard.yaml"), "etc/guard/guard.yaml"),
        (packaging.join("guardd.8"), "usr/share/man/man8/guardd.8"),
        (packaging.join("changelog"), "usr/share/doc/guard/changelog"),
        (program::workspace().join("README.md"), "usr/share/doc/guard/README.md"),
        (program::workspace().join("rules/README.md"), "usr/share/doc/guard/rules.md"),
        (program::workspace().join("docs/audit-log.md"), "usr/share/doc/guard/audit-log.md"),
        (program::workspace().join("docs/hooks.md"), "usr/share/doc/guard/hooks.md"),
        (program::workspace().join("docs/otlp.md"), "usr/share/doc/guard/otlp.md"),
    ] {
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        write(&stage.join(to), &bytes)?;
    }
    let rules = program::workspace().join("rules");
    for entry in fs::read_dir(&rules).with_context(|| format!("cannot read {}", rules.display()))? {
        let file = entry?.path();
        if let (Some("yaml"), Some(name)) = (file.extension().and_then(|end| end.to_str()), file.file_name()) {
            let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            write(&stage.join("etc/guard/rules.d").join(name), &bytes)?;
        }
    }
    for (shell, to) in [
        ("bash", "usr/share/bash-completion/completions/guardctl"),
        ("zsh", "usr/share/zsh/vendor-completions/_guardctl"),
        ("fish", "usr/share/fish/vendor_completions.d/guardctl.fish"),
    ] {
        write(&stage.join(to), read(program(&guardctl).args(["completions", shell]))?.as_bytes())?;
    }
    run_quiet(program(&guardctl).args(["man", "--dir"]).arg(stage.join("usr/share/man/man1")))
}

/// Seconds of the last commit, unless `SOURCE_DATE_EPOCH` says otherwise.
fn date() -> Result<String> {
    if let Ok(date) = std::env::var("SOURCE_DATE_EPOCH") {
        return Ok(date);
    }
    let date = read(program("git").args(["log", "-1", "--format=%ct"])).context("when was this committed?")?;
    Ok(date.trim().to_owned())
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    }
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// Removes the directory with all that is in it.
fn empty(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
