//! What an agent touched: directories, programs, and where it connected to, with how often. Added up here, in guardd and in
//! guardctl; nothing is judged.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// As it is in a record of the log, where it says what is new since the record before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Footprint {
    /// The policy it ran under; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub workspace: String,
    /// In the order of their paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub directories: Vec<Directory>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Times>,
    /// Addresses with their ports, Unix sockets by their path or their abstract name (`@name`), and other families.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Times>,
}

/// What was done to things in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Directory {
    pub path: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub reads: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub writes: u64,
    /// Directories below it are in this, too: there were too many to name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub below: bool,
}

/// How often something was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    pub name: String,
    pub times: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Directories, programs or destinations that one [`Sum`] tells apart.
pub const MOST: usize = 4_096;

/// A footprint that is added to. Where it would be larger than [`MOST`], it is folded to half of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    directories: BTreeMap<String, Uses>,
    programs: BTreeMap<String, u64>,
    reached: BTreeMap<String, u64>,
}

/// Of one directory. What is taken back may be heard of before it is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uses {
    reads: i64,
    writes: i64,
    below: bool,
}

/// What stands for names that were too many.
pub const OTHERS: &str = "(others)";

impl Sum {
    /// Adds uses of a directory, or takes them back.
    pub fn directory(&mut self, path: &str, reads: i64, writes: i64, below: bool) {
        let path = folded(path);
        if self.directories.len() >= MOST && !self.directories.contains_key(&path) {
            self.fold_directories(MOST / 2);
        }
        let uses = self.directories.entry(path).or_default();
        uses.reads += reads;
        uses.writes += writes;
        uses.below |= below;
    }

    pub fn program(&mut self, path: &str, times: u64) {
        add(&mut self.programs, path, times);
    }

    pub fn reached(&mut self, to: &str, times: u64) {
        add(&mut self.reached, to, times);
    }

    /// Adds what a record says.
    pub fn add(&mut self, footprint: &Footprint) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        for Directory { path, reads, writes, below } in &footprint.directories {
            self.directory(path, signed(*reads), signed(*writes), *below);
        }
        footprint.programs.iter().for_each(|program| self.program(&program.name, program.times));
        footprint.reached.iter().for_each(|reached| self.reached(&reached.name, reached.times));
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.directories.values().all(|uses| uses.reads <= 0 && uses.writes <= 0)
            && self.programs.is_empty()
            && self.reached.is_empty()
    }

    /// Leaves so few of each, and adds to them what the others were.
    pub fn fold(&mut self, most: usize) {
        self.fold_directories(most);
        for names in [&mut self.programs, &mut self.reached] {
            while names.len() > most {
                let Some((_, times)) = names.pop_last() else { break };
                *names.entry(OTHERS.to_owned()).or_default() += times;
            }
        }
    }

    /// Adds the deepest directories to those above them until there are so few.
    fn fold_directories(&mut self, most: usize) {
        let depth = |path: &str| if path == "/" { 0 } else { path.bytes().filter(|byte| *byte == b'/').count() };
        let mut deepest = self.directories.keys().map(|path| depth(path)).max().unwrap_or(0);
        while self.directories.len() > most && deepest > 0 {
            let deep: Vec<String> = self.directories.keys().filter(|path| depth(path) == deepest).cloned().collect();
            for path in deep {
                if let Some(uses) = self.directories.remove(&path) {
                    let into = self.directories.entry(above(&path).to_owned()).or_default();
                    into.reads += uses.reads;
                    into.writes += uses.writes;
                    into.below = true;
                }
            }
            deepest -= 1;
        }
    }

    /// What there is, in parts of about so many bytes of JSON.
    #[must_use]
    pub fn parts(&self, bytes: usize) -> Vec<Footprint> {
        /// What JSON adds to a name, about.
        const ADDED: usize = 40;
        let mut parts = vec![Footprint::default()];
        let mut size = 0;
        let mut part = |parts: &mut Vec<Footprint>, name: &str| {
            if size > 0 && size + name.len() + ADDED > bytes {
                parts.push(Footprint::default());
                size = 0;
            }
            size += name.len() + ADDED;
        };
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        for (path, uses) in &self.directories {
            let (reads, writes) = (unsigned(uses.reads), unsigned(uses.writes));
            if reads > 0 || writes > 0 {
                part(&mut parts, path);
                let directory = Directory { path: path.clone(), reads, writes, below: uses.below };
                parts.last_mut().into_iter().for_each(|part| part.directories.push(directory.clone()));
            }
        }
        for (name, times) in &self.programs {
            part(&mut parts, name);
            let program = Times { name: name.clone(), times: *times };
            parts.last_mut().into_iter().for_each(|part| part.programs.push(program.clone()));
        }
        for (name, times) in &self.reached {
            part(&mut parts, name);
            let reached = Times { name: name.clone(), times: *times };
            parts.last_mut().into_iter().for_each(|part| part.reached.push(reached.clone()));
        }
        parts
    }
}

fn add(names: &mut BTreeMap<String, u64>, name: &str, times: u64) {
    let is_new = !names.contains_key(name);
    let name = if is_new && names.len() >= MOST { OTHERS } else { name };
    let all = names.entry(name.to_owned()).or_default();
    *all = all.saturating_add(times);
}

/// The directory above an absolute one; the root's is itself.
#[must_use]
pub fn above(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((above, _)) => above,
    }
}

/// Processes come and go: those of `/proc` are one.
fn folded(path: &str) -> String {
    if !path.starts_with("/proc/") {
        return path.to_owned();
    }
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = path.split('/').map(|part| if is_number(part) { "*" } else { part }).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_back_is_not_there() {
        let mut sum = Sum::default();
        sum.directory("/etc", 0, -1, false);
        assert!(sum.is_empty());
        sum.directory("/etc", 2, 1, false);
        let directory = Directory { path: "/etc".to_owned(), reads: 2, writes: 0, below: false };
        assert_eq!(sum.parts(1_000)[0].directories, [directory]);
    }

    #[test]
    fn however_many_directories_there_are_no_more_than_so_many_are_told_apart() {
        let mut sum = Sum::default();
        for number in 0..3 * MOST {
            sum.directory(&format!("/srv/{}/{number}", number % 7), 1, 0, false);
        }
        assert!(sum.directories.len() <= MOST, "{}", sum.directories.len());
        let all: i64 = sum.directories.values().map(|uses| uses.reads).sum();
        assert_eq!(all, 3 * MOST as i64, "none is forgotten");
        sum.fold(10);
        assert_eq!(sum.directories.len(), 7);
        assert!(sum.directories.values().all(|uses| uses.below));
        (0..2 * MOST).for_each(|number| sum.directory(&format!("/{number}"), 1, 0, false));
        assert!(sum.directories.len() <= MOST, "{}", sum.directories.len());
    }

    #[test]
    fn parts_are_the_whole_again() {
        let mut sum = Sum::default();
        for number in 0..100 {
            sum.directory(&format!("/srv/{number}"), 1, number, false);
            sum.program(&format!("/usr/bin/{number}"), 2);
        }
        sum.reached("192.0.2.1:443", 3);
        sum.directory("/proc/17/task/18", 1, 0, false);
        let parts = sum.parts(1_000);
        assert!(parts.len() > 5);
        let mut again = Sum::default();
        parts.iter().for_each(|part| again.add(part));
        assert_eq!(again, sum);
        assert!(again.directories.contains_key("/proc/*/task/*"));
    }
}
