//! Connecting: held before the first packet.

use std::{
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram, UnixListener},
    },
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::{Scenario, gate};
use crate::{
    agent::state,
    guard::Guard,
    patience::{never, until},
};

/// Where a scenario listens: the rules name it.
pub(super) const PORT: u16 = 4242;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("connect_over_ipv4_is_held_and_connects_after_approval", |guard| tcp(guard, "127.0.0.1")),
        gate("connect_over_ipv6_is_held_and_connects_after_approval", |guard| tcp(guard, "::1")),
        gate("connect_fails_cleanly_after_denial", denied),
        gate("a_rogue_sigcont_in_a_loop_connects_nothing", sigcont),
        gate("connect_to_a_unix_socket_is_held", unix),
        gate("connect_to_a_unix_socket_is_held_by_whatever_name_it_is_reached", unix_otherwise),
        gate("a_datagram_to_a_unix_socket_is_held", unix_datagram),
        gate("connect_to_an_abstract_socket_is_held", abstract_name),
        gate("connect_to_another_port_is_not_held", other_port),
        gate("datagrams_to_an_address_are_held_without_a_connection", datagram),
        gate("tcp_fast_open_is_held_before_it_connects", fast_open),
        gate("raw_and_packet_sockets_are_held_where_every_address_is", raw),
    ]
}

fn listen(address: &str) -> Result<TcpListener> {
    let listener = TcpListener::bind((address, PORT)).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true).context("cannot set non-blocking")?;
    Ok(listener)
}

fn tcp(guard: &Guard, address: &str) -> Result<()> {
    let listener = listen(address)?;
    let mut agent = guard.agent(&format!("exec 3<>/dev/tcp/{address}/{PORT}; echo code $?"))?;
    let hold = guard.held("connect", "4242")?;
    never("connected before anybody decided", || Ok(listener.accept().is_ok()))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "it printed {output:?}");
    ensure!(listener.accept().is_ok(), "approved, and nobody connected");
    Ok(())
}

fn denied(guard: &mut Guard) -> Result<()> {
    let listener = listen("127.0.0.1")?;
    let mut agent = guard.agent(&format!("(exec 3<>/dev/tcp/127.0.0.1/{PORT}); echo code $?; echo and on"))?;
    let hold = guard.held("connect", "4242")?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(
        output.contains("Operation not permitted") && output.ends_with("code 1\nand on\n"),
        "it printed {output:?}"
    );
    ensure!(listener.accept().is_err(), "denied, and somebody connected");
    Ok(())
}

fn sigcont(guard: &mut Guard) -> Result<()> {
    let listener = listen("127.0.0.1")?;
    let mut agent = guard.agent(&format!("exec 3<>/dev/tcp/127.0.0.1/{PORT}; echo code $?"))?;
    let hold = guard.held("connect", "4242")?;
    let pid = i32::try_from(hold["processes"][0]["pid"].as_u64().context("a hold names its process")?)?;
    let process = Pid::from_raw(pid).context("a process has a pid")?;
    for _ in 0..500 {
        kill_process(process, Signal::CONT).context("cannot send SIGCONT")?;
        ensure!(listener.accept().is_err(), "SIGCONT connected it");
    }
    until(
        "the process to be stopped again",
        || Ok((state(u64::from(pid.cast_unsigned())) == Some('T')).then_some(())),
    )?;
    never("SIGCONT connected it", || Ok(listener.accept().is_ok()))?;
    ensure!(guard.pending()?.len() == 1, "one operation, one hold: {}", guard.pending()?.len());
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n" && listener.accept().is_ok(), "approved, and it printed {output:?}");
    Ok(())
}

fn unix(guard: &mut Guard) -> Result<()> {
    let listener = socket_file()?;
    local(guard, &listener, "curl --silent --max-time 2 --unix-socket /srv/guarded.sock http://x/; echo and on")
}

/// Listens at the file that the rules name.
fn socket_file() -> Result<UnixListener> {
    if std::fs::exists("/srv/guarded.sock").context("cannot look for the socket")? {
        std::fs::remove_file("/srv/guarded.sock").context("cannot remove the socket")?;
    }
    UnixListener::bind("/srv/guarded.sock").context("cannot listen")
}

/// The rule names the file, and the kernel finds it.
fn unix_otherwise(guard: &mut Guard) -> Result<()> {
    let listener = socket_file()?;
    let names = [
        ("ln -s /srv/guarded.sock ./innocent", "./innocent"),
        ("ln -s /srv ./somewhere", "./somewhere/guarded.sock"),
        ("cd /srv", "guarded.sock"),
        ("true", "/proc/self/root/srv/../srv//guarded.sock"),
        ("exec 7</srv", "/proc/self/fd/7/guarded.sock"),
    ];
    for (before, name) in names {
        let curl = format!("curl --silent --max-time 2 --unix-socket {name} http://x/; echo and on");
        local(guard, &listener, &format!("{before}; {curl}")).with_context(|| format!("as {name}"))?;
    }
    Ok(())
}

