//! Users, owners, programs, devices and hashes as a rules file names them. Nothing is looked up here.

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{pattern::Template, syntax::Component};

/// A user by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Id(u32),
    Name(String),
}

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The user of the acting process.
    Own,
    /// Anybody else.
    Other,
    User(User),
}

/// A program by its file name, or by the glob of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Name(String),
    File(Template),
}

/// A device node by its numbers; `None` stands for every minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) [u8; 32]);

/// A glob over a whole text: `*` stands for anything.
#[derive(Clone, Debug)]
pub(crate) struct TextGlob(GlobMatcher);

/// A name that operators give to agents, places and hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Label(pub(crate) String);

impl Program {
    /// As it stands in the file.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::File(template) => template.text(),
        }
    }
}

impl Device {
    /// Of a device number as the kernel keeps it: major << 20 | minor.
    pub(crate) fn is(self, rdev: u32) -> bool {
        self.major == rdev >> 20 && self.minor.is_none_or(|minor| minor == rdev & 0xf_ffff)
    }
}

impl TextGlob {
    pub(crate) fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(super::pattern::bytes_path(text))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u32),
    Text(String),
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("expected a user: a name or a number");
        match NumberOrText::deserialize(deserializer).map_err(|_| wrong())? {
            NumberOrText::Number(id) => Ok(Self::Id(id)),
            NumberOrText::Text(name) => Self::parse(name).ok_or_else(wrong),
        }
    }
}

impl User {
    fn parse(name: String) -> Option<Self> {
        if let Ok(id) = name.parse() {
            return Some(Self::Id(id));
        }
        let plain = !name.is_empty() && !name.contains([':', '/', '*', ' ']);
        // Every host has this one, so nothing needs to be looked up.
        plain.then(|| if name == "root" { Self::Id(0) } else { Self::Name(name) })
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("expected an owner: `self`, `other`, or a user by name or number");
        match NumberOrText::deserialize(deserializer).map_err(|_| wrong())? {
            NumberOrText::Number(id) => Ok(Self::User(User::Id(id))),
            NumberOrText::Text(text) => match text.as_str() {
                "self" => Ok(Self::Own),
                "other" => Ok(Self::Other),
                _ => User::parse(text).map(Self::User).ok_or_else(wrong),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Program {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.contains('/') || text.starts_with("${") {
            return Template::parse(&text).map(Self::File).map_err(D::Error::custom);
        }
        Component::parse(&text).map(|Component(name)| Self::Name(name)).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Device {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = || {
            let (major, minor) = text.split_once(':')?;
            let minor = if minor == "*" { None } else { Some(minor.parse().ok().filter(|minor| *minor < 1 << 20)?) };
            Some(Self { major: major.parse().ok().filter(|major| *major < 1 << 12)?, minor })
        };
        read().ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not a device such as \"8:0\" or \"8:*\" (major and minor number)"))
        })
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut hash = [0; 32];
        let digits = text.as_bytes();
        let is_hex = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        let read = |index: usize| u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok();
        for (index, byte) in hash.iter_mut().enumerate() {
            *byte = is_hex.then(|| read(index)).flatten().ok_or_else(|| {
                D::Error::custom(format!("`{text}` is not a SHA-256: 64 hexadecimal digits, as `sha256sum` writes it"))
            })?;
        }
        Ok(Self(hash))
    }
}

impl<'de> Deserialize<'de> for TextGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::pattern::check_size(&text).map_err(D::Error::custom)?;
        let glob = GlobBuilder::new(&text).literal_separator(false).build();
        glob.map(|glob| Self(glob.compile_matcher()))
            .map_err(|error| D::Error::custom(format!("`{text}` is not a glob: {}", error.kind())))
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            return Ok(Self(text));
        }
        Err(D::Error::custom(format!("`{text}` is not a label: up to 64 of a-z, 0-9 and `-`")))
    }
}
