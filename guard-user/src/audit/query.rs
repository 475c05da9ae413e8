//! Which records of the log are wanted: as it is asked on the socket, and whether a record is one. Reading them is not done
//! here.
#![forbid(unsafe_code)]

use globset::{Glob, GlobMatcher};
use jiff::Timestamp;
use memchr::memmem::Finder;
use regex_automata::meta::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::index::{Part, Word};

/// A question to the log; every field that is given must fit. The query string of `GET /v1/log`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// The last so many that fit.
    pub n: usize,
    /// Only records after this number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Id, or name as a glob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// One, or several separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name, as a glob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A path and what is below it, or a glob.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// `approve`, `deny` or `kill`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Regular expression over the record as it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grep: Option<String>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            n: 100,
            after: None,
            agent: None,
            hold: None,
            since: None,
            until: None,
            kind: None,
            rule: None,
            path: None,
            decision: None,
            grep: None,
        }
    }
}

impl Query {
    /// The last `n` records, whatever they are.
    #[must_use]
    pub fn last(n: usize) -> Self {
        Self { n, ..Self::default() }
    }
}

/// A question that was understood.
#[derive(Debug)]
pub struct Filter {
    query: Query,
    agent: Option<GlobMatcher>,
    rule: Option<GlobMatcher>,
    path: Option<GlobMatcher>,
    grep: Option<Regex>,
    /// A line that fits has one of each of these.
    texts: Vec<Vec<Finder<'static>>>,
}

impl Filter {
    /// # Errors
    /// The user's sentence, when a pattern is wrong.
    pub fn new(query: Query) -> Result<Self, String> {
        let glob = |text: &Option<String>| -> Result<Option<GlobMatcher>, String> {
            let glob = |text: &String| Glob::new(text).map(|glob| glob.compile_matcher());
            text.as_ref().map(glob).transpose().map_err(|error| format!("This is no pattern: {error}."))
        };
        let grep = query.grep.as_deref().map(Regex::new).transpose();
        let texts = words(&query).iter().map(|any| any.iter().map(written).collect()).collect();
        Ok(Self {
            texts,
            agent: glob(&query.agent)?,
            rule: glob(&query.rule)?,
            path: glob(&query.path)?,
            grep: grep.map_err(|error| format!("This is no regular expression: {error}."))?,
            query,
        })
    }

    #[must_use]
    pub fn query(&self) -> &Query {
        &self.query
    }

    /// Whether every record fits.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.query == Query { n: self.query.n, after: self.query.after, ..Query::default() }
    }

    /// Whether a record in this part of a segment may be wanted.
    #[must_use]
    pub fn may_be_in(&self, part: &Part) -> bool {
        let Query { after, since, until, .. } = &self.query;
        let words = words(&self.query);
        after.is_none_or(|after| part.last > after)
            && since.is_none_or(|since| part.until >= since.as_millisecond())
            && until.is_none_or(|until| part.since <= until.as_millisecond())
            && words.iter().all(|any| any.iter().any(|word| part.may_say(*word)))
            && words.iter().enumerate().all(|(at, any)| {
                let mut pairs = words[at + 1..].iter();
                pairs.all(|others| any.iter().any(|one| others.iter().any(|other| part.may_say_both(*one, *other))))
            })
    }

    /// The record on this line, as guardd writes them, if it is wanted.
    #[must_use]
    pub fn wanted(&self, line: &[u8]) -> Option<Value> {
        // Far cheaper than to understand the line.
        if !self.texts.iter().all(|any| any.iter().any(|text| text.find(line).is_some()))
            || self.grep.as_ref().is_some_and(|grep| !grep.is_match(line))
        {
            return None;
        }
        serde_json::from_slice(line).ok().filter(|record| self.fits(record))
    }

    fn fits(&self, record: &Value) -> bool {
        let Query { after, hold, since, until, kind, decision, .. } = &self.query;
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == text(name));
        let globs = |glob: &Option<GlobMatcher>, name: &str| {
            glob.as_ref().is_none_or(|glob| !text(name).is_empty() && glob.is_match(text(name)))
        };
        let by_id = self.query.agent.as_deref().is_some_and(|agent| agent == text("agent"));
        let in_time = |limit: &Option<Timestamp>, right: fn(&Timestamp, &Timestamp) -> bool| {
            limit.as_ref().is_none_or(|limit| time(record).is_some_and(|time| right(&time, limit)))
        };
        after.is_none_or(|after| record["seq"].as_u64().is_some_and(|seq| seq > after))
            && (by_id || globs(&self.agent, "agent_name"))
            && is(hold, "hold")
            && is(decision, "verdict")
            && kind.as_ref().is_none_or(|kinds| kinds.split(',').any(|kind| kind.trim() == text("kind")))
            && globs(&self.rule, "rule")
            && in_time(since, Timestamp::ge)
            && in_time(until, Timestamp::le)
            && self.fits_path(record)
    }

    fn fits_path(&self, record: &Value) -> bool {
        let (Some(wanted), Some(glob)) = (&self.query.path, &self.path) else { return true };
        let below = |path: &str| {
            let rest = path.strip_prefix(wanted.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (operation, process) = (&record["operation"], &record["processes"][0]);
        let program = if record["kind"] == "exec" { &process["exe"] } else { &Value::Null };
        [&operation["path"], &operation["other_path"], program].iter().any(|path| {
            let path = path.as_str().unwrap_or_default();
            !path.is_empty() && (below(path) || glob.is_match(path))
        })
    }
}

/// Of each of these, a record that fits says one.
fn words(query: &Query) -> Vec<Vec<Word<'_>>> {
    let Query { agent, hold, kind, rule, path, decision, .. } = query;
    let is_name = |text: &&str| !text.contains(GLOB);
    let directory = path.as_deref().map(literal).filter(|path| !path.is_empty());
    let words = [
        agent.as_deref().filter(is_name).map(|agent| vec![("agent", agent), ("agent_name", agent)]),
        hold.as_deref().map(|hold| vec![("hold", hold)]),
        kind.as_ref().map(|kinds| kinds.split(',').map(|kind| ("kind", kind.trim())).collect()),
        rule.as_deref().filter(is_name).map(|rule| vec![("rule", rule)]),
        directory.map(|directory| vec![("path", directory), ("exe", directory)]),
        decision.as_deref().map(|verdict| vec![("verdict", verdict)]),
    ];
    words.into_iter().flatten().collect()
}

