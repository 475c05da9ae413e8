//! Routes about holds.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use serde::Deserialize;

use super::{Body, Id, Peer, Request, Shared, refusal};
use crate::api::{Decide, ProblemKind};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    state: Which,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    #[default]
    Pending,
    All,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Response {
    let Ok(Query(filter)) = filter else {
        return refusal(ProblemKind::BadRequest, "state must be pending or all.");
    };
    let all = match filter.state {
        Which::Pending => false,
        Which::All => true,
    };
    shared.respond(peer, Request::Holds { all }).await
}

pub(super) async fn show(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>, Id(id): Id) -> Response {
    shared.respond(peer, Request::Hold(id)).await
}

pub(super) async fn decide(
    State(shared): State<Shared>,
    Extension(peer): Extension<Arc<Peer>>,
    Id(id): Id,
    Body(decide): Body<Decide>,
) -> Response {
    shared.respond(peer, Request::Decide { id, decide }).await
}
