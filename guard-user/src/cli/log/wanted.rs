//! What `guardctl log` is asked for: its options, and what they mean to guardd.

use clap::{Args, ValueEnum};
use jiff::{SpanRelativeTo, Timestamp, Zoned, civil::DateTime, fmt::friendly::SpanParser};

use super::super::error::Error;
use crate::audit::query::Query;

/// Options that say which records; all of them must fit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which records")]
pub(in crate::cli) struct Wanted {
    /// Of this agent: its id, or its name, also as a glob
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,

    /// About this hold
    #[arg(long, value_name = "ID")]
    hold: Option<String>,

    /// Not older: a moment or a day, here or with a zone, or `2h ago`, `today`, `yesterday`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Not newer
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Of this kind, or of these separated by commas: hold, decision, outcome, shielded, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// Of this rule, also as a glob
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,

    /// About this path or what is below it, or a glob
    #[arg(long, value_name = "PATH")]
    path: Option<String>,

    /// With this decision
    #[arg(long, value_enum, value_name = "approve|deny|kill", hide_possible_values = true)]
    decision: Option<Decision>,

    /// Whose line in the log matches this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Decision {
    Approve,
    Deny,
    Kill,
}

impl Wanted {
    /// # Errors
    /// When a time is none.
    pub(super) fn query(&self, n: u64) -> Result<Query, Error> {
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, &Zoned::now())).transpose();
        let decision = self.decision.map(|decision| match decision {
            Decision::Approve => "approve",
            Decision::Deny => "deny",
            Decision::Kill => "kill",
        });
        Ok(Query {
            n: usize::try_from(n).unwrap_or(usize::MAX),
            after: None,
            agent: self.agent.clone(),
            hold: self.hold.clone(),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            kind: self.kind.clone(),
            rule: self.rule.clone(),
            path: self.path.clone(),
            decision: decision.map(str::to_owned),
            grep: self.grep.clone(),
        })
    }
}

/// A moment as a person writes it.
///
/// # Errors
/// When it is none.
pub(in crate::cli) fn moment(text: &str, now: &Zoned) -> Result<Timestamp, Error> {
    let zone = now.time_zone().clone();
    let day = |day: jiff::civil::Date| day.to_zoned(zone.clone()).map(|midnight| midnight.timestamp());
    let found = match text {
        "now" => Some(now.timestamp()),
        "today" => day(now.date()).ok(),
        "yesterday" => now.date().yesterday().and_then(day).ok(),
        _ => text
            .parse::<Timestamp>()
            .ok()
            .or_else(|| text.parse::<DateTime>().ok()?.to_zoned(zone).ok().map(|moment| moment.timestamp()))
            .or_else(|| {
                let span = SpanParser::new().parse_span(text).ok().filter(|_| text.ends_with("ago"))?;
                let ago = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
                now.timestamp().checked_add(ago).ok()
            }),
    };
    found.ok_or_else(|| {
        Error::Usage(format!(
            "`{text}` is no time such as 2026-11-30, '2026-11-30 14:05', '2h ago', today or yesterday"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Zoned = "2026-11-30T14:05:00+01:00[+01:00]".parse().expect("a moment");
        let read = |text: &str| moment(text, &now).map(|moment| moment.to_string()).ok();
        assert_eq!(read("now").as_deref(), Some("2026-11-30T13:05:00Z"));
        assert_eq!(read("2h ago").as_deref(), Some("2026-11-30T11:05:00Z"));
        assert_eq!(read("1 day 5 minutes ago").as_deref(), Some("2026-11-29T13:00:00Z"));
        assert_eq!(read("today").as_deref(), Some("2026-11-29T23:00:00Z"));
        assert_eq!(read("yesterday").as_deref(), Some("2026-11-28T23:00:00Z"));
        assert_eq!(read("2026-11-30").as_deref(), Some("2026-11-29T23:00:00Z"));
        assert_eq!(read("2026-11-30 08:30").as_deref(), Some("2026-11-30T07:30:00Z"));
        assert_eq!(read("2026-11-30T08:30:00Z").as_deref(), Some("2026-11-30T08:30:00Z"));
        assert!(["", "soon", "2h", "25:00"].iter().all(|text| read(text).is_none()));
    }
}
