//! What one guardd leaves to the next: its agents, and the ids of what waits. Reading and writing the file is the edge's.

use super::{Core, Effect, ExecsLeft, SAVE_WITHIN, ToldLeft};
use crate::{
    agents::Agent,
    daemon::{
        clock::Now,
        record::Kind,
        state::{Saved, SavedAgent, SavedHold},
    },
    holds::Stage,
};

impl Core {
    pub(super) fn restored(&mut self, saved: SavedAgent) {
        let mut places = saved.places();
        let since = Now { boottime: saved.since_boottime, wall: i128::from(saved.since_wall) };
        let (judge, extra) = match self.fit(&mut places, saved.extra.as_deref(), since) {
            Ok(judge) => (judge, saved.extra),
            Err(error) => {
                // Its own rules could only add; without them the daemon's still stand, and this is said.
                self.in_trouble(format!("the rules of {} (a{}) no longer hold: {error}", saved.name, saved.number));
                match self.fit(&mut places, None, since) {
                    Ok(judge) => (judge, None),
                    Err(error) => return self.in_trouble(error),
                }
            }
        };
        self.agents.continue_after(saved.number, saved.policy);
        let policy = self.agents.next_policy();
        let tables = Box::new(judge.tables());
        let (cgroup_id, old) = (saved.cgroup_id, Some(saved.policy));
        self.agents.insert(Agent {
            number: saved.number,
            name: saved.name,
            cgroup: saved.cgroup,
            cgroup_id,
            places,
            extra,
            policy,
            judge,
            since,
            suspended: saved.suspended,
            trips: std::collections::BTreeSet::new(),
            tallies: crate::tally::Tallies::default(),
            adopted: 0,
            mapped: 0,
            execs: ExecsLeft::default(),
            told: ToldLeft::default(),
        });
        self.emit(Effect::SetPolicy { cgroup_id, policy, tables, old });
        self.save();
    }

    /// A person decides about what waits by its id, and finds it under the same one afterwards.
    pub(super) fn numbered(&mut self, holds: &[SavedHold], execs_unseen: u64) {
        self.executions.unseen = execs_unseen;
        for hold in holds {
            self.holds.keep(hold.name(), hold.number);
        }
    }

    pub(super) fn stopping(&mut self) {
        self.end_execs();
        self.write_footprints();
        self.note(Kind::Stop, String::new());
        self.checkpoint(false);
        self.holds.return_reserved();
        self.save();
    }

    /// Many at once are one file.
    pub(super) fn save_soon(&mut self) {
        self.save_due.get_or_insert(self.now.boottime + SAVE_WITHIN);
    }

    pub(super) fn save(&mut self) {
        self.save_due = None;
        let (last_agent, last_policy) = self.agents.last();
        let last_hold = self.holds.reserved();
        let agents = self.agents.iter().filter(|agent| agent.cgroup_id != 0).map(SavedAgent::of).collect();
        // One that is decided already is a new question if its answer does not arrive.
        let pending = self.holds.live().filter(|hold| hold.stage == Stage::Pending);
        let pending = pending.map(|hold| (hold.operation.name, hold.number));
        let holds = pending.chain(self.holds.kept()).map(|(name, number)| SavedHold::of(name, number)).collect();
        let execs_unseen = self.executions.unseen;
        self.emit(Effect::Save(Box::new(Saved { last_agent, last_policy, last_hold, agents, holds, execs_unseen })));
    }
}
