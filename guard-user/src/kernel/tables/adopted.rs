//! The map of what agents had open when they were tagged. What that was is found out elsewhere.

use std::{collections::BTreeMap, io};

use aya::maps::{Array, HashMap, Map, MapData};
use guard_common::{
    op::OpSet,
    table::{AdoptedKey, INODE_WORDS, inode_mark},
};

use super::{absent_is_fine, io_error, keys, take};

pub(super) struct Adopted {
    objects: HashMap<MapData, AdoptedKey, OpSet>,
    filter: Array<MapData, u64>,
}

impl Adopted {
    /// # Errors
    /// When there is no such map.
    pub(super) fn take(maps: &mut impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        Ok(Self { objects: take(maps, "ADOPTED")?, filter: take(maps, "ADOPTED_FILTER")? })
    }

    /// Adds what an agent has open. Each is marked in the filter before it is there.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses.
    pub(super) fn add(&mut self, agent: u64, inodes: &BTreeMap<u64, OpSet>) -> io::Result<()> {
        for (ino, ops) in inodes {
            let (word, bit) = inode_mark(*ino);
            let marks = self.filter.get(&word, 0).map_err(io_error)?;
            self.filter.set(word, &(marks | bit), 0).map_err(io_error)?;
            self.objects.insert(&AdoptedKey { agent, ino: *ino }, ops, 0).map_err(io_error)?;
        }
        Ok(())
    }

    /// Removes what an agent that is no more had open. Marks go when nothing is left that may have made them.
    ///
    /// # Errors
    /// When the map cannot be read or written.
    pub(super) fn forget(&mut self, agent: u64) -> io::Result<()> {
        let all = keys(self.objects.keys())?;
        let (gone, left): (Vec<_>, Vec<_>) = all.into_iter().partition(|key| key.agent == agent);
        for key in &gone {
            absent_is_fine(self.objects.remove(key))?;
        }
        if left.is_empty() && !gone.is_empty() {
            for word in 0..INODE_WORDS {
                self.filter.set(word, &0, 0).map_err(io_error)?;
            }
        }
        Ok(())
    }
}
