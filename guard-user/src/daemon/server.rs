//! The API on the Unix socket: HTTP/1.1 and JSON in front of the loop. Who the peer is is found out here
//! ([`listen`]); whether it may is decided in the loop, where the kernel can be asked.
#![forbid(unsafe_code)]

mod agents;
mod agents_own;
mod events;
mod holds;
mod listen;
#[cfg(test)]
mod openapi;
mod room;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    extract::{
        ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, State, rejection::JsonRejection,
    },
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, broadcast, mpsc, oneshot},
};

pub use listen::Peer;

use super::{
    audit,
    cgroup::Cgroups,
    core::{AgentRequest, Answer, Request, problem},
};
use crate::{
    api::{self, ProblemKind},
    audit::query,
};

/// Largest request body.
const BODY: usize = 256 << 10;
/// How long an answer may take; an approval that waits for a dead disk is told so earlier.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most lines `GET /v1/log` gives at once.
const LINES: usize = 10_000;
/// How many may read the log at once.
const READERS: usize = 2;

/// One question to the loop.
pub struct Ask {
    pub peer: Arc<Peer>,
    pub by: String,
    pub asked: Asked,
    pub reply: oneshot::Sender<Answer>,
}

/// On which socket it came decides what can be asked.
pub enum Asked {
    Request(Request),
    OfAgent(AgentRequest),
}

/// Where guardd listens.
pub struct Listeners {
    pub people: UnixListener,
    pub agents: UnixListener,
}

/// What every route works with.
#[derive(Clone)]
pub(crate) struct Shared {
    asks: mpsc::Sender<Ask>,
    events: broadcast::Sender<api::Event>,
    audit: Arc<PathBuf>,
    cgroups: Arc<Cgroups>,
    lookers: Lookers,
    /// Of the log.
    readers: Arc<Semaphore>,
}

