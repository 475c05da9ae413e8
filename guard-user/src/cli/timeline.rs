//! `guardctl timeline`: what an agent did, from the audit log, as a tree of its processes.

use clap::Args;
use clap_complete::ArgValueCandidates;
use jiff::Zoned;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    log::wanted::moment,
    render::{Screen, timeline},
};
use crate::{audit::query::Query, timeline::Timeline};

/// Show what an agent did, as a tree of its processes over time
///
/// Every program that it executed below the process that started it, with its arguments, and at the process what was held
/// there, who decided what, and what came of it. It needs nothing but the log: the agent may have ended long ago. Of a name
/// that several agents had, the last one is shown. A process that only forked has its name; what is indented below a line
/// happened in that process.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl timeline a1
  guardctl timeline claude --since '2h ago'
  guardctl timeline a1 --markdown >a1.md
  guardctl timeline a1 -o wide      with record numbers and digests
  guardctl timeline a1 -o json

  guardctl log verify               whether the log it is from is whole")]
pub(crate) struct Arguments {
    /// Id or name of the agent
    #[arg(add = ArgValueCandidates::new(completions::agents))]
    agent: String,

    /// Not older: a moment or a day, here or with a zone, or `2h ago`, `today`, `yesterday`
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Not newer
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// How many records, the last ones
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 1_000)]
    count: usize,

    /// As Markdown, for a report
    #[arg(long)]
    markdown: bool,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let moment = |text: &Option<String>| text.as_deref().map(|text| moment(text, &Zoned::now())).transpose();
    let (since, until) = (moment(&arguments.since)?, moment(&arguments.until)?);
    let of = Query { agent: Some(arguments.agent.clone()), until, ..Query::last(1) };
    let tagged = client.log(&Query { kind: Some("tag".to_owned()), ..of.clone() }).await?;
    // An id is given again after guardd lost its state, and a name to whoever wants it: the last tagging counts.
    let wanted = match tagged.last() {
        Some(tag) => Query {
            agent: tag["agent"].as_str().map(str::to_owned),
            after: tag["seq"].as_u64().map(|seq| seq.saturating_sub(1)),
            ..of
        },
        None => of,
    };
    let mut records = client.log(&Query { n: arguments.count.saturating_add(1), since, ..wanted }).await?;
    let more = records.len() > arguments.count;
    if more {
        records.remove(0);
    }
    let Some(mut timeline) = Timeline::of(&records) else {
        let agent = &arguments.agent;
        return Err(Error::NotFound(format!("There is nothing about an agent {agent} in the audit log.")));
    };
    timeline.more = more;
    screen.answer(&timeline, |look| match arguments.markdown {
        true => timeline::markdown(&timeline),
        false => timeline::page(look, &timeline),
    })?;
    Ok(Exit::Success)
}
