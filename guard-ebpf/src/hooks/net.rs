//! Connections. The address is already in kernel memory when the hook runs: nobody can change it afterwards.
//!
//! A Unix socket that has a file is judged by that file, where the kernel has found it: what a program calls it may lead
//! there through symbolic links, `/proc` or any directory.

use aya_ebpf::{macros::lsm, maps::lpm_trie::Key, programs::LsmContext};
use guard_common::{
    count::Count,
    op::Op,
    record::{ADDRESS_MAX, HoldRecord},
    table::{ADDRESS_LEN, AddressKey, PortKey},
};

use crate::{
    agent::{Tagged, current_agent},
    gate::{self, ALLOW},
    kread::{Addr, copy, pointer, read},
    maps::{ADDRESSES, PORTS},
    object, offset,
    scratch::slot,
};

const AF_UNSPEC: u16 = 0;
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// `int security_socket_connect(struct socket *sock, struct sockaddr *address, int addrlen)`
#[lsm(hook = "socket_connect")]
pub(crate) fn socket_connect(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if !tagged.entry.ops.contains(Op::Connect) {
        return ALLOW;
    }
    let address = ctx.arg::<u64>(1);
    let len = ctx.arg::<u32>(2);
    // The canary connects to nobody.
    if tagged.entry.canary == 0 {
        match names_a_file(address, len) {
            Some(false) => {}
            Some(true) => return ALLOW,
            None => return gate::refuse(Count::PathDoubt),
        }
    }
    match is_candidate(&tagged, address, len) {
        Some(false) => return ALLOW,
        Some(true) => {}
        None => return gate::refuse(Count::PathDoubt),
    }
    gate::hold(&tagged, Op::Connect, |index| {
        let bounded = core::hint::black_box(len) & 127;
        if bounded > ADDRESS_MAX as u32 || len > ADDRESS_MAX as u32 {
            return None;
        }
        // SAFETY: the record of a claimed slot.
        let record = unsafe { &mut (*slot(index)?).record };
        clear_address(record);
        copy((&raw mut record.address).cast(), bounded, address)?;
        record.address_len = bounded;
        Some(())
    })
}

/// `int security_unix_stream_connect(struct sock *sock, struct sock *other, struct sock *newsk)`
#[lsm(hook = "unix_stream_connect")]
pub(crate) fn unix_stream_connect(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    to_file(&tagged, ctx.arg::<u64>(1))
}

/// `int security_unix_may_send(struct socket *sock, struct socket *other)`
///
/// Datagrams: a connect, and everything that is sent.
#[lsm(hook = "unix_may_send")]
pub(crate) fn unix_may_send(ctx: LsmContext) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    match pointer(ctx.arg::<u64>(1), offset!(socket_sock)) {
        Some(other) => to_file(&tagged, other),
        None => gate::refuse(Count::PathDoubt),
    }
}

/// Decides about reaching the `struct unix_sock` at `other`. One without a file was decided about by its name.
#[inline(always)]
fn to_file(tagged: &Tagged, other: Addr) -> i32 {
    if !tagged.entry.ops.contains(Op::Connect) {
        return ALLOW;
    }
    let key = PortKey { tables: tagged.entry.tables, family: AF_UNIX, port: 0 };
    // SAFETY: the value is copied at once.
    let named = unsafe { PORTS.get(&key).is_some_and(|ops| ops.contains(Op::Connect)) };
    if !named && !tagged.entry.always.contains(Op::Connect) {
        return ALLOW;
    }
    let (Some(dentry), Some(mount)) =
        (read::<u64>(other, offset!(unix_dentry)), read::<u64>(other, offset!(unix_mount)))
    else {
        return gate::refuse(Count::PathDoubt);
    };
    if dentry == 0 {
        return ALLOW;
    }
    gate::hold(tagged, Op::Connect, |index| {
        object::name(index, mount, dentry, false)?;
        // SAFETY: the record of a claimed slot.
        let record = unsafe { &mut (*slot(index)?).record };
        clear_address(record);
        record.address[0] = AF_UNIX as u8;
        record.address_len = 2;
        Some(())
    })
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

/// A `struct sockaddr_un` with a path in it. `None` when it cannot be read.
#[inline(always)]
fn names_a_file(address: Addr, len: u32) -> Option<bool> {
    if len < 3 {
        return Some(false);
    }
    Some(read::<u16>(address, 0)? == AF_UNIX && read::<u8>(address, 2)? != 0)
}

/// `None` when the address cannot be read.
#[inline(always)]
fn is_candidate(tagged: &Tagged, address: Addr, len: u32) -> Option<bool> {
    if tagged.entry.always.contains(Op::Connect) {
        return Some(true);
    }
    if len < 2 {
        return Some(false);
    }
    let family = read::<u16>(address, 0)?;
    if family == AF_UNSPEC {
        // It ends an association; nothing is reached by it.
        return Some(false);
    }
    let mut ip = [0_u8; ADDRESS_LEN];
    let (family, port) = match family {
        AF_INET if len >= 8 => {
            ip[10] = 0xff;
            ip[11] = 0xff;
            let v4 = read::<[u8; 4]>(address, 4)?;
            ip[12] = v4[0];
            ip[13] = v4[1];
            ip[14] = v4[2];
            ip[15] = v4[3];
            (AF_INET, u16::from_be(read::<u16>(address, 2)?))
        }
        AF_INET6 if len >= 24 => {
            ip = read::<[u8; 16]>(address, 8)?;
            let port = u16::from_be(read::<u16>(address, 2)?);
            let head = read::<u64>(address, 8)?;
            let middle = read::<u32>(address, 16)?;
            let mapped = head == 0 && middle == 0xffff_0000;
            (if mapped { AF_INET } else { AF_INET6 }, port)
        }
        other => (other, 0),
    };
    let tables = tagged.entry.tables;
    // SAFETY: the values are copied at once.
    let ports = unsafe {
        PORTS.get(&PortKey { tables, family, port }).is_some_and(|ops| ops.contains(Op::Connect))
            || PORTS.get(&PortKey { tables, family, port: 0 }).is_some_and(|ops| ops.contains(Op::Connect))
    };
    if ports || (family != AF_INET && family != AF_INET6) {
        return Some(ports);
    }
    let key = Key::new(32 + 128, AddressKey { tables, address: ip });
    Some(ADDRESSES.get(&key).is_some_and(|ops| ops.contains(Op::Connect)))
}
