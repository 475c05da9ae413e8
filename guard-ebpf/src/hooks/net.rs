//! Connections. The address is already in kernel memory when the hook runs: nobody can change it afterwards.
//!
//! A Unix socket that has a file is judged by that file, where the kernel has found it: what a program calls it may lead
//! there through symbolic links, `/proc` or any directory.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{
    count::Count,
    op::Op,
    record::{ADDRESS_MAX, HoldRecord, SLOT_HELD},
    table::{ADDRESS_LEN, PortKey},
};

use crate::{
    agent::{Tagged, current_agent},
    destination::{
        AF_INET, AF_INET6, AF_UNIX, Destination, could_match, inet_peer, is_candidate, is_on_every_address,
        names_a_file,
    },
    footprint,
    gate::{self, ALLOW},
    hooks::{descriptor, file::detail},
    kread::{Addr, copy, load, pointer, read},
    maps::PORTS,
    object, offset, own,
    scratch::slot,
};

/// `int security_socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_connect")]
pub(crate) fn socket_connect(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let address = ctx.arg::<u64>(1);
    let len = ctx.arg::<u32>(2);
    let answer = connect(&tagged, address, len);
    if answer == ALLOW {
        footprint::reached(&tagged, address, len);
    }
    answer
}

#[inline(always)]
fn connect(tagged: &Tagged, address: Addr, len: u32) -> i32 {
    if !tagged.entry.ops.contains(Op::Connect) {
        return ALLOW;
    }
    // The canary connects to nobody.
    if tagged.entry.canary == 0 {
        match names_a_file(address, len) {
            Some(false) => {}
            Some(true) => return ALLOW,
            None => return gate::refuse(Count::PathDoubt),
        }
    }
    settle(tagged, Op::Connect, SLOT_HELD, by_address(tagged, address, len))
}

/// `int security_socket_create(int family, int type, int protocol, int kern)`
///
/// What is sent through a raw or packet socket goes wherever its bytes say. Where a rule is on every address, as an egress list
/// is, making one is judged as a connect to nowhere in particular; elsewhere its `connect` and `sendto` alone are looked at.
#[lsm(hook = "socket_create")]
pub(crate) fn socket_create(ctx: LsmContext) -> i32 {
    const AF_PACKET: u32 = 17;
    const AF_XDP: u32 = 44;
    const SOCK_RAW: u32 = 3;
    const SOCK_PACKET: u32 = 10;
    let (family, kind) = (ctx.arg::<u32>(0), ctx.arg::<u32>(1) & 0xf);
    let is_internet = family == u32::from(AF_INET) || family == u32::from(AF_INET6);
    let is_free = family == AF_PACKET || family == AF_XDP || is_internet && (kind == SOCK_RAW || kind == SOCK_PACKET);
    // The kernel makes some for itself.
    if !is_free || ctx.arg::<u32>(3) != 0 {
        return ALLOW;
    }
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if !tagged.entry.ops.contains(Op::Connect) || !is_on_every_address(&tagged) {
        return ALLOW;
    }
    // Not by `settle`, of whose code for this one case the verifiers refuse a read.
    gate::hold(&tagged, Op::Connect, |index| record_family(index, family as u16))
}

/// `int security_socket_sendmsg(struct socket *sock, struct msghdr *msg, int size)`
///
/// What is sent with an address reaches it without a connect: datagrams, raw sockets, TCP Fast Open. What is sent without one
/// goes where the socket was connected to, which was judged unless that was before the tagging.
#[lsm(hook = "socket_sendmsg")]
pub(crate) fn socket_sendmsg(ctx: LsmContext) -> i32 {
    let message = ctx.arg::<u64>(1);
    let address: Addr = load(message, offset!(message_name));
    let file: Addr = load(ctx.arg(0), offset!(socket_file));
    if address == 0 && (file == 0 || !descriptor::may_be_adopted(file)) {
        return ALLOW;
    }
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let answer = send(&tagged, address, file, message);
    if answer == ALLOW && address != 0 {
        footprint::reached(&tagged, address, load(message, offset!(message_name_len)));
    }
    answer
}

