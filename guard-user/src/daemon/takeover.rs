//! What a guardd finds at its start: the agents of the last one, what was stopped meanwhile, and kernel programs of an older
//! version. It is known again before anything new is heard.
#![forbid(unsafe_code)]

use std::{collections::BTreeSet, io};

use anyhow::Context as _;

use super::{
    core::Input,
    effect::Kernel,
    facts,
    run::Daemon,
    state::{Saved, SavedAgent},
};
use crate::{api::Tier, kernel::pins::Earlier};

/// What was there before.
pub struct Before {
    /// The agents and numbers of the last guardd.
    pub saved: io::Result<Saved>,
    /// The last line of the audit log was cut off.
    pub torn: bool,
    /// The maps hold nothing of an earlier guardd.
    pub fresh: bool,
    /// Programs of older versions, at work still.
    pub earlier: Vec<Earlier>,
}

impl<K: Kernel> Daemon<K> {
    /// Agents first, then everything that was stopped while no guardd ran.
    ///
    /// # Errors
    /// When the kernel's maps cannot be read, or an older version's programs cannot be ended.
    pub(super) fn start(&mut self, before: Before, tier: Tier) -> anyhow::Result<()> {
        let Before { saved, torn, fresh, earlier } = before;
        self.handle(Input::Started);
        if torn {
            tracing::warn!("the last line of the audit log was cut off; it was kept");
        }
        match saved {
            Ok(saved) => {
                self.handle(Input::Numbered { holds: saved.holds, execs_unseen: saved.execs_unseen });
                for agent in saved.agents {
                    self.know_again(agent);
                }
            }
            Err(error) => self.handle(Input::Trouble(format!(
                "the agents of the last run cannot be read, so whatever they do is held: {error}"
            ))),
        }
        let mut stopped = BTreeSet::new();
        // What stopped before its effect is safe to wake: these programs stop it again, and then there is a record of it.
        // In the trip tier it would go on.
        let wakes = tier == Tier::Gate && (fresh || earlier.iter().any(|earlier| earlier.gate));
        if wakes {
            for cgroup in self.core.agent_cgroups() {
                match self.edge.cgroups.processes(cgroup) {
                    Ok(processes) => stopped.extend(processes),
                    Err(error) => tracing::warn!("{cgroup} cannot be looked through for what is stopped: {error}"),
                }
            }
        }
        for earlier in earlier {
            let version = earlier.version;
            let inherited = self.edge.kernel.inherit(&earlier);
            stopped.extend(inherited.with_context(|| format!("cannot take over the tags of version {version}"))?);
            earlier.end()?;
            self.handle(Input::TookOver(format!("the kernel programs of version {version} were replaced")));
        }
        match self.edge.kernel.purge() {
            Ok(0) => {}
            Ok(removed) => tracing::info!("{removed} entries of the last run are removed from the kernel's tables"),
            Err(error) => tracing::warn!("the tables of the last run stay in the kernel: {error}"),
        }
        for key in self.edge.kernel.records().context("the kernel's holds cannot be read")? {
            self.look(key);
        }
        if wakes {
            self.stop_anew(&stopped);
        }
        Ok(())
    }

    fn know_again(&mut self, agent: SavedAgent) {
        match self.edge.cgroups.id(&agent.cgroup) {
            Ok(id) if id != agent.cgroup_id => {
                tracing::warn!("another cgroup is where agent {} was: {}", agent.name, agent.cgroup);
            }
            // Without its cgroup, too: a task may have left it before and still carry the tag.
            Ok(_) | Err(_) => self.handle(Input::Restored(Box::new(agent))),
        }
    }

    /// Has what is stopped try again: programs that are gone had stopped it, and nobody would ever decide.
    fn stop_anew(&mut self, processes: &BTreeSet<u32>) {
        let mut woken = 0;
        for process in processes.iter().copied().filter(|process| facts::has_stopped(*process)) {
            match self.edge.processes.wake(process) {
                Ok(()) => woken += 1,
                Err(error) => tracing::warn!("process {process} stays stopped: {error}"),
            }
        }
        if woken > 0 {
            self.handle(Input::TookOver(format!(
                "{woken} stopped processes try again; what waited is held under a new id"
            )));
        }
    }
}
