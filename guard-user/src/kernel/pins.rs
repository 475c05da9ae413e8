//! What guard leaves in bpffs, so that it outlives guardd: finds it, checks it, takes it over or down. Nothing is loaded or
//! attached here.
//!
//! Each version of guard-common has a directory of its own, `v10`, with a file for every map and every link. A guardd goes
//! on with the programs that are there when they are the ones it would load, puts its own over them when they are not, and
//! inherits from those of an older version; docs/adr/0008 says why.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use aya::{
    maps::{Array, HashMap, Map, MapData, MapError},
    programs::{
        RawTracePoint,
        links::{FdLink, PinnedLink},
    },
};
use guard_common::{
    ABI_VERSION,
    op::OpSet,
    table::AdoptedKey,
    task::{State, Task},
};

use super::hooks::Hook;

/// Maps that outlive guardd. The others are scratch space and what programs remember for speed.
pub(super) const MAPS: [&str; 27] = [
    "HOLDS",
    "TEXTS",
    "GRANTS",
    "NOTICES",
    "EXECUTIONS",
    "FOOTPRINTS",
    "REACHED",
    "DIRS",
    "TASKS",
    "AGENTS",
    "QUOTAS",
    "PATHS",
    "NAMES",
    "NAME_FILTER",
    "PROGRAMS",
    "ARGUMENTS",
    "PORTS",
    "ADDRESSES",
    "ADOPTED",
    "ADOPTED_FILTER",
    "GUARDS",
    "GUARDS_FILTER",
    "CLEARED",
    "LISTENING",
    "COUNTS",
    "STATE",
    "CREATED",
];

/// The pins of this version.
#[derive(Clone)]
pub(super) struct Pins {
    directory: PathBuf,
}

impl Pins {
    /// Below `directory`.
    pub(super) fn below(directory: &Path) -> anyhow::Result<Self> {
        let directory = directory.join(format!("v{ABI_VERSION}"));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}: is bpffs mounted there?", directory.display()))?;
        Ok(Self { directory })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// No program has held anything yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.path("HOLDS").exists()
    }

    /// A pinned map.
    pub(super) fn map(&self, name: &str) -> anyhow::Result<Map> {
        let path = self.path(name);
        let data = MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
        Map::from_map_data(data).with_context(|| format!("cannot use {}", path.display()))
    }

    /// The maps that are there are the ones the object says.
    ///
    /// # Errors
    /// When one is another: what it holds would be misread.
    pub(super) fn check(&self, object: &[u8], max_holds: u32) -> anyhow::Result<()> {
        let object = aya_obj::Object::parse(object).context("cannot read the eBPF object")?;
        for name in MAPS {
            let path = self.path(name);
            // The object of the trip tier lacks some.
            let Some(wanted) = object.maps.get(name).filter(|_| path.exists()) else { continue };
            let there = MapData::from_pin(&path).and_then(|map| map.info());
            let there = there.with_context(|| format!("cannot look at {}", path.display()))?;
            let same = (there.key_size(), there.value_size()) == (wanted.key_size(), wanted.value_size());
            ensure!(
                same,
                "{} was made by a guardd whose layout is another, though it has the same version: start that guardd again, \
                 or end what it holds with `guardd --teardown`",
                path.display()
            );
            if name == "HOLDS" && there.max_entries() != max_holds {
                tracing::warn!(
                    "there is room for {} holds as before; `max_holds: {max_holds}` counts once `guardd --teardown` or a \
                     reboot has removed {}",
                    there.max_entries(),
                    self.directory.display()
                );
            }
        }
        Ok(())
    }

    /// Number of the object whose programs are all at work; `None` when nothing says so.
    pub(super) fn object(&self) -> Option<u64> {
        let state: Array<MapData, State> = self.map("STATE").ok()?.try_into().ok()?;
        Some(state.get(&0, 0).ok()?.object).filter(|object| *object != 0)
    }

    /// Says which object's programs are all at work; 0 before the first is changed.
    pub(super) fn set_object(&self, object: u64) -> anyhow::Result<()> {
        let mut map: Array<MapData, State> = self.map("STATE")?.try_into().context("STATE is no array")?;
        let mut state = map.get(&0, 0).context("cannot read the state map")?;
        state.object = object;
        map.set(0, &state, 0).context("cannot write the state map")
    }

    /// Keeps a program attached that an earlier guardd pinned, whatever becomes of the pin.
    pub(super) fn hold_on(&self, hook: &Hook) -> anyhow::Result<()> {
        let path = self.path(&link(hook));
        let pinned = PinnedLink::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
        std::mem::forget(pinned);
        Ok(())
    }

    /// Keeps a program that is not attached all the time, in place of the one that was there.
    pub(super) fn keep_program(&self, hook: &Hook, program: &mut RawTracePoint) -> anyhow::Result<()> {
        let path = self.path(&program_name(hook));
        if path.exists() {
            unpin(&path)?;
        }
        program.pin(&path).with_context(|| format!("cannot pin {}", path.display()))
    }

    /// A program that was kept so.
    pub(super) fn program(&self, hook: &Hook) -> anyhow::Result<RawTracePoint> {
        let path = self.path(&program_name(hook));
        RawTracePoint::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))
    }

    /// Detaches what is not one of these: another tier's programs, or those of hooks that are no more.
    pub(super) fn leave_only(&self, hooks: &[Hook]) -> anyhow::Result<()> {
        let wanted: BTreeSet<String> = hooks.iter().map(link).collect();
        for pin in fs::read_dir(&self.directory).with_context(|| format!("cannot read {}", self.directory.display()))? {
            let pin = pin?;
            let name = pin.file_name().to_string_lossy().into_owned();
            let old = name.starts_with("new_") || (name.starts_with("link_") && !wanted.contains(&name));
            if old {
                unpin(&pin.path())?;
            }
        }
        Ok(())
    }

    /// Pins a link; one that was there under the name is replaced after the new one is attached, so that there is no
    /// moment without.
    pub(super) fn keep(&self, link_of: &Hook, fresh: FdLink) -> anyhow::Result<()> {
        let name = link(link_of);
        // bpffs takes no name with a dot.
        let (path, new) = (self.path(&name), self.path(&format!("new_{name}")));
        if new.exists() {
            unpin(&new)?;
        }
        let pinned = fresh.pin(&new).with_context(|| format!("cannot pin {}", new.display()))?;
        if path.exists() {
            unpin(&path)?;
        }
        fs::rename(&new, &path).with_context(|| format!("cannot replace {}", path.display()))?;
        // The pin may be taken away with the file system; the programs work on as long as guardd does.
        std::mem::forget(pinned);
        Ok(())
    }
}