/// Look-ups of paths that may be under way at once: a file system of somebody's own may never answer one, and the thread that
/// asked is lost then.
#[derive(Clone)]
struct Lookers {
    privileged: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Lookers {
    fn default() -> Self {
        const EACH: usize = 4;
        Self { privileged: Arc::new(Semaphore::new(EACH)), others: Arc::new(Semaphore::new(EACH)) }
    }
}

/// Every route, with its method: the OpenAPI file is compared with this.
pub const ROUTES: [(&str, &str); 15] = [
    ("get", "/v1/status"),
    ("get", "/v1/agents"),
    ("post", "/v1/agents"),
    ("delete", "/v1/agents/{id}"),
    ("post", "/v1/agents/{id}/state"),
    ("get", "/v1/holds"),
    ("get", "/v1/holds/{id}"),
    ("post", "/v1/holds/{id}/decision"),
    ("get", "/v1/log"),
    ("post", "/v1/log/checkpoint"),
    ("post", "/v1/log/footprints"),
    ("get", "/v1/metrics"),
    ("get", "/v1/events"),
    ("post", "/v1/reload"),
    ("get", "/v1/openapi.yaml"),
];

/// Answers on both sockets until the task is ended.
pub async fn serve(
    listeners: Listeners,
    asks: mpsc::Sender<Ask>,
    events: broadcast::Sender<api::Event>,
    audit: PathBuf,
    cgroups: Cgroups,
) {
    let shared = Shared {
        asks,
        events,
        audit: Arc::new(audit),
        cgroups: Arc::new(cgroups),
        lookers: Lookers::default(),
        readers: Arc::new(Semaphore::new(READERS)),
    };
    // Look-ups for agents take nothing from those of anybody else.
    let of_agents = Shared { lookers: Lookers::default(), ..shared.clone() };
    let people = async {
        let service = routes(shared).into_make_service_with_connect_info::<listen::Caller>();
        if let Err(error) = axum::serve(listen::Listen::of_people(listeners.people), service).await {
            tracing::error!("the socket no longer answers: {error}");
        }
    };
    tokio::join!(people, agents_own::serve(listeners.agents, of_agents));
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/agents", get(agents::list).post(agents::tag))
        .route("/v1/agents/{id}", axum::routing::delete(agents::untag))
        .route("/v1/agents/{id}/state", post(agents::set_state))
        .route("/v1/holds", get(holds::list))
        .route("/v1/holds/{id}", get(holds::show))
        .route("/v1/holds/{id}/decision", post(holds::decide))
        .route("/v1/log", get(log))
        .route("/v1/log/checkpoint", post(checkpoint))
        .route("/v1/log/footprints", post(footprints))
        .route("/v1/metrics", get(metrics))
        .route("/v1/reload", post(reload))
        .route("/v1/events", get(events::stream))
        .route("/v1/openapi.yaml", get(openapi_file))
        .fallback(|| async { refusal(ProblemKind::NotFound, "There is no such route; see /v1/openapi.yaml.") })
        .method_not_allowed_fallback(|| async {
            refusal(ProblemKind::BadRequest, "This route does not take this method; see /v1/openapi.yaml.")
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(axum::middleware::map_request(name_peer))
        .with_state(shared)
}

/// Gives the routes the peer of their connection.
async fn name_peer(
    ConnectInfo(listen::Caller(peer)): ConnectInfo<listen::Caller>,
    mut request: axum::extract::Request,
) -> axum::extract::Request {
    request.extensions_mut().insert(peer);
    request
}

async fn status(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    shared.respond(peer, Request::Status).await
}

async fn metrics(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    match shared.ask(peer, Request::Status).await {
        Answer::Status(status) => match crate::metrics::text(&status) {
            Ok(text) => ([(CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response(),
            Err(error) => refusal(ProblemKind::Internal, error.to_string()),
        },
        other => respond(other),
    }
}

async fn reload(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    shared.respond(peer, Request::Reload).await
}

async fn checkpoint(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    shared.respond(peer, Request::Checkpoint).await
}

async fn footprints(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    shared.respond(peer, Request::Footprints).await
}

async fn openapi_file() -> &'static str {
    include_str!("../../openapi.yaml")
}

async fn log(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    query: Result<Query<query::Query>, axum::extract::rejection::QueryRejection>,
) -> Response {
    // Asked like everything else: who may see the status may see the log.
    if let Answer::Problem(problem) = shared.ask(peer, Request::Status).await {
        return failure(problem);
    }
    let query = match query {
        Ok(Query(query)) => query::Query { n: query.n.min(LINES), ..query },
        Err(error) => return refusal(ProblemKind::BadRequest, error.body_text()),
    };
    let filter = match query::Filter::new(query) {
        Ok(filter) => filter,
        Err(message) => return refusal(ProblemKind::BadRequest, message),
    };
    // One after the other: a month of records is a lot to read.
    let Ok(turn) = Arc::clone(&shared.readers).acquire_owned().await else {
        return refusal(ProblemKind::Internal, "guardd is ending.");
    };
    let path = Arc::clone(&shared.audit);
    let read = move || {
        let _held_until_read = turn;
        audit::records(&path, &filter)
    };
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(lines)) => Json(lines).into_response(),
        Ok(Err(error)) => refusal(ProblemKind::Internal, format!("The audit log cannot be read: {error}.")),
        Err(error) => refusal(ProblemKind::Internal, error.to_string()),
    }
}

impl Shared {
    async fn ask(&self, peer: Arc<Peer>, request: Request) -> Answer {
        self.put(peer, Asked::Request(request)).await
    }

    async fn tell(&self, peer: Arc<Peer>, request: AgentRequest) -> Answer {
        self.put(peer, Asked::OfAgent(request)).await
    }

    async fn put(&self, peer: Arc<Peer>, asked: Asked) -> Answer {
        let (reply, answer) = oneshot::channel();
        let by = peer.words();
        let answered = async {
            match self.asks.send(Ask { peer, by, asked, reply }).await {
                Ok(()) => answer.await.unwrap_or_else(|_| super::run::ending()),
                Err(_) => super::run::ending(),
            }
        };
        let late =
            problem(ProblemKind::Internal, "guardd did not answer in time; look at the hold before you try again.");
        tokio::time::timeout(PATIENCE, answered).await.unwrap_or(late)
    }

    async fn respond(&self, peer: Arc<Peer>, request: Request) -> Response {
        respond(self.ask(peer, request).await)
    }
}

fn respond(answer: Answer) -> Response {
    match answer {
        Answer::Done => Json(serde_json::json!({})).into_response(),
        Answer::Status(status) => Json(status).into_response(),
        Answer::Agents(agents) => Json(agents).into_response(),
        Answer::Agent(agent) => Json(agent).into_response(),
        Answer::Holds(holds) => Json(holds).into_response(),
        Answer::Hold(hold) => Json(hold).into_response(),
        Answer::ToolCall(answer) => Json(answer).into_response(),
        Answer::Refusals(refusals) => Json(refusals).into_response(),
        Answer::Problem(problem) => failure(problem),
    }
}

fn refusal(kind: ProblemKind, message: impl Into<String>) -> Response {
    failure(api::Problem { kind, message: message.into() })
}

fn failure(problem: api::Problem) -> Response {
    let status = match problem.kind {
        ProblemKind::BadRequest => StatusCode::BAD_REQUEST,
        ProblemKind::NotPermitted => StatusCode::FORBIDDEN,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::AlreadyDecided => StatusCode::CONFLICT,
        ProblemKind::AuditUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(problem)).into_response()
}

/// A JSON body whose refusal has the shape of every other problem, and which must come in time.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Response> {
        let body = Json::<T>::from_request(request, state);
        match tokio::time::timeout(PATIENCE, body).await {
            Ok(Ok(Json(value))) => Ok(Self(value)),
            Ok(Err(rejection)) => Err(refusal(ProblemKind::BadRequest, said(&rejection))),
            Err(_) => Err(refusal(ProblemKind::BadRequest, "The body did not come in time.")),
        }
    }
}

/// What a route names, with a refusal in the same shape where that is no text.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|rejection| refusal(ProblemKind::BadRequest, rejection.body_text()))
    }
}

fn said(rejection: &JsonRejection) -> String {
    rejection.body_text()
}
