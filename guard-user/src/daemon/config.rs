//! The daemon's own settings: the file, the command line over it, and the defaults under both. Rules are not here.
#![forbid(unsafe_code)]

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    audit::{self, keep::Keep},
    facts,
};
use crate::{api, mask::Masks, rules::amount::Amount};

/// Where the file is unless told otherwise; it need not exist there.
pub const FILE: &str = "/etc/guard/guard.yaml";
/// Rules that are read when no others are named, if the directory is there.
pub const RULES: &str = "/etc/guard/rules.d";

/// The file, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) socket: Option<PathBuf>,
    /// Where agents tell of their tools.
    pub(crate) agent_socket: Option<PathBuf>,
    /// Environment variables of held processes that are told, beside those that are always.
    pub(crate) variables: Option<Vec<String>>,
    pub(crate) audit: Option<PathBuf>,
    pub(crate) audit_key: Option<PathBuf>,
    /// A segment of the log ends when it is as large, or as old.
    pub(crate) audit_segment_size: Option<Amount>,
    pub(crate) audit_segment_age: Option<Age>,
    /// Closed segments beyond this are removed.
    pub(crate) audit_keep_size: Option<Amount>,
    pub(crate) audit_keep_age: Option<Age>,
    /// Gets each checkpoint on its standard input: a program with its arguments.
    pub(crate) audit_checkpoint_command: Option<Vec<String>>,
    /// Regular expressions of what must not come into the log, beside those that come with guard.
    pub(crate) mask: Option<Vec<String>>,
    pub(crate) rules: Option<PathBuf>,
    /// Operations that may wait at once.
    pub(crate) max_holds: Option<u32>,
    /// Where the programs and maps are pinned.
    pub(crate) pin: Option<PathBuf>,
    /// What is done to agents when the canary finds that the kernel stops nothing.
    pub(crate) unprotected: Option<api::Unprotected>,
}

/// What holds after everything is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub socket: PathBuf,
    pub agent_socket: PathBuf,
    pub variables: Vec<String>,
    pub audit: audit::Settings,
    /// `None` means the built-in pack.
    pub rules: Option<PathBuf>,
    pub max_holds: u32,
    pub pin: PathBuf,
    pub run_dir: PathBuf,
    pub unprotected: api::Unprotected,
    /// `None` means the best there is.
    pub tier: Option<api::Tier>,
}

/// What the command line says; it wins over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over {
    pub socket: Option<PathBuf>,
    pub agent_socket: Option<PathBuf>,
    pub audit: Option<PathBuf>,
    pub rules: Option<PathBuf>,
    pub run_dir: Option<PathBuf>,
    pub tier: Option<api::Tier>,
}

impl File {
    #[must_use]
    pub(crate) fn resolve(self, over: Over) -> Config {
        let default = Config::default();
        let shipped = Path::new(RULES).is_dir().then(|| PathBuf::from(RULES));
        Config {
            socket: over.socket.or(self.socket).unwrap_or(default.socket),
            agent_socket: over.agent_socket.or(self.agent_socket).unwrap_or(default.agent_socket),
            variables: default.variables.into_iter().chain(self.variables.unwrap_or_default()).collect(),
            audit: audit::Settings {
                path: over.audit.or(self.audit).unwrap_or(default.audit.path),
                key: self.audit_key.unwrap_or(default.audit.key),
                segment_size: self.audit_segment_size.map_or(default.audit.segment_size, |size| size.0),
                segment_age: self.audit_segment_age.map_or(default.audit.segment_age, |age| age.0),
                keep: Keep {
                    size: self.audit_keep_size.map_or(default.audit.keep.size, |size| size.0),
                    age: self.audit_keep_age.map(|age| age.0).or(default.audit.keep.age),
                },
                mask: self.mask.unwrap_or_default(),
                command: self.audit_checkpoint_command.unwrap_or_default(),
            },
            rules: over.rules.or(self.rules).or(shipped),
            max_holds: self.max_holds.unwrap_or(default.max_holds),
            pin: self.pin.unwrap_or(default.pin),
            run_dir: over.run_dir.unwrap_or(default.run_dir),
            unprotected: self.unprotected.unwrap_or_default(),
            tier: over.tier,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(api::SOCKET),
            agent_socket: PathBuf::from(api::AGENT_SOCKET),
            variables: facts::LISTED.map(str::to_owned).into(),
            audit: audit::Settings::default(),
            rules: None,
            max_holds: 4_096,
            pin: PathBuf::from("/sys/fs/bpf/guard"),
            run_dir: PathBuf::from("/run/guard"),
            unprotected: api::Unprotected::default(),
            tier: None,
        }
    }
}

