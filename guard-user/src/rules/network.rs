//! Destinations of `connect`: networks and Unix sockets. No names are resolved here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::pattern::bytes_path;

/// An IPv4 or IPv6 network; IPv4 is kept mapped into IPv6 (`::ffff:a.b.c.d`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: Ipv6Addr,
    /// Bits of the mapped form.
    pub bits: u8,
}

impl Network {
    /// Does it hold `address`? The unspecified address means this host, as the kernel takes it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let mapped = mapped(address);
        let loopback = match address {
            IpAddr::V4(v4) if v4.is_unspecified() => Some(mapped_v4(Ipv4Addr::LOCALHOST)),
            IpAddr::V6(v6) if v6.is_unspecified() => Some(Ipv6Addr::LOCALHOST),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        };
        self.holds(mapped) || loopback.is_some_and(|loopback| self.holds(loopback))
    }

    /// The kernel's entries: this network, and the unspecified address where it means a host in it.
    #[must_use]
    pub fn entries(&self) -> Vec<(Ipv6Addr, u8)> {
        let mut entries = vec![(self.address, self.bits)];
        if self.holds(mapped_v4(Ipv4Addr::LOCALHOST)) {
            entries.push((mapped_v4(Ipv4Addr::UNSPECIFIED), 128));
        }
        if self.holds(Ipv6Addr::LOCALHOST) {
            entries.push((Ipv6Addr::UNSPECIFIED, 128));
        }
        entries
    }

    pub(crate) fn holds(&self, address: Ipv6Addr) -> bool {
        let shift = 128 - u32::from(self.bits.min(128));
        let mask = u128::MAX.checked_shl(shift).unwrap_or(0);
        address.to_bits() & mask == self.address.to_bits() & mask
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (offset, widest) = match address {
            IpAddr::V4(_) => (96, 32),
            IpAddr::V6(_) => (0, 128),
        };
        let bits = bits.unwrap_or(widest);
        (bits <= widest).then(|| Self { address: mapped(address), bits: bits + offset })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address.to_ipv4_mapped().filter(|_| self.bits >= 96) {
            Some(v4) => write!(formatter, "{v4}/{}", self.bits - 96),
            None => write!(formatter, "{}/{}", self.address, self.bits),
        }
    }
}

/// IPv6, or IPv4 mapped into it.
pub(crate) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => mapped_v4(v4),
        IpAddr::V6(v6) => v6,
    }
}

fn mapped_v4(address: Ipv4Addr) -> Ipv6Addr {
    address.to_ipv6_mapped()
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not an address or network such as 10.0.0.0/8 or fd00::/8"))
        })
    }
}

/// A Unix socket by the glob of its path, or by its abstract name (`@name`).
#[derive(Clone, Debug)]
pub struct Socket {
    whole: GlobMatcher,
    last: GlobMatcher,
    is_abstract: bool,
}

impl Socket {
    /// Does it cover this socket file? In the trip tier that is what a program called it: a name that does not say where it
    /// leads (relative, through `..` or `/proc`) is compared by its last component alone.
    #[must_use]
    pub fn matches_path(&self, path: &[u8]) -> bool {
        if self.is_abstract {
            return false;
        }
        let vague = !path.starts_with(b"/")
            || path.starts_with(b"/proc/")
            || path.split(|byte| *byte == b'/').any(|component| component == b"..");
        if vague {
            let last = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            return self.last.is_match(bytes_path(last));
        }
        let mut plain = Vec::with_capacity(path.len());
        for component in path.split(|byte| *byte == b'/').filter(|component| !matches!(*component, b"" | b".")) {
            plain.push(b'/');
            plain.extend_from_slice(component);
        }
        self.whole.is_match(bytes_path(in_run(&plain)))
    }

    #[must_use]
    pub fn matches_abstract(&self, name: &[u8]) -> bool {
        self.is_abstract && self.whole.is_match(bytes_path(name))
    }
}

/// `/var/run` is `/run` (FHS 3.0, 5.13), and the kernel knows a socket there by the latter.
fn in_run(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"/var").filter(|rest| rest.starts_with(b"/run/")).unwrap_or(path)
}

impl<'de> Deserialize<'de> for Socket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (pattern, is_abstract) = match text.strip_prefix('@') {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        if pattern.is_empty() || (!is_abstract && !pattern.starts_with('/')) {
            return Err(D::Error::custom(format!("`{text}` is neither an absolute path nor an abstract name (@name)")));
        }
        let pattern = pattern.strip_prefix("/var").filter(|rest| rest.starts_with("/run/")).unwrap_or(pattern);
        let glob = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(!is_abstract)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|error| D::Error::custom(format!("`{text}` is not a glob: {}", error.kind())))
        };
        let last = pattern.rsplit('/').next().unwrap_or(pattern);
        Ok(Self { whole: glob(pattern)?, last: glob(last)?, is_abstract })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_in_run_is_the_same_in_var_run() {
        for rule in ["/var/run/x.sock", "/run/x.sock"] {
            let socket: Socket = serde_json::from_value(rule.into()).expect("a socket");
            for path in ["/run/x.sock", "/var/run/x.sock", "/var//run/./x.sock"] {
                assert!(socket.matches_path(path.as_bytes()), "{rule} {path}");
            }
            assert!(!socket.matches_path(b"/var/x.sock"), "{rule}");
        }
    }

    #[test]
    fn a_network_holds_its_addresses_in_every_spelling() {
        let check = |network: &str, address: &str| {
            Network::parse(network).expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(check("10.0.0.0/8", "10.1.2.3"));
        assert!(check("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!check("10.0.0.0/8", "11.1.2.3"));
        assert!(check("127.0.0.0/8", "0.0.0.0"));
        assert!(check("::1", "::"));
        assert!(check("0.0.0.0/0", "8.8.8.8"));
        assert!(Network::parse("10.0.0.0/33").is_none());
    }
}