fn link(hook: &Hook) -> String {
    format!("link_{}", hook.program)
}

fn program_name(hook: &Hook) -> String {
    format!("program_{}", hook.program)
}

/// The programs of an older version, at work until [`Self::end`].
pub struct Earlier {
    directory: PathBuf,
    pub version: u32,
    /// The gate was closed, so what was held had not begun.
    pub gate: bool,
    tasks: HashMap<MapData, u64, Task>,
    /// `None` before there was one.
    adopted: Option<HashMap<MapData, AdoptedKey, OpSet>>,
}

/// The older versions whose programs are at work.
///
/// # Errors
/// When a newer one's are, or an older one keeps its tasks in a way this one does not understand: what they hold would never
/// be decided.
pub(super) fn earlier(directory: &Path) -> anyhow::Result<Vec<Earlier>> {
    let mut found = Vec::new();
    for (version, path) in versions(directory)? {
        let advice = format!(
            "install that guard again, or end what it holds with `guardd --teardown` (its programs are in {})",
            path.display()
        );
        if version > ABI_VERSION {
            bail!(
                "the kernel programs of a newer guard are at work, version {version} where this one's are {ABI_VERSION}: \
                 {advice}"
            );
        }
        if version == ABI_VERSION || !path.join("TASKS").exists() {
            continue;
        }
        let tasks = MapData::from_pin(path.join("TASKS")).and_then(Map::from_map_data).and_then(HashMap::try_from);
        let tasks = tasks.map_err(|error| {
            anyhow::anyhow!(
                "the kernel programs of an older guard are at work, version {version}, and this one cannot read which \
                 tasks are its agents' ({error}): {advice}"
            )
        })?;
        let adopted = Some(path.join("ADOPTED")).filter(|adopted| adopted.exists());
        let adopted =
            adopted.map(|adopted| MapData::from_pin(adopted).and_then(Map::from_map_data).and_then(HashMap::try_from));
        let adopted = adopted.transpose().map_err(|error| {
            anyhow::anyhow!(
                "the kernel programs of an older guard are at work, version {version}, and this one cannot read what its \
                 agents had open when they were tagged ({error}): {advice}"
            )
        })?;
        let gate = path.join("link_path_unlink").exists();
        found.push(Earlier { version, gate, directory: path, tasks, adopted });
    }
    Ok(found)
}

