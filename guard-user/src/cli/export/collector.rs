//! One request to a collector: OTLP over HTTP/1.1, and what its answer means.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http_body_util::{BodyExt as _, Limited};
use hyper::{Response, StatusCode, body::Incoming, client::conn::http1, header::RETRY_AFTER};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::settings::Endpoint;

/// As OpenTelemetry's own exporters.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Of an answer, this much is read.
const LARGEST_ANSWER: usize = 64 << 10;
/// A collector is not waited for longer than this because it says so.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What became of what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It has it; what it says of what it did not take.
    Taken(Option<String>),
    /// It will never take it.
    Refused(String),
    /// Not now; when it wants to be asked again.
    Later(String, Option<Duration>),
}

pub(super) async fn post(endpoint: &Endpoint, body: String) -> Sent {
    match tokio::time::timeout(ANSWER_WITHIN, answer(endpoint, body)).await {
        Ok(Ok(response)) => sent(response).await,
        Ok(Err(error)) => Sent::Later(format!("{error:#}"), None),
        Err(_) => Sent::Later(format!("no answer within {} s", ANSWER_WITHIN.as_secs()), None),
    }
}

async fn answer(endpoint: &Endpoint, body: String) -> anyhow::Result<Response<Incoming>> {
    let request = endpoint.request(body)?;
    let stream = connect(&endpoint.host, endpoint.port).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends by itself with the response's body; an error of it is an error of the request, too.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// `localhost` is this host (RFC 6761), also where no file and no server says so.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    if host.eq_ignore_ascii_case("localhost") {
        let own = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), SocketAddr::from((Ipv6Addr::LOCALHOST, port))];
        return TcpStream::connect(&own[..]).await;
    }
    TcpStream::connect((host, port)).await
}

/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>
async fn sent(response: Response<Incoming>) -> Sent {
    let code = response.status();
    let wait = response.headers().get(RETRY_AFTER).and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok());
    let wait = wait.map(|seconds| Duration::from_secs(seconds).min(LONGEST_WAIT));
    // What it says is for a person: where it cannot be had, the code is enough.
    let body = tokio::time::timeout(ANSWER_WITHIN, Limited::new(response.into_body(), LARGEST_ANSWER).collect()).await;
    let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
    match code {
        code if code.is_success() => Sent::Taken(partial(&body)),
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Sent::Later(code.to_string(), wait),
        _ => Sent::Refused(format!("{code}: {}", beginning(&body))),
    }
}

/// What a collector says of spans that it did not take.
fn partial(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let partial = &answer["partialSuccess"];
    let rejected = &partial["rejectedSpans"];
    // A 64-bit number is a text in this JSON, and need not be.
    let rejected = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok()).unwrap_or(0);
    let message = partial["errorMessage"].as_str().unwrap_or_default();
    (rejected > 0 || !message.is_empty()).then(|| format!("{rejected} spans rejected: {message}"))
}

fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::partial;

    #[test]
    fn what_was_not_taken_is_said() {
        assert_eq!(partial(b"{}"), None);
        assert_eq!(partial(b"not JSON"), None);
        assert_eq!(partial(br#"{"partialSuccess":{}}"#), None);
        let said = partial(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#);
        assert_eq!(said.as_deref(), Some("3 spans rejected: too old"));
        assert!(partial(br#"{"partialSuccess":{"rejectedSpans":3}}"#).is_some());
    }
}
