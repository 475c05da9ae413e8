//! Who is tagged: pure state, no IO.
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    api,
    daemon::{
        clock::Now,
        core::{ExecsLeft, ToldLeft},
        rulebook::{Judge, Places},
    },
    tally::Tallies,
};

/// A tagged process tree.
pub struct Agent {
    /// The `1` of `a1`.
    pub number: u64,
    pub name: String,
    /// Below the cgroup root; empty until tagging is finished.
    pub cgroup: String,
    /// 0 until tagging is finished.
    pub cgroup_id: u64,
    pub places: Places,
    /// Text of the agent's own rules.
    pub extra: Option<String>,
    pub policy: u32,
    pub judge: Box<dyn Judge>,
    pub since: Now,
    /// An operator suspended it.
    pub suspended: bool,
    /// Holds of the trip tier that keep it frozen.
    pub trips: BTreeSet<u64>,
    /// What it did lately, for rules with thresholds. A new guardd counts from nothing.
    pub tallies: Tallies,
    /// Files and sockets that were open when it was tagged, whose first use is judged. Nobody knows after a restart.
    pub adopted: u32,
    /// Files that were mapped for writing then, or open in the trip tier: what is written there is not judged.
    pub mapped: u32,
    /// How much may be written of what it executes.
    pub execs: ExecsLeft,
    /// The same of what it tells of its tools.
    pub told: ToldLeft,
}

impl Agent {
    #[must_use]
    pub fn id(&self) -> String {
        format!("a{}", self.number)
    }

    /// True where guardd made the cgroup for it: when the last process has ended, nobody else has a use for it.
    #[must_use]
    pub fn has_own_cgroup(&self) -> bool {
        self.cgroup == format!("/{}/{}", crate::daemon::cgroup::PARENT, self.id())
    }

    #[must_use]
    pub fn frozen(&self) -> bool {
        self.suspended || !self.trips.is_empty()
    }

    /// What the API shows. The number of processes is not known here: the edge fills it in.
    #[must_use]
    pub fn view(&self, pending: u32) -> api::Agent {
        api::Agent {
            id: self.id(),
            name: self.name.clone(),
            cgroup: self.cgroup.clone(),
            cgroup_id: self.cgroup_id,
            workspace: crate::text::lossy(self.places.workspace.as_os_str().as_encoded_bytes()),
            policy: self.places.policy.clone(),
            state: if self.frozen() { api::AgentState::Suspended } else { api::AgentState::Running },
            processes: 0,
            pending,
            since: self.since.rfc3339(),
            adopted: self.adopted,
            mapped: self.mapped,
        }
    }
}

impl api::Agent {
    /// What was open when it was tagged, in a sentence; `None` when there was nothing.
    #[must_use]
    pub fn open_before(&self) -> Option<String> {
        let (adopted, mapped) = (self.adopted, self.mapped);
        let judged = (adopted > 0).then(|| {
            let things = if adopted == 1 { "file or socket was" } else { "files and sockets were" };
            format!("{adopted} {things} open already: the first use of each is judged as its opening would have been")
        });
        let unjudged = (mapped > 0).then(|| {
            let things = if mapped == 1 { "file was" } else { "files were" };
            format!("{mapped} {things} open in a way in which what is written is not judged")
        });
        let said: Vec<String> = judged.into_iter().chain(unjudged).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// All agents, by number.
#[derive(Default)]
pub struct Agents {
    agents: BTreeMap<u64, Agent>,
    last_number: u64,
    last_policy: u32,
}

impl Agents {
    /// Continues numbering after what an earlier guardd gave out.
    pub fn continue_after(&mut self, number: u64, policy: u32) {
        self.last_number = self.last_number.max(number);
        self.last_policy = self.last_policy.max(policy);
    }

    pub fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub fn next_policy(&mut self) -> u32 {
        self.last_policy = self.last_policy.wrapping_add(1).max(1);
        self.last_policy
    }

    #[must_use]
    pub fn last(&self) -> (u64, u32) {
        (self.last_number, self.last_policy)
    }

    pub fn insert(&mut self, agent: Agent) {
        self.agents.insert(agent.number, agent);
    }

    pub fn remove(&mut self, number: u64) -> Option<Agent> {
        self.agents.remove(&number)
    }

    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Agent> {
        self.agents.get(&number)
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Agent> {
        self.agents.get_mut(&number)
    }

    #[must_use]
    pub fn by_cgroup(&self, cgroup_id: u64) -> Option<&Agent> {
        self.agents.values().find(|agent| cgroup_id != 0 && agent.cgroup_id == cgroup_id)
    }

    /// By what a person types: the id, or the name when only one agent has it.
    #[must_use]
    pub fn find(&self, typed: &str) -> Option<u64> {
        if let Some(agent) = self.agents.values().find(|agent| agent.id() == typed) {
            return Some(agent.number);
        }
        let mut named = self.agents.values().filter(|agent| agent.name == typed);
        match (named.next(), named.next()) {
            (Some(agent), None) => Some(agent.number),
            (_, Some(_)) | (None, None) => None,
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.agents.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.agents.is_empty()
    }
}
