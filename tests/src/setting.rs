//! What is different about a scenario's guardd: its rules, its settings file, the place of its log. Starting it is
//! `guard.rs`'s.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// How a guardd is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    Usual,
    /// The rules are those that come with guard, as on a host where nobody has written any.
    Shipped,
    /// The same rules, in a directory of [`rules_directory`] that has none yet.
    RulesDirectory,
    /// Room for [`FEW`] holds.
    FewHolds,
    /// The audit log is alone on a file system of [`SMALL`] bytes.
    SmallLog,
    /// The audit log is alone on a file system that turns read-only after an error.
    FragileLog,
    /// A segment of the audit log ends after a few records.
    SmallSegments,
}

/// Holds that fit with [`Setting::FewHolds`].
pub(crate) const FEW: usize = 4;

/// Room for the audit log with [`Setting::SmallLog`].
const SMALL: usize = 1 << 20;

impl Setting {
    /// Makes what guardd will find at its start.
    pub(crate) fn prepare(self, directory: &Path) -> Result<()> {
        match self {
            Self::Usual | Self::Shipped => Ok(()),
            Self::RulesDirectory => {
                let rules = rules_directory(directory);
                if rules.exists() {
                    fs::remove_dir_all(&rules).with_context(|| format!("cannot remove {}", rules.display()))?;
                }
                fs::create_dir_all(&rules).with_context(|| format!("cannot make {}", rules.display()))?;
                written(directory, &format!("rules: {}\n", rules.display()))
            }
            Self::FewHolds => written(directory, &format!("max_holds: {FEW}\n")),
            Self::SmallSegments => {
                let log = segments(directory);
                if log.exists() {
                    fs::remove_dir_all(&log).with_context(|| format!("cannot remove {}", log.display()))?;
                }
                let key = log.join("key/audit.key");
                let told = told(directory);
                let command = format!("[/bin/sh, -c, 'cat >>{}']", told.display());
                written(
                    directory,
                    &format!(
                        "audit_segment_size: 16KiB\naudit_key: {}\naudit_checkpoint_command: {command}\n",
                        key.display()
                    ),
                )
            }
            Self::SmallLog => {
                other_log()?;
                let place = small(directory);
                fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
                let size = std::ffi::CString::new(format!("size={SMALL}"))?;
                mount("none", &place, "tmpfs", MountFlags::empty(), size.as_c_str())
                    .with_context(|| format!("cannot mount {}", place.display()))
            }
            Self::FragileLog => {
                other_log()?;
                let (place, image) = (small(directory), directory.join("log.img"));
                fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
                let file = fs::File::create(&image).with_context(|| format!("cannot make {}", image.display()))?;
                file.set_len(8 << 20).with_context(|| format!("cannot lengthen {}", image.display()))?;
                said(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image))?;
                said(Command::new("mount").args(["-o", "loop,errors=remount-ro"]).arg(&image).arg(&place))
            }
        }
    }

    /// Takes back what [`Self::prepare`] made.
    pub(crate) fn clean(self, directory: &Path) {
        match self {
            Self::Usual | Self::Shipped | Self::RulesDirectory | Self::FewHolds | Self::SmallSegments => {}
            // It may not have been mounted; then there is nothing to take back.
            Self::SmallLog | Self::FragileLog => drop(unmount(small(directory), UnmountFlags::DETACH)),
        }
    }

    /// The rules to start with, where the scenarios usually have `rules`.
    pub(crate) fn rules(self, rules: &str) -> Option<&str> {
        match self {
            Self::Usual | Self::FewHolds | Self::SmallLog | Self::FragileLog | Self::SmallSegments => Some(rules),
            Self::Shipped | Self::RulesDirectory => None,
        }
    }

    /// The maps of the one are as large as those of the other.
    pub(crate) fn has_same_maps(self, other: Self) -> bool {
        (self == Self::FewHolds) == (other == Self::FewHolds)
    }

    /// What to pass as `--config`.
    pub(crate) fn config(self, directory: &Path) -> Option<PathBuf> {
        match self {
            Self::Usual | Self::Shipped | Self::SmallLog | Self::FragileLog => None,
            Self::RulesDirectory | Self::FewHolds | Self::SmallSegments => Some(settings(directory)),
        }
    }

    /// Where the audit log is.
    pub(crate) fn audit(self, directory: &Path) -> PathBuf {
        match self {
            Self::Usual | Self::RulesDirectory | Self::FewHolds => directory.join("audit.jsonl"),
            // Where the shipped rules protect it.
            Self::Shipped => PathBuf::from("/var/log/guard/audit.jsonl"),
            Self::SmallLog | Self::FragileLog => small(directory).join("audit.jsonl"),
            Self::SmallSegments => segments(directory).join("audit.jsonl"),
        }
    }
}

/// Where its rules are with [`Setting::RulesDirectory`].
pub(crate) fn rules_directory(directory: &Path) -> PathBuf {
    directory.join("rules.d")
}

/// Runs to the end; what it said is in the error.
fn said(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, said.trim());
    Ok(())
}

fn settings(directory: &Path) -> PathBuf {
    directory.join("guard.yaml")
}

/// Makes the settings file.
fn written(directory: &Path, text: &str) -> Result<()> {
    let file = settings(directory);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Where the log was there is another one: guardd would miss the end of the one before.
fn other_log() -> Result<()> {
    match fs::remove_file("/var/lib/guard/audit.checkpoint") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("cannot remove the checkpoint")
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn segments(directory: &Path) -> PathBuf {
    directory.join("segments")
}

/// Where checkpoints are told with [`Setting::SmallSegments`].
pub(crate) fn told(directory: &Path) -> PathBuf {
    directory.join("told")
}

fn small(directory: &Path) -> PathBuf {
    directory.join("small")
}
