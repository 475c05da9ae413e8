//! Connections. The address is already in kernel memory when the hook runs: nobody can change it afterwards.

use aya_ebpf::{macros::lsm, maps::lpm_trie::Key, programs::LsmContext};
use guard_common::{
    count::Count,
    op::Op,
    record::ADDRESS_MAX,
    table::{ADDRESS_LEN, AddressKey, PortKey},
};

use crate::{
    agent::{Tagged, current_agent},
    gate::{self, ALLOW},
    kread::{Addr, copy, read},
    maps::{ADDRESSES, PORTS},
    scratch::slot,
};

const AF_UNSPEC: u16 = 0;
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
        let words = (&raw mut record.address).cast::<u64>();
        let mut word = 0;
        while word < ADDRESS_MAX / 8 {
            // SAFETY: inside the array, which is aligned to eight.
            unsafe { core::ptr::write_volatile(words.add(word), 0) };
            word += 1;
        }
        copy((&raw mut record.address).cast(), bounded, address)?;
        record.address_len = bounded;
        Some(())
    })
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
