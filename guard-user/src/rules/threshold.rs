//! How much is too much: files, bytes and directories within a time. What was counted comes with the operation; the
//! counting is [`crate::tally`]'s.

use serde::{Deserialize, Deserializer, de::Error as _};

use super::amount::Amount;
use crate::tally::Tally;

/// Matches once any of the amounts is passed within the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threshold {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) directories: u64,
    /// Seconds.
    pub(crate) within: u64,
}

impl Threshold {
    pub(crate) fn is_passed(&self, tally: &Tally) -> bool {
        tally.files > self.files || tally.bytes > self.bytes || tally.directories > self.directories
    }
}

/// `30s`, `5m`, `2h`: at most a day, because everything within it is remembered.
struct Seconds(u64);

impl Seconds {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let factor = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let seconds = number.parse::<u64>().ok()?.checked_mul(factor)?;
        (1..=86_400).contains(&seconds).then_some(Self(seconds))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a time such as 30s, 5m or 2h, at most 24h")))
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            files: Option<Amount>,
            bytes: Option<Amount>,
            directories: Option<Amount>,
            within: Seconds,
        }
        let Written { files, bytes, directories, within } = Written::deserialize(deserializer)?;
        if files.is_none() && bytes.is_none() && directories.is_none() {
            return Err(D::Error::custom("expected `files`, `bytes` or `directories`: how many are too many"));
        }
        let most = |amount: Option<Amount>| amount.map_or(u64::MAX, |amount| amount.0);
        Ok(Self { files: most(files), bytes: most(bytes), directories: most(directories), within: within.0 })
    }
}
