//! The event stream of guardd: server-sent events in, [`Event`]s out. Nothing is shown here.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, anyhow};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use crate::api::Event;

/// guardd sends a ping every 15 s: three missed ones mean that it hangs.
const SILENCE: Duration = Duration::from_secs(45);

/// No event comes near; what is larger is not from guardd.
const LARGEST_EVENT: usize = 16 << 20;

pub(crate) struct Events {
    body: Incoming,
    parser: Parser,
    parsed: VecDeque<String>,
}

impl Events {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, parser: Parser::default(), parsed: VecDeque::new() }
    }

    /// The next event.
    ///
    /// # Errors
    /// When the stream ends, breaks, or is silent for longer than a living daemon would be.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        match self.next_until(Instant::now() + SILENCE).await? {
            Some(event) => Ok(event),
            None => Err(Error::TimedOut(format!("guardd has been silent for {} s", SILENCE.as_secs()))),
        }
    }

    /// The next event, or `None` at the deadline. Nothing is lost when the caller drops the future.
    pub(crate) async fn next_until(&mut self, deadline: Instant) -> Result<Option<Event>, Error> {
        loop {
            if let Some(data) = self.parsed.pop_front() {
                return Ok(Some(
                    serde_json::from_str(&data).context("guardd sent an event that this guardctl does not know")?,
                ));
            }
            let Ok(frame) = timeout_at(deadline, self.body.frame()).await else {
                return Ok(None);
            };
            let frame = frame
                .ok_or_else(|| anyhow!("guardd ended the event stream; it may be restarting: try again"))?
                .context("the event stream of guardd broke off; it may be restarting: try again")?;
            if let Ok(data) = frame.into_data() {
                self.parser.push(&data, &mut self.parsed);
                if self.parser.held() > LARGEST_EVENT {
                    return Err(anyhow!("guardd sent an event of more than {LARGEST_EVENT} bytes").into());
                }
            }
        }
    }
}

/// Collects the `data:` lines of each event. The `event:` line repeats what the data says and is skipped, as are
/// comments (axum's keep-alive).
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    data: Option<String>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8], parsed: &mut VecDeque<String>) {
        for byte in bytes {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            if line.is_empty() {
                parsed.extend(self.data.take());
            } else if let Some(rest) = line.strip_prefix("data:") {
                let rest = rest.strip_prefix(' ').unwrap_or(rest);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(rest);
                    }
                    None => self.data = Some(rest.to_owned()),
                }
            }
        }
    }

    fn held(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": keep-alive\n\nevent: ping\ndata: {\"kind\":\ndata: \"ping\"}\n\nid: 3\ndata:x\r\n\r\ndata: cut";

    #[test]
    fn events_are_the_same_however_the_stream_is_cut() {
        for size in 1..STREAM.len() {
            let (mut parser, mut parsed) = (Parser::default(), VecDeque::new());
            for chunk in STREAM.as_bytes().chunks(size) {
                parser.push(chunk, &mut parsed);
            }
            assert_eq!(parsed, ["{\"kind\":\n\"ping\"}", "x"], "cut into pieces of {size}");
            assert_eq!(parser.held(), "data: cut".len());
        }
    }
}