/// How a word is written in a line. A path may go on, be the other one, or that of a program.
fn written((field, text): &Word<'_>) -> Finder<'static> {
    let text = Value::from(*text).to_string();
    let text = match *field {
        "path" => format!("path\":{}", text.trim_end_matches('"')),
        "exe" => format!("\"exe\":{}", text.trim_end_matches('"')),
        field => format!("\"{field}\":{text}"),
    };
    Finder::new(text.as_bytes()).into_owned()
}

/// What makes a text stand for more than itself.
const GLOB: [char; 7] = ['*', '?', '[', ']', '{', '}', '\\'];

/// The directory below which everything is that fits, as far as the text says; empty where that may be anywhere.
fn literal(wanted: &str) -> &str {
    let directory = wanted.find(GLOB).map_or(wanted, |at| wanted[..at].rsplit_once('/').map_or("", |(above, _)| above));
    directory.trim_end_matches('/')
}

/// When a record was written, by the clock on the wall.
#[must_use]
pub fn time(record: &Value) -> Option<Timestamp> {
    record["time"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(query: Query) -> bool {
        let record = json!({
            "seq": 7, "time": "2026-11-30T12:00:00.000Z", "kind": "decision", "agent": "a3", "agent_name": "claude-7",
            "hold": "h12", "rule": "git-force-push", "verdict": "deny",
            "operation": { "op": "unlink", "path": "/srv/data/x", "other_path": "" },
        });
        let filter = Filter::new(query).expect("it is understood");
        let line = record.to_string().into_bytes();
        let fits = filter.wanted(&line).is_some();
        assert!(!fits || filter.may_be_in(&Part::of(&line, 0, 0)), "the index hides it from {filter:?}");
        fits
    }

    #[test]
    fn a_part_is_passed_over_where_no_record_can_fit() {
        let record = json!({
            "seq": 7, "time": "2026-11-30T12:00:00.000Z", "kind": "hold", "agent": "a3", "agent_name": "claude-7",
            "operation": { "op": "rename", "path": "/srv/data/x", "other_path": "/home/dev/y" },
        });
        let others = [json!({ "seq": 5, "agent": "b1" }), json!({ "seq": 6, "kind": "decision", "agent": "b2" })];
        let lines: Vec<String> = others.iter().chain([&record]).map(ToString::to_string).collect();
        let part = Part::of(lines.join("\n").as_bytes(), 0, 0);
        let may = |query: Query| Filter::new(query).expect("it is understood").may_be_in(&part);
        let text = |text: &str| Some(text.to_owned());
        let all = Query::default();
        assert!(may(Query { path: text("/home/dev"), ..all.clone() }));
        assert!(may(Query { agent: text("b2"), kind: text("hold,decision"), ..all.clone() }));
        for query in [
            Query { after: Some(7), ..all.clone() },
            Query { agent: text("a4"), ..all.clone() },
            Query { kind: text("shielded,outcome"), ..all.clone() },
            Query { rule: text("git-force-push"), ..all.clone() },
            Query { path: text("/srv/dat"), ..all.clone() },
            Query { path: text("/opt/*/x"), ..all.clone() },
            Query { decision: text("approve"), ..all.clone() },
            Query { hold: text("h1"), ..all.clone() },
            Query { agent: text("b1"), kind: text("decision"), ..all.clone() },
            Query { since: Some("2026-11-30T12:00:01Z".parse().expect("a moment")), ..all.clone() },
            Query { until: Some("2026-11-30T11:59:59Z".parse().expect("a moment")), ..all },
        ] {
            assert!(!may(query.clone()), "{query:?}");
        }
    }

    #[test]
    fn an_exec_is_found_by_its_program_and_a_hold_is_not() {
        let mut record = json!({
            "seq": 7, "kind": "exec", "agent": "a3",
            "processes": [{ "pid": 7, "exe": "/usr/bin/rm", "argv": ["rm"] }, { "pid": 5, "exe": "/usr/bin/bash" }],
        });
        let finds = |record: &Value, path: &str| {
            let filter =
                Filter::new(Query { path: Some(path.to_owned()), ..Query::default() }).expect("it is understood");
            let line = record.to_string().into_bytes();
            let finds = filter.wanted(&line).is_some();
            assert!(!finds || filter.may_be_in(&Part::of(&line, 0, 0)), "the index hides it from {path}");
            finds
        };
        assert!(["/usr/bin/rm", "/usr", "/usr/*/rm"].iter().all(|path| finds(&record, path)));
        assert!(!finds(&record, "/usr/bin/bash") && !finds(&record, "/usr/bin/r"));
        record["kind"] = json!("hold");
        assert!(!finds(&record, "/usr/bin/rm"), "it is what was held that is asked for");
    }

    #[test]
    fn a_record_is_wanted_when_everything_fits() {
        let text = |text: &str| Some(text.to_owned());
        let time = |text: &str| Some(text.parse().expect("a moment"));
        let all = Query::default();
        let right = [
            all.clone(),
            Query { after: Some(6), ..all.clone() },
            Query { agent: text("a3"), ..all.clone() },
            Query { agent: text("claude-*"), ..all.clone() },
            Query { kind: text("hold,decision"), ..all.clone() },
            Query { rule: text("git-*"), ..all.clone() },
            Query { path: text("/srv/data"), ..all.clone() },
            Query { path: text("/srv/data/"), ..all.clone() },
            Query { path: text("/srv/data/x"), ..all.clone() },
            Query { path: text("/"), ..all.clone() },
            Query { path: text("/srv/**/x"), ..all.clone() },
            Query { path: text("/srv/da*"), ..all.clone() },
            Query { path: text("*/x"), ..all.clone() },
            Query { decision: text("deny"), hold: text("h12"), ..all.clone() },
            Query { grep: text("force-.ush"), ..all.clone() },
            Query { since: time("2026-11-30T12:00:00Z"), until: time("2026-11-30T13:00:00+01:00"), ..all.clone() },
        ];
        let wrong = [
            Query { after: Some(7), ..all.clone() },
            Query { agent: text("a30"), ..all.clone() },
            Query { kind: text("hold"), ..all.clone() },
            Query { rule: text("git"), ..all.clone() },
            Query { path: text("/srv/da"), ..all.clone() },
            Query { decision: text("approve"), ..all.clone() },
            Query { hold: text("h1"), ..all.clone() },
            Query { grep: text("^force"), ..all.clone() },
            Query { since: time("2026-11-30T12:00:01Z"), ..all.clone() },
            Query { until: time("2026-11-30T11:59:59Z"), ..all.clone() },
        ];
        right.into_iter().for_each(|query| assert!(fits(query.clone()), "{query:?}"));
        wrong.into_iter().for_each(|query| assert!(!fits(query.clone()), "{query:?}"));
        assert!(Filter::new(Query { grep: text("("), ..all.clone() }).is_err());
        assert!(Filter::new(Query { path: text("["), ..all }).is_err());
    }
}
