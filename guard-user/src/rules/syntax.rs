//! The shape of a rules file. What one value may be is checked here; what fits together, in `compile`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_saphyr::Spanned;

use super::{
    act::Word,
    amount::Range,
    error::unknown,
    many::OneOrMany,
    network::{Network, Socket},
    pattern::Template,
    sql::SqlAct,
    threshold::Threshold,
    when::When,
    who::{Device, Hash, Label, Owner, Program, TextGlob, User},
};
use crate::api::{Action, Reversibility};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) rules: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) name: Spanned<RuleName>,
    /// Why, in one sentence, for the person who decides.
    pub(crate) text: Spanned<String>,
    /// What the agent may do instead, for the agent.
    pub(crate) instead: Option<Spanned<String>>,
    pub(crate) action: Action,
    pub(crate) reversibility: Option<Reversibility>,
    #[serde(default)]
    pub(crate) mode: Mode,
    /// Of an `allow`: the rule it excepts from.
    pub(crate) except: Option<Spanned<String>>,
    #[serde(rename = "match")]
    pub(crate) matches: Spanned<OneOrMany<Match>>,
}

/// What a rule does about a match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Enforce,
    /// Say what would have happened, and let it.
    Observe,
}

/// All that is given must be so; of a list, any.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Match {
    pub(crate) op: OneOrMany<Word>,
    pub(crate) path: Option<OneOrMany<Template>>,
    pub(crate) not_path: Option<OneOrMany<Template>>,
    /// The paths and hosts that operators labelled so.
    pub(crate) label: Option<Spanned<OneOrMany<Label>>>,
    pub(crate) name: Option<OneOrMany<Component>>,
    pub(crate) object: Option<OneOrMany<ObjectType>>,
    pub(crate) size: Option<Range>,
    pub(crate) links: Option<Range>,
    pub(crate) owner: Option<OneOrMany<Owner>>,
    pub(crate) device: Option<OneOrMany<Device>>,
    pub(crate) program: Option<OneOrMany<Program>>,
    pub(crate) sha256: Option<OneOrMany<Hash>>,
    pub(crate) argv: Option<Arguments>,
    pub(crate) address: Option<OneOrMany<Network>>,
    pub(crate) port: Option<OneOrMany<Port>>,
    pub(crate) socket: Option<OneOrMany<Socket>>,
    pub(crate) signal: Option<OneOrMany<Signal>>,
    pub(crate) env: Option<BTreeMap<Variable, OneOrMany<TextGlob>>>,
    pub(crate) user: Option<OneOrMany<User>>,
    /// A process this one descends from runs it.
    pub(crate) parent: Option<OneOrMany<Program>>,
    /// The process, or one it descends from, runs it.
    pub(crate) by: Option<OneOrMany<Program>>,
    pub(crate) cwd: Option<OneOrMany<Template>>,
    /// The agent made the object itself, since it was tagged.
    pub(crate) own: Option<bool>,
    /// Only once there were more than this.
    pub(crate) more_than: Option<Threshold>,
    /// A condition for what no other key can say.
    pub(crate) when: Option<When>,
    pub(crate) agent: Option<OneOrMany<TextGlob>>,
    pub(crate) agent_label: Option<OneOrMany<Label>>,
}

/// What the arguments of a program must say; see `argv`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    pub(crate) subcommand: Option<OneOrMany<String>>,
    pub(crate) any_option: Option<OneOrMany<OptionName>>,
    /// None of these, beyond doubt: `--dry-run`.
    pub(crate) not_option: Option<OneOrMany<OptionName>>,
    pub(crate) any_argument: Option<OneOrMany<String>>,
    /// A word of SQL, wherever it stands.
    pub(crate) contains_sql: Option<OneOrMany<Keyword>>,
    /// What a statement among the arguments does.
    pub(crate) sql: Option<OneOrMany<SqlAct>>,
}

/// A port one can connect to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port(pub(crate) u16);

