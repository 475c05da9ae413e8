//! Asks guardd over its socket what guardctl asks: starting a program for each look is most of what a scenario costs
//! under emulation. What an answer means is not known here.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result};

/// guardd gives up on a request after 30 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// The HTTP status and the body.
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket).context("guardd does not listen")?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).context("cannot set how long to wait")?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: guard\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).context("cannot ask guardd")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("guardd does not answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("guardd broke off")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("guardd answered {head}"))?, body.to_owned()))
}
