//! `GET /v1/events`: what happens, as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Extension,
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event as Sse, Sse as Stream},
    },
};
use futures_util::stream;
use tokio::sync::broadcast::error::RecvError;

use super::{Answer, Peer, Request, Shared, failure};
use crate::api::Event;

/// How often a silent stream shows that it lives.
const PING: Duration = Duration::from_secs(15);

pub(super) async fn stream(State(shared): State<Shared>, Extension(peer): Extension<Arc<Peer>>) -> Response {
    // Listening starts before the question, so that nothing falls between the two.
    let receiver = shared.events.subscribe();
    let status = match shared.ask(Arc::clone(&peer), Request::Status).await {
        Answer::Status(status) => Event::Status { status },
        Answer::Problem(problem) => return failure(problem),
        Answer::Done
        | Answer::Agents(_)
        | Answer::Agent(_)
        | Answer::Holds(_)
        | Answer::Hold(_)
        | Answer::ToolCall(_)
        | Answer::Refusals(_) => Event::Ping,
    };
    let events =
        stream::unfold((receiver, Some(status), shared, peer), |(mut receiver, first, shared, peer)| async move {
            let event = match first {
                Some(event) => event,
                None => match tokio::time::timeout(PING, receiver.recv()).await {
                    Err(_) => Event::Ping,
                    Ok(Ok(event)) => event,
                    // Too far behind: a fresh status tells the listener to look at everything again.
                    Ok(Err(RecvError::Lagged(_))) => match shared.ask(Arc::clone(&peer), Request::Status).await {
                        Answer::Status(status) => Event::Status { status },
                        _other => return None,
                    },
                    Ok(Err(RecvError::Closed)) => return None,
                },
            };
            Some((Ok::<_, Infallible>(sse(&event)), (receiver, None, shared, peer)))
        });
    Stream::new(events).into_response()
}

fn sse(event: &Event) -> Sse {
    let kind = match event {
        Event::Held { .. } => "held",
        Event::Decided { .. } => "decided",
        Event::Finished { .. } => "finished",
        Event::Result { .. } => "result",
        Event::Agent { .. } => "agent",
        Event::Status { .. } => "status",
        Event::Ping => "ping",
    };
    match Sse::default().event(kind).json_data(event) {
        Ok(sse) => sse,
        Err(error) => Sse::default().event("ping").comment(error.to_string()),
    }
}
