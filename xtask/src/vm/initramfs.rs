//! What a machine starts from: PID 1 (the guard-tests program), kernel modules in loading order, guard's binaries and
//! the command to run. Packed anew for each boot, uncompressed: unpacking under emulation costs more than reading.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::{cpio::Archive, kernel::Kernel};
use crate::program::{self, program};

/// Modules to load, where the kernel has them as modules; what they need comes with them.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "ext4", "overlay", "fuse", "loop", "xfs"];

/// What PID 1 is told; read by `tests/src/init.rs`.
#[derive(Serialize)]
pub(crate) struct Boot {
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
    /// A person sits at the second serial port.
    interactive: bool,
    /// systemd becomes PID 1, and `argv` a service of its.
    systemd: bool,
    /// Rows and columns of the person's terminal.
    size: Option<(u16, u16)>,
    /// Files below /modules, in loading order.
    modules: Vec<String>,
}

impl Boot {
    /// Runs `argv` in the Debian system, as root.
    pub(crate) fn new(argv: Vec<String>, interactive: bool) -> Self {
        let mut environment = BTreeMap::new();
        for name in ["TERM", "NO_COLOR", "RUST_LOG"] {
            if let Ok(value) = std::env::var(name) {
                environment.insert(name.to_owned(), value);
            }
        }
        let size = interactive.then(terminal_size).flatten();
        Self { argv, environment, interactive, systemd: false, size, modules: Vec::new() }
    }

    /// The same under systemd.
    pub(crate) fn under_systemd(argv: Vec<String>) -> Self {
        Self { systemd: true, ..Self::new(argv, false) }
    }
}

/// A file that is removed when dropped.
pub(crate) struct Packed(PathBuf);

impl Packed {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            println!("vm: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Writes the archive. `files` go to the guest's `/usr/local/bin`; one of them is `guard-tests`.
pub(crate) fn pack(kernel: &Kernel, boot: &Boot, files: &[PathBuf]) -> Result<Packed> {
    /// Two are packed at once in one process.
    static PACKED: AtomicU32 = AtomicU32::new(0);
    let number = PACKED.fetch_add(1, Ordering::Relaxed);
    let packed = Packed(program::target().join(format!("vm/initramfs-{}-{number}.cpio", std::process::id())));
    let file = File::create(&packed.0).with_context(|| format!("cannot create {}", packed.0.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    for directory in ["dev", "proc", "sys", "root", "modules", "guard"] {
        archive.directory(directory)?;
    }
    archive.console()?;
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let content = stripped(file, number)?;
        archive.file(&format!("guard/{name}"), 0o755, &content)?;
        if name == "guard-tests" {
            archive.file("init", 0o755, &content)?;
        }
    }
    let modules = in_loading_order(kernel)?;
    for (name, content) in &modules {
        archive.file(&format!("modules/{name}"), 0o644, content)?;
    }
    let names = modules.iter().map(|(name, _)| name.clone()).collect();
    let boot = Boot { modules: names, argv: boot.argv.clone(), environment: boot.environment.clone(), ..*boot };
    archive.file("boot.json", 0o644, &serde_json::to_vec(&boot)?)?;
    archive.finish()?.flush()?;
    Ok(packed)
}

/// The program without its debug information: a third of the size to read under emulation.
fn stripped(file: &Path, number: u32) -> Result<Vec<u8>> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    if !content.starts_with(b"\x7fELF") {
        return Ok(content);
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let copy = program::target().join(format!("vm/stripped-{name}-{}-{number}", std::process::id()));
    program::run_quiet(program("strip").arg("--strip-debug").arg("-o").arg(&copy).arg(file))?;
    let content = fs::read(&copy).with_context(|| format!("cannot read {}", copy.display()))?;
    fs::remove_file(&copy).with_context(|| format!("cannot remove {}", copy.display()))?;
    Ok(content)
}

/// The wanted modules and all they depend on, each after its dependencies, decompressed (6.1 cannot do that itself).
fn in_loading_order(kernel: &Kernel) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = BTreeMap::new();
    collect(&kernel.modules.join("kernel"), &mut files)?;
    let mut loaded = Vec::new();
    for name in MODULES {
        // A name without a file is built into this kernel.
        load(name, &files, &mut loaded)?;
    }
    Ok(loaded)
}

fn load(name: &str, files: &BTreeMap<String, PathBuf>, loaded: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let Some(path) = files.get(name) else { return Ok(()) };
    let file = format!("{name}.ko");
    if loaded.iter().any(|(present, _)| *present == file) {
        return Ok(());
    }
    let content = decompressed(path)?;
    for dependency in dependencies(&content) {
        load(&dependency, files, loaded)?;
    }
    loaded.push((file, content));
    Ok(())
}

/// Module name (with underscores, as the kernel says it) → file.
fn collect(directory: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Some((name, _)) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once(".ko"))
        {
            files.insert(name.replace('-', "_"), path.clone());
        }
    }
    Ok(())
}

fn decompressed(path: &Path) -> Result<Vec<u8>> {
    let tool = match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return fs::read(path).with_context(|| format!("cannot read {}", path.display())),
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some(_) | None => bail!("{} is no kernel module", path.display()),
    };
    let output = program(tool).args(["--decompress", "--stdout", "--quiet"]).arg(path).output();
    let output = output.with_context(|| format!("cannot start {tool}"))?;
    if !output.status.success() {
        bail!("{tool} cannot read {}", path.display());
    }
    Ok(output.stdout)
}

/// What the module's own `depends=` says, in its order.
fn dependencies(content: &[u8]) -> Vec<String> {
    let tag = b"\0depends=";
    let Some(at) = content.windows(tag.len()).position(|window| window == tag) else { return Vec::new() };
    let list = content[at + tag.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
    let list = String::from_utf8_lossy(list);
    list.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

fn terminal_size() -> Option<(u16, u16)> {
    let mut stty = program("stty");
    let output = stty.arg("size").stdin(std::process::Stdio::inherit()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (rows, columns) = text.trim().split_once(' ')?;
    Some((rows.parse().ok()?, columns.parse().ok()?))
}