#[inline(always)]
fn send(tagged: &Tagged, address: Addr, file: Addr, message: Addr) -> i32 {
    if !tagged.entry.ops.contains(Op::Connect) {
        return ALLOW;
    }
    let what = if address == 0 {
        match descriptor::unjudged(tagged, file, Op::Connect) {
            Some(_) => descriptor::peer(tagged, file),
            None => return ALLOW,
        }
    } else {
        let len: u32 = load(message, offset!(message_name_len));
        match names_a_file(address, len) {
            // `unix_may_send` sees whose file it is.
            Some(true) => return ALLOW,
            Some(false) => by_address(tagged, address, len),
            None => Reach::Unreadable,
        }
    };
    let answer = settle(tagged, Op::Connect, SLOT_HELD, what);
    if address == 0 && answer == ALLOW {
        descriptor::judged(tagged, file, Op::Connect);
    }
    answer
}

/// What is reached by a descriptor or an address.
pub(crate) enum Reach {
    /// Nothing that a rule could match.
    Nothing,
    Unreadable,
    /// An open file, with its open flags.
    Open {
        mount: Addr,
        dentry: Addr,
        inode: Addr,
        flags: u32,
    },
    /// A Unix socket that has a file.
    SocketFile {
        mount: Addr,
        dentry: Addr,
    },
    /// A `sockaddr` in kernel memory.
    Address {
        at: Addr,
        len: u32,
    },
    Peer(Destination),
    /// Something by a socket of this address family.
    Family(u16),
}

/// Decides about it. The one place in a program that holds what is reached: the verifier walks every other one again.
#[inline(always)]
pub(crate) fn settle(tagged: &Tagged, op: Op, slot_number: u32, what: Reach) -> i32 {
    match what {
        Reach::Nothing => return ALLOW,
        Reach::Unreadable => return gate::refuse(Count::PathDoubt),
        Reach::Open { .. } | Reach::SocketFile { .. } | Reach::Address { .. } | Reach::Peer(_) | Reach::Family(_) => {}
    }
    gate::hold_in(tagged, op, slot_number, |index| {
        let (mount, dentry) = match &what {
            Reach::Open { mount, dentry, flags, .. } => {
                detail(index, 0, u64::from(flags & (3 | 0o2000)))?;
                (*mount, *dentry)
            }
            Reach::SocketFile { mount, dentry } => (*mount, *dentry),
            Reach::Address { at, len } => return record_address(index, *at, *len),
            Reach::Peer(to) => return record_peer(index, to),
            Reach::Family(family) => return record_family(index, *family),
            Reach::Nothing | Reach::Unreadable => return None,
        };
        object::name(index, mount, dentry, false)?;
        match &what {
            Reach::Open { inode, .. } => own::note(index, tagged, *inode, false),
            _ => record_family(index, AF_UNIX),
        }
    })
}

/// Where a connected socket leads.
#[inline(always)]
pub(crate) fn peer_of(tagged: &Tagged, sock: Addr) -> Reach {
    let Some(family) = read::<u16>(sock, offset!(sock_family)) else {
        return Reach::Unreadable;
    };
    match family {
        AF_UNIX => match read::<u64>(sock, offset!(unix_peer)) {
            Some(0) => Reach::Nothing,
            Some(peer) => unix_peer(tagged, peer),
            None => Reach::Unreadable,
        },
        AF_INET | AF_INET6 => match inet_peer(sock, family) {
            Some(to) if to.port != 0 && could_match(tagged, &to) => Reach::Peer(to),
            Some(_) => Reach::Nothing,
            None => Reach::Unreadable,
        },
        // As a connect to such an address is judged.
        family if could_match(tagged, &Destination { family, port: 0, ip: [0; ADDRESS_LEN] }) => Reach::Family(family),
        _ => Reach::Nothing,
    }
}

/// The other end of a Unix socket: by its file, or by its abstract name.
#[inline(always)]
fn unix_peer(tagged: &Tagged, peer: Addr) -> Reach {
    match (read::<u64>(peer, offset!(unix_dentry)), read::<u64>(peer, offset!(unix_address))) {
        (Some(0), Some(0)) => Reach::Nothing,
        (Some(0), Some(address)) => match read::<u32>(address, offset!(unix_address_len)) {
            Some(len) => by_address(tagged, address + u64::from(offset!(unix_address_name)), len),
            None => Reach::Unreadable,
        },
        (Some(_), Some(_)) => by_file(tagged, peer),
        _ => Reach::Unreadable,
    }
}

