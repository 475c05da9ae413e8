//! The export to an OpenTelemetry collector as a service: off until it is set, without rights, and sending.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Story,
    host::{agent, asked, done, property},
};
use crate::patience::until;

const UNIT: &str = "guard-otlp.service";
/// `CapEff` of a process that has none.
const NONE: &str = "0000000000000000";

pub(super) fn exported(_story: &mut Story) -> Result<()> {
    done(&["systemctl", "start", UNIT])?;
    ensure!(asked("is-active", UNIT)? == "inactive", "it runs, and nobody said where to send to");
    let collector = TcpListener::bind("127.0.0.1:0").context("no port")?;
    let endpoint = format!("http://{}", collector.local_addr()?);
    fs::write("/etc/guard/otlp.env", format!("OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}\n")).context("cannot set it")?;
    done(&["systemctl", "enable", "--now", UNIT])?;
    until("the export to have begun", || {
        let said = done(&["journalctl", "--no-pager", "--unit", UNIT])?;
        Ok(said.contains(&format!("sending to {endpoint}/v1/traces")).then_some(()))
    })?;
    let pid = property(UNIT, "MainPID")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("it does not run")?;
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    ensure!(field("CapEff:") == NONE && !field("Uid:").starts_with("0\t"), "it has rights:\n{status}");
    agent("exported", &[], "/usr/bin/true")?;
    let body = received(&collector)?;
    ensure!(body.contains("guard.exec true"), "what an agent executed is not in {body}");
    until("it to remember what it sent", || Ok(fs::read_to_string("/var/lib/guard-otlp/delivered").ok()))?;
    Ok(())
}

/// The first request that a collector gets.
fn received(collector: &TcpListener) -> Result<String> {
    collector.set_nonblocking(true).context("cannot wait for a request")?;
    let mut stream = until("a request to the collector", || Ok(collector.accept().ok()))?.0;
    stream.set_nonblocking(false).context("cannot read it")?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).context("cannot read it")?;
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    let whole = |request: &[u8]| -> Option<String> {
        let text = String::from_utf8_lossy(request);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse::<usize>().ok()?;
        (body.len() >= length).then(|| body.to_owned())
    };
    loop {
        let read = stream.read(&mut buffer).context("the request is cut off")?;
        ensure!(read > 0, "the request is cut off");
        request.extend(&buffer[..read]);
        if let Some(body) = whole(&request) {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").context("cannot answer")?;
            return Ok(body);
        }
    }
}
