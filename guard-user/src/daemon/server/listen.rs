//! Accepts connections and finds out whose they are, once, from the kernel.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{UnixListener, UnixStream},
    time::Sleep,
};

use super::room::{Place, Room};
use crate::daemon::{facts, process::Process};

/// How long a connection of anybody else may last.
const OTHERS_LAST: Duration = Duration::from_secs(30);

/// Who is at the other end, as the kernel said when it connected.
#[derive(Debug)]
pub struct Peer {
    /// 0 when it is in a pid namespace that guardd cannot see.
    pub pid: u32,
    pub uid: u32,
    /// Root, whoever guardd itself runs as (which is root but in tests), or a member of group `guard`.
    pub privileged: bool,
    process: Option<Process>,
}

impl Peer {
    fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        let process = own_pidfd(stream, pid).or_else(|| Process::open(pid).ok());
        let groups = || {
            let status = facts::bounded(&format!("/proc/{pid}/status"), 64 << 10).unwrap_or_default();
            facts::status_numbers(&status, "Groups:")
        };
        let guard = facts::group("guard");
        let member = guard.is_some_and(|guard| credentials.gid() == guard || groups().contains(&guard));
        let uid = credentials.uid();
        let own = uid == rustix::process::geteuid().as_raw();
        let peer = Self { pid, uid, privileged: uid == 0 || own || member, process };
        // What was read of the groups was about the peer only if it still lives.
        Ok(Self { privileged: peer.privileged && peer.lives(), ..peer })
    }

    /// It has not ended: what was read about its pid was about it.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(Process::lives)
    }

    /// For the log and the decision: `uid 0 (root), pid 123`.
    #[must_use]
    pub fn words(&self) -> String {
        match facts::user_name(self.uid) {
            name if name.is_empty() => format!("uid {}, pid {}", self.uid, self.pid),
            name => format!("uid {} ({name}), pid {}", self.uid, self.pid),
        }
    }
}

/// `SO_PEERPIDFD` (6.5): the very process that connected, even if its pid was given away since.
fn own_pidfd(stream: &UnixStream, pid: u32) -> Option<Process> {
    let fd = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerPidfd).ok()?;
    Some(Process::from_pidfd(pid, fd))
}

/// The listening socket with its limits.
pub(super) struct Listen {
    listener: UnixListener,
    room: Room,
    /// Nobody is privileged here, whoever it is.
    of_agents: bool,
}

impl Listen {
    pub(super) fn of_people(listener: UnixListener) -> Self {
        Self { listener, room: Room::of_people(), of_agents: false }
    }

    pub(super) fn of_agents(listener: UnixListener) -> Self {
        Self { listener, room: Room::of_agents(), of_agents: true }
    }
}

impl axum::serve::Listener for Listen {
    type Io = Connection;
    type Addr = Arc<Peer>;

    async fn accept(&mut self) -> (Connection, Arc<Peer>) {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors: waiting is all that can be done, and spinning would cost the loop its time.
                    tracing::error!("a connection could not be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let peer = match Peer::of(&stream) {
                Ok(peer) => Arc::new(Peer { privileged: peer.privileged && !self.of_agents, ..peer }),
                Err(error) => {
                    tracing::warn!("a peer could not be identified: {error}");
                    continue;
                }
            };
            let Some(place) = self.room.take(peer.privileged, peer.uid) else {
                tracing::warn!("too many connections: one of {} was closed", peer.words());
                continue;
            };
            let end = (!peer.privileged).then(|| Box::pin(tokio::time::sleep(OTHERS_LAST)));
            return (Connection { stream, end, _place: place }, peer);
        }
    }

    fn local_addr(&self) -> std::io::Result<Arc<Peer>> {
        Ok(Arc::new(Peer { pid: std::process::id(), uid: 0, privileged: false, process: None }))
    }
}

/// The peer as the routes get it.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Arc<Peer>);

impl Connected<IncomingStream<'_, Listen>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Listen>) -> Self {
        Self(Arc::clone(stream.remote_addr()))
    }
}

/// A connection that holds its place in the limit, and ends in time if its peer may not decide.
pub(super) struct Connection {
    stream: UnixStream,
    end: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
