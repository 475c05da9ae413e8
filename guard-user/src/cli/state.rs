//! Suspends, resumes or kills whole agents. Shared by the verbs that do so.

use super::{
    client::Client,
    error::{Error, Exit},
    render::{self, Screen, list},
    select,
};
use crate::{
    api::{Agent, Command},
    text::shown,
};

/// The agents that were named, or every one.
pub(super) enum Whom<'a> {
    All,
    These(&'a [String]),
}

/// Tries every agent, says what was done, and returns the worst exit code.
pub(super) async fn set(client: &Client, screen: &Screen, whom: Whom<'_>, command: Command) -> Result<Exit, Error> {
    let mut worst = Exit::Success;
    let mut done = Vec::new();
    match whom {
        Whom::All => {
            client.set_state("*", command).await?;
            screen.say(|_| format!("{} every agent", past(command)))?;
        }
        Whom::These(typed) => {
            for name in typed {
                match one(client, name, command).await {
                    Ok(id) => {
                        screen.say(|_| format!("{} {}", past(command), shown(&id)))?;
                        done.push(id);
                    }
                    Err(error) => {
                        render::error_about(name, &error);
                        worst = worst.max(error.exit());
                    }
                }
            }
            if done.is_empty() {
                return Ok(worst);
            }
        }
    }
    // It is done; a list that cannot be had does not change that.
    let agents: Vec<Agent> = match client.agents().await {
        Ok(agents) => agents.into_iter().filter(|agent| done.is_empty() || done.contains(&agent.id)).collect(),
        Err(error) => {
            render::error_about("list of agents", &error);
            return Ok(worst);
        }
    };
    if !agents.is_empty() || !screen.is_text() {
        screen.answer(&agents, |look| list::agents(look, &agents))?;
    }
    Ok(worst)
}

async fn one(client: &Client, typed: &str, command: Command) -> Result<String, Error> {
    let id = select::agent_id(client, typed).await?;
    client.set_state(&id, command).await?;
    Ok(id)
}

fn past(command: Command) -> &'static str {
    match command {
        Command::Suspend => "suspended",
        Command::Resume => "resumed",
        Command::Kill => "killed",
    }
}
