//! `guardctl hook`: what an agent's own hook mechanism runs. Reads, posts and is gone; it never stops a tool call, since the
//! kernel does that, and neither a slow guardd nor none at all is felt by the agent.

use std::{
    io::{self, Read},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    agent_socket::AgentSocket,
    error::{Error, Exit},
    render::{self, Screen, machine, refusal},
};
use crate::{
    api::{Phase, ProblemKind},
    hook::{self, LARGEST, Tool, is_traceparent, transcript},
};

/// Tell guardd of an agent's tool call
///
/// Agents run this by their own hooks; `guardctl integrate` writes them. It reads the JSON of TOOL from standard input, tells
/// guardd which tool is called with what, what a person asked for and what the agent thought since, and ends. After a call
/// it tells the agent what it was refused meanwhile, where TOOL lets a hook do so.
///
/// It never stops a call: what must not happen is held in the kernel. When guardd is away or slow, nothing is said and
/// nothing is delayed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl hook claude-code <event.json
  echo '{\"phase\": \"before\", \"tool\": \"shell\", \"command\": \"make\"}' | guardctl hook generic

Exit codes: 0, whatever happened; 1 when these arguments are wrong. A 2 would stop the agent's call.")]
pub(crate) struct Arguments {
    /// Whose hook this is
    #[arg(value_enum)]
    tool: Tool,

    /// How long to keep the agent waiting at most, from the end of the input on
    #[arg(long, value_name = "MILLISECONDS", default_value_t = WITHIN)]
    within: u64,

    #[command(flatten)]
    socket: AgentSocket,
}

/// An agent must not feel more than 20 ms; starting and ending takes some of them, on a busy machine half.
const WITHIN: u64 = 10;

/// Input beyond [`LARGEST`] is read and dropped, so that the agent can write all of it; but not for ever.
const MOST_DROPPED: u64 = 256 << 20;

pub(super) async fn run(arguments: &Arguments, screen: &Screen) -> Result<Exit, Error> {
    let said = match read(&mut io::stdin().lock()) {
        Ok(said) => said,
        Err(error) => {
            render::note(&format!("guardctl: hook: cannot read standard input: {error}"));
            return Ok(Exit::Success);
        }
    };
    let (began, within) = (Instant::now(), Duration::from_millis(arguments.within));
    let mut heard = hook::hear(arguments.tool, &said);
    if !heard.call.problem.is_empty() {
        render::note(&format!("guardctl: hook: standard input: {}", heard.call.problem));
    }
    if let Some(transcript) = heard.transcript.clone() {
        // It can be on a file system that hangs; then the call is told without it.
        heard.add(done_within(within / 2, move || {
            let tail = transcript::tail(&transcript.path).map_err(|error| format!("no transcript: {error}"))?;
            Ok(transcript.story(&tail))
        }));
    }
    if let Some(trace) = std::env::var("TRACEPARENT").ok().filter(|trace| is_traceparent(trace)) {
        heard.call.traceparent = trace;
    }
    let client = arguments.socket.client().answering_within(within.saturating_sub(began.elapsed()));
    match client.tool_call(&heard.call).await {
        Ok(answer) if heard.call.phase == Phase::After && !answer.refused.is_empty() => {
            let context = refusal::to_the_agent(&answer.refused);
            if let Some(reply) = heard.reply.saying(&context, &answer.refused) {
                screen.raw(format!("{}\n", machine::json_line(&reply)?).as_bytes())?;
            }
        }
        Ok(_) => {}
        // No guardd, or an agent that is not under guard: most agents, most of the time.
        Err(Error::NotRunning(_) | Error::SocketRefused(_)) => {}
        Err(Error::Problem(problem)) if problem.kind == ProblemKind::NotPermitted => {}
        Err(error) => render::note(&format!("guardctl: hook: {error}")),
    }
    Ok(Exit::Success)
}

/// All of the input, or one byte more of it than is looked at.
fn read(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let most = LARGEST as u64 + 1;
    if input.take(most).read_to_end(&mut said)? as u64 == most {
        io::copy(&mut input.take(MOST_DROPPED), &mut io::sink())?;
    }
    Ok(said)
}

/// What `work` comes to, unless it takes too long; then nobody waits for it any more.
fn done_within<T: Send + 'static>(
    time: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (done, result) = mpsc::channel();
    thread::Builder::new()
        // Fails when nobody waits any more.
        .spawn(move || drop(done.send(work())))
        .map_err(|error| format!("no transcript: {error}"))?;
    result.recv_timeout(time).unwrap_or_else(|_| Err(format!("no transcript: not read within {} ms", time.as_millis())))
}
