//! What the trip tier sees beside changes of files: reads, connections, signals, tracing, mounts, ioctls, rings.

use std::{
    fs,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
};

use anyhow::{Context as _, Result, ensure};

use super::{let_go_on, trip, tripped};
use crate::{
    guard::Guard,
    patience::{never, until},
    scenarios::{Scenario, file::fresh, task::Bystander},
};

/// Where a scenario listens: the rules name it.
const PORT: u16 = 4242;
/// Opens for reading through `openat2`, whose flags are in memory.
const OPENAT2: &str = "$how = pack(\"QQQ\", 0, 0, 0); $path = \"/srv/secret/key\"; $fd = syscall(437, -100, $path, $how, 24); \
                       open(F, \"<&=\", $fd); print <F>";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        trip("trip_stops_a_read_of_a_secret_before_its_contents_are_read", |guard| {
            reading(guard, "cat /srv/secret/key")
        }),
        trip("trip_stops_a_read_through_openat2", |guard| reading(guard, &format!("perl -e '{OPENAT2}'"))),
        trip("trip_stops_a_read_through_a_symbolic_link", |guard| {
            reading(guard, "ln -sf /srv/secret/key link; cat link")
        }),
        trip("trip_lets_other_files_be_read", other_reading),
        trip("trip_stops_after_truncating_through_a_symbolic_link", linked),
        trip("trip_stops_after_connecting_over_ipv4", |guard| tcp(guard, "127.0.0.1")),
        trip("trip_stops_after_connecting_over_ipv6", |guard| tcp(guard, "::1")),
        trip("trip_stops_after_connecting_to_an_abstract_socket", abstract_name),
        trip("trip_lets_connections_elsewhere_pass", other_port),
        trip("trip_stops_after_a_signal_to_a_process_outside", |guard| signal(guard, "kill -KILL PID")),
        trip("trip_stops_after_a_signal_through_a_pidfd", |guard| {
            signal(guard, "perl -e '$fd = syscall(434, PID, 0); syscall(424, $fd, 9, 0, 0); print \"sent\\n\"'")
        }),
        trip("trip_stops_after_a_signal_to_several_processes", signals),
        trip("trip_lets_signals_within_the_agent_pass", own_signal),
        trip("trip_stops_after_attaching_to_a_process_outside", tracing),
        trip("trip_lets_an_agent_trace_its_own_child", own_tracing),
        trip("trip_stops_after_making_a_ring", ring),
        trip("trip_stops_after_changing_a_files_attributes", attributes),
        trip("trip_stops_after_mounting_and_after_unmounting", mounting),
    ]
}

fn secret() -> Result<()> {
    fs::create_dir_all("/srv/secret").context("cannot make /srv/secret")?;
    fs::write("/srv/secret/key", "the key\n").context("cannot write the secret")
}

fn reading(guard: &Guard, command: &str) -> Result<()> {
    secret()?;
    let mut agent = guard.agent(&format!("{command}; echo and on"))?;
    let hold = tripped(guard, "open_read", "/srv/secret/key")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("the key")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "the key\nand on\n", "approved, and it printed {output:?}");
    Ok(())
}

fn other_reading(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("echo mine > file; cat file /etc/hostname > /dev/null && echo read")?;
    let output = agent.ends_with(0)?;
    ensure!(output == "read\n", "it printed {output:?}");
    Ok(())
}

fn linked(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("ln -sf /srv/guarded/file link; perl -e 'truncate(\"link\", 1)'; echo and on")?;
    let hold = tripped(guard, "truncate", "/srv/guarded/file")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("and on")))?;
    let_go_on(guard, &mut agent, &hold)?;
    agent.ends_with(0).map(drop)
}

fn tcp(guard: &Guard, address: &str) -> Result<()> {
    let listener = TcpListener::bind((address, PORT)).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true).context("cannot set non-blocking")?;
    let mut agent = guard.agent(&format!("exec 3<>/dev/tcp/{address}/{PORT}; echo code $?"))?;
    let hold = tripped(guard, "connect", "4242")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("code")))?;
    ensure!(listener.accept().is_ok(), "it is said to have happened, and nobody connected");
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "code 0\n", "approved, and it printed {output:?}");
    Ok(())
}

fn abstract_name(guard: &mut Guard) -> Result<()> {
    let address = SocketAddr::from_abstract_name("guarded").context("no such address")?;
    let listener = UnixListener::bind_addr(&address).context("cannot listen")?;
    let connect = "use Socket; socket(S, AF_UNIX, SOCK_STREAM, 0); \
                   connect(S, pack_sockaddr_un(\"\\0guarded\")) && print \"connected\\n\"";
    let mut agent = guard.agent(&format!("perl -e '{connect}'"))?;
    let hold = tripped(guard, "connect", "guarded")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("connected")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "connected\n", "approved, and it printed {output:?}");
    drop(listener);
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

