//! One boot of one machine: the QEMU command, the kernel's console watched for its death, the result read from it.
//! The first serial port is the kernel's; the second is the person's, or the program's output line by line.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    os::unix::net::UnixListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    accelerator,
    kernel::Kernel,
    qemu::{self, Qemu},
};
use crate::program::shown;

/// How often a machine whose kernel died under emulation is started again. QEMU crashes a guest now and then.
pub(crate) const ATTEMPTS: u32 = 3;

/// What PID 1 writes to the console last, followed by the exit code.
const RESULT: &str = "guard-init: exit ";

/// What a kernel says when it will not go on.
const DEATHS: &[&str] = &["Kernel panic", "soft lockup", "hard LOCKUP", "double fault", "Oops:", "self-detected stall"];

/// What to boot.
pub(crate) struct Machine<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) root: &'a Path,
    pub(crate) initramfs: &'a Path,
    pub(crate) icount: bool,
    /// Processors. With `icount` there is one.
    pub(crate) processors: u32,
    /// Megabytes.
    pub(crate) memory: u32,
    pub(crate) timeout: Duration,
    pub(crate) append: &'a str,
    pub(crate) verbose: bool,
}

/// Who has the second serial port.
pub(crate) enum Screen<'a> {
    /// The caller's terminal, raw in both directions.
    Person,
    /// Called with each line the program prints.
    Lines(&'a mut dyn FnMut(&str) -> Result<()>),
}

/// How one boot ended.
pub(crate) enum Ending {
    Exit(i32),
    /// The kernel died or QEMU ended without a result.
    Died(String),
    TimedOut,
}

/// What the threads that read report.
enum Heard {
    Console(String),
    Output(String),
    OutputClosed,
}

