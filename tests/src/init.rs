//! PID 1 of a test machine: mounts what a Linux system has, loads the modules the kernel does not have built in, moves
//! into the Debian system, runs one command there, writes its exit code to the kernel's console and powers off. Where
//! systemd is to be PID 1, it hands over to it, and the rest happens in a service.
//! What to run comes from `/boot.json`, written by `xtask/src/vm/initramfs.rs`. No scenario is known here.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    mount::{MountFlags, mount, mount_bind, mount_move},
    process::{Pid, WaitOptions, chroot, wait},
    system::{RebootCommand, finit_module, reboot},
    termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetpgrp, tcsetwinsize},
};
use serde::Deserialize;

/// The kernel's console, which xtask reads the result from.
const CONSOLE: &str = "/dev/ttyS0";
/// The person's terminal, or where output goes line by line.
const SCREEN: &str = "/dev/ttyS1";
/// Where a service finds what PID 1 was told.
const HANDED_OVER: &str = "/etc/guard-tests.json";
/// How long a disk may take to appear.
const DISK_DEADLINE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Boot {
    argv: Vec<String>,
    environment: BTreeMap<String, String>,
    interactive: bool,
    systemd: bool,
    size: Option<(u16, u16)>,
    modules: Vec<String>,
}

/// Runs as PID 1; returns only when the machine cannot be powered off.
pub(crate) fn run() -> Result<()> {
    finish(boot())
}

/// `guard-tests serve`: what systemd starts; does what PID 1 does elsewhere.
pub(crate) fn serve() -> Result<()> {
    finish(told(HANDED_OVER).and_then(|boot| execute(&boot)))
}

/// Says the result and powers off.
fn finish(result: Result<i32>) -> Result<()> {
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            say(&format!("guard-init: {error:#}"))?;
            125
        }
    };
    rustix::fs::sync();
    say(&format!("guard-init: exit {code}"))?;
    reboot(RebootCommand::PowerOff).context("cannot power off")
}

fn boot() -> Result<i32> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        mount_new(kind, Path::new(at))?;
    }
    let boot = told("/boot.json")?;
    let text = fs::read("/boot.json").context("cannot read /boot.json")?;
    for module in &boot.modules {
        let file = File::open(Path::new("/modules").join(module)).with_context(|| format!("cannot open {module}"))?;
        finit_module(file, c"", 0).with_context(|| format!("cannot load {module}"))?;
    }
    enter_root()?;
    if boot.systemd {
        fs::write(HANDED_OVER, text).with_context(|| format!("cannot write {HANDED_OVER}"))?;
        return hand_over();
    }
    furnish()?;
    // The network is lo alone: nothing in here reaches anything.
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("cannot start ip")?;
    if !up.success() {
        bail!("cannot bring lo up: {up}");
    }
    execute(&boot)
}

fn told(file: &str) -> Result<Boot> {
    let text = fs::read(file).with_context(|| format!("cannot read {file}"))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot understand {file}"))
}

/// Becomes systemd, which starts [`serve`]. Returns only when that fails.
fn hand_over() -> Result<i32> {
    const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";
    let unit = Path::new("/etc/systemd/system/guard-tests.service");
    let text = "[Service]\nExecStart=/usr/local/bin/guard-tests serve\n";
    fs::write(unit, text).with_context(|| format!("cannot write {}", unit.display()))?;
    fs::create_dir_all(WANTS).with_context(|| format!("cannot make {WANTS}"))?;
    std::os::unix::fs::symlink(unit, format!("{WANTS}/guard-tests.service")).context("cannot enable the unit")?;
    let error = std::os::unix::process::CommandExt::exec(Command::new("/usr/lib/systemd/systemd").env_clear());
    Err(error).context("cannot start systemd")
}

/// Mounts the Debian system and makes it the root.
fn enter_root() -> Result<()> {
    wait_for("/dev/vda")?;
    mount("/dev/vda", "/root", "ext4", MountFlags::empty(), None).context("cannot mount /dev/vda")?;
    for directory in ["/proc", "/sys", "/dev"] {
        mount_move(directory, format!("/root{directory}")).with_context(|| format!("cannot move {directory}"))?;
    }
    mount_bind("/guard", "/root/usr/local/bin").context("cannot bind /guard")?;
    std::env::set_current_dir("/root").context("cannot enter /root")?;
    mount_move(".", "/").context("cannot move the root")?;
    chroot(".").context("cannot change the root")?;
    std::env::set_current_dir("/").context("cannot enter /")
}

