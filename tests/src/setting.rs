//! What a scenario's guardd is short of: its settings file and the place of its log. Starting it is `guard.rs`'s.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// How a guardd is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Usual,
    /// Room for [`FEW`] holds.
    FewHolds,
    /// The audit log is alone on a file system of [`SMALL`] bytes.
    SmallLog,
}

/// Holds that fit with [`Setting::FewHolds`].
pub(crate) const FEW: usize = 4;

/// Room for the audit log with [`Setting::SmallLog`].
const SMALL: usize = 1 << 20;

impl Setting {
    /// Makes what guardd will find at its start.
    pub(crate) fn prepare(self, directory: &Path) -> Result<()> {
        match self {
            Self::Usual => Ok(()),
            Self::FewHolds => {
                let file = settings(directory);
                fs::write(&file, format!("max_holds: {FEW}\n"))
                    .with_context(|| format!("cannot write {}", file.display()))
            }
            Self::SmallLog => {
                let place = small(directory);
                fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
                let size = std::ffi::CString::new(format!("size={SMALL}"))?;
                mount("none", &place, "tmpfs", MountFlags::empty(), size.as_c_str())
                    .with_context(|| format!("cannot mount {}", place.display()))
            }
        }
    }

    /// Takes back what [`Self::prepare`] made.
    pub(crate) fn clean(self, directory: &Path) {
        match self {
            Self::Usual | Self::FewHolds => {}
            // It may not have been mounted; then there is nothing to take back.
            Self::SmallLog => drop(unmount(small(directory), UnmountFlags::DETACH)),
        }
    }

    /// What to pass as `--config`.
    pub(crate) fn config(self, directory: &Path) -> Option<PathBuf> {
        match self {
            Self::Usual | Self::SmallLog => None,
            Self::FewHolds => Some(settings(directory)),
        }
    }

    /// Where the audit log is.
    pub(crate) fn audit(self, directory: &Path) -> PathBuf {
        match self {
            Self::Usual | Self::FewHolds => directory.join("audit.jsonl"),
            Self::SmallLog => small(directory).join("audit.jsonl"),
        }
    }
}

fn settings(directory: &Path) -> PathBuf {
    directory.join("guard.yaml")
}

fn small(directory: &Path) -> PathBuf {
    directory.join("small")
}