/// Reads the file; a default one that is not there is empty.
///
/// # Errors
/// The user's sentence, with the place in the file.
pub(crate) fn read(path: Option<&Path>) -> Result<File, String> {
    let place = path.unwrap_or(Path::new(FILE));
    let bytes = match std::fs::read(place) {
        Ok(bytes) => bytes,
        Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => return Err(format!("{}: {error}", place.display())),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: this is not UTF-8 text", place.display())
    })?;
    parse(&text).map_err(|error| format!("{}: {error}", place.display()))
}

pub(crate) fn parse(text: &str) -> Result<File, String> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(File::default());
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Masks::new(file.mask.as_deref().unwrap_or_default()).map_err(|error| format!("mask: {error}"))?;
    match file.max_holds {
        Some(0) => Err("max_holds must be at least 1".to_owned()),
        Some(more) if more > 65_536 => Err("max_holds must be at most 65536".to_owned()),
        Some(_) | None if file.audit_segment_size.is_some_and(|size| size.0 < SMALLEST_SEGMENT) => {
            Err("audit_segment_size must be at least 16KiB".to_owned())
        }
        Some(_) | None if file.variables.iter().flatten().any(|name| name.is_empty() || name.contains(['=', '\0'])) => {
            Err("variables must be names of environment variables, as in [BUILD_ID]".to_owned())
        }
        Some(_) | None if file.audit_checkpoint_command.as_ref().is_some_and(|command| !is_program(command)) => {
            Err("audit_checkpoint_command must begin with the absolute path of a program, as in \
                 [/usr/bin/logger, --tag, guard-checkpoint]"
                .to_owned())
        }
        Some(_) | None => Ok(file),
    }
}

fn is_program(command: &[String]) -> bool {
    command.first().is_some_and(|program| program.starts_with('/'))
}

/// A record may be as long, and each segment begins and ends with one.
const SMALLEST_SEGMENT: u64 = 16 << 10;

/// `12h`, `30d`, `52w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Duration);

impl<'de> Deserialize<'de> for Age {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = text.parse::<jiff::Span>().ok();
        let seconds = span.and_then(|span| {
            let relative = jiff::SpanRelativeTo::days_are_24_hours();
            span.to_duration(relative).ok().filter(|duration| duration.as_secs() >= 60)
        });
        let age = seconds.and_then(|duration| Duration::try_from(duration).ok());
        age.map(Self)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not an age such as 12h, 30d or 52w, at least 1m")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_nobody_knows_is_an_error_with_its_place() {
        let error = parse("socket: /a\nsokcet: /b\n").expect_err("a typo");
        assert!(error.contains("sokcet") && error.contains('2'), "{error}");
        assert!(parse("max_holds: 0\n").is_err());
        assert!(parse("socket: /a\nsocket: /b\n").is_err(), "twice");
        assert_eq!(parse("# nothing\n"), Ok(File::default()));
        let file = parse("audit_segment_size: 1MiB\naudit_keep_age: 52w\n").expect("right");
        let log = file.resolve(Over::default()).audit;
        assert_eq!((log.segment_size, log.keep.age), (1 << 20, Some(Duration::from_secs(364 * 86_400))));
        assert!(parse("variables: [A=b]\n").is_err());
        let variables = parse("variables: [BUILD_ID]\n").expect("right").resolve(Over::default()).variables;
        assert_eq!((variables[0].as_str(), variables.last().map(String::as_str)), ("TRACEPARENT", Some("BUILD_ID")));
        assert!(parse("mask: ['(']\n").is_err() && parse("mask: ['acme-[0-9]+']\n").is_ok());
        let command = |text: &str| parse(&format!("audit_checkpoint_command: {text}\n"));
        assert!(command("[logger]").is_err() && command("[]").is_err() && command("logger").is_err());
        let file = command("[/usr/bin/logger, --tag, guard-checkpoint]").expect("right");
        assert_eq!(file.resolve(Over::default()).audit.command.len(), 3);
        assert!(parse("audit_segment_size: 1\n").is_err() && parse("audit_keep_age: 3 moons\n").is_err());
    }
}
