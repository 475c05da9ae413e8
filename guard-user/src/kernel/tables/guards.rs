//! The map of guard's own files and of what is above them. Which those are is found out elsewhere.

use std::{collections::BTreeMap, io};

use aya::maps::{Array, HashMap, Map, MapData};
use guard_common::table::{GuardsKey, INODE_WORDS, inode_mark};

use super::{absent_is_fine, io_error, keys, take};

pub(super) struct Guards {
    objects: HashMap<MapData, GuardsKey, u32>,
    filter: Array<MapData, u64>,
}

impl Guards {
    /// # Errors
    /// When there is no such map.
    pub(super) fn take(maps: &mut impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        Ok(Self { objects: take(maps, "GUARDS")?, filter: take(maps, "GUARDS_FILTER")? })
    }

    /// Makes these guard's own or above it, and nothing else. What stays is not let go of meanwhile.
    ///
    /// # Errors
    /// When there is no room, or the kernel refuses.
    pub(super) fn set(&mut self, own: &BTreeMap<GuardsKey, u32>) -> io::Result<()> {
        let mut marks = [0; INODE_WORDS as usize];
        for (key, value) in own {
            let (word, bit) = inode_mark(key.ino);
            marks[word as usize] |= bit;
            self.objects.insert(key, value, 0).map_err(io_error)?;
        }
        // The objects are there before their marks, and those that are no more go after theirs.
        for (word, marks) in (0..INODE_WORDS).zip(&marks) {
            self.filter.set(word, marks, 0).map_err(io_error)?;
        }
        for key in keys(self.objects.keys())? {
            if !own.contains_key(&key) {
                absent_is_fine(self.objects.remove(&key))?;
            }
        }
        Ok(())
    }
}