fn unix_datagram(guard: &mut Guard) -> Result<()> {
    let place = "/srv/guarded.sock";
    socket_file()?;
    std::fs::remove_file(place).context("cannot remove the socket")?;
    let receiver = UnixDatagram::bind(place).context("cannot listen")?;
    receiver.set_nonblocking(true).context("cannot set non-blocking")?;
    let arrived = || Ok(receiver.recv(&mut [0; 16]).is_ok());
    let send =
        "use Socket; socket(S, PF_UNIX, SOCK_DGRAM, 0); send(S, \"x\", 0, sockaddr_un(shift)) or print \"$!\\n\"";
    let mut agent = guard.agent(&format!("ln -s {place} ./innocent; perl -e '{send}' ./innocent; echo and on"))?;
    let hold = guard.held("connect", "guarded")?;
    never("sent before anybody decided", arrived)?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\nand on\n", "it printed {output:?}");
    ensure!(!arrived()?, "denied, and it arrived");
    let mut agent = guard.agent(&format!("perl -e '{send}' {place}; echo and on"))?;
    guard.decide("approve", &guard.held("connect", "guarded")?)?;
    agent.ends_with(0)?;
    ensure!(arrived()?, "approved, and it did not arrive");
    Ok(())
}

fn abstract_name(guard: &mut Guard) -> Result<()> {
    let address = SocketAddr::from_abstract_name("guarded").context("no such address")?;
    let listener = UnixListener::bind_addr(&address).context("cannot listen")?;
    local(guard, &listener, "curl --silent --max-time 2 --abstract-unix-socket guarded http://x/; echo and on")
}

fn local(guard: &Guard, listener: &UnixListener, script: &str) -> Result<()> {
    listener.set_nonblocking(true).context("cannot set non-blocking")?;
    let mut agent = guard.agent(script)?;
    let hold = guard.held("connect", "guarded")?;
    never("connected before anybody decided", || Ok(listener.accept().is_ok()))?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output.ends_with("and on\n"), "it printed {output:?}");
    ensure!(listener.accept().is_err(), "denied, and somebody connected");
    Ok(())
}

fn other_port(guard: &mut Guard) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let port = listener.local_addr().context("no address")?.port();
    let mut agent = guard.agent(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo code $?"))?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "it printed {output:?}");
    Ok(())
}

/// An agent that sends a word to an address, without a connect.
fn sending(guard: &Guard, kind: &str, flags: &str) -> Result<crate::agent::Agent> {
    guard.agent(&format!(
        "perl -MSocket -e 'socket(S, PF_INET, {kind}, 0) or die; \
         print defined(send(S, \"word\", {flags}, sockaddr_in({PORT}, inet_aton(\"127.0.0.1\")))) ? \"sent\\n\" : \"$!\\n\"'"
    ))
}

fn datagram(guard: &mut Guard) -> Result<()> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", PORT)).context("cannot listen")?;
    socket.set_nonblocking(true).context("cannot look without waiting")?;
    let mut buffer = [0; 16];
    let mut agent = sending(guard, "SOCK_DGRAM", "0")?;
    let hold = guard.held("connect", &PORT.to_string())?;
    never("it arrived before anybody decided", || Ok(socket.recv(&mut buffer).is_ok()))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    let arrived = socket.recv(&mut buffer).context("approved, and nothing arrived")?;
    ensure!(output == "sent\n" && buffer.starts_with(b"word") && arrived == 4, "it printed {output:?}");
    let mut agent = sending(guard, "SOCK_DGRAM", "0")?;
    let hold = guard.held("connect", &PORT.to_string())?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\n", "denied, and it printed {output:?}");
    ensure!(socket.recv(&mut buffer).is_err(), "denied, and it arrived");
    Ok(())
}

/// `MSG_FASTOPEN` connects inside sendto(2).
fn fast_open(guard: &mut Guard) -> Result<()> {
    let listener = listen("127.0.0.1")?;
    listener.set_nonblocking(true).context("cannot look without waiting")?;
    let mut agent = sending(guard, "SOCK_STREAM", "0x20000000")?;
    let hold = guard.held("connect", &PORT.to_string())?;
    never("somebody connected before anybody decided", || Ok(listener.accept().is_ok()))?;
    guard.decide("deny", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "Operation not permitted\n" && listener.accept().is_err(), "denied, and it printed {output:?}");
    Ok(())
}

/// Where no rule is on every address they are made as ever.
fn raw(guard: &mut Guard) -> Result<()> {
    let rules = "/srv/every-address.yaml";
    let text = "rules: [{name: every-address, text: Egress., action: hold, reversibility: partial, \
                match: {op: connect, address: \"::/0\"}}]";
    std::fs::write(rules, text).context("cannot write the rules")?;
    let sockets = "for ([2, 1], [10, 58], [17, 768]) { \
                   print socket(S, $$_[0], 3, $$_[1]) ? \"made\\n\" : \"$!\\n\" }";
    let mut free = guard.agent(&format!("perl -e '{sockets}'"))?;
    let output = free.ends_with(0)?;
    ensure!(output == "made\nmade\nmade\n", "without such a rule it printed {output:?}");
    let output = std::fs::File::create("/srv/raw.output").context("cannot make its output")?;
    let mut command = guard.command();
    command.args(["run", "--rules", rules, "--", "perl", "-e", sockets]).stdout(output);
    let mut agent = command.spawn().context("cannot start guardctl run")?;
    for verb in ["deny", "approve", "deny"] {
        let hold = guard.held("connect", "anywhere")?;
        let id = crate::guard::id(&hold)?;
        ensure!(guard.guardctl(&[verb, id, "--once"])?.code == 0, "{verb} {id} failed");
        until("the decision to be carried out", || {
            let pending = guard.pending()?;
            Ok((!pending.iter().any(|other| other["id"] == id)).then_some(()))
        })?;
    }
    until("the agent to end", || agent.try_wait().context("cannot wait for it"))?;
    let output = std::fs::read_to_string("/srv/raw.output").context("cannot read its output")?;
    ensure!(output == "Operation not permitted\nmade\nOperation not permitted\n", "it printed {output:?}");
    Ok(())
}
