//! Which tables are written, and for whom: agents whose rules make the same tables share them, and those of an agent that
//! ended are kept for the next. Nothing is written to the kernel here.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::rules::lower::Tables;

/// Tables nobody uses that are kept: of agents that come and go, and for a program that reads them while rules change.
const KEPT: usize = 16;

/// `W` is what was written of one of them.
pub(super) struct Shelf<W> {
    written: BTreeMap<u32, Written<W>>,
    /// Tables of each policy.
    policies: HashMap<u32, u32>,
    /// Those without users, the latest last.
    unused: VecDeque<u32>,
    next: u32,
}

struct Written<W> {
    tables: Tables,
    users: usize,
    what: W,
}

impl<W> Shelf<W> {
    /// Numbers its tables from `first` on. None is given twice: what the kernel remembers goes by it.
    pub(super) fn new(first: u32) -> Self {
        Self { written: BTreeMap::new(), policies: HashMap::new(), unused: VecDeque::new(), next: first }
    }

    /// A number for tables that are to be written.
    pub(super) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    /// Number of the same tables, if they are there.
    pub(super) fn find(&self, tables: &Tables) -> Option<u32> {
        self.written.iter().find(|(_, written)| written.tables == *tables).map(|(number, _)| *number)
    }

    pub(super) fn add(&mut self, number: u32, tables: Tables, what: W) {
        self.written.insert(number, Written { tables, users: 0, what });
        self.unused.push_back(number);
    }

    /// Gives a policy the tables of this number, and takes it those it had.
    pub(super) fn give(&mut self, policy: u32, number: u32) {
        if let Some(written) = self.written.get_mut(&number) {
            written.users += 1;
            self.unused.retain(|unused| *unused != number);
        }
        if let Some(old) = self.policies.insert(policy, number) {
            self.release(old);
        }
    }

    /// Takes a policy its tables.
    pub(super) fn take(&mut self, policy: u32) {
        if let Some(old) = self.policies.remove(&policy) {
            self.release(old);
        }
    }

    fn release(&mut self, number: u32) {
        if let Some(written) = self.written.get_mut(&number) {
            written.users -= 1;
            if written.users == 0 {
                self.unused.push_back(number);
            }
        }
    }

    /// The tables of a policy.
    pub(super) fn of(&self, policy: u32) -> Option<(u32, &W)> {
        let number = self.policies.get(&policy)?;
        self.written.get(number).map(|written| (*number, &written.what))
    }

    /// The longest unused tables of more than are kept, or than this many; they are to be erased.
    pub(super) fn surplus(&mut self, kept: Option<usize>) -> Option<(u32, W)> {
        if self.unused.len() <= kept.unwrap_or(KEPT) {
            return None;
        }
        let number = self.unused.pop_front()?;
        self.written.remove(&number).map(|written| (number, written.what))
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> {
        self.written.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use guard_common::op::OpSet;

    use super::*;

    fn tables(ops: u64) -> Tables {
        Tables { ops: OpSet(ops), ..Tables::default() }
    }

    #[test]
    fn the_same_tables_are_one_and_stay_a_while_unused() {
        let mut shelf = Shelf::new(7);
        let set = |shelf: &mut Shelf<u64>, policy: u32, ops: u64| {
            let found = shelf.find(&tables(ops));
            let number = found.unwrap_or_else(|| {
                let number = shelf.number();
                shelf.add(number, tables(ops), ops);
                number
            });
            shelf.give(policy, number);
            number
        };
        assert_eq!((set(&mut shelf, 1, 100), set(&mut shelf, 2, 100), set(&mut shelf, 3, 101)), (7, 7, 8));
        assert_eq!((shelf.of(2), shelf.of(4)), (Some((7, &100)), None));
        shelf.take(1);
        assert_eq!(shelf.surplus(Some(0)), None, "another agent has them");
        shelf.take(2);
        assert_eq!(shelf.surplus(None), None, "they may be of use again");
        assert_eq!(set(&mut shelf, 5, 100), 7);
        assert_eq!(shelf.surplus(Some(0)), None);
        // Other rules: the old tables go, and their number with them.
        assert_eq!(set(&mut shelf, 5, 102), 9);
        assert_eq!(shelf.surplus(Some(0)), Some((7, 100)));
        assert_eq!(set(&mut shelf, 6, 100), 10);
        for policy in 0..40 {
            set(&mut shelf, 100 + policy, 1000 + u64::from(policy));
            shelf.take(100 + policy);
        }
        assert_eq!(shelf.surplus(None), Some((11, 1000)), "the oldest first");
        assert_eq!(std::iter::from_fn(|| shelf.surplus(None)).count(), 40 - 1 - KEPT);
    }
}