impl Machine<'_> {
    /// Boots until the program inside has ended, and returns its exit code.
    ///
    /// # Errors
    /// When the kernel died in every attempt or the time was up.
    pub(crate) fn boot(&self, mut screen: Screen<'_>) -> Result<i32> {
        let mut reasons = Vec::new();
        for attempt in 1..=ATTEMPTS {
            match self.boot_once(&mut screen)? {
                Ending::Exit(code) => return Ok(code),
                Ending::TimedOut => bail!("the machine was not done after {} s", self.timeout.as_secs()),
                Ending::Died(reason) => {
                    eprintln!("vm: boot {attempt} of {ATTEMPTS} on {} died: {reason}", self.kernel.release);
                    reasons.push(reason);
                }
            }
        }
        bail!("the machine died {ATTEMPTS} times: {}", reasons.join("; "))
    }

    /// Boots once.
    ///
    /// # Errors
    /// When the machine cannot be started or watched.
    pub(crate) fn boot_once(&self, screen: &mut Screen<'_>) -> Result<Ending> {
        /// Two machines may run at once.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        // A socket's path is short (108 bytes), so it cannot live below target/.
        let directory = std::env::temp_dir().join(format!("guard-vm-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let socket = directory.join("console");
        let listener = UnixListener::bind(&socket).with_context(|| format!("cannot listen on {}", socket.display()))?;
        let mut command = self.command(qemu::get()?, &socket, accelerator::kvm_works(self.kernel)?);
        if self.verbose {
            eprintln!("vm: {}", shown(&command));
        }
        match screen {
            Screen::Person => command.stdin(Stdio::inherit()).stdout(Stdio::inherit()),
            Screen::Lines(_) => command.stdin(Stdio::null()).stdout(Stdio::piped()),
        };
        let child =
            command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", shown(&command)))?;
        let mut running = Running(child);
        let ending = self.watch(&mut running.0, &listener, screen);
        drop(running);
        std::fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))?;
        ending
    }

    fn watch(&self, child: &mut Child, listener: &UnixListener, screen: &mut Screen<'_>) -> Result<Ending> {
        let deadline = Instant::now() + self.timeout;
        let (sender, receiver) = mpsc::sync_channel(1024);
        let stdout = child.stdout.take();
        let has_output = stdout.is_some();
        if let Some(stdout) = stdout {
            let sender = sender.clone();
            thread::spawn(move || {
                read_lines(stdout, |line| sender.send(Heard::Output(line)).is_ok());
                // The receiver is gone when the machine timed out: nobody to tell.
                drop(sender.send(Heard::OutputClosed));
            });
        }
        let listener = listener.try_clone().context("cannot share the console's socket")?;
        thread::spawn(move || {
            if let Ok((console, _)) = listener.accept() {
                read_lines(console, |line| sender.send(Heard::Console(line)).is_ok());
            }
        });
        let (mut code, mut death, mut last, mut open) = (None, None, String::new(), has_output);
        loop {
            match receiver.recv_timeout(Duration::from_millis(200)) {
                Ok(Heard::Console(line)) => {
                    if self.verbose {
                        eprintln!("console: {line}\r");
                    }
                    if let Some(number) = line.split_once(RESULT).map(|(_, number)| number) {
                        code = number.trim().parse().ok();
                    } else if DEATHS.iter().any(|death| line.contains(death)) && death.is_none() {
                        death = Some(line.clone());
                    }
                    last = line;
                }
                Ok(Heard::Output(line)) => match screen {
                    Screen::Lines(take) => take(&line)?,
                    Screen::Person => {}
                },
                Ok(Heard::OutputClosed) => open = false,
                Err(_) => {
                    // Everything that was said has been heard; the end is the end.
                    let ended = child.try_wait().context("cannot wait for QEMU")?;
                    if let (Some(status), false) = (ended, open) {
                        return Ok(match (code, death) {
                            (Some(code), _) => Ending::Exit(code),
                            (None, Some(death)) => Ending::Died(death),
                            (None, None) => Ending::Died(format!("QEMU ended with {status}: {}{last}", stderr(child))),
                        });
                    }
                }
            }
            if let (Some(death), None) = (&death, code)
                && death.contains("lockup")
            {
                return Ok(Ending::Died(death.clone()));
            }
            if Instant::now() > deadline {
                return Ok(Ending::TimedOut);
            }
        }
    }

    fn command(&self, qemu: &Qemu, socket: &Path, kvm: bool) -> Command {
        let mut command = qemu.command();
        if self.icount {
            command.args(["-icount", "shift=0,sleep=off", "-smp", "1"]);
        } else {
            let accelerator = if kvm { "kvm" } else { "tcg,thread=multi" };
            command.args(["-accel", accelerator, "-smp", &self.processors.to_string()]);
        }
        command.arg("-cpu");
        command.arg(if kvm { "max".to_owned() } else { qemu.processor(&self.kernel.release) });
        command.args(["-m", &self.memory.to_string(), "-nodefaults", "-display", "none", "-no-reboot"]);
        command.args([
            "-chardev",
            &format!("socket,id=console,path={}", socket.display()),
            "-serial",
            "chardev:console",
        ]);
        command.args(["-chardev", "stdio,id=person,signal=off", "-serial", "chardev:person"]);
        command.args(["-drive", &format!("file={},if=virtio,format=raw,snapshot=on", self.root.display())]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs);
        // An oops is a death: the machine is not what it was, and waiting for the rest wastes the time.
        let words = ["console=ttyS0", "panic=-1", "oops=panic", "quiet", &self.kernel.lsm, self.append];
        command.arg("-append").arg(words.join(" "));
        command
    }
}

/// A QEMU that does not outlive its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            drop(self.0.kill());
            drop(self.0.wait());
        }
    }
}

fn read_lines(stream: impl std::io::Read, mut take: impl FnMut(String) -> bool) {
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        if !take(line) {
            return;
        }
    }
}

fn stderr(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        drop(stderr.read_to_string(&mut text));
    }
    text
}
