//! Which agents have ended: the cgroup that guardd made for them is empty (or the one they were given is gone), and no
//! task anywhere carries their tag.
//! What is done about it is the core's business.
#![forbid(unsafe_code)]

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
};

use super::{cgroup::Cgroups, clock::SECOND, effect::Kernel};

/// How long an empty agent stays listed.
const GRACE: u64 = 2 * SECOND;
/// An agent whose cgroup is empty while a task of it lives elsewhere is looked at this much later again.
const LATER: u64 = 10 * SECOND;
/// How often a look is repeated that a new process made worthless.
const TRIES: usize = 4;

/// An agent that would end if nobody is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub number: u64,
    pub cgroup: String,
    pub cgroup_id: u64,
    /// guardd made the cgroup.
    pub own: bool,
}

/// What was seen of empty agents before.
#[derive(Debug, Default)]
pub struct Endings {
    /// When an agent may end, by its number, on the boot clock.
    due: HashMap<u64, u64>,
}

impl Endings {
    /// The numbers of those that have ended, `at_once` without a grace. The cgroups that guardd made are removed: from
    /// then on no process can enter them.
    ///
    /// # Errors
    /// When the kernel's table of tasks cannot be read. Nobody has ended then.
    pub fn look(
        &mut self,
        now: u64,
        at_once: bool,
        candidates: Vec<Candidate>,
        cgroups: &Cgroups,
        kernel: &impl Kernel,
    ) -> io::Result<Vec<u64>> {
        let empty: Vec<Candidate> = candidates.into_iter().filter(|agent| is_empty(agent, cgroups)).collect();
        self.due.retain(|number, _| empty.iter().any(|agent| agent.number == *number));
        let due: Vec<Candidate> = empty
            .into_iter()
            .filter(|agent| *self.due.entry(agent.number).or_insert(now + GRACE) <= now || at_once)
            .collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let Some(tagged) = tagged(kernel)? else { return Ok(Vec::new()) };
        let mut ended = Vec::new();
        for agent in due {
            if tagged.contains(&agent.cgroup_id) {
                self.due.insert(agent.number, now + LATER);
                continue;
            }
            let removed = if agent.own { cgroups.remove(&agent.cgroup) } else { Ok(()) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::debug!("a{} goes on: {error}", agent.number);
                }
                Ok(()) | Err(_) => {
                    self.due.remove(&agent.number);
                    ended.push(agent.number);
                }
            }
        }
        Ok(ended)
    }
}

/// What cannot be told counts as inhabited.
fn is_empty(agent: &Candidate, cgroups: &Cgroups) -> bool {
    if agent.own {
        return matches!(cgroups.populated(&agent.cgroup), Ok(false));
    }
    cgroups.id(&agent.cgroup).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Agents that a living task is tagged with; `None` when the machine was too busy to tell.
///
/// The table changes while it is read: a task may appear behind the reader and its parent vanish in front of it. When
/// nobody was forked meanwhile, everybody who lives at the end was there all the time, and was seen.
fn tagged(kernel: &impl Kernel) -> io::Result<Option<BTreeSet<u64>>> {
    for _ in 0..TRIES {
        let before = forks()?;
        let tagged = kernel.tagged()?;
        if forks()? == before {
            return Ok(Some(tagged));
        }
    }
    Ok(None)
}

/// How many tasks were made since the machine was started.
fn forks() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let count = stat.lines().find_map(|line| line.strip_prefix("processes "));
    count
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/stat does not count processes"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::daemon::testing::FakeKernel;

    /// Looks until the machine is quiet for a moment.
    fn look(endings: &mut Endings, now: u64, cgroups: &Cgroups, kernel: &FakeKernel, expected: &[u64]) {
        let agent = Candidate { number: 1, cgroup: "/guard-agents/a1".to_owned(), cgroup_id: 77, own: true };
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let found = endings.look(now, false, vec![agent.clone()], cgroups, kernel).expect("it can be read");
            if found == expected && (found.is_empty() || !cgroups.directory(&agent.cgroup).expect("a path").exists()) {
                return;
            }
            assert!(found.is_empty() && Instant::now() < end, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn an_agent_ends_when_its_cgroup_is_empty_and_nobody_elsewhere_carries_its_tag() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let cgroups = Cgroups::at(directory.path().to_path_buf());
        cgroups.create("a1").expect("made");
        let procs = directory.path().join("guard-agents/a1/cgroup.procs");
        let kernel = FakeKernel::default();
        let mut endings = Endings::default();
        std::fs::write(&procs, "4711\n").expect("written");
        look(&mut endings, 5 * SECOND, &cgroups, &kernel, &[]);
        std::fs::remove_file(&procs).expect("removed");
        look(&mut endings, 10 * SECOND, &cgroups, &kernel, &[]);
        kernel.maps().tags.insert(4712, 77);
        look(&mut endings, 10 * SECOND + GRACE, &cgroups, &kernel, &[]);
        assert!(directory.path().join("guard-agents/a1").is_dir(), "a task that left the cgroup is still of the agent");
        kernel.maps().tags.clear();
        look(&mut endings, 30 * SECOND, &cgroups, &kernel, &[1]);
    }
}
