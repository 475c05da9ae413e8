//! Many ways to do harm, all tried at once by one agent: each waits, takes effect when approved and fails cleanly when denied.
//! What a way is and how it is tried are here; the ways are in `ways/`, a subject a file.

mod before;
mod destroy;
mod devices;
mod disguise;
mod names;
mod outside;
mod prelude;
mod ring;
mod wake;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::mount::{UnmountFlags, unmount};
use serde_json::Value;

use super::{Scenario, file::GUARDED};
use crate::{
    agent::Agent,
    guard::Guard,
    patience::{never, until},
};

/// Where nothing is held: what a way needs beside its directory is here, under the name of the try.
const FREE: &str = "/srv/free";

/// The program of `ways/entry.c`, once it is made.
const ENTRY: &str = "/srv/entry";

/// One way to do harm.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    /// What guard calls it.
    op: &'static str,
    /// Perl that is true when it worked, and else has the error in `$!`, or dies. `$d` is the try's own directory, with a
    /// `file`, an `other` and a directory that is `empty`; `$free` is its own name where nothing is held.
    does: &'static str,
    /// Whether it has taken effect, asked with the directory.
    happened: fn(&Path) -> bool,
    /// Adds to the directory before the agent starts.
    prepare: fn(&Path) -> Result<()>,
    /// Done by a stranger once the way says that it waits for it.
    meanwhile: fn(&Path) -> Result<()>,
    /// An operation that comes first, and is approved in every try.
    through: &'static str,
    /// It is woken while it waits, and must be stopped again.
    is_woken: bool,
    /// The first kernel that has it.
    since: (u32, u32),
}

const fn way(name: &'static str, op: &'static str, does: &'static str, happened: fn(&Path) -> bool) -> Way {
    Way { name, op, does, happened, prepare: nothing, meanwhile: nothing, through: "", is_woken: false, since: (0, 0) }
}

const fn nothing(_: &Path) -> Result<()> {
    Ok(())
}

impl Way {
    const fn prepared(self, prepare: fn(&Path) -> Result<()>) -> Self {
        Self { prepare, ..self }
    }

    const fn meanwhile(self, meanwhile: fn(&Path) -> Result<()>) -> Self {
        Self { meanwhile, ..self }
    }

    const fn through(self, through: &'static str) -> Self {
        Self { through, ..self }
    }

    const fn woken(self) -> Self {
        Self { is_woken: true, ..self }
    }

    const fn since(self, since: (u32, u32)) -> Self {
        Self { since, ..self }
    }
}

