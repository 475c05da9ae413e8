//! One thing that an agent touched, as the kernel tells of it, and how often since it was last told of.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::operation::Address;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Cgroup id of the agent.
    pub agent: u64,
    pub what: What,
    pub reads: u64,
    pub writes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Things in this directory.
    Directory(PathBuf),
    /// A Unix socket by its file.
    Socket(PathBuf),
    Address(Address),
}
