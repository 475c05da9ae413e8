//! The socket of agents: what one says of its tools, and what it was refused. Another router than that of people, so that no
//! route of theirs can be reached from here, and with room of its own.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::{DefaultBodyLimit, Query, State, rejection::QueryRejection},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use tokio::net::UnixListener;

use super::{BODY, Body, Peer, Shared, listen::Listen, name_peer, refusal, respond};
use crate::{
    api::{ProblemKind, ToolCall},
    daemon::{core::AgentRequest, facts},
};

/// Every route, with its method: the OpenAPI file is compared with this.
#[cfg(test)]
pub(super) const ROUTES: [(&str, &str); 2] = [("post", "/v1/tool-calls"), ("get", "/v1/refusals")];

/// Answers on the socket until the task is ended.
pub(super) async fn serve(listener: UnixListener, shared: Shared) {
    let app = Router::new()
        .route("/v1/tool-calls", post(tool_call))
        .route("/v1/refusals", get(refusals))
        .fallback(|| async { refusal(ProblemKind::NotFound, "There is no such route for an agent.") })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(axum::middleware::map_request(name_peer))
        .with_state(shared);
    let service = app.into_make_service_with_connect_info::<super::listen::Caller>();
    if let Err(error) = axum::serve(Listen::of_agents(listener), service).await {
        tracing::error!("the socket of agents no longer answers: {error}");
    }
}

async fn tool_call(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    Body(call): Body<ToolCall>,
) -> Response {
    let pid = peer.pid;
    // Of its own: a hook does not wait long, and what it told counts all the same.
    let told = tokio::spawn(async move {
        let looked = async {
            let _turn = shared.lookers.others.acquire().await.ok()?;
            tokio::task::spawn_blocking(move || facts::lineage(pid)).await.ok()
        };
        let lineage = looked.await.unwrap_or_default();
        shared.tell(peer, AgentRequest::ToolCall { call: Box::new(call), pid, lineage }).await
    });
    match told.await {
        Ok(answer) => respond(answer),
        Err(error) => refusal(ProblemKind::Internal, error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    #[serde(default = "one")]
    n: usize,
}

const fn one() -> usize {
    1
}

async fn refusals(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    last: Result<Query<Last>, QueryRejection>,
) -> Response {
    let Ok(Query(last)) = last else {
        return refusal(ProblemKind::BadRequest, "n must be a number.");
    };
    respond(shared.tell(peer, AgentRequest::Refusals(last.n)).await)
}
