//! `guardctl untag`: takes the tag off an agent.

use anyhow::Context as _;
use clap::Args;
use clap_complete::ArgValueCandidates;

use super::{
    client::Client,
    completions,
    error::{Error, Exit},
    render::Screen,
    select,
};
use crate::{api::Agent, text::shown};

/// Stop guarding an agent
///
/// Its processes run on without guard. Say which by id, name or cgroup, or by what it was tagged with.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl untag a1
  guardctl untag --unit claude.service")]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The agent: id, name or cgroup
    #[arg(add = ArgValueCandidates::new(completions::agents))]
    agent: Option<String>,

    /// The agent with this name
    #[arg(long)]
    name: Option<String>,

    /// The agent of this cgroup
    #[arg(long, value_name = "PATH")]
    cgroup: Option<String>,

    /// The agent that this process is in
    #[arg(long)]
    pid: Option<u32>,

    /// The agent of this systemd unit
    #[arg(long)]
    unit: Option<String>,
}

pub(super) async fn run(arguments: &Arguments, client: &Client, screen: &Screen) -> Result<Exit, Error> {
    let id = find(&arguments.target, client).await?;
    client.untag(&id).await?;
    screen.answer(&serde_json::json!({ "untagged": id }), |_| format!("{} is not guarded any more", shown(&id)))?;
    Ok(Exit::Success)
}

async fn find(target: &Target, client: &Client) -> Result<String, Error> {
    if let Some(agent) = &target.agent {
        return select::agent_id(client, agent).await;
    }
    // An unknown pid is told from an unknown agent before guardd is asked.
    let pid = target.pid.map(|pid| cgroup_of(pid).map(|cgroup| (pid, cgroup))).transpose()?;
    let agents = client.agents().await?;
    if let Some(name) = &target.name {
        return select::one(name, agents.iter().filter(|agent| agent.name == *name));
    }
    if let Some(cgroup) = &target.cgroup {
        let wanted = select::below_root(cgroup);
        return select::one(cgroup, agents.iter().filter(|agent| agent.cgroup == wanted));
    }
    if let Some(unit) = &target.unit {
        return select::one(unit, agents.iter().filter(|agent| agent.cgroup.rsplit('/').next() == Some(unit)));
    }
    let Some((pid, cgroup)) = pid else {
        return Err(Error::Usage("say which agent".to_owned()));
    };
    let around = agents.iter().filter(|agent| contains(&agent.cgroup, &cgroup));
    let innermost = around.max_by_key(|agent: &&Agent| agent.cgroup.len());
    select::one(&format!("with pid {pid}"), innermost.into_iter())
}

fn cgroup_of(pid: u32) -> Result<String, Error> {
    let path = format!("/proc/{pid}/cgroup");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::NotFound(format!("there is no process {pid}")));
        }
        Err(error) => {
            return Err(anyhow::Error::new(error).context(format!("cannot read {path}")).into());
        }
    };
    let cgroup = text.lines().find_map(|line| line.strip_prefix("0::"));
    Ok(cgroup.with_context(|| format!("process {pid} is in no cgroup v2"))?.to_owned())
}

fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
