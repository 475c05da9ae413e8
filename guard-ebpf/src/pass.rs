//! What one answer covers besides the question it was given to, while the same call lasts: the truncation of an `open`
//! with `O_TRUNC`, and the other processes a signal goes to.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;

use crate::{
    kread::{Addr, pointer, read},
    maps::TASKS,
    offset,
};

/// How long the kernel may take from the one question to the other, in nanoseconds; later it is asked anew.
const CALL: u64 = 1_000_000_000;

/// How long a signal may take from the first process it goes to to the last: the kernel holds a lock meanwhile.
const SIGNAL: u64 = 100_000_000;

/// In place of a device: no device has this major number.
const SIGNAL_DEV: u32 = 0xfff0_0000;

/// Lets the truncation of this file by this task through, once.
#[inline(always)]
pub(crate) fn give(task: u64, dentry: Addr) {
    if let (Some((ino, dev)), Some(seen)) = (identity(dentry), TASKS.get_ptr_mut(&task)) {
        // SAFETY: only the task itself writes these fields.
        unsafe {
            (*seen).pass_ino = ino;
            (*seen).pass_dev = dev;
            (*seen).pass_until = bpf_ktime_get_boot_ns() + CALL;
        }
    }
}

/// Was it let through? Only the first question is answered with yes.
#[inline(always)]
pub(crate) fn take(task: u64, dentry: Addr) -> bool {
    let (Some((ino, dev)), Some(seen)) = (identity(dentry), TASKS.get_ptr_mut(&task)) else {
        return false;
    };
    // SAFETY: only the task itself writes these fields.
    unsafe {
        let good = (*seen).pass_ino == ino && (*seen).pass_dev == dev && bpf_ktime_get_boot_ns() < (*seen).pass_until;
        if good {
            (*seen).pass_until = 0;
        }
        good
    }
}

/// Which processes a signal goes to that may go to several.
#[derive(Clone, Copy)]
pub(crate) enum Several {
    /// As `kill(2)` has it: every process, or a process group.
    Pid(i32),
    /// The process group of this descriptor.
    Pidfd(u32),
}

/// What came of asking about such a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Asked,
    Denied,
    Approved,
}

impl Answer {
    #[inline(always)]
    fn mark(self) -> u32 {
        match self {
            Self::Asked => 1 << 8,
            Self::Denied => 2 << 8,
            Self::Approved => 3 << 8,
        }
    }
}

/// Remembers for the rest of this call what was answered at the process it came to first.
#[inline(always)]
pub(crate) fn note_answer(task: u64, several: Several, signal: u32, first: u32, answer: Answer) {
    if let Some(seen) = TASKS.get_ptr_mut(&task) {
        let (number, dev) = call(several, signal);
        // SAFETY: only the task itself writes these fields.
        unsafe {
            (*seen).pass_ino = number << 32 | u64::from(first);
            (*seen).pass_dev = dev | answer.mark();
            (*seen).pass_until = bpf_ktime_get_boot_ns() + SIGNAL;
        }
    }
}

/// What was answered in this call already; nothing where it comes to the first process again, for then it is another call.
#[inline(always)]
pub(crate) fn answer(task: u64, several: Several, signal: u32, tgid: u32) -> Option<Answer> {
    let (number, dev) = call(several, signal);
    // SAFETY: the value is copied at once; only the task itself writes these fields.
    let (ino, mark, until) = unsafe { TASKS.get(&task) }.map(|seen| (seen.pass_ino, seen.pass_dev, seen.pass_until))?;
    // SAFETY: no arguments; the helper cannot fail.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if ino >> 32 != number || ino as u32 == tgid || now >= until {
        return None;
    }
    [Answer::Asked, Answer::Denied, Answer::Approved].into_iter().find(|answer| mark == dev | answer.mark())
}

/// The number a call sends to, and a device of no file for what it sends.
#[inline(always)]
fn call(several: Several, signal: u32) -> (u64, u32) {
    let signal = SIGNAL_DEV | signal & 0xff;
    match several {
        Several::Pid(pid) => (u64::from(pid.cast_unsigned()), signal),
        Several::Pidfd(fd) => (u64::from(fd), signal | 1 << 10),
    }
}

#[inline(always)]
fn identity(dentry: Addr) -> Option<(u64, u32)> {
    let inode = pointer(dentry, offset!(dentry_inode))?;
    let sb = pointer(dentry, offset!(dentry_sb))?;
    Some((read(inode, offset!(inode_ino))?, read(sb, offset!(sb_dev))?))
}