fn signal(guard: &Guard, command: &str) -> Result<()> {
    let mut bystander = Bystander::start()?;
    let pid = bystander.0.id().to_string();
    let mut agent = guard.agent(&format!("{}; echo and on", command.replace("PID", &pid)))?;
    let hold = tripped(guard, "signal", &pid)?;
    until("the bystander's end", || Ok((!bystander.is_alive()?).then_some(())))?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("and on")))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0).map(drop)
}

fn signals(guard: &mut Guard) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    // A process group of two that is nobody's in the agent.
    let mut group = std::process::Command::new("bash");
    let mut group = group.args(["-c", "sleep 600 & wait"]).process_group(0).spawn().context("cannot start a group")?;
    let pid = group.id();
    until("the group to have two", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        Ok((!children.is_empty()).then_some(()))
    })?;
    let mut agent = guard.agent(&format!("kill -KILL -- -{pid}; echo and on"))?;
    let hold = tripped(guard, "signal", "")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("and on")))?;
    group.wait().context("cannot wait for the group")?;
    let_go_on(guard, &mut agent, &hold)?;
    agent.ends_with(0).map(drop)
}

fn own_signal(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent("sleep 600 & kill -KILL $!; wait $!; echo code $?")?;
    let output = agent.ends_with(0)?;
    ensure!(output.contains("code 137"), "it printed {output:?}");
    Ok(())
}

/// 101 is ptrace, 16 attaches and 17 lets go.
const ATTACH: &str = "syscall(101, 16, $p, 0, 0) == 0 or die; waitpid($p, 0); syscall(101, 17, $p, 0, 0); \
                      print \"attached\\n\"";

fn tracing(guard: &mut Guard) -> Result<()> {
    let bystander = Bystander::start()?;
    let pid = bystander.0.id().to_string();
    let mut agent = guard.agent(&format!("perl -e '$p = {pid}; {ATTACH}'"))?;
    let hold = tripped(guard, "ptrace", &pid)?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("attached")))?;
    guard.decide("approve", &hold)?;
    let output = agent.ends_with(0)?;
    ensure!(output == "attached\n", "approved, and it printed {output:?}");
    Ok(())
}

fn own_tracing(guard: &mut Guard) -> Result<()> {
    let mut agent = guard.agent(&format!("perl -e '$p = fork; if (!$p) {{ sleep 600 }} {ATTACH}; kill 9, $p'"))?;
    let output = agent.ends_with(0)?;
    ensure!(output == "attached\n", "it printed {output:?}");
    Ok(())
}

/// The rules deny a ring, and after the effect a denial is the end of the process.
fn ring(guard: &mut Guard) -> Result<()> {
    let setup = "$p = \"\\0\" x 120; print syscall(425, 8, $p) < 0 ? \"$!\\n\" : \"a ring\\n\"";
    let mut agent = guard.agent(&format!("perl -e '{setup}'; echo code $?"))?;
    let output = agent.ends_with(0)?;
    let refused = output.contains("Operation not permitted") || output.contains("not implemented");
    ensure!(output.ends_with("code 137\n") || refused, "it got {output:?}");
    Ok(())
}

fn attributes(guard: &mut Guard) -> Result<()> {
    fresh()?;
    let mut agent = guard.agent("chattr +A /srv/guarded/file; echo and on")?;
    let hold = tripped(guard, "ioctl", "/srv/guarded/file")?;
    never("it went on before anybody decided", || Ok(agent.output()?.contains("and on")))?;
    guard.decide("approve", &hold)?;
    agent.ends_with(0).map(drop)
}

fn mounting(guard: &mut Guard) -> Result<()> {
    let is_mounted = || -> Result<bool> {
        Ok(fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?.contains(" /srv/mount "))
    };
    fs::create_dir_all("/srv/mount").context("cannot make /srv/mount")?;
    let mut agent =
        guard.agent("mount -i -t tmpfs none /srv/mount; echo mounted; umount -i /srv/mount; echo and on")?;
    let hold = guard.held("mount", "/srv/mount").or_else(|_| guard.held("move_mount", "/srv/mount"))?;
    ensure!(hold["context"] == "tripped" && is_mounted()?, "it is said to be mounted: {hold}");
    never("it went on before anybody decided", || Ok(agent.output()?.contains("mounted")))?;
    guard.decide("approve", &hold)?;
    let hold = tripped(guard, "umount", "/srv/mount")?;
    ensure!(!is_mounted()?, "it is said to be unmounted");
    let_go_on(guard, &mut agent, &hold)?;
    agent.ends_with(0).map(drop)
}