/// A rule's name: for typing, for logs.
#[derive(Clone, Debug)]
pub(crate) struct RuleName(pub(crate) String);

/// One name in a path.
#[derive(Clone, Debug)]
pub(crate) struct Component(pub(crate) String);

/// A name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Variable(pub(crate) String);

/// An option, and after `=` a glob for its value.
#[derive(Clone, Debug)]
pub(crate) struct OptionName(pub(crate) String);

/// A word of SQL, in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Keyword(pub(crate) String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectType {
    File,
    Directory,
    Symlink,
    BlockDevice,
    CharDevice,
    Fifo,
    Socket,
}

impl ObjectType {
    /// Is `mode` (type bits included) of this type?
    #[must_use]
    pub fn is(self, mode: u32) -> bool {
        mode & 0o170_000 == self.mode()
    }

    /// The type bits of `st_mode`.
    pub(crate) fn mode(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::BlockDevice => 0o060_000,
            Self::CharDevice => 0o020_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
        }
    }
}

/// One signal, or the real-time signals together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// Reads a string that must pass `check`.
fn checked<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &str,
    check: impl Fn(&str) -> bool,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if check(&text) { Ok(text) } else { Err(D::Error::custom(format!("`{text}` is not {expected}"))) }
}

impl<'de> Deserialize<'de> for RuleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a name of a rule: up to 64 of a-z, 0-9 and `-`, and not `doubt`, which is guard's own";
        checked(deserializer, expected, |text| {
            (1..=64).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && text != super::compile::DOUBT
        })
        .map(Self)
    }
}

impl Component {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let plain =
            (1..=255).contains(&text.len()) && !text.contains(['/', '*', '?', '\0']) && !matches!(text, "." | "..");
        let wrong = || format!("`{text}` is not one plain name (no slash, no wildcard; `path:` takes those)");
        plain.then(|| Self(text.to_owned())).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Component {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        match u16::try_from(number) {
            Ok(port) if port != 0 => Ok(Self(port)),
            _ => Err(D::Error::custom(format!("{number} is not a port: expected 1 to 65535"))),
        }
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, "the name of an environment variable", |text| {
            (1..=255).contains(&text.len()) && !text.contains(['=', '\0', ' ', '$'])
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for OptionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an option: `-f`, `--force`, `--replicas=0`";
        checked(deserializer, expected, |text| {
            let name = text.split('=').next().unwrap_or("");
            name.len() > 1 && name.starts_with('-') && name != "--" && !name.contains(' ')
        })
        .map(Self)
    }
}

impl<'de> Deserialize<'de> for Keyword {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        checked(deserializer, "one SQL keyword", |text| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
        })
        .map(|text| Self(text.to_ascii_lowercase()))
    }
}

const SIGNALS: [(&str, u64); 27] = [
    ("hup", 1),
    ("int", 2),
    ("quit", 3),
    ("ill", 4),
    ("trap", 5),
    ("abrt", 6),
    ("bus", 7),
    ("fpe", 8),
    ("kill", 9),
    ("usr1", 10),
    ("segv", 11),
    ("usr2", 12),
    ("pipe", 13),
    ("alrm", 14),
    ("term", 15),
    ("chld", 17),
    ("cont", 18),
    ("stop", 19),
    ("tstp", 20),
    ("ttin", 21),
    ("ttou", 22),
    ("xcpu", 24),
    ("xfsz", 25),
    ("io", 29),
    ("pwr", 30),
    ("sys", 31),
    ("rt", 0),
];

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match SIGNALS.iter().find(|(name, _)| *name == text) {
            Some(("rt", _)) => Ok(Self { first: 32, last: 64 }),
            Some((_, number)) => Ok(Self { first: *number, last: *number }),
            None => {
                let names: Vec<&str> = SIGNALS.iter().map(|(name, _)| *name).collect();
                Err(D::Error::custom(unknown("signal", &text, &names)))
            }
        }
    }
}
