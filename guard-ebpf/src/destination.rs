//! Where an address or a connected socket leads, and whether a rule could match that. What is done about it is `hooks/net`'s.

use aya_ebpf::maps::lpm_trie::Key;
use guard_common::{
    op::Op,
    table::{ADDRESS_LEN, AddressKey, PortKey},
};

use crate::{
    agent::Tagged,
    kread::{Addr, read},
    maps::{ADDRESSES, PORTS},
    offset,
};

pub(crate) const AF_UNSPEC: u16 = 0;
pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;

/// A `struct sockaddr_un` with a path in it. `None` when it cannot be read.
#[inline(always)]
pub(crate) fn names_a_file(address: Addr, len: u32) -> Option<bool> {
    if len < 3 {
        return Some(false);
    }
    Some(read::<u16>(address, 0)? == AF_UNIX && read::<u8>(address, 2)? != 0)
}

/// Where something leads.
pub(crate) struct Destination {
    pub(crate) family: u16,
    /// Host byte order.
    pub(crate) port: u16,
    /// IPv6, or IPv4 mapped into it; all zero for another family.
    pub(crate) ip: [u8; ADDRESS_LEN],
}

/// `None` when the address cannot be read.
#[inline(always)]
pub(crate) fn is_candidate(tagged: &Tagged, address: Addr, len: u32) -> Option<bool> {
    if tagged.entry.always.contains(Op::Connect) {
        return Some(true);
    }
    let to = destination(address, len)?;
    // That ends an association; nothing is reached by it.
    Some(to.family != AF_UNSPEC && could_match(tagged, &to))
}

/// Where a `sockaddr` in kernel memory leads; `None` when it cannot be read.
#[inline(always)]
pub(crate) fn destination(address: Addr, len: u32) -> Option<Destination> {
    let family = if len < 2 { AF_UNSPEC } else { read::<u16>(address, 0)? };
    Some(match family {
        AF_INET if len >= 8 => {
            let ip = mapped(read(address, 4)?);
            Destination { family, port: u16::from_be(read(address, 2)?), ip }
        }
        AF_INET6 if len >= 24 => {
            let port = u16::from_be(read(address, 2)?);
            Destination { family: family_of(address + 8)?, port, ip: read(address, 8)? }
        }
        family => Destination { family, port: 0, ip: [0; ADDRESS_LEN] },
    })
}

/// An IPv4 address as IPv6 writes it.
#[inline(always)]
fn mapped(v4: [u8; 4]) -> [u8; ADDRESS_LEN] {
    let mut ip = [0_u8; ADDRESS_LEN];
    ip[10] = 0xff;
    ip[11] = 0xff;
    ip[12] = v4[0];
    ip[13] = v4[1];
    ip[14] = v4[2];
    ip[15] = v4[3];
    ip
}

/// The family rules mean by the IPv6 address at `ip`: IPv4 where it is one of those.
#[inline(always)]
fn family_of(ip: Addr) -> Option<u16> {
    let (head, middle) = (read::<u64>(ip, 0)?, read::<u32>(ip, 8)?);
    Some(if head == 0 && middle == 0xffff_0000 { AF_INET } else { AF_INET6 })
}

/// What an Internet socket is connected to; port 0 when it is not. `None` when it cannot be read.
#[inline(always)]
pub(crate) fn inet_peer(sock: Addr, family: u16) -> Option<Destination> {
    let port = u16::from_be(read(sock, offset!(sock_port))?);
    if family == AF_INET {
        return Some(Destination { family, port, ip: mapped(read(sock, offset!(sock_address))?) });
    }
    let address = offset!(sock_address6);
    Some(Destination { family: family_of(sock + u64::from(address))?, port, ip: read(sock, address)? })
}

/// Could a rule match a connection there?
#[inline(always)]
pub(crate) fn could_match(tagged: &Tagged, to: &Destination) -> bool {
    if tagged.entry.always.contains(Op::Connect) {
        return true;
    }
    let (tables, family, port) = (tagged.entry.tables, to.family, to.port);
    // SAFETY: the values are copied at once.
    let ports = unsafe {
        PORTS.get(&PortKey { tables, family, port }).is_some_and(|ops| ops.contains(Op::Connect))
            || PORTS.get(&PortKey { tables, family, port: 0 }).is_some_and(|ops| ops.contains(Op::Connect))
    };
    if ports || (family != AF_INET && family != AF_INET6) {
        return ports;
    }
    let key = Key::new(32 + 128, AddressKey { tables, address: to.ip });
    ADDRESSES.get(&key).is_some_and(|ops| ops.contains(Op::Connect))
}

/// Is a rule on every address there is, or on every one of IPv4?
#[inline(always)]
pub(crate) fn is_on_every_address(tagged: &Tagged) -> bool {
    if tagged.entry.always.contains(Op::Connect) {
        return true;
    }
    // No longer prefix than that of all IPv4 addresses answers.
    let key = Key::new(32 + 96, AddressKey { tables: tagged.entry.tables, address: mapped([0; 4]) });
    ADDRESSES.get(&key).is_some_and(|ops| ops.contains(Op::Connect))
}
