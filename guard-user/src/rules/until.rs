//! Until when a policy holds: a time of day of this host, or a moment. The clock is the caller's.

use jiff::{Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::Error as _};

/// `18:00` is the first 18:00 after the agent was tagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    TimeOfDay(Time),
    Moment(Timestamp),
}

impl Until {
    /// Nanoseconds since 1970 at which the time of an agent is over that was tagged at `since`. What cannot be computed
    /// is over.
    #[must_use]
    pub fn deadline(&self, since: i128) -> i128 {
        self.deadline_in(since, TimeZone::system())
    }

    fn deadline_in(&self, since: i128, zone: TimeZone) -> i128 {
        let time = match self {
            Self::Moment(moment) => return moment.as_nanosecond(),
            Self::TimeOfDay(time) => *time,
        };
        let next = || -> Result<i128, jiff::Error> {
            let start = Timestamp::from_nanosecond(since)?.to_zoned(zone);
            let same_day = start.date().to_datetime(time).to_zoned(start.time_zone().clone())?;
            let next = if same_day > start {
                same_day
            } else {
                start.date().tomorrow()?.to_datetime(time).to_zoned(start.time_zone().clone())?
            };
            Ok(next.timestamp().as_nanosecond())
        };
        next().unwrap_or(since)
    }
}

impl<'de> Deserialize<'de> for Until {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_time = text.len() == 5 && text.as_bytes()[2] == b':';
        let time = || text.parse().ok().filter(|_| is_time).map(Self::TimeOfDay);
        time().or_else(|| text.parse().ok().map(Self::Moment)).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is neither a time of day such as \"18:00\" nor a moment such as 2026-03-02T18:00:00Z"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_first_one_after_the_agent_was_tagged() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a moment").as_nanosecond();
        let until = |since: &str| {
            let zone = TimeZone::fixed(jiff::tz::offset(1));
            let until = Until::TimeOfDay("18:00".parse().expect("a time"));
            Timestamp::from_nanosecond(until.deadline_in(at(since), zone)).expect("a moment").to_string()
        };
        assert_eq!(until("2026-03-02T10:00:00Z"), "2026-03-02T17:00:00Z");
        assert_eq!(until("2026-03-02T17:00:00Z"), "2026-03-03T17:00:00Z");
        let moment = Until::Moment("2026-03-02T10:00:00Z".parse().expect("a moment"));
        assert_eq!(moment.deadline(0), at("2026-03-02T10:00:00Z"));
    }
}
