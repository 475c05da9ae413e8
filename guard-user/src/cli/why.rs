//! `guardctl why`: what the caller's own agent was refused, and what it may do instead.

use clap::Args;

use super::{
    agent_socket::AgentSocket,
    client::Client,
    error::{Error, Exit},
    render::{self, Format, Screen, refusal},
};
use crate::api::{Problem, ProblemKind, Refusal};

/// Say what you were refused, and why: for an agent
///
/// Run by an agent, or by what an agent started, when something ended with "Operation not permitted". The last refusal is
/// first. It tells an agent of its own refusals alone, and not who decided; a person reads the log.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl why
  guardctl why --last --json

  guardctl log --decision deny    the same for a person, of every agent

Exit codes: 0, also when nothing was refused; 3 guardd is not running; 4 this is no agent.")]
pub(crate) struct Arguments {
    /// Only the last one
    #[arg(long, conflicts_with = "count")]
    last: bool,

    /// How many at most
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 10)]
    count: u64,

    /// The same as -o json
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    socket: AgentSocket,
}

pub(super) async fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let count = if arguments.last { 1 } else { arguments.count };
    let refusals = asked(&arguments.socket.client(), count).await?;
    let json = arguments.json.then(|| Screen::new(Format::Json));
    let screen = json.as_ref().unwrap_or(screen);
    if refusals.is_empty() && screen.is_text() {
        render::note("nothing was refused");
        return Ok(Exit::Success);
    }
    screen.answer(&refusals, |look| refusal::refusals(look, &refusals))?;
    Ok(Exit::Success)
}

async fn asked(client: &Client, count: u64) -> Result<Vec<Refusal>, Error> {
    client.refusals(count).await.map_err(|error| match error {
        Error::Problem(Problem { kind: ProblemKind::NotPermitted, .. }) => Error::Problem(Problem {
            kind: ProblemKind::NotPermitted,
            message: "only an agent is told what it was refused, and this process is in none; \
                      a person asks `guardctl log --decision deny`"
                .to_owned(),
        }),
        other => other,
    })
}
