//! Which programs are candidates by their arguments. Rules of many agents ask the same, so one table of arguments serves
//! all that do. Nothing here judges.

use std::{
    collections::{BTreeMap, HashMap as StdHashMap},
    io,
};

use aya::maps::{HashMap, MapData};
use guard_common::{
    arguments::{ArgumentKey, Program},
    table::NameKey,
};

use super::{absent_is_fine, io_error};
use crate::rules::trigger::Arguments;

pub(super) struct Programs {
    programs: HashMap<MapData, NameKey, Program>,
    arguments: HashMap<MapData, ArgumentKey, u64>,
    /// Number and users of each table that is written.
    tables: BTreeMap<Arguments, (u64, usize)>,
    /// What was written for each program.
    written: StdHashMap<NameKey, Arguments>,
    /// No number is used twice: the kernel may be reading what is removed.
    last: u64,
}

impl Programs {
    pub(super) fn new(
        programs: HashMap<MapData, NameKey, Program>,
        arguments: HashMap<MapData, ArgumentKey, u64>,
    ) -> Self {
        Self { programs, arguments, tables: BTreeMap::new(), written: StdHashMap::new(), last: 0 }
    }

    /// Writes the table before it is named, so that it is never read in part.
    pub(super) fn set(&mut self, key: NameKey, arguments: &Arguments) -> io::Result<()> {
        if self.written.get(&key) == Some(arguments) {
            return Ok(());
        }
        let number = self.take(arguments)?;
        let program = Program { number, given: arguments.given };
        if let Err(error) = self.programs.insert(&key, &program, 0) {
            self.give_back(arguments)?;
            return Err(io_error(error));
        }
        match self.written.insert(key, arguments.clone()) {
            Some(old) => self.give_back(&old),
            None => Ok(()),
        }
    }

    pub(super) fn remove(&mut self, key: &NameKey) -> io::Result<()> {
        absent_is_fine(self.programs.remove(key))?;
        self.written.remove(key).map_or(Ok(()), |arguments| self.give_back(&arguments))
    }

    /// The number of a table, which is written if it is not there.
    fn take(&mut self, arguments: &Arguments) -> io::Result<u64> {
        if let Some((number, users)) = self.tables.get_mut(arguments) {
            *users += 1;
            return Ok(*number);
        }
        self.last += 1;
        let program = self.last;
        for (text, given) in &arguments.texts {
            let inserted = self.arguments.insert(&ArgumentKey { program, text: *text }, given, 0);
            if let Err(error) = inserted {
                self.erase(program, arguments)?;
                return Err(io_error(error));
            }
        }
        self.tables.insert(arguments.clone(), (program, 1));
        Ok(program)
    }

    fn give_back(&mut self, arguments: &Arguments) -> io::Result<()> {
        let Some((number, users)) = self.tables.get_mut(arguments) else {
            return Ok(());
        };
        *users -= 1;
        if *users > 0 {
            return Ok(());
        }
        let number = *number;
        self.tables.remove(arguments);
        self.erase(number, arguments)
    }

    fn erase(&mut self, program: u64, arguments: &Arguments) -> io::Result<()> {
        for text in arguments.texts.keys() {
            absent_is_fine(self.arguments.remove(&ArgumentKey { program, text: *text }))?;
        }
        Ok(())
    }
}