/// Mounts everything a system expects that nobody else boots.
fn furnish() -> Result<()> {
    fs::create_dir_all("/dev/pts").context("cannot make /dev/pts")?;
    fs::create_dir_all("/dev/shm").context("cannot make /dev/shm")?;
    for (kind, at) in [
        ("devpts", "/dev/pts"),
        ("tmpfs", "/dev/shm"),
        ("tmpfs", "/run"),
        ("tmpfs", "/tmp"),
        ("securityfs", "/sys/kernel/security"),
        ("cgroup2", "/sys/fs/cgroup"),
        ("bpf", "/sys/fs/bpf"),
        ("tracefs", "/sys/kernel/tracing"),
        ("debugfs", "/sys/kernel/debug"),
    ] {
        mount_new(kind, Path::new(at))?;
    }
    for (path, mode) in [("/tmp", 0o1777), ("/dev/shm", 0o1777)] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
            .with_context(|| format!("cannot chmod {path}"))?;
    }
    if !Path::new("/dev/ptmx").exists() {
        std::os::unix::fs::symlink("pts/ptmx", "/dev/ptmx").context("cannot link /dev/ptmx")?;
    }
    for (link, to) in [("fd", "self/fd"), ("stdin", "self/fd/0"), ("stdout", "self/fd/1"), ("stderr", "self/fd/2")] {
        let link = Path::new("/dev").join(link);
        if !link.exists() {
            std::os::unix::fs::symlink(Path::new("/proc").join(to), &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    rustix::system::sethostname(b"guard-vm").context("cannot set the host name")
}

/// Runs the command in a session of its own on the screen, reaping every orphan, until it ends.
fn execute(boot: &Boot) -> Result<i32> {
    let screen =
        OpenOptions::new().read(true).write(true).open(SCREEN).with_context(|| format!("cannot open {SCREEN}"))?;
    let mut terminal = tcgetattr(&screen).context("cannot read the screen's modes")?;
    if boot.interactive {
        terminal.local_modes |= LocalModes::ISIG | LocalModes::ICANON | LocalModes::ECHO;
    } else {
        terminal.make_raw();
    }
    tcsetattr(&screen, OptionalActions::Now, &terminal).context("cannot set the screen's modes")?;
    if let Some((ws_row, ws_col)) = boot.size {
        tcsetwinsize(&screen, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 })
            .context("cannot set the screen's size")?;
    }
    let mut command = Command::new(boot.argv.first().context("/boot.json names no command")?);
    command
        .args(boot.argv.iter().skip(1))
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("LANG", "C.UTF-8")
        .envs(&boot.environment)
        .current_dir("/root")
        .stdin(if boot.interactive { Stdio::from(screen.try_clone()?) } else { Stdio::null() })
        .stdout(screen.try_clone()?)
        .stderr(screen.try_clone()?);
    // PID 1 leads the session, so that the terminal is not hung up, and its last output not lost, when the command ends.
    if boot.interactive {
        rustix::process::setsid().context("cannot start a session")?;
        rustix::process::ioctl_tiocsctty(&screen).context("cannot take the terminal")?;
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    let child = command.spawn().context("cannot start the command")?;
    let pid = Pid::from_raw(child.id().cast_signed()).context("a child has a pid")?;
    if boot.interactive {
        tcsetpgrp(&screen, pid).context("cannot put the command into the foreground")?;
    }
    let code = reap_until(pid)?;
    let mut drain =
        Command::new("/usr/local/bin/guard-tests").arg("drain").stdout(screen).spawn().context("cannot start drain")?;
    drain.wait().context("cannot wait for drain")?;
    Ok(code)
}

/// Reaps every orphan until the process ends; its exit code, or 128 and the signal.
fn reap_until(pid: Pid) -> Result<i32> {
    loop {
        let Some((ended, status)) = wait(WaitOptions::empty()).context("cannot wait")? else { continue };
        if ended == pid {
            let status = ExitStatus::from_raw(status.as_raw());
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
    }
}

/// `guard-tests drain`: waits until standard output, a terminal, has been sent. In a session of its own, because a
/// process in the background of a terminal may not wait for it.
pub(crate) fn drain() -> Result<()> {
    rustix::process::setsid().context("cannot start a session")?;
    rustix::termios::tcdrain(std::io::stdout()).context("cannot drain standard output")
}

fn mount_new(kind: &str, at: &Path) -> Result<()> {
    mount(kind, at, kind, MountFlags::empty(), None).with_context(|| format!("cannot mount {kind} on {}", at.display()))
}

/// Devices appear when their driver has probed them: look again until the deadline.
fn wait_for(path: &str) -> Result<()> {
    let deadline = Instant::now() + DISK_DEADLINE;
    while !Path::new(path).exists() {
        if Instant::now() > deadline {
            bail!("{path} did not appear");
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    let mut console = OpenOptions::new().write(true).open(CONSOLE).with_context(|| format!("cannot open {CONSOLE}"))?;
    writeln!(console, "\n{line}").context("cannot write to the console")?;
    rustix::termios::tcdrain(&console).context("cannot drain the console")
}
