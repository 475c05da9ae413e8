//! What the audit log has of what agents touched, and what the rules say to it. Asked for by several verbs.

use std::{collections::BTreeMap, path::PathBuf};

use clap::{Args, ValueHint};
use jiff::Zoned;
use serde::Serialize;
use serde_json::Value;

use super::{client::Client, error::Error, log::wanted::moment, rules};
use crate::{
    audit::query::Query,
    footprint::{Footprint, Sum},
    rules::{
        compile::{Rules, Scope},
        gap::Gap,
    },
};

/// Records of one kind and period: far more than there are.
const MOST: usize = 100_000;
/// Rules about what is a secret.
const CREDENTIALS: &str = "read-credentials";

/// From when to when, and by which rules.
#[derive(Debug, Args)]
pub(super) struct Period {
    /// Not older: a moment or a day, here or with a zone, or `2h ago`, `today`, `yesterday` [default: all there is]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Not newer
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// Rules file or directory [default: what guardd would read]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    rules: Option<PathBuf>,
}

/// What agents of one name touched.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    pub(crate) name: String,
    /// Those that are meant, in the order in which they were written about.
    pub(crate) agents: Vec<String>,
    /// Times of the first and the last record.
    pub(crate) since: String,
    pub(crate) until: String,
    #[serde(skip)]
    sum: Sum,
    /// Of the last record.
    pub(crate) policy: String,
    pub(crate) home: String,
    pub(crate) workspace: String,
    pub(crate) credentials: Vec<Credential>,
}

/// A secret that an agent wanted to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Credential {
    pub(crate) path: String,
    /// What came of it, as in the log.
    pub(crate) outcome: String,
}

impl Period {
    pub(super) fn rules(&self) -> Result<Rules, Error> {
        rules::load(self.rules.as_deref())
    }

    /// What agents of this id or name touched, or all, by name.
    ///
    /// # Errors
    /// When guardd does not answer, or a time is none.
    pub(super) async fn seen(&self, agent: Option<&str>, client: &Client) -> Result<Vec<Seen>, Error> {
        client.footprints().await?;
        let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, &Zoned::now())).transpose();
        let about = Query {
            agent: agent.map(str::to_owned),
            since: moment(&self.since)?,
            until: moment(&self.until)?,
            ..Query::last(MOST)
        };
        let records = client.log(&Query { kind: Some("footprint".to_owned()), ..about.clone() }).await?;
        let holds =
            Query { kind: Some("hold,would_hold,outcome".to_owned()), rule: Some(CREDENTIALS.to_owned()), ..about };
        Ok(joined(&records, &client.log(&holds).await?))
    }
}

/// Records of footprints, and of holds about secrets, by the names of agents.
pub(crate) fn joined(records: &[Value], holds: &[Value]) -> Vec<Seen> {
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for record in records {
        let Ok(footprint) = serde_json::from_value::<Footprint>(record["footprint"].clone()) else { continue };
        let name = text(record, "agent_name");
        let of =
            seen.entry(name.clone()).or_insert_with(|| Seen { name, since: text(record, "time"), ..Seen::default() });
        of.until = text(record, "time");
        let agent = text(record, "agent");
        if !of.agents.contains(&agent) {
            of.agents.push(agent);
        }
        of.sum.add(&footprint);
        (of.policy, of.home, of.workspace) = (footprint.policy, footprint.home, footprint.workspace);
    }
    let mut outcomes: BTreeMap<String, (String, Credential)> = BTreeMap::new();
    for record in holds {
        let path = record["operation"]["path"].as_str().unwrap_or_default().to_owned();
        let (hold, name) = (text(record, "hold"), text(record, "agent_name"));
        // What only was watched has no hold.
        let key = if hold.is_empty() { format!("{} {path}", text(record, "seq")) } else { format!("{name} {hold}") };
        let outcome = match record["kind"].as_str() {
            Some("outcome") => text(record, "outcome"),
            Some("would_hold") => "observed".to_owned(),
            _ => "waits".to_owned(),
        };
        let entry = outcomes.entry(key).or_insert((name, Credential { path, outcome: String::new() }));
        entry.1.outcome = outcome;
    }
    for (name, credential) in outcomes.into_values() {
        if let Some(of) = seen.get_mut(&name).filter(|of| !of.credentials.contains(&credential)) {
            of.credentials.push(credential);
        }
    }
    seen.into_values().collect()
}

impl Seen {
    /// The directories of the agent.
    pub(crate) fn scope(&self) -> Scope {
        Scope {
            home: self.home.clone().into(),
            workspace: self.workspace.clone().into(),
            tmp: "/tmp".into(),
            agent: self.name.clone(),
            ..Scope::default()
        }
    }

    pub(crate) fn footprint(&self) -> Footprint {
        self.sum.parts(usize::MAX).into_iter().next().unwrap_or_default()
    }

    /// # Errors
    /// When the rules have no policy of this name.
    pub(crate) fn gap(&self, rules: &Rules, footprint: &Footprint) -> Result<Gap, Error> {
        Gap::new(rules, &self.policy, &self.scope(), footprint).map_err(Error::Usage)
    }
}
