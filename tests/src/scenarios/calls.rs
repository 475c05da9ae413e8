//! What files, processes and connections are reached by, beside what ordinary programs call: held all the same. Disks and
//! mounts are `devices`.

use std::{
    cell::RefCell,
    fs::{self, File},
    net::{TcpListener, UdpSocket},
    os::{fd::AsRawFd as _, unix::fs::FileExt as _, unix::process::CommandExt as _},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    Scenario,
    file::{GUARDED, fresh, gone},
    gate,
    task::Bystander,
    tries::{CALLS_PLACE, Try, held, place_calls},
    ways::release,
};
use crate::{
    guard::Guard,
    patience::{never, until},
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        gate("other_processes_are_held_by_whatever_call_they_are_reached", |guard| held(guard, processes)),
        gate("a_connection_is_held_however_it_is_made", |guard| held(guard, connections)),
        gate("a_signal_to_every_process_or_a_group_waits_for_one_answer", everybody),
    ]
}

/// An attempt to end a process of its own.
fn signal(call: &str) -> Result<Try> {
    let bystander = RefCell::new(Bystander::start()?);
    let pid = bystander.borrow().0.id();
    let is_dead = move |_: &Path| Ok(!bystander.borrow_mut().is_alive()?);
    Ok(Try::new(format!("CALL {call} {pid} 9"), "signal", pid.to_string(), is_dead))
}

/// An attempt to write where nothing is, at the end of the stack of a process of its own. Attaching cannot wait: it is refused
/// at once, and works the second time.
fn memory(call: &str) -> Result<Try> {
    let bystander = Bystander::start()?;
    let pid = bystander.0.id();
    let at = stack(pid)?;
    let is_changed = move |_: &Path| {
        let memory = File::open(format!("/proc/{}/mem", bystander.0.id())).context("cannot open the memory")?;
        let mut byte = [0];
        memory.read_exact_at(&mut byte, at).context("cannot read the memory")?;
        Ok(byte == *b"x")
    };
    Ok(Try::new(format!("CALL twice-{call} {pid} {at} x"), "ptrace", pid.to_string(), is_changed))
}

/// Where the stack of a process ends.
pub(super) fn stack(pid: u32) -> Result<u64> {
    // Until its program is there it has the memory of another, or a stack that is moved yet.
    until("the process to execute", || {
        let program = fs::read_link(format!("/proc/{pid}/exe")).context("cannot find the program")?;
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).context("cannot read the maps")?;
        let is_there = program != std::env::current_exe()? && maps.contains(&*program.to_string_lossy());
        let line = maps.lines().find(|line| is_there && line.ends_with("[stack]"));
        line.and_then(|line| line.split_once('-')).map(|(start, _)| Ok(u64::from_str_radix(start, 16)?)).transpose()
    })
}

fn processes() -> Result<Vec<Try>> {
    fresh()?;
    let elsewhere = "/sys/fs/cgroup/elsewhere";
    fs::create_dir_all(elsewhere).context("cannot make a cgroup")?;
    let open = File::options().append(true).open(format!("{GUARDED}/other")).context("cannot open a file")?;
    let through = format!("echo more >>/proc/{}/fd/{}", std::process::id(), open.as_raw_fd());
    let has_more = move |_: &Path| Ok(open.metadata()?.len() > "other\n".len() as u64);

    let outside = "/srv/outside";
    let stdout = File::create(outside).context("cannot make a file")?;
    let holder = Bystander(Command::new("sleep").arg("600").stdout(Stdio::from(stdout)).spawn()?);
    let take = format!("CALL twice-pidfd_getfd {} 1", holder.0.id());
    let about = holder.0.id().to_string();
    let is_written = move |_: &Path| {
        ensure!(fs::exists(format!("/proc/{}", holder.0.id()))?, "the bystander is gone");
        Ok(fs::metadata(outside)?.len() > 0)
    };
    Ok(vec![
        signal("tgkill")?,
        signal("sigqueue")?,
        signal("pidfd_send_signal")?,
        memory("proc_mem")?,
        memory("process_vm_writev")?,
        Try::new(take, "ptrace", about, is_written),
        Try::new(through, "open_write", format!("{GUARDED}/other"), has_more),
        Try::new(format!("CALL clone_into_cgroup {elsewhere} {GUARDED}/file"), "unlink", GUARDED, |_| Ok(gone("file"))),
    ])
}