impl Earlier {
    /// Tags in `tasks` whatever is tagged here, and answers the processes. The programs of both are at work, so a child of
    /// what is tagged is tagged too; whoever was born before is found in another pass.
    pub(super) fn hand_over(&self, tasks: &mut HashMap<MapData, u64, Task>) -> io::Result<BTreeSet<u32>> {
        /// More passes than generations of children can be born untagged while one is made.
        const PASSES: usize = 64;
        let mut processes = BTreeSet::new();
        for _ in 0..PASSES {
            let mut more = false;
            for entry in self.tasks.iter() {
                let (key, task) = match entry {
                    Ok((key, task)) if task.agent != 0 => (key, task),
                    // It may end while the map is read.
                    Ok(_) | Err(MapError::KeyNotFound) => continue,
                    Err(error) => return Err(io::Error::other(error.to_string())),
                };
                processes.extend((task.tgid != 0).then_some(task.tgid));
                if tasks.get(&key, 0).is_ok_and(|present| present.agent != 0) {
                    continue;
                }
                let tag = Task { agent: task.agent, tgid: task.tgid, start: task.start, ..Task::default() };
                tasks.insert(&key, &tag, 0).map_err(|error| io::Error::other(error.to_string()))?;
                // One that ended meanwhile was let go by the new programs before it was written.
                if matches!(self.tasks.get(&key, 0), Err(MapError::KeyNotFound))
                    && let Err(error) = tasks.remove(&key)
                {
                    tracing::debug!("the tag of a task that ended is gone already: {error}");
                }
                more = true;
            }
            if !more {
                return Ok(processes);
            }
        }
        Err(io::Error::other("tasks are born faster than they can be tagged"))
    }

    /// What its agents had open when they were tagged and nobody has judged.
    pub(super) fn adopted(&self) -> io::Result<Vec<(AdoptedKey, OpSet)>> {
        let entries = self.adopted.iter().flat_map(HashMap::iter);
        // An entry may go while the map is read.
        let entries = entries.filter(|entry| !matches!(entry, Err(MapError::KeyNotFound)));
        entries.collect::<Result<_, _>>().map_err(|error| io::Error::other(error.to_string()))
    }

    /// Takes its programs down.
    ///
    /// # Errors
    /// When a pin cannot be removed: its programs may be at work still.
    pub fn end(self) -> anyhow::Result<()> {
        remove(&self.directory).map(drop)
    }
}

/// Takes everything down that was pinned below `directory`, of every version. Answers how many pins that were.
///
/// # Errors
/// When a pin cannot be removed.
pub fn teardown(directory: &Path) -> anyhow::Result<u32> {
    if !directory.exists() {
        return Ok(0);
    }
    let mut removed = 0;
    for (_, path) in versions(directory)? {
        removed += remove(&path)?;
    }
    fs::remove_dir(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    Ok(removed)
}

/// The directories of all versions, with their numbers.
fn versions(directory: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", directory.display())),
    };
    let mut versions = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix('v')?.parse().ok());
        let number = number.with_context(|| format!("{} is not guard's: remove it", path.display()))?;
        versions.push((number, path));
    }
    Ok(versions)
}

/// Removes a pin; a program it kept attached is detached when this returns. Of what its last pin kept, the kernel leaves that
/// to a worker, and meanwhile an old program would stop what a new one has let through, with nobody left to answer it. Of
/// what a file descriptor kept it is done within `close(2)`, so the link is opened first and closed last.
fn unpin(path: &Path) -> anyhow::Result<()> {
    let is_link = path.file_name().is_some_and(|name| name.to_string_lossy().contains("link_"));
    let link = if is_link {
        Some(PinnedLink::from_pin(path).with_context(|| format!("cannot open {}", path.display()))?)
    } else {
        None
    };
    fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
    drop(link);
    Ok(())
}

fn remove(version: &Path) -> anyhow::Result<u32> {
    let mut removed = 0;
    for pin in fs::read_dir(version).with_context(|| format!("cannot read {}", version.display()))? {
        unpin(&pin?.path())?;
        removed += 1;
    }
    fs::remove_dir(version).with_context(|| format!("cannot remove {}", version.display()))?;
    Ok(removed)
}
