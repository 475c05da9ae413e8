//! Tells systemd how guardd is doing, where `NOTIFY_SOCKET` asks for it.
#![forbid(unsafe_code)]

use std::{
    env,
    os::{linux::net::SocketAddrExt as _, unix::ffi::OsStrExt as _, unix::net::SocketAddr, unix::net::UnixDatagram},
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
