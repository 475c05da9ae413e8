//! How many connections there may be at once: of those who may decide, of all others together, and of one user. An agent or a
//! user that opens sockets until none is left takes none from the people, and nobody but root takes all of them.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Of those who may decide, and of one user among them who is not root.
const PRIVILEGED: usize = 48;
const ONE_PRIVILEGED: usize = 16;
/// Of everybody else, and of one user among them.
const OTHERS: usize = 16;
const ONE_OTHER: usize = 4;
/// Of all agents, and of those of one user: each of their tool calls has a connection for a moment.
const AGENTS: usize = 64;
const ONE_AGENTS: usize = 32;

/// What is taken, by who may decide and by user.
#[derive(Clone)]
pub(super) struct Room {
    taken: Arc<Mutex<HashMap<(bool, u32), usize>>>,
    others: usize,
    one_other: usize,
}

/// One connection's place, given back when dropped.
pub(super) struct Place {
    room: Room,
    of: (bool, u32),
}

impl Room {
    pub(super) fn of_people() -> Self {
        Self { taken: Arc::default(), others: OTHERS, one_other: ONE_OTHER }
    }

    pub(super) fn of_agents() -> Self {
        Self { taken: Arc::default(), others: AGENTS, one_other: ONE_AGENTS }
    }

    /// A place for one more; `None` when there is none for this user.
    pub(super) fn take(&self, privileged: bool, uid: u32) -> Option<Place> {
        let (all, one) = match (privileged, uid) {
            (true, 0) => (PRIVILEGED, PRIVILEGED),
            (true, _) => (PRIVILEGED, ONE_PRIVILEGED),
            (false, _) => (self.others, self.one_other),
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let together: usize = taken.iter().filter(|((kind, _), _)| *kind == privileged).map(|(_, count)| count).sum();
        let of = (privileged, uid);
        let own = taken.get(&of).copied().unwrap_or(0);
        if together >= all || own >= one {
            return None;
        }
        taken.insert(of, own + 1);
        Some(Place { room: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(room: &Room, privileged: bool, uid: u32) -> Vec<Place> {
        std::iter::from_fn(|| room.take(privileged, uid)).collect()
    }

    #[test]
    fn one_user_leaves_room_for_others_and_nobody_takes_from_those_who_may_decide() {
        let room = Room::of_people();
        let first = fill(&room, false, 1000);
        assert_eq!(first.len(), ONE_OTHER);
        let crowd: Vec<Place> = (1001..1100).flat_map(|uid| fill(&room, false, uid)).collect();
        assert_eq!(first.len() + crowd.len(), OTHERS);
        let operator = fill(&room, true, 1000);
        assert_eq!(operator.len(), ONE_PRIVILEGED);
        assert_eq!(fill(&room, true, 0).len(), PRIVILEGED - ONE_PRIVILEGED, "root has the rest");
        drop(first);
        assert_eq!(fill(&room, false, 1000).len(), ONE_OTHER, "what was given back can be had again");
    }
}
