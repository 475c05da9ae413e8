//! Tells systemd how guardd is doing, where `NOTIFY_SOCKET` asks for it: sd_notify(3). Nothing here decides how it is.
#![forbid(unsafe_code)]

use std::{
    env,
    os::{linux::net::SocketAddrExt as _, unix::ffi::OsStrExt as _, unix::net::SocketAddr, unix::net::UnixDatagram},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// It works, and this is what it protects.
pub fn ready(status: &str) {
    send(&format!("READY=1\nSTATUS={}", one_line(status)));
}

pub fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

pub fn stopping() {
    send("STOPPING=1");
}

/// What systemd's watchdog wants to hear: that the loop goes round. Whoever makes progress calls it; there is no timer
/// here, because a timer would go on while the loop hangs.
#[derive(Debug)]
pub struct Watchdog {
    /// `None` where nobody listens.
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Watchdog {
    /// As `WATCHDOG_USEC` and `WATCHDOG_PID` ask for it.
    #[must_use]
    pub fn from_environment() -> Self {
        let microseconds = env::var("WATCHDOG_USEC").ok();
        Self { every: wanted(microseconds.as_deref(), env::var("WATCHDOG_PID").ok().as_deref()), last: None }
    }

    /// Says so to systemd, unless that was done a moment ago.
    pub fn alive(&mut self) {
        let Some(every) = self.every else { return };
        if self.last.is_none_or(|last| last.elapsed() >= every) {
            self.last = Some(Instant::now());
            send("WATCHDOG=1");
        }
    }
}

/// A third of the limit, so that one that is late is none that is missing.
fn wanted(microseconds: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(std::process::id())) {
        return None;
    }
    let microseconds: u64 = microseconds?.parse().ok().filter(|microseconds| *microseconds > 0)?;
    Some(Duration::from_micros(microseconds / 3))
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// A service manager that does not listen is no reason to stop guarding.
fn send(message: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match name.as_bytes().split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        Some(_) | None => SocketAddr::from_pathname(&name),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!("the service manager could not be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_fed_only_by_the_process_it_is_for() {
        let own = std::process::id().to_string();
        assert_eq!(wanted(Some("30000000"), Some(&own)), Some(Duration::from_secs(10)));
        assert_eq!(wanted(Some("30000000"), None), Some(Duration::from_secs(10)));
        assert_eq!(wanted(Some("30000000"), Some("1")), None);
        assert_eq!(wanted(None, Some(&own)), None);
        assert_eq!(wanted(Some("0"), None), None);
    }
}
