//! Under the rules that come with guard: what is planted for later, what reaches helpers and hosts, devices by their kind. Each
//! is held, and happens after approval. What those rules refuse is `switches`.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::Path,
    process::Command,
    rc::Rc,
    thread,
};

use anyhow::{Context as _, Result};
use rustix::{
    fs::{CWD, FileType, Mode, makedev, mknodat},
    io::Errno,
    net::{AddressFamily, Protocol, RecvFlags, SocketType},
};

use super::{
    Scenario,
    devices::Disk,
    short,
    tries::{Try, held},
};
use crate::setting::Setting;

pub(super) fn scenarios() -> Vec<Scenario> {
    let shipped =
        |name, tries: fn() -> Result<Vec<Try>>| short(Setting::Shipped, name, move |guard| held(guard, tries));
    vec![
        shipped("what_an_agent_plants_for_later_is_held", planted),
        shipped("what_an_agent_says_to_helpers_and_hosts_is_held_before_the_first_packet", told),
        shipped("disks_memory_kernel_parameters_and_repositories_are_held_by_the_shipped_rules", machine),
    ]
}

/// Where something runs later, or lets somebody in. `HOME` is the agent's.
const NEW: [&str; 17] = [
    "/etc/systemd/system/planted.service",
    "/etc/systemd/system/planted.timer",
    "/etc/systemd/system.control/planted.service",
    "/run/systemd/system/other.service.d/planted.conf",
    "/etc/cron.d/planted",
    "/var/spool/cron/crontabs/planted",
    "/var/spool/cron/atjobs/planted",
    "/etc/udev/rules.d/planted.rules",
    "/etc/ld.so.preload",
    "/usr/lib/python3/dist-packages/planted.pth",
    "/etc/sysctl.d/planted.conf",
    "/etc/modprobe.d/planted.conf",
    "/boot/planted.conf",
    "/etc/grub.d/99_planted",
    "HOME/.ssh/rc",
    "HOME/.ssh/authorized_keys",
    "/srv/repository/.git/hooks/pre-commit",
];

/// What is there already, and is made longer.
const LONGER: [&str; 5] = ["HOME/.bashrc", "HOME/.profile", "/etc/crontab", "/boot/planted.cfg", "/etc/default/grub"];

fn planted() -> Result<Vec<Try>> {
    let home = std::env::var("HOME").context("there is a home")?;
    let above = |path: &str| -> Result<()> {
        let directory = Path::new(path).parent().context("a file is in a directory")?;
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))
    };
    let mut tries = Vec::new();
    for path in NEW.map(|path| path.replace("HOME", &home)) {
        above(&path)?;
        let file = Planted(path.clone());
        file.remove()?;
        tries.push(Try::new(format!(": >>{path}"), "mknod", path, move |_| Ok(fs::exists(&file.0)?)));
    }
    for path in LONGER.map(|path| path.replace("HOME", &home)) {
        above(&path)?;
        fs::write(&path, "# one line\n").with_context(|| format!("cannot write {path}"))?;
        let file = path.clone();
        let is_longer = move |_: &Path| Ok(fs::read_to_string(&file)?.contains("another"));
        tries.push(Try::new(format!("echo '# another' >>{path}"), "open_write", path, is_longer));
    }
    Ok(tries)
}

/// A file that is removed when dropped: what comes later must not be ruled by it.
struct Planted(String);

impl Planted {
    fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.0))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{error:#}");
        }
    }
}

/// Sockets behind which somebody acts for whoever asks.
const HELPERS: [&str; 4] =
    ["/run/docker.sock", "/run/buildkit/buildkitd.sock", "/run/systemd/private", "/run/dbus/system_bus_socket"];

/// Where a cloud hands out the machine's credentials.
const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

/// A name that is harmless the first time, and what it leads to then.
const NAME: &str = "changing.example";

fn told() -> Result<Vec<Try>> {
    let mut tries = Vec::new();
    for path in HELPERS {
        fs::create_dir_all(Path::new(path).parent().context("a socket is in a directory")?)?;
        let socket = Planted(path.to_owned());
        socket.remove()?;
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {path}"))?;
        listener.set_nonblocking(true)?;
        let came = move |_: &Path| Ok(fs::exists(&socket.0)? && listener.accept().is_ok());
        tries.push(Try::new(format!("CALL unix {path}"), "connect", path, came));
    }
    for address in METADATA {
        // It may have it from the round before.
        drop(Command::new("ip").args(["address", "add", address, "dev", "lo"]).output());
    }
    // Of those that come to one listener, each finds one.
    let listen = |address: &str, port: u16| -> Result<Rc<TcpListener>> {
        let listener = TcpListener::bind((address, port)).with_context(|| format!("cannot listen on {address}"))?;
        listener.set_nonblocking(true)?;
        Ok(Rc::new(listener))
    };
    let mut comes = |command: String, about: &str, listener: &Rc<TcpListener>| {
        let listener = Rc::clone(listener);
        tries.push(Try::new(command, "connect", about, move |_| Ok(listener.accept().is_ok())));
    };
    for (address, hosts) in [("127.0.0.1", ["127.0.0.1", "0.0.0.0"]), ("::1", ["::1", "::"])] {
        let listener = listen(address, 22)?;
        for host in hosts {
            comes(format!("CALL tcp {host} 22"), host, &listener);
        }
    }
    let [v4, v6] = METADATA;
    let listener = listen(v4, 80)?;
    for host in [v4.to_owned(), format!("::ffff:{v4}")] {
        comes(format!("CALL tcp {host} 80"), v4, &listener);
    }
    comes(format!("CALL tcp {v6} 80"), v6, &listener_of(v6)?);
    change_name()?;
    let name =
        format!(": <>/dev/tcp/{NAME}/81; until grep -q '^{v4}' /etc/hosts; do sleep 0.1; done; : <>/dev/tcp/{NAME}/82");
    comes(name, v4, &listen(v4, 82)?);

    let datagrams = UdpSocket::bind((v4, 80)).context("cannot receive")?;
    datagrams.set_nonblocking(true)?;
    let received = move |_: &Path| Ok(datagrams.recv(&mut [0; 16]).is_ok());
    tries.push(Try::new(format!("CALL udp {v4} 80"), "connect", v4, received));
    let experiment = Protocol::from_raw(std::num::NonZeroU32::new(253).context("a protocol has a number")?);
    let raw = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(experiment)).context("no raw socket")?;
    let received = move |_: &Path| Ok(rustix::net::recv(&raw, &mut [0; 64], RecvFlags::DONTWAIT).is_ok());
    tries.push(Try::new(format!("CALL raw {v4}"), "connect", v4, received));
    Ok(tries)
}

