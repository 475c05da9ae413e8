//! The world the command lines are run in: a repository, programs of every name the lists mention, and the files each
//! line is about, made anew before it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::{
    fs::{CWD, FileType, Mode, makedev},
    io::Errno,
};

use super::{Case, Step};

const HOME: &str = "/home/dev";
pub(super) const SHOP: &str = "/home/dev/shop";
/// First in the agent's path.
pub(super) const STUBS: &str = "/opt/stubs";

/// Programs that run for real: what they do is what guard watches, and undone before the next line.
const REAL: &[&str] = &[
    "[", "awk", "base64", "basename", "bash", "cat", "chgrp", "chmod", "chown", "cmp", "comm", "cp", "curl", "cut",
    "dash", "dd", "df", "diff", "dirname", "du", "echo", "egrep", "env", "expr", "false", "fgrep", "find", "git",
    "grep", "gunzip", "gzip", "head", "id", "install", "ln", "ls", "mkdir", "mktemp", "mv", "nice", "nohup", "od",
    "perl", "printenv", "printf", "pwd", "python3", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "setsid",
    "sh", "shred", "sleep", "sort", "split", "stat", "tac", "tail", "tar", "tee", "test", "timeout", "touch", "tr",
    "true", "truncate", "uname", "uniq", "unlink", "wc", "which", "whoami", "xargs", "yes",
];

/// Below these nothing is made: the kernel's own.
const KERNEL: &[&str] = &["/dev", "/proc", "/sys", "/run/guard"];

/// Made for one line and read by programs of others where it is there: git over https asks it for a password.
const LEFT: &[&str] = &["/home/dev/.netrc"];

/// Rules say `${HOME}` and mean the one in this file; the lists' is a person's, and the agent is root, for whom no
/// permission stands before guard.
const ACCOUNTS: &str = "/etc/passwd";

pub(super) struct World {
    stubs: BTreeSet<String>,
    accounts: String,
    /// What was made for the line and is not below the home, the topmost of each: no other program may find it there.
    elsewhere: Vec<PathBuf>,
}

impl World {
    pub(super) fn new() -> Result<Self> {
        fs::create_dir_all(STUBS).with_context(|| format!("cannot make {STUBS}"))?;
        let itself = std::env::current_exe().context("cannot find this program")?;
        fs::copy(itself, format!("{STUBS}/.stub")).context("cannot copy the stub")?;
        let accounts = fs::read_to_string(ACCOUNTS).with_context(|| format!("cannot read {ACCOUNTS}"))?;
        fs::write(ACCOUNTS, accounts.replacen(":/root:", ":/home/dev:", 1))
            .with_context(|| format!("cannot write {ACCOUNTS}"))?;
        let world = Self { stubs: BTreeSet::new(), accounts, elsewhere: Vec::new() };
        repository()?;
        bare()?;
        Ok(world)
    }

    /// Whether this step is another program than the real one.
    pub(super) fn is_stub(&self, step: &Step) -> bool {
        step.op == "exec" && self.stubs.contains(name(program(step)))
    }

