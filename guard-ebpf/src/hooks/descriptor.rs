//! Descriptors that this agent did not open itself: what it had when it was tagged, and what others send it. Their use is
//! judged as the open, or the connect, would have been. What an agent opens itself is judged in `file` and `net`.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{
    op::Op,
    record::{SLOT_DENIED, SLOT_HELD},
    table::AdoptedKey,
};

use crate::{
    agent::{Tagged, current_agent},
    gate::ALLOW,
    hooks::{
        file::{could_match, file_path},
        net::{self, Reach},
    },
    kread::{Addr, current, load, pointer, read, regs},
    maps::{ADOPTED, ADOPTED_FILTER},
    marks, offset,
};

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFSOCK: u32 = 0o140_000;

const FMODE_WRITE: u32 = 2;

/// `int security_file_permission(struct file *file, int mask)`
///
/// Every read and write of every process comes here, so the first question must be cheap. Also on the way of fallocate(2),
/// copy_file_range(2), sendfile(2), splice(2) and of what shares blocks.
#[lsm(hook = "file_permission")]
pub(crate) fn file_permission(ctx: LsmContext) -> i32 {
    const MAY_WRITE: u32 = 2;
    let file = ctx.arg::<u64>(0);
    if !may_be_adopted(file) {
        return ALLOW;
    }
    used(file, if ctx.arg::<u32>(1) & MAY_WRITE != 0 { Op::OpenWrite } else { Op::OpenRead })
}

/// `int security_mmap_file(struct file *file, unsigned long prot, unsigned long flags)`, the hook `mmap_file(struct file *file,
/// unsigned long reqprot, unsigned long prot, unsigned long flags)`
#[lsm(hook = "mmap_file")]
pub(crate) fn mmap_file(ctx: LsmContext) -> i32 {
    /// `MAP_TYPE`; `MAP_SHARED` and `MAP_SHARED_VALIDATE` differ in bit 1 alone.
    const TYPE: u64 = 0xf;
    const SHARED: u64 = 1;
    const PROT_WRITE: u64 = 2;
    // Memory without a file has none.
    let file = ctx.arg::<u64>(0);
    if file == 0 || !may_be_adopted(file) {
        return ALLOW;
    }
    let shared = ctx.arg::<u64>(3) & TYPE & !2 == SHARED;
    // A mapping that may be written to later counts as one that is.
    let writable = load::<u32>(file, offset!(file_mode)) & FMODE_WRITE != 0 || ctx.arg::<u64>(1) & PROT_WRITE != 0;
    used(file, if shared && writable { Op::OpenWrite } else { Op::OpenRead })
}

/// `int security_file_receive(struct file *file)`
///
/// A descriptor sent over a socket, or taken by `pidfd_getfd(2)`. The message is consumed, so that nothing can wait here.
#[lsm(hook = "file_receive")]
pub(crate) fn file_receive(ctx: LsmContext) -> i32 {
    /// `pidfd_getfd(2)` asks `ptrace_access_check` first: who may take a process over may have what it has. Two answers to one
    /// call that cannot wait would each void the other.
    const PIDFD_GETFD: u64 = 438;
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let is_taken = regs(current()).is_some_and(|regs| regs.orig_ax & 0xbfff_ffff == PIDFD_GETFD);
    if is_taken && tagged.entry.ops.contains(Op::Ptrace) {
        return ALLOW;
    }
    let file = ctx.arg::<u64>(0);
    let mode: u32 = load(file, offset!(file_mode));
    let op = if mode & FMODE_WRITE != 0 { Op::OpenWrite } else { Op::OpenRead };
    let (op, what) = match kind(file) {
        S_IFSOCK if tagged.entry.ops.contains(Op::Connect) => (Op::Connect, peer(&tagged, file)),
        S_IFREG | S_IFBLK | S_IFCHR => (op, opened(&tagged, file, op)),
        _ => return ALLOW,
    };
    net::settle(&tagged, op, SLOT_DENIED, what)
}

/// May some agent have had this open when it was tagged?
#[inline(always)]
pub(crate) fn may_be_adopted(file: Addr) -> bool {
    marks::may_hold(&ADOPTED_FILTER, ino_of(file))
}

/// An open file is used: decides as its open would have been decided, where that was before the tagging. Once that is let
/// through the descriptor is like one the agent opened.
#[inline(always)]
fn used(file: Addr, op: Op) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let is_socket = kind(file) == S_IFSOCK;
    let op = if is_socket { Op::Connect } else { op };
    if unjudged(&tagged, file, op).is_none() {
        return ALLOW;
    }
    let what = if !is_socket {
        opened(&tagged, file, op)
    } else if tagged.entry.ops.contains(Op::Connect) {
        peer(&tagged, file)
    } else {
        Reach::Nothing
    };
    let answer = net::settle(&tagged, op, SLOT_HELD, what);
    if answer == ALLOW {
        judged(&tagged, file, op);
    }
    answer
}

/// Was this open when the agent was tagged, and has nobody judged this use of it?
#[inline(always)]
pub(crate) fn unjudged(tagged: &Tagged, file: Addr, op: Op) -> Option<()> {
    // SAFETY: the value is copied at once.
    unsafe { ADOPTED.get(&key(tagged, file)) }.is_some_and(|unjudged| unjudged.contains(op)).then_some(())
}

/// This use of it was let through: it is asked about no more.
#[inline(always)]
pub(crate) fn judged(tagged: &Tagged, file: Addr, op: Op) {
    if let Some(unjudged) = ADOPTED.get_ptr_mut(&key(tagged, file)) {
        // SAFETY: a value of the map; the daemon at most removes the element. Of two threads at once one may put a bit back:
        // it is asked for once more.
        unsafe { (*unjudged).0 &= !op.set().0 };
    }
}

#[inline(always)]
fn key(tagged: &Tagged, file: Addr) -> AdoptedKey {
    AdoptedKey { agent: tagged.agent, ino: ino_of(file) }
}

#[inline(always)]
fn ino_of(file: Addr) -> u64 {
    let inode: Addr = load(file, offset!(file_inode));
    load(inode, offset!(inode_ino))
}

/// `S_IFMT` bits of an open file; 0 when they cannot be read.
#[inline(always)]
fn kind(file: Addr) -> u32 {
    let inode: Addr = load(file, offset!(file_inode));
    u32::from(load::<u16>(inode, offset!(inode_mode))) & S_IFMT
}

/// What an open file is to the rules, as `file_open` sees it.
#[inline(always)]
fn opened(tagged: &Tagged, file: Addr, op: Op) -> Reach {
    let Some((mount, dentry)) = file_path(file) else {
        return Reach::Unreadable;
    };
    let inode = load(file, offset!(file_inode));
    if !could_match(tagged, op.set(), mount, dentry, inode) {
        return Reach::Nothing;
    }
    Reach::Open { mount, dentry, inode, flags: load(file, offset!(file_flags)) }
}

/// Where an open socket leads, as `socket_connect` sees it.
#[inline(always)]
pub(crate) fn peer(tagged: &Tagged, file: Addr) -> Reach {
    let sock = read::<u64>(file, offset!(file_private)).and_then(|socket| pointer(socket, offset!(socket_sock)));
    match sock {
        Some(sock) => net::peer_of(tagged, sock),
        None => Reach::Unreadable,
    }
}
