//! What stands in the prefilter tables for a path, a name and an address. Nothing is written here.

use std::collections::BTreeMap;

use aya::maps::lpm_trie::Key;
use guard_common::{
    op::OpSet,
    table::{ADDRESS_LEN, AddressKey, NAME_HEAD, NameKey, PREFIX_MAX, PathKey, PathValue},
};

/// Adds an entry for every directory above one, with what it inherits, and marks those that have one below.
pub(super) fn with_ancestors(paths: &[(Vec<u8>, OpSet)]) -> BTreeMap<Vec<u8>, PathValue> {
    let mut given: BTreeMap<Vec<u8>, OpSet> = BTreeMap::new();
    for (path, ops) in paths {
        // Cut at a component: wider, never narrower.
        let mut path = path.clone();
        while path.len() > PREFIX_MAX {
            path.pop();
            while path.last().is_some_and(|byte| *byte != b'/') {
                path.pop();
            }
        }
        let entry = given.entry(path).or_default();
        *entry = entry.union(*ops);
    }
    let mut all: BTreeMap<Vec<u8>, PathValue> = BTreeMap::new();
    let value = |path: &[u8], ops: OpSet| PathValue { ops, len: path.len() as u32, deeper: 0 };
    for path in given.keys() {
        for (index, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let directory = &path[..=index];
            let inherited =
                given.iter().filter(|(given, _)| directory.starts_with(given)).max_by_key(|(given, _)| given.len());
            let ops = inherited.map_or(OpSet::EMPTY, |(_, ops)| *ops);
            let entry = all.entry(directory.to_vec()).or_insert_with(|| value(directory, ops));
            if directory.len() < path.len() {
                entry.deeper = 1;
            }
        }
    }
    all
}

/// The name of a directory of the table; its root has none.
pub(super) fn last_part(path: &[u8]) -> Option<&[u8]> {
    path.strip_suffix(b"/")?.rsplit(|byte| *byte == b'/').next().filter(|part| !part.is_empty())
}

pub(super) fn path_key(tables: u32, path: &[u8]) -> Key<PathKey> {
    let mut key = PathKey { tables, path: [0; PREFIX_MAX] };
    let len = path.len().min(PREFIX_MAX);
    key.path[..len].copy_from_slice(&path[..len]);
    Key::new(32 + 8 * len as u32, key)
}

pub(super) fn name_key(tables: u32, name: &[u8]) -> NameKey {
    let mut key = NameKey { tables, len: name.len() as u32, head: [0; NAME_HEAD] };
    let len = name.len().min(NAME_HEAD);
    key.head[..len].copy_from_slice(&name[..len]);
    key
}

pub(super) fn address_key(tables: u32, address: [u8; ADDRESS_LEN], bits: u32) -> Key<AddressKey> {
    Key::new(32 + bits, AddressKey { tables, address })
}