/// What a `sockaddr` in kernel memory leads to.
#[inline(always)]
fn by_address(tagged: &Tagged, at: Addr, len: u32) -> Reach {
    match is_candidate(tagged, at, len) {
        Some(true) => Reach::Address { at, len },
        Some(false) => Reach::Nothing,
        None => Reach::Unreadable,
    }
}

/// `int security_unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`
#[lsm(hook = "unix_stream_connect")]
pub(crate) fn unix_stream_connect(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let other = ctx.arg::<u64>(1);
    let answer = if tagged.entry.ops.contains(Op::Connect) {
        settle(&tagged, Op::Connect, SLOT_HELD, by_file(&tagged, other))
    } else {
        ALLOW
    };
    if answer == ALLOW {
        footprint::reached_socket(&tagged, other);
    }
    answer
}

/// `int security_unix_may_send(struct socket *sock, struct socket *other)`
///
/// Datagrams: a connect, and everything that is sent.
#[lsm(hook = "unix_may_send")]
pub(crate) fn unix_may_send(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let other = pointer(ctx.arg::<u64>(1), offset!(socket_sock));
    let answer = if tagged.entry.ops.contains(Op::Connect) {
        let what = match other {
            Some(other) => by_file(&tagged, other),
            None => Reach::Unreadable,
        };
        settle(&tagged, Op::Connect, SLOT_HELD, what)
    } else {
        ALLOW
    };
    if answer == ALLOW
        && let Some(other) = other
    {
        footprint::reached_socket(&tagged, other);
    }
    answer
}

/// The `struct unix_sock` at `other` by its file. One without a file was decided about by its name.
#[inline(always)]
fn by_file(tagged: &Tagged, other: Addr) -> Reach {
    let key = PortKey { tables: tagged.entry.tables, family: AF_UNIX, port: 0 };
    // SAFETY: the value is copied at once.
    let named = unsafe { PORTS.get(&key).is_some_and(|ops| ops.contains(Op::Connect)) };
    if !named && !tagged.entry.always.contains(Op::Connect) {
        return Reach::Nothing;
    }
    match (read::<u64>(other, offset!(unix_dentry)), read::<u64>(other, offset!(unix_mount))) {
        (Some(0), Some(_)) => Reach::Nothing,
        (Some(dentry), Some(mount)) => Reach::SocketFile { mount, dentry },
        _ => Reach::Unreadable,
    }
}

/// Writes an address family alone into the record.
#[inline(always)]
fn record_family(index: u32, family: u16) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    clear_address(record);
    record.address[0] = family as u8;
    record.address_len = 2;
    Some(())
}

/// Copies a `sockaddr` into the record.
#[inline(always)]
fn record_address(index: u32, at: Addr, len: u32) -> Option<()> {
    let bounded = core::hint::black_box(len) & 127;
    if bounded > ADDRESS_MAX as u32 || len > ADDRESS_MAX as u32 {
        return None;
    }
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    clear_address(record);
    copy((&raw mut record.address).cast(), bounded, at)?;
    record.address_len = bounded;
    Some(())
}

#[inline(always)]
fn clear_address(record: &mut HoldRecord) {
    let words = (&raw mut record.address).cast::<u64>();
    let mut word = 0;
    while word < ADDRESS_MAX / 8 {
        // SAFETY: inside the array, which is aligned to eight.
        unsafe { core::ptr::write_volatile(words.add(word), 0) };
        word += 1;
    }
}

/// Writes a `sockaddr_in6` into the record, as a connect to there would have given it.
#[inline(always)]
fn record_peer(index: u32, to: &Destination) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    clear_address(record);
    let port = to.port.to_be_bytes();
    record.address[0] = AF_INET6 as u8;
    record.address[2] = port[0];
    record.address[3] = port[1];
    let mut at = 0;
    while at < ADDRESS_LEN {
        record.address[8 + at] = to.ip[at];
        at += 1;
    }
    record.address_len = 28;
    Some(())
}
