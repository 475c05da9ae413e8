//! Amounts in a rules file: sizes with units, counts, and ranges of them. Nothing else.

use serde::{Deserialize, Deserializer, de::Error as _};

/// From `min` to `max`, both included; at least one of them is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Range {
    pub(crate) fn contains(&self, value: u64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}

/// `4096`, `100KiB`, `1.5 GiB` is not: whole numbers only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) u64);

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let (number, factor) =
            UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 1));
        number.trim_end().parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Ok(Self(number)),
            Ok(Written::Text(text)) => Self::parse(&text).ok_or_else(|| {
                D::Error::custom(format!("`{text}` is not an amount such as 4096, 100KiB, 20MB or 1GiB"))
            }),
            Err(_) => Err(D::Error::custom("expected an amount such as 4096, 100KiB, 20MB or 1GiB")),
        }
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Ends {
            min: Option<Amount>,
            max: Option<Amount>,
        }
        let Ends { min, max } = Ends::deserialize(deserializer)?;
        if min.is_none() && max.is_none() {
            return Err(D::Error::custom("expected `min`, `max` or both"));
        }
        let range = Self { min: min.map_or(0, |min| min.0), max: max.map_or(u64::MAX, |max| max.0) };
        if range.min > range.max {
            return Err(D::Error::custom(format!("`min` {} is more than `max` {}", range.min, range.max)));
        }
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_units_people_write() {
        let read = |text: &str| Amount::parse(text).map(|amount| amount.0);
        assert_eq!(read("100 KiB"), Some(102_400));
        assert_eq!(read("2GB"), Some(2_000_000_000));
        assert_eq!(read("7B"), Some(7));
        assert_eq!(read("7"), Some(7));
        assert_eq!(read("1.5GiB"), None);
        assert_eq!(read("99999999TiB"), None);
        assert_eq!(read("-1"), None);
    }
}