    /// Makes what the line is about.
    pub(super) fn prepare(&mut self, case: &Case) -> Result<()> {
        self.clean();
        repository()?;
        for left in LEFT.iter().filter(|left| !case.line.contains(name(left))) {
            match remove(Path::new(left)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {left}"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        directories(&case.line)?;
        self.sources(&case.line)?;
        // Where a file is written, `guardctl check` foresees as well that a directory stands there.
        let written: Vec<&str> = case.foreseen.operations.iter().filter_map(written).collect();
        let is_within = |path: &str| {
            let below = |file: &&str| Path::new(path).starts_with(file) && Path::new(path) != Path::new(file);
            written.iter().any(below)
        };
        for step in &case.foreseen.operations {
            if step.op == "exec" {
                self.program(program(step))?;
                continue;
            }
            let (first, second) = match step.what.split_once(" → ") {
                Some((first, second)) => (first, Some(second)),
                None => (step.what.as_str(), None),
            };
            if is_within(first) || second.is_some_and(is_within) {
                continue;
            }
            match step.op.as_str() {
                // Whether it is a directory is the line's to know.
                "rmdir" if ["unlink", "os.remove"].iter().any(|call| case.line.contains(call)) => self.file(first)?,
                // What is named below a directory that goes may or may not be there; what the line names is.
                "rmdir" if !case.line.contains(name(first)) => above(first)?,
                "rmdir" => self.directory(first)?,
                "mknod" | "mkdir" | "create" | "symlink" => above(first)?,
                "connect" | "signal" | "ptrace" | "mount" | "umount" | "ioctl" => {}
                // A directory is copied, and comes to be a directory.
                "open_write" if ["cp -r", "cp -a"].iter().any(|copy| case.line.contains(copy)) => above(first)?,
                _ => self.file(first)?,
            }
            if let Some(second) = second {
                above(second)?;
            }
        }
        Ok(())
    }

    fn clean(&mut self) {
        for path in self.elsewhere.drain(..) {
            // The line may have removed it.
            drop(remove(&path));
        }
    }

    fn program(&mut self, program: &str) -> Result<()> {
        if REAL.contains(&name(program)) && !program.starts_with('.') {
            return Ok(());
        }
        let place = match program {
            "" | "~" => return Ok(()),
            absolute if absolute.starts_with('/') => PathBuf::from(absolute),
            relative if relative.contains('/') => Path::new(SHOP).join(relative),
            name => Path::new(STUBS).join(name),
        };
        self.stubs.insert(name(program).to_owned());
        if place.symlink_metadata().is_ok() || !usable(&place) {
            return Ok(());
        }
        if place.starts_with(STUBS) {
            return fs::hard_link(format!("{STUBS}/.stub"), &place)
                .with_context(|| format!("cannot make the stub {}", place.display()));
        }
        above(&place.to_string_lossy())?;
        fs::copy(format!("{STUBS}/.stub"), &place)
            .map(drop)
            .with_context(|| format!("cannot make the stub {}", place.display()))
    }

    /// What the line copies or moves from the directory it is in.
    fn sources(&mut self, line: &str) -> Result<()> {
        let line = line.replace("\", \"", " ");
        let words: Vec<&str> = line.split([' ', '"', ';']).collect();
        for (index, _) in words.iter().enumerate().filter(|(_, word)| ["cp", "mv", "install"].contains(word)) {
            let source = words[index + 1..].iter().find(|word| !word.starts_with('-'));
            let plain = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
            if let Some(source) = source.filter(|word| !word.is_empty()).filter(plain) {
                self.file(&format!("{SHOP}/{source}"))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, text: &str) -> Result<()> {
        if text.starts_with("/dev/") {
            return disk(Path::new(text));
        }
        let Some(path) = path(text) else { return Ok(()) };
        if path.symlink_metadata().is_ok() {
            return Ok(());
        }
        if !path.starts_with(HOME) {
            let missing = path.ancestors().take_while(|above| above.symlink_metadata().is_err());
            self.elsewhere.extend(missing.last().map(Path::to_owned));
        }
        above(text)?;
        // Something on the way may be a file: then the line is wrong about the world, and fails by itself.
        if path.parent().is_some_and(Path::is_dir) && !text.ends_with('/') {
            if [".tar", ".tgz", ".tar.gz"].iter().any(|ending| text.ends_with(ending)) {
                return archive(&path);
            }
            fs::write(&path, "something\n").with_context(|| format!("cannot make {}", path.display()))?;
        }
        Ok(())
    }

    fn directory(&mut self, text: &str) -> Result<()> {
        let Some(path) = path(text) else { return Ok(()) };
        if path.is_dir() && fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(());
        }
        self.file(&format!("{}/kept", text.trim_end_matches('/')))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The machine is gone soon where this fails.
        drop(fs::write(ACCOUNTS, &self.accounts));
        self.clean();
    }
}

/// Removes a file or a whole directory.
fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

/// The file a step writes or makes, where it is one for certain.
fn written(step: &Step) -> Option<&str> {
    let path = match step.op.as_str() {
        "open_write" | "mknod" | "create" => step.what.as_str(),
        "rename" => step.what.split_once(" → ")?.1,
        _ => return None,
    };
    (!path.ends_with('/')).then_some(path)
}

/// The first word of a command line.
fn program(step: &Step) -> &str {
    step.what.split(' ').next().unwrap_or_default().trim_matches('\'')
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn usable(path: &Path) -> bool {
    path.is_absolute() && !KERNEL.iter().any(|kernel| path.starts_with(kernel)) && path.parent().is_some()
}

/// `*` in a path stands for some name.
fn path(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text.replace(['*', '?'], "x"));
    usable(&path).then_some(path)
}

/// Where the line goes before it does what it is about: `cd infra && …`.
fn directories(line: &str) -> Result<()> {
    for rest in line.split("cd ").skip(1) {
        let word = rest.split([' ', ';', '&', '|', ')', '"', '\\']).next().unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if !word.is_empty() && word != "-" && word.bytes().all(plain) {
            let place = Path::new(SHOP).join(word);
            fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        }
    }
    Ok(())
}

/// A disk that is not there: opening it is what is watched, and fails afterwards.
fn disk(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if path.parent() != Some(Path::new("/dev"))
        || !["sd", "nvme", "hd", "mmcblk"].iter().any(|kind| name.starts_with(kind))
    {
        return Ok(());
    }
    if path.symlink_metadata().is_ok_and(|found| found.file_type().is_file()) {
        fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    // Loop devices of numbers that nothing uses.
    let node = rustix::fs::mknodat(CWD, path, FileType::BlockDevice, Mode::from_raw_mode(0o660), makedev(7, 200));
    match node {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
}

fn archive(path: &Path) -> Result<()> {
    let tar = Command::new("tar").arg("-caf").arg(path).args(["-C", "/etc", "passwd"]).status();
    ensure!(tar.context("cannot start tar")?.success(), "cannot make {}", path.display());
    Ok(())
}

fn above(text: &str) -> Result<()> {
    let Some(path) = path(text) else { return Ok(()) };
    // What another line needed as a file is a directory to this one.
    let on_the_way = path.ancestors().skip(1).find(|above| above.starts_with(HOME) && above.is_file());
    if let Some(file) = on_the_way {
        fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    match path.parent() {
        Some(parent) if parent.ancestors().all(|above| above.symlink_metadata().map_or(true, |_| above.is_dir())) => {
            fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))
        }
        Some(_) | None => Ok(()),
    }
}

/// What the agent clones from instead of the network, as a bare repository.
fn bare() -> Result<()> {
    let script =
        "rm -rf /opt/remote && mkdir -p /opt/remote && git clone -q --bare /home/dev/shop /opt/remote/shop.git";
    let output = Command::new("/bin/bash").args(["-c", script]).env("HOME", "/home/dev").output();
    let output = output.context("cannot make the remote repository")?;
    ensure!(output.status.success(), "no remote repository: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A repository with a few files and commits, and changes that are in none.
fn repository() -> Result<()> {
    if Path::new(SHOP).join(".git/HEAD").exists() && Path::new(SHOP).join("src/main.js").exists() {
        return Ok(());
    }
    let script = "rm -rf /home/dev/shop && mkdir -p /home/dev/shop/src && cd /home/dev/shop && git init -q -b main && \
        git config user.name dev && git config user.email dev@example.com && \
        echo 'console.log(1)' >src/main.js && echo '{}' >package.json && echo text >README.md && git add . && \
        git commit -q -m first && echo more >>README.md && git commit -q -am second && echo changed >>README.md";
    let output = Command::new("/bin/bash").args(["-c", script]).env("HOME", "/home/dev").output();
    let output = output.context("cannot make the repository")?;
    ensure!(output.status.success(), "no repository: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
