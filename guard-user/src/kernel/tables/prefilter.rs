//! The maps that say what a rule could match: writes the entries of some tables, and erases them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use anyhow::Context as _;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData};
use guard_common::{
    op::{Op, OpSet, PATH_PART},
    quota::Limits,
    table::{ADDRESS_LEN, AddressKey, NameKey, NameValue, PathKey, PathValue, PortKey, name_mark},
};

use super::{
    absent_is_fine, empty,
    entry::{address_key, last_part, name_key, path_key, with_ancestors},
    io_error, keys,
    programs::Programs,
    take,
};
use crate::rules::lower::Tables;

pub(super) struct Prefilter {
    paths: LpmTrie<MapData, PathKey, PathValue>,
    names: HashMap<MapData, NameKey, NameValue>,
    /// Marks are never taken away: names come again with the next rules.
    name_filter: Array<MapData, u64>,
    programs: Programs,
    ports: HashMap<MapData, PortKey, OpSet>,
    addresses: LpmTrie<MapData, AddressKey, OpSet>,
}

/// Keys of the entries of some tables, and what their agents need.
#[derive(Default)]
pub(super) struct Written {
    paths: Vec<Vec<u8>>,
    names: Vec<NameKey>,
    programs: Vec<NameKey>,
    ports: Vec<PortKey>,
    addresses: Vec<(u32, [u8; ADDRESS_LEN])>,
    pub(super) quota: Limits,
}

impl Prefilter {
    pub(super) fn take(maps: &mut impl FnMut(&str) -> anyhow::Result<Map>) -> anyhow::Result<Self> {
        let (mut programs, mut arguments) = (take(maps, "PROGRAMS")?, take(maps, "ARGUMENTS")?);
        // In this order: a program without its arguments would be no candidate.
        empty(&mut programs).context("cannot empty the map of programs")?;
        empty(&mut arguments).context("cannot empty the map of arguments")?;
        Ok(Self {
            paths: take(maps, "PATHS")?,
            names: take(maps, "NAMES")?,
            name_filter: take(maps, "NAME_FILTER")?,
            programs: Programs::new(programs, arguments),
            ports: take(maps, "PORTS")?,
            addresses: take(maps, "ADDRESSES")?,
        })
    }

    /// Writes every entry, and into `new` which.
    pub(super) fn write(&mut self, number: u32, tables: &Tables, new: &mut Written) -> io::Result<()> {
        let paths = with_ancestors(&tables.paths);
        let mut names: BTreeMap<&[u8], NameValue> = BTreeMap::new();
        for (name, value) in &tables.names {
            names.insert(name, *value);
        }
        for part in paths.keys().filter_map(|path| last_part(path)) {
            let value = names.entry(part).or_default();
            value.last = value.last.union(PATH_PART);
        }
        // Before the names that say there is such a table.
        for (name, arguments) in &tables.programs {
            let key = name_key(number, name);
            self.programs.set(key, arguments)?;
            new.programs.push(key);
        }
        for (name, value) in names {
            let key = name_key(number, name);
            // Long names share a key with others of the same head and length: what either says counts.
            let before = if new.names.contains(&key) { self.names.get(&key, 0).ok() } else { None };
            let before = before.unwrap_or_default();
            let value = NameValue { last: value.last.union(before.last), any: value.any.union(before.any) };
            self.mark(&key)?;
            self.names.insert(&key, &value, 0).map_err(io_error)?;
            new.names.push(key);
        }
        for (path, value) in paths {
            self.paths.insert(&path_key(number, &path), &value, 0).map_err(io_error)?;
            new.paths.push(path);
        }
        for (family, port) in &tables.ports {
            let key = PortKey { tables: number, family: *family, port: *port };
            self.ports.insert(&key, &Op::Connect.set(), 0).map_err(io_error)?;
            new.ports.push(key);
        }
        for (address, bits) in &tables.addresses {
            let key = address_key(number, address.octets(), u32::from(*bits));
            self.addresses.insert(&key, &Op::Connect.set(), 0).map_err(io_error)?;
            new.addresses.push((u32::from(*bits), address.octets()));
        }
        new.quota = tables.quota;
        Ok(())
    }

    /// Lets the kernel look this name up.
    fn mark(&mut self, key: &NameKey) -> io::Result<()> {
        let mut first = [0; 8];
        first.copy_from_slice(&key.head[..8]);
        let (word, bits) = name_mark(key.len, u64::from_le_bytes(first));
        let marks = self.name_filter.get(&word, 0).map_err(io_error)?;
        if marks & bits == bits {
            return Ok(());
        }
        self.name_filter.set(word, &(marks | bits), 0).map_err(io_error)
    }

    pub(super) fn erase(&mut self, number: u32, old: &Written) -> io::Result<()> {
        for path in &old.paths {
            absent_is_fine(self.paths.remove(&path_key(number, path)))?;
        }
        for name in &old.names {
            absent_is_fine(self.names.remove(name))?;
        }
        for program in &old.programs {
            self.programs.remove(program)?;
        }
        for port in &old.ports {
            absent_is_fine(self.ports.remove(port))?;
        }
        for address in &old.addresses {
            absent_is_fine(self.addresses.remove(&address_key(number, address.1, address.0)))?;
        }
        Ok(())
    }

    /// Erases the entries of all tables but these. Answers how many that were.
    pub(super) fn keep(&mut self, used: &BTreeSet<u32>) -> io::Result<usize> {
        let mut removed = 0;
        for key in keys(self.paths.keys())?.into_iter().filter(|key| !used.contains(&{ key.data().tables })) {
            absent_is_fine(self.paths.remove(&key))?;
            removed += 1;
        }
        for key in keys(self.names.keys())?.into_iter().filter(|key| !used.contains(&key.tables)) {
            absent_is_fine(self.names.remove(&key))?;
            removed += 1;
        }
        for key in keys(self.ports.keys())?.into_iter().filter(|key| !used.contains(&key.tables)) {
            absent_is_fine(self.ports.remove(&key))?;
            removed += 1;
        }
        for key in keys(self.addresses.keys())?.into_iter().filter(|key| !used.contains(&{ key.data().tables })) {
            absent_is_fine(self.addresses.remove(&key))?;
            removed += 1;
        }
        Ok(removed)
    }
}