pub(super) fn scenarios() -> Vec<Scenario> {
    [
        destroy::scenarios(),
        devices::scenarios(),
        names::scenarios(),
        disguise::scenarios(),
        outside::scenarios(),
        ring::scenarios(),
        wake::scenarios(),
        before::scenarios(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those under the rules that come with guard.
pub(super) fn shipped() -> Vec<Scenario> {
    devices::shipped()
}

/// A way with its verdict and its directory.
struct Try {
    way: Way,
    verb: &'static str,
    name: String,
    directory: PathBuf,
    /// Somebody did what it waited for.
    helped: bool,
}

/// Tries each way twice in [`GUARDED`], to deny one and approve the other.
fn each_is_held(guard: &Guard, ways: &[Way]) -> Result<()> {
    each_is_held_in(guard, Path::new(GUARDED), ways)
}

fn each_is_held_in(guard: &Guard, place: &Path, ways: &[Way]) -> Result<()> {
    let _mounts = Mounts(place);
    let mut tries = made(place, ways)?;
    let program = Path::new(FREE).join("ways.pl");
    fs::write(&program, text(&tries)).with_context(|| format!("cannot write {}", program.display()))?;
    let agent = Agent::start(guard, &["perl", &program.display().to_string()])?;
    wait_until_held(guard, &agent, &mut tries)?;
    never("something happened before anybody decided", || {
        let early: Vec<&str> = tries.iter().filter(|one| one.has_happened()).map(|one| one.name.as_str()).collect();
        ensure!(early.is_empty(), "before anybody decided: {early:?}");
        Ok(false)
    })?;
    let mut is_decided = false;
    until("every way to end", || {
        let output = agent.output()?;
        if tries.iter().all(|one| one.said(&output).is_some()) {
            return Ok(Some(()));
        }
        // Some are held more than once: a program goes another way after a refusal, or does more than one thing.
        let pids = pids(&output);
        let had = tries.iter().filter(|one| one.verb == "deny" && one.way.op == "ptrace");
        for one in had.filter(|_| is_decided) {
            fs::write(one.directory.join("denied"), "").context("cannot tell the agent")?;
        }
        is_decided = true;
        for verb in ["deny", "approve"] {
            let holds = guard.pending()?;
            let of_these = |hold: &&Value| whose(&tries, &pids, hold).is_some_and(|one| one.verb == verb);
            decide(guard, &[verb], holds.iter().filter(|hold| hold["state"] == "pending").filter(of_these))?;
        }
        Ok(None)
    })
    .with_context(|| format!("it said {}", agent.output().unwrap_or_default()))?;
    let output = agent.output()?;
    let wrong: Vec<String> = tries.iter().filter_map(|one| one.mistake(&output)).collect();
    ensure!(wrong.is_empty(), "{}; it said {output}", wrong.join("; "));
    Ok(())
}

/// Decides on all of them with one guardctl. Some may have ended since they were listed.
fn decide<'a>(guard: &Guard, verb: &[&str], holds: impl IntoIterator<Item = &'a Value>) -> Result<()> {
    let ids = holds.into_iter().map(crate::guard::id).collect::<Result<Vec<&str>>>()?;
    if !ids.is_empty() {
        guard.guardctl(&[verb, ids.as_slice()].concat())?;
    }
    Ok(())
}

impl Try {
    fn has_happened(&self) -> bool {
        (self.way.happened)(&self.directory)
    }

    /// What the try printed when it ended.
    fn said<'a>(&self, output: &'a str) -> Option<&'a str> {
        output.lines().find_map(|line| line.strip_prefix(&self.name)?.strip_prefix(": "))
    }

    /// What is wrong with how it ended.
    fn mistake(&self, output: &str) -> Option<String> {
        let said = self.said(output).unwrap_or("nothing");
        let good = match self.verb {
            "approve" => said == "done" && self.has_happened(),
            _ => {
                let clean = said == "failed: Operation not permitted" || said.starts_with("failed: a program: ");
                clean && !self.has_happened()
            }
        };
        let happened = if self.has_happened() { "happened" } else { "did not happen" };
        (!good).then(|| format!("{} ({}): {happened}, and said {said:?}", self.name, self.verb))
    }
}

/// The try a hold belongs to: one of its processes said its name, or the object is in its directory.
fn whose<'a>(tries: &'a [Try], pids: &[(String, u64)], hold: &Value) -> Option<&'a Try> {
    let parents = hold["processes"].as_array().into_iter().flatten().filter_map(|process| process["pid"].as_u64());
    let named = parents.into_iter().find_map(|pid| pids.iter().find(|(_, known)| *known == pid));
    let name = named.map(|(name, _)| name.as_str());
    let path = hold["operation"]["path"].as_str().unwrap_or_default();
    let found = tries.iter().find(|one| Some(one.name.as_str()) == name);
    found.or_else(|| tries.iter().find(|one| Path::new(path).starts_with(&one.directory)))
}

/// The processes that said who they are.
fn pids(output: &str) -> Vec<(String, u64)> {
    let said = output.lines().filter_map(|line| line.split_once(" is "));
    said.filter_map(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?))).collect()
}