fn connections() -> Result<Vec<Try>> {
    /// The rules name it.
    const PORT: u16 = 4242;
    let to = |call: &str, host: &str, address: &str| -> Result<Try> {
        let listener = TcpListener::bind((address, PORT)).with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        let came = move |_: &Path| Ok(listener.accept().is_ok());
        Ok(Try::new(format!("CALL {call} {host} {PORT}"), "connect", address, came))
    };
    let receiver = UdpSocket::bind(("127.0.0.3", PORT)).context("cannot receive")?;
    receiver.set_nonblocking(true)?;
    let received = move |_: &Path| Ok(receiver.recv(&mut [0; 16]).is_ok());
    Ok(vec![
        to("nonblocking", "127.0.0.2", "127.0.0.2")?,
        Try::new(format!("CALL udp 127.0.0.3 {PORT}"), "connect", "127.0.0.3", received),
        to("fast_open", "127.0.0.4", "127.0.0.4")?,
        to("mptcp", "127.0.0.5", "127.0.0.5")?,
        to("tcp", "::ffff:127.0.0.6", "127.0.0.6")?,
    ])
}

/// The account of nobody else: `kill -1` reaches the processes of one's own user.
const USER: &str = "1234";

/// One call, several processes: the kernel asks about one after the other, and a call waits for one answer.
fn everybody(guard: &mut Guard) -> Result<()> {
    let sleeper = |group: i32| -> Result<Bystander> {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", USER, "--clear-groups", "sleep", "600"]).process_group(group);
        Ok(Bystander(command.spawn().context("cannot start a bystander")?))
    };
    place_calls()?;
    let as_user = format!("setpriv --reuid {USER} --clear-groups bash -c");
    // The descriptor of a process stands for its group, too, since 6.9.
    let new: &[&str] = if release() >= (6, 9) { &["group by a descriptor"] } else { &[] };
    for to in ["every process", "group"].iter().chain(new).copied() {
        let mut first = sleeper(0)?;
        let group = first.0.id().cast_signed();
        let mut others = vec![sleeper(group)?];
        let mut alone = sleeper(0)?;
        let command = match to {
            "every process" => "kill -9 -1".to_owned(),
            "group" => format!("kill -9 -{group}"),
            _ => format!("perl {CALLS_PLACE} pidfd_send_signal {group} 9 4"),
        };
        let is_group = to != "every process";
        if !is_group {
            others.push(sleeper(0)?);
        }
        let mut living = || -> Result<usize> {
            let others = others.iter_mut().map(Bystander::is_alive).collect::<Result<Vec<_>>>()?;
            Ok(others.iter().filter(|lives| **lives).count() + usize::from(first.is_alive()?))
        };
        let all = living()?;
        // Starting perl is asked about, too, once in each of the two tries.
        let asked_besides = if command.starts_with("perl") { 2 } else { 0 };
        let before = guard.count("held")?;
        // A child of the agent's own is nothing that anybody is asked about.
        let child = if is_group { "" } else { "sleep 600 & " };
        let script = format!("{as_user} '{child}{command} 2>/dev/null && echo sent || echo refused'");
        let mut agent = guard.agent(&script)?;
        let hold = guard.held("signal", "signal 9")?;
        let whom = if is_group { "group" } else { to };
        ensure!(hold["operation"].to_string().contains(whom), "it does not say whom the signal is for: {hold}");
        never("one was killed before anybody decided", || Ok(living()? != all))?;
        guard.decide("deny", &hold)?;
        let said = agent.ends_with(0)?;
        ensure!(living()? == all, "`{command}` was denied, and one was killed");
        ensure!(!is_group || said.contains("refused"), "`{command}` was denied and said {said:?}");
        let mut agent = guard.agent(&script)?;
        let hold = guard.held("signal", "signal 9")?;
        guard.decide("approve", &hold)?;
        let said = agent.ends_with(0)?;
        ensure!(said.contains("sent"), "`{command}` was approved and said {said:?}");
        until("the processes to be gone", || Ok((living()? == 0).then_some(())))?;
        ensure!(alone.is_alive()? == is_group, "`{command}` was approved, and reached others than it says");
        let asked = guard.count("held")? - before - asked_besides;
        ensure!(asked == 2, "two calls were asked about {asked} times");
    }
    Ok(())
}
