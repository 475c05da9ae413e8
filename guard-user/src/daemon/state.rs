//! What outlives guardd: its agents and the last numbers it gave out. One small JSON file, replaced whole.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, ffi::OsStringExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use guard_common::record::HoldKey;

use crate::{agents::Agent, daemon::rulebook::Places, operation::HoldName};

/// Everything a new guardd needs to know its agents again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    pub last_agent: u64,
    pub last_policy: u32,
    /// No hold was given a number above this one; an earlier guardd wrote none.
    #[serde(default)]
    pub last_hold: u64,
    pub agents: Vec<SavedAgent>,
    /// What waited when this was written; an earlier guardd wrote none.
    #[serde(default)]
    pub holds: Vec<SavedHold>,
    /// Execs the kernel had counted that are not in the log, and the log says so; an earlier guardd knew none.
    #[serde(default)]
    pub execs_unseen: u64,
}

/// The number of a hold, beside its name in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHold {
    pub number: u64,
    pub id: u32,
    pub slot: u32,
    pub hold: u64,
}

impl SavedHold {
    #[must_use]
    pub fn of(name: HoldName, number: u64) -> Self {
        let HoldName { key: HoldKey { id, slot }, hold } = name;
        Self { number, id, slot, hold }
    }

    #[must_use]
    pub fn name(&self) -> HoldName {
        HoldName { key: HoldKey { id: self.id, slot: self.slot }, hold: self.hold }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedAgent {
    pub number: u64,
    pub name: String,
    pub cgroup: String,
    pub cgroup_id: u64,
    /// Bytes: a path need not be text.
    pub home: Vec<u8>,
    pub workspace: Vec<u8>,
    pub extra: Option<String>,
    pub policy: u32,
    pub since_boottime: u64,
    pub since_wall: i64,
    pub suspended: bool,
    /// Name of its policy; an earlier guardd knew none.
    #[serde(default)]
    pub policy_name: String,
}

impl SavedAgent {
    #[must_use]
    pub fn of(agent: &Agent) -> Self {
        Self {
            number: agent.number,
            name: agent.name.clone(),
            cgroup: agent.cgroup.clone(),
            cgroup_id: agent.cgroup_id,
            home: agent.places.home.as_os_str().as_bytes().to_vec(),
            workspace: agent.places.workspace.as_os_str().as_bytes().to_vec(),
            extra: agent.extra.clone(),
            policy: agent.policy,
            since_boottime: agent.since.boottime,
            since_wall: i64::try_from(agent.since.wall).unwrap_or(0),
            suspended: agent.suspended,
            policy_name: agent.places.policy.clone(),
        }
    }

    #[must_use]
    pub fn places(&self) -> Places {
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()));
        Places {
            home: path(&self.home),
            workspace: path(&self.workspace),
            agent: self.name.clone(),
            policy: self.policy_name.clone(),
            expired: false,
        }
    }
}

/// Reads the file; nothing when there is none.
///
/// # Errors
/// When there is one and it cannot be understood: the caller says so, and its agents stay unknown, which holds
/// everything they do.
pub fn read(path: &Path) -> io::Result<Saved> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Saved::default()),
        Err(error) => Err(error),
    }
}

/// Replaces the file in one step.
///
/// # Errors
/// When it cannot be written; the old one stands then.
pub fn write(path: &Path, saved: &Saved) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(&serde_json::to_vec(saved)?)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}
