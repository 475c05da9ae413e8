//! Starting other programs, and where this workspace keeps its things. Nothing here knows what the programs do.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use anyhow::{Context as _, Result, bail};

/// The workspace's directory.
pub(crate) fn workspace() -> &'static Path {
    static WORKSPACE: OnceLock<PathBuf> = OnceLock::new();
    WORKSPACE.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        manifest.parent().unwrap_or(manifest).to_path_buf()
    })
}

/// Where everything that is made goes.
pub(crate) fn target() -> PathBuf {
    workspace().join("target")
}

/// A program that will run in the workspace's directory, so that the pinned toolchain applies.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(workspace());
    // Cargo names the toolchain of the xtask build to its children; each cargo started here picks its own again.
    for variable in ["CARGO", "RUSTC", "RUSTC_WORKSPACE_WRAPPER", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
        command.env_remove(variable);
    }
    command
}

/// A program that needs root: through sudo for everybody else.
pub(crate) fn as_root(name: &str) -> Command {
    if is_root() {
        return program(name);
    }
    let mut command = program("sudo");
    command.arg(name);
    command
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    read(program("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

/// Whether a program of this name can be started.
pub(crate) fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .any(|directory| directory.join(name).is_file())
}

/// Runs to the end with the caller's output; an unsuccessful end is an error that names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs to the end in silence; what it said is shown only when it fails.
pub(crate) fn run_quiet(command: &mut Command) -> Result<()> {
    read(command).map(drop)
}

/// Runs to the end and returns its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", shown(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// One word, quoted for a shell where it has to be.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