/// A listener where IPv6 addresses take a moment to be there.
fn listener_of(address: &str) -> Result<Rc<TcpListener>> {
    crate::patience::until("the address to be there", || Ok(TcpListener::bind((address, 80)).ok())).and_then(
        |listener| {
            listener.set_nonblocking(true)?;
            Ok(Rc::new(listener))
        },
    )
}

/// Has the name lead to the metadata service once somebody has connected to what it was before.
fn change_name() -> Result<()> {
    let hosts = |address: &str| fs::write("/etc/hosts", format!("127.0.0.1 localhost\n{address} {NAME}\n"));
    hosts("127.0.0.1").context("cannot write the names")?;
    let harmless = TcpListener::bind(("127.0.0.1", 81)).context("cannot listen")?;
    thread::spawn(move || harmless.accept().and_then(|_| hosts(METADATA[0])));
    Ok(())
}

/// A parameter of the kernel that is put back when dropped: what an approved agent made of it is the whole machine's.
struct Parameter {
    file: &'static str,
    usual: &'static str,
}

impl Parameter {
    fn set(file: &'static str, usual: &'static str) -> Result<Self> {
        fs::write(file, usual).with_context(|| format!("cannot write {file}"))?;
        Ok(Self { file, usual })
    }

    fn value(&self) -> Result<String> {
        let text = fs::read_to_string(self.file).with_context(|| format!("cannot read {}", self.file))?;
        Ok(text.trim().to_owned())
    }
}

impl Drop for Parameter {
    fn drop(&mut self) {
        // It could be written when it was set.
        drop(fs::write(self.file, self.usual));
    }
}

fn machine() -> Result<Vec<Try>> {
    let (disk, aside, numbered) = (Disk::new(30)?, Disk::new(31)?, 31);
    let node = "/srv/innocent";
    match mknodat(CWD, node, FileType::BlockDevice, Mode::from_raw_mode(0o600), makedev(7, numbered)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error).context("cannot make a node"),
    }
    let device = disk.device.clone();
    let (written, written_aside) = (move |_: &Path| Ok(!disk.is_whole()?), move |_: &Path| Ok(!aside.is_whole()?));
    let made = |place: &Path| Ok(fs::exists(place.join("node"))?);
    let parameter = |file: &'static str, usual: &'static str, other: &'static str| -> Result<Try> {
        let parameter = Parameter::set(file, usual)?;
        let is_other = move |_: &Path| Ok(parameter.value()? == other);
        Ok(Try::new(format!("echo {other} >{file}"), "open_write", file, is_other))
    };
    let lost =
        |what: &'static str| move |place: &Path| Ok(fs::exists(place.join("made"))? && !fs::exists(place.join(what))?);
    let make = |name: &str| format!("mkdir -p {name}/.git && : >{name}/.git/HEAD && : >made");
    let open = |file: &'static str| {
        // Even after approval no agent reaches it: the kernel asks for a capability that guard takes away.
        Try::new(format!(": <>{file}"), "open_write", file, |_| Ok(false)).but_says("Operation not permitted")
    };
    Ok(vec![
        Try::new(format!("dd if=/dev/zero of={device} bs=512 count=1 conv=notrunc"), "open_write", &device, written),
        Try::new(format!("dd if=/dev/zero of={node} bs=512 count=1 conv=notrunc"), "open_write", node, written_aside),
        Try::new(format!("mknod node b 7 {numbered}"), "mknod", "/node\"", made),
        open("/dev/mem"),
        parameter("/proc/sys/net/core/bpf_jit_harden", "0", "2")?,
        parameter("/proc/sys/kernel/unprivileged_bpf_disabled", "2", "0")?,
        Try::new(
            format!("{} && python3 -c 'import os; os.rename(\"one/.git\", \"one/x\")'", make("one")),
            "rename",
            "one/.git",
            lost("one/.git"),
        ),
        Try::new(
            format!("{} && perl -e 'unlink(\"two/.git/HEAD\") or die $!'", make("two")),
            "unlink",
            "two/.git/HEAD",
            lost("two/.git/HEAD"),
        ),
        Try::new(
            format!(
                "{} && python3 -c 'import os; os.unlink(\"three/.git/HEAD\"); os.rmdir(\"three/.git\")'",
                make("three")
            ),
            "unlink",
            "three/.git/HEAD",
            lost("three/.git"),
        ),
    ])
}
