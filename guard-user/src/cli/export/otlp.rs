//! `guardctl export otlp`: what agents do, as spans, to an OpenTelemetry collector.

use std::{
    cell::RefCell,
    convert::Infallible,
    hash::{BuildHasher as _, RandomState},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueHint};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    super::{
        client::Client,
        error::{Error, Exit},
        render::note,
    },
    collector::{Sent, post},
    follow::Follower,
    queue::{BATCH, Queue},
    settings::{Endpoint, pairs, resource, variable},
    state::State,
};
use crate::otlp::span::{self, Attributes};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const SERVICE: &str = "OTEL_SERVICE_NAME";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// How often the log is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a span waits for others.
const PAUSE: Duration = Duration::from_secs(2);
/// Before a collector that did not take something is asked again: at first, and at last.
const WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// For what waits when it has to end.
const LAST: Duration = Duration::from_secs(5);

/// Send holds, decisions, tool calls and execs of agents to an OpenTelemetry collector, as spans
///
/// Follows guardd's log and sends what is over by OTLP/HTTP, as JSON. Where an agent's own telemetry put TRACEPARENT into the
/// environment of its tools or hooks, guard's spans are in that trace; elsewhere each agent has a trace of its own. Text that
/// an agent or its person wrote for a model is not sent; secrets in arguments are masked as in the log.
///
/// While the collector does not answer, up to 16384 spans wait. With `--state` it goes on after a restart where it was; a
/// span that is sent twice has the same id.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  guardctl export otlp --endpoint http://localhost:4318
  guardctl export otlp --endpoint http://localhost:4318 --state ~/.local/state/guard-otlp
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 OTEL_SERVICE_NAME=build-7 guardctl export otlp
  systemctl enable --now guard-otlp      as a service, set in /etc/guard/otlp.env

Environment:
  OTEL_EXPORTER_OTLP_ENDPOINT  the collector, when --endpoint is not given
  OTEL_EXPORTER_OTLP_HEADERS   name=value,name=value with the values percent-encoded; unlike --header,
                               no other user of this host sees them
  OTEL_SERVICE_NAME            service.name of the spans, `guard` when it is not set
  OTEL_RESOURCE_ATTRIBUTES     more attributes of their resource: name=value,name=value

It runs until SIGTERM or SIGINT, and sends what waits before it ends. Exit codes: 0 ended; 2 wrong usage; 3 guardd is not
running; 4 not permitted.")]
pub(crate) struct Arguments {
    /// Base address of the collector; `v1/traces` is added
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    endpoint: Option<String>,

    /// Header of each request; may be repeated
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// Remembers here what was delivered, and goes on there; without it, it begins with what comes now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    state: Option<PathBuf>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a header is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(super) async fn run(arguments: &Arguments, client: &Client) -> Result<Exit, Error> {
    let (endpoint, resource) = settings(arguments)?;
    let mut state = arguments.state.as_deref().map(State::open).transpose()?;
    let ended = |kind| signal(kind).context("cannot wait for a signal");
    let (mut terminated, mut interrupted) = (ended(SignalKind::terminate())?, ended(SignalKind::interrupt())?);
    let (queue, full) = (RefCell::new(Queue::default()), Notify::new());
    let mut follower = Follower::start(client, &queue, state.as_ref().and_then(State::delivered)).await?;
    let mut sender = Sender { endpoint, resource, queue: &queue, failed: false };
    note(&format!("sending to {} what comes after record {}", sender.endpoint.url(), queue.borrow().reached()));
    tokio::select! {
        never = read(&mut follower, &queue, &full, state.as_mut()) => match never {},
        never = sender.go_on(&full) => match never {},
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    if timeout(LAST, sender.deliver()).await.is_err() {
        note(&format!("{} spans are not delivered", queue.borrow().len()));
    }
    if let Some(state) = &mut state {
        state.keep(queue.borrow().reached());
    }
    Ok(Exit::Success)
}

fn settings(arguments: &Arguments) -> Result<(Endpoint, Attributes), Error> {
    let Some(endpoint) = arguments.endpoint.clone().or_else(|| variable(ENDPOINT)) else {
        return Err(Error::Usage(format!(
            "there is no collector to send to: give `--endpoint http://localhost:4318`, or set {ENDPOINT}"
        )));
    };
    let list = |name: &str| variable(name).map_or(Ok(Vec::new()), |text| pairs(name, &text));
    // Those on the command line go before the others.
    let mut headers = list(HEADERS)?;
    headers.extend(arguments.headers.clone());
    let endpoint = Endpoint::parse(&endpoint)?.with_headers(headers)?;
    Ok((endpoint, resource(variable(SERVICE), list(RESOURCE)?)))
}

/// Reads what is added to the log, for ever.
async fn read(
    follower: &mut Follower<'_>,
    queue: &RefCell<Queue>,
    full: &Notify,
    mut state: Option<&mut State>,
) -> Infallible {
    let mut failed = false;
    loop {
        sleep(LOOK_AGAIN).await;
        match follower.read().await {
            Ok(()) if failed => {
                note("guardd answers again");
                failed = false;
            }
            Ok(()) => {}
            Err(error) => {
                if !failed {
                    note(&format!("{}; trying again", error.report()));
                }
                failed = true;
            }
        }
        if queue.borrow().len() >= BATCH {
            full.notify_one();
        }
        if let Some(state) = state.as_deref_mut() {
            state.keep(queue.borrow().reached());
        }
    }
}

/// Sends what waits.
struct Sender<'a> {
    endpoint: Endpoint,
    resource: Attributes,
    queue: &'a RefCell<Queue>,
    /// The collector did not take the last ones.
    failed: bool,
}

impl Sender<'_> {
    async fn go_on(&mut self, full: &Notify) -> Infallible {
        loop {
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = full.notified() => {}
            }
            self.deliver().await;
        }
    }

    /// All of it, however long that takes.
    async fn deliver(&mut self) {
        let mut wait = WAIT;
        loop {
            let dropped = self.queue.borrow_mut().take_dropped();
            if dropped > 0 {
                note(&format!("{dropped} spans are lost: too many wait for the collector"));
            }
            let Some(batch) = self.queue.borrow().batch() else { return };
            match post(&self.endpoint, span::request(&self.resource, &batch.spans)).await {
                Sent::Taken(said) => {
                    said.iter().for_each(|said| note(&format!("the collector says: {said}")));
                    if self.failed {
                        note("the collector answers again");
                    }
                }
                Sent::Refused(why) => {
                    note(&format!("{} spans are lost: the collector refused them: {why}", batch.spans.len()));
                }
                Sent::Later(why, wanted) => {
                    if !self.failed {
                        note(&format!("{}: {why}; trying again", self.endpoint.url()));
                    }
                    self.failed = true;
                    sleep(wanted.unwrap_or_else(|| some_of(wait))).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
            }
            self.failed = false;
            wait = WAIT;
            self.queue.borrow_mut().done(&batch);
        }
    }
}

/// Between half of it and all of it: not every exporter asks at the same moment.
fn some_of(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0);
    wait / 2 + (wait / 2).mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
}
