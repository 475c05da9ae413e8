//! The map of what agents had open when they were tagged. What that was is found out elsewhere.

use std::{collections::BTreeMap, io};

use aya::maps::{Array, HashMap, Map, MapData};
use guard_common::{op::OpSet, table::AdoptedKey};

use super::{absent_is_fine, io_error, keys, take};

pub(super) struct Adopted {
    objects: HashMap<MapData, AdoptedKey, OpSet>,
    /// Not 0 while there is anything in `objects`.
    any: Array<MapData, u64>,
}

impl Adopted {
    /// # Errors
    /// When there is no such map.
    pub(super) fn take(maps: &mut impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        Ok(Self { objects: take(maps, "ADOPTED")?, any: take(maps, "ADOPTING")? })
    }

    /// Adds what an agent has open. The kernel looks into the map from before the first one is there.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses.
    pub(super) fn add(&mut self, agent: u64, inodes: &BTreeMap<u64, OpSet>) -> io::Result<()> {
        if inodes.is_empty() {
            return Ok(());
        }
        self.any.set(0, &1, 0).map_err(io_error)?;
        for (ino, ops) in inodes {
            self.objects.insert(&AdoptedKey { agent, ino: *ino }, ops, 0).map_err(io_error)?;
        }
        Ok(())
    }

    /// Removes what an agent that is no more had open.
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
            self.any.set(0, &0, 0).map_err(io_error)?;
        }
        Ok(())
    }
}