/// Waits until every try has a hold of the kind it should have, lets through what comes first, and helps whom waits for help.
fn wait_until_held(guard: &Guard, agent: &Agent, tries: &mut [Try]) -> Result<()> {
    let mut missing = Vec::new();
    let held = until("every way to be held", || {
        let output = agent.output()?;
        for one in tries.iter_mut().filter(|one| !one.helped) {
            if output.lines().any(|line| line.strip_prefix(&one.name) == Some(" waits")) {
                (one.way.meanwhile)(&one.directory).with_context(|| format!("while {} waited", one.name))?;
                fs::write(one.directory.join("go"), "").context("cannot tell the agent")?;
                one.helped = true;
            }
        }
        let (pids, holds) = (pids(&output), guard.pending()?);
        let holds: Vec<(&Try, &Value)> =
            holds.iter().filter_map(|hold| Some((whose(tries, &pids, hold)?, hold))).collect();
        let first = holds.iter().filter(|(one, hold)| hold["operation"]["op"] == one.way.through);
        decide(guard, &["approve", "--once"], first.map(|(_, hold)| *hold))?;
        missing.clear();
        for one in &*tries {
            let is_held = holds.iter().any(|(other, hold)| {
                let enough = if one.way.is_woken { 2 } else { 1 };
                let stops = hold["stops"].as_u64().unwrap_or(0);
                other.name == one.name && hold["operation"]["op"] == one.way.op && stops >= enough
            });
            if let Some(said) = one.said(&output).filter(|_| !is_held) {
                bail!("{} was not held and said {said:?}; it happened: {}", one.name, one.has_happened());
            }
            if !is_held {
                missing.push(one.name.clone());
            }
        }
        Ok(missing.is_empty().then_some(()))
    });
    held.with_context(|| {
        let holds = guard.pending().unwrap_or_default();
        let holds: Vec<String> = holds.iter().map(|hold| hold["operation"].to_string()).collect();
        format!("without a hold: {missing:?}; held were {holds:?}; it said {}", agent.output().unwrap_or_default())
    })
}

/// Makes a directory for each try.
fn made(place: &Path, ways: &[Way]) -> Result<Vec<Try>> {
    for directory in [place, Path::new(FREE)] {
        // What an earlier scenario left there. A mount cannot be removed, and has nothing yet.
        drop(fs::remove_dir_all(directory));
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(directory, anybody).context("cannot open the directory to anybody")?;
    }
    let mut tries = Vec::new();
    for way in ways.iter().filter(|way| way.since <= release()) {
        for verb in ["deny", "approve"] {
            let name = format!("{}_{verb}", way.name);
            let directory = place.join(&name);
            fs::create_dir_all(directory.join("empty")).with_context(|| format!("cannot make {name}"))?;
            for (file, byte) in [("file", b'o'), ("other", b'n')] {
                fs::write(directory.join(file), [byte; 8192]).with_context(|| format!("cannot fill {name}"))?;
            }
            (way.prepare)(&directory).with_context(|| format!("cannot prepare {name}"))?;
            ensure!(!(way.happened)(&directory), "{name} seems to have happened already");
            tries.push(Try { way: *way, verb, name, directory, helped: false });
        }
    }
    Ok(tries)
}

/// The program that tries all of them.
fn text(tries: &[Try]) -> String {
    let each = tries.iter().map(|one| {
        let (name, directory, does) = (&one.name, one.directory.display(), one.way.does);
        format!("try('{name}', '{directory}', '{FREE}/{name}', sub {{ my ($d, $free) = @_; {does} }});\n")
    });
    format!("{}{}1 while wait() != -1;\n", prelude::TEXT, each.collect::<String>())
}

/// Version and patch level of the kernel.
pub(super) fn release() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy().into_owned();
    let mut numbers = release.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Unmounts, when dropped, whatever was mounted below a place.
struct Mounts<'a>(&'a Path);

impl Drop for Mounts<'_> {
    fn drop(&mut self) {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let below = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
        for mount in below.filter(|mount| *mount != self.0 && mount.starts_with(self.0)) {
            if let Err(error) = unmount(mount, UnmountFlags::DETACH) {
                eprintln!("cannot unmount {}: {error}", mount.display());
            }
        }
    }
}

fn free(directory: &Path) -> PathBuf {
    Path::new(FREE).join(directory.file_name().unwrap_or_default())
}

fn gone(directory: &Path, name: &str) -> bool {
    fs::symlink_metadata(directory.join(name)).is_err()
}

/// Whether the file begins with what was there before.
fn is_changed(directory: &Path) -> bool {
    fs::read(directory.join("file")).map_or(true, |bytes| !bytes.starts_with(&[b'o'; 16]))
}
