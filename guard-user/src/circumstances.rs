//! What is known of an operation beside the kernel's record. Shapes only: it is gathered by the daemon, and only what
//! a rule asks for.

use std::path::PathBuf;

use crate::tally::Tally;

/// Something a rule may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Environment,
    Directory,
    Lineage,
    Users,
    Hash,
}

/// A set of [`Need`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

/// A fact, or why there is none. Whatever is not known could match, and is held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Found<T> {
    #[default]
    NotAsked,
    /// The process is gone, the file too large, the answer cut off.
    Unreadable,
    Is(T),
}

/// The facts a rule may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Of an exec: of the new program. Of anything else: what the process was started with.
    pub environment: Found<Vec<(Vec<u8>, Vec<u8>)>>,
    /// The current directory of the process.
    pub directory: Found<PathBuf>,
    pub lineage: Found<Lineage>,
    /// Ids and names of the users of this host.
    pub users: Found<Vec<(u32, String)>>,
    /// SHA-256 of the program that would run.
    pub hash: Found<[u8; 32]>,
    /// What was counted for rules with thresholds, by [`crate::tally::Counter::key`].
    pub tallies: Found<Vec<(String, Tally)>>,
}

/// The process and those it descends from, inside the agent; the process itself is first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    pub programs: Vec<Program>,
    /// False where an ancestor has ended, or could not be read: it may have been anything.
    pub whole: bool,
}

/// What a process runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// The file, by the kernel.
    pub file: PathBuf,
    /// What else it may be known by: its own name, the file names of its first arguments. Agents choose these.
    pub aliases: Vec<Vec<u8>>,
}

impl Needs {
    pub const NONE: Self = Self(0);

    #[must_use]
    pub const fn of(need: Need) -> Self {
        Self(1 << need as u8)
    }

    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub const fn contains(self, need: Need) -> bool {
        self.0 & Self::of(need).0 != 0
    }

    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl<T> Found<T> {
    /// The fact, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Is(fact) => Some(fact),
            Self::NotAsked | Self::Unreadable => None,
        }
    }
}

impl<T> From<Option<T>> for Found<T> {
    fn from(fact: Option<T>) -> Self {
        fact.map_or(Self::Unreadable, Self::Is)
    }
}
