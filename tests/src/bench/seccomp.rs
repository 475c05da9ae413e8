//! What people use where guard is not: a supervisor that answers seccomp notifications. Only for comparison: it lets
//! every call go on, after reading the path from the caller's memory, which the caller may change meanwhile.
#![expect(unsafe_code, reason = "seccomp has no safe interface")]

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
        unix::fs::FileExt as _,
    },
    sync::mpsc::channel,
    thread,
};

use anyhow::{Context as _, Result, ensure};

use super::nanoseconds;

const TIMES: u32 = 100;

/// Nanoseconds that each of some unlinks took under a supervisor in another thread.
pub(super) fn round_trips(place: &str) -> Result<Vec<u64>> {
    let (send, receive) = channel();
    let files: Vec<String> = (0..TIMES).map(|number| format!("{place}/seccomp-{number}")).collect();
    for file in &files {
        fs::write(file, "").with_context(|| format!("cannot write {file}"))?;
    }
    let caller = thread::spawn(move || -> Result<Vec<u64>> {
        // The filter is this thread's alone and ends with it.
        send.send(listener().context("seccomp gives no listener")?).context("nobody supervises")?;
        let mut spent = Vec::new();
        for file in files {
            let called = nanoseconds();
            fs::remove_file(&file).with_context(|| format!("cannot remove {file}"))?;
            spent.push(nanoseconds() - called);
        }
        Ok(spent)
    });
    let listener = receive.recv().context("the caller ended")?;
    for _ in 0..TIMES {
        answer(&listener).context("the notification could not be answered")?;
    }
    caller.join().map_err(|_| anyhow::anyhow!("the caller panicked"))?
}

/// Makes this thread ask before `unlink(2)` and `unlinkat(2)`.
fn listener() -> io::Result<OwnedFd> {
    let number = |call: i64| u32::try_from(call).expect("a call has a small number");
    let code = |bits: u32| u16::try_from(bits).expect("a code has 16 bits");
    let (load, equal, give) = (
        code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
        code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
        code(libc::BPF_RET | libc::BPF_K),
    );
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        step(load, 0, 0, 0),
        step(equal, 2, 0, number(libc::SYS_unlink)),
        step(equal, 1, 0, number(libc::SYS_unlinkat)),
        step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(give, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
    ];
    let program = libc::sock_fprog { len: 5, filter: filter.as_mut_ptr() };
    // SAFETY: plain integers; it only takes rights from this thread.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the program and its steps live until the call returns.
    let descriptor = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel gave this descriptor to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// `SECCOMP_IOCTL_NOTIF_RECV` and `SECCOMP_IOCTL_NOTIF_SEND` of `linux/seccomp.h`.
const RECEIVE: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;

/// Waits for one call, reads what it is about, and lets it go on.
fn answer(listener: &OwnedFd) -> Result<()> {
    // SAFETY: a structure of integers, for which all zeros is a value.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is as large as the request says.
    ensure!(unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) } == 0, io::Error::last_os_error());
    let at = if call.data.nr == i32::try_from(libc::SYS_unlinkat)? { call.data.args[1] } else { call.data.args[0] };
    let memory = File::open(format!("/proc/{}/mem", call.pid)).context("the caller's memory cannot be opened")?;
    let mut path = [0; 256];
    ensure!(memory.read_at(&mut path, at).context("the caller's memory cannot be read")? > 0, "no path");
    let mut reply = libc::seccomp_notif_resp {
        id: call.id,
        val: 0,
        error: 0,
        flags: u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE)?,
    };
    // SAFETY: the structure is as large as the request says.
    ensure!(unsafe { libc::ioctl(listener.as_raw_fd(), SEND, &raw mut reply) } == 0, io::Error::last_os_error());
    Ok(())
}
