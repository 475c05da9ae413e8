//! Talks to guardd: HTTP/1.1 and JSON over its Unix socket, one connection per request. Nothing is shown here.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::{error::Error, events::Events, select};
use crate::{
    api::{
        self, Agent, Command, Decide, Hold, Problem, ProblemKind, Refusal, SetState, Status, Tag, ToolCall,
        ToolCallAnswer,
    },
    audit::query::Query,
};

/// guardd gives up on a request after 30 s; a little more than that means that it hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// Larger than 1,000 holds with the longest paths.
const LARGEST_ANSWER: usize = 64 << 20;

pub(crate) struct Client {
    socket: PathBuf,
    answer_within: Duration,
}

impl Client {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, answer_within: ANSWER_WITHIN }
    }

    /// For completions and hooks: who waits for us must not hang.
    pub(crate) fn answering_within(self, answer_within: Duration) -> Self {
        Self { answer_within, ..self }
    }

    pub(crate) async fn status(&self) -> Result<Status, Error> {
        self.get("/v1/status").await
    }

    pub(crate) async fn agents(&self) -> Result<Vec<Agent>, Error> {
        self.get("/v1/agents").await
    }

    pub(crate) async fn pending(&self) -> Result<Vec<Hold>, Error> {
        self.get("/v1/holds?state=pending").await
    }

    pub(crate) async fn hold(&self, id: &str) -> Result<Hold, Error> {
        self.get(&format!("/v1/holds/{}", select::segment(id)?)).await
    }

    pub(crate) async fn decide(&self, id: &str, decide: &Decide) -> Result<Hold, Error> {
        self.post(&format!("/v1/holds/{}/decision", select::segment(id)?), decide).await
    }

    pub(crate) async fn tag(&self, tag: &Tag) -> Result<Agent, Error> {
        self.post("/v1/agents", tag).await
    }

    pub(crate) async fn untag(&self, agent: &str) -> Result<(), Error> {
        self.call::<()>(Method::DELETE, &format!("/v1/agents/{}", select::segment(agent)?), None).await.map(drop)
    }

    /// `*` is every agent. What the daemon answers is not looked at: its 2xx is the news.
    pub(crate) async fn set_state(&self, agent: &str, state: Command) -> Result<(), Error> {
        let path = format!("/v1/agents/{}/state", if agent == "*" { "*".to_owned() } else { select::segment(agent)? });
        self.call(Method::POST, &path, Some(&SetState { state })).await.map(drop)
    }

    /// Text, as guardd wrote it.
    pub(crate) async fn metrics(&self) -> Result<Bytes, Error> {
        self.call::<()>(Method::GET, "/v1/metrics", None).await
    }

    /// The last records of the audit log that are asked for, oldest first.
    pub(crate) async fn log(&self, query: &Query) -> Result<Vec<serde_json::Value>, Error> {
        let query = serde_urlencoded::to_string(query).context("this cannot be asked")?;
        self.get(&format!("/v1/log?{query}")).await
    }

    /// Has the log signed as it is now.
    pub(crate) async fn checkpoint(&self) -> Result<(), Error> {
        self.call::<()>(Method::POST, "/v1/log/checkpoint", None).await.map(drop)
    }

    /// Has what agents touched written into the log.
    pub(crate) async fn footprints(&self) -> Result<(), Error> {
        self.call::<()>(Method::POST, "/v1/log/footprints", None).await.map(drop)
    }

    pub(crate) async fn reload(&self) -> Result<(), Error> {
        self.call::<()>(Method::POST, "/v1/reload", None).await.map(drop)
    }

    /// On the agents' socket, as everything about an agent that it asks itself.
    pub(crate) async fn tool_call(&self, call: &ToolCall) -> Result<ToolCallAnswer, Error> {
        self.post("/v1/tool-calls", call).await
    }

    /// On the agents' socket: the last `n` of the caller's, newest first.
    pub(crate) async fn refusals(&self, n: u64) -> Result<Vec<Refusal>, Error> {
        self.get(&format!("/v1/refusals?n={n}")).await
    }

    /// Events from now on: whatever happens after this returned is in the stream.
    pub(crate) async fn events(&self) -> Result<Events, Error> {
        let response = self.send::<()>(Method::GET, "/v1/events", None).await?;
        Ok(Events::new(self.accept(response).await?.into_body()))
    }

    async fn get<Answer: DeserializeOwned>(&self, path: &str) -> Result<Answer, Error> {
        let body = self.call::<()>(Method::GET, path, None).await?;
        decode(path, &body)
    }

    async fn post<Body: Serialize, Answer: DeserializeOwned>(&self, path: &str, body: &Body) -> Result<Answer, Error> {
        let body = self.call(Method::POST, path, Some(body)).await?;
        decode(path, &body)
    }

    async fn call<Body: Serialize>(&self, method: Method, path: &str, body: Option<&Body>) -> Result<Bytes, Error> {
        let answer = async {
            let response = self.send(method, path, body).await?;
            collect(self.accept(response).await?).await
        };
        tokio::time::timeout(self.answer_within, answer).await.map_err(|_| self.silent())?
    }

    async fn send<Body: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Body>,
    ) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| Error::connecting(&self.socket, error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.context("guardd does not speak HTTP")?;
        // It ends by itself with the response's body; an error of it is an error of the request or the body, too.
        tokio::spawn(connection);
        let bytes = match body {
            Some(body) => serde_json::to_vec(body).context("cannot encode the request")?,
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "guard")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))
            .context("cannot build the request")?;
        let response = tokio::time::timeout(self.answer_within, sender.send_request(request))
            .await
            .map_err(|_| self.silent())?
            .context("guardd closed the connection without an answer; `systemctl status guardd` says why")?;
        Ok(response)
    }

    /// Turns an answer that is not 2xx into the problem it carries.
    async fn accept(&self, response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
        let code = response.status();
        if code.is_success() {
            return Ok(response);
        }
        let body = collect(response).await?;
        Err(Error::Problem(serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
            kind: match code.as_u16() {
                400 => ProblemKind::BadRequest,
                401 | 403 => ProblemKind::NotPermitted,
                404 => ProblemKind::NotFound,
                409 => ProblemKind::AlreadyDecided,
                503 => ProblemKind::AuditUnavailable,
                _ => ProblemKind::Internal,
            },
            message: format!("guardd answered {code}: {}", String::from_utf8_lossy(&body[..body.len().min(500)])),
        })))
    }

    fn silent(&self) -> Error {
        Error::TimedOut(format!("guardd did not answer within {} s", self.answer_within.as_secs_f32()))
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, Error> {
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    Ok(body.map_err(|error| anyhow!(error)).context("the answer of guardd broke off")?.to_bytes())
}

fn decode<Answer: DeserializeOwned>(path: &str, body: &[u8]) -> Result<Answer, Error> {
    Ok(serde_json::from_slice(body).with_context(|| {
        format!("cannot understand guardd's answer to {path}; this is guardctl {}, `guardctl status` names guardd's version", api_version())
    })?)
}

fn api_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Where to find the daemon when nobody says.
pub(crate) const DEFAULT_SOCKET: &str = api::SOCKET;
