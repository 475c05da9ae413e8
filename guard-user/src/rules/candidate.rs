//! The kernel's prefilter as a pure function: a mirror of `guard-ebpf/src/prefilter.rs` and of the hooks that ask it.
//! It exists to prove that the tables miss nothing.

use std::{ffi::OsStr, net::Ipv6Addr, os::unix::ffi::OsStrExt as _};

use guard_common::{
    op::{BY_ARGUMENTS, MOVED_AWAY, Op, OpSet, rename},
    record::{SLOT_HELD, doubt},
};

use super::{
    lower::{AF_INET, AF_INET6, AF_UNIX, Tables},
    network::{Network, mapped},
    touch::O_TRUNC,
};
use crate::operation::{Address, ObjectFacts, Operation};

const AF_UNSPEC: u16 = 0;

/// Whether the kernel takes the object, or of two both, for the agent's own.
fn is_own(operation: &Operation) -> bool {
    let own = |object: &ObjectFacts| object.ino != 0 && object.own;
    let plain = |object: &ObjectFacts| own(object) && object.mode & 0o170_000 != 0o040_000;
    match operation.op {
        Op::Rename => plain(&operation.target) && (operation.other.ino == 0 || plain(&operation.other)),
        Op::Unlink | Op::Rmdir | Op::Link | Op::Chmod | Op::Chown | Op::Truncate | Op::OpenWrite | Op::OpenRead => {
            own(&operation.target)
        }
        Op::Symlink
        | Op::Mknod
        | Op::Exec
        | Op::Connect
        | Op::Mount
        | Op::MoveMount
        | Op::Umount
        | Op::PivotRoot
        | Op::Ioctl
        | Op::Signal
        | Op::Ptrace
        | Op::IoUring => false,
    }
}

impl Tables {
    /// What the kernel's prefilter answers, in the order it asks.
    #[must_use]
    pub fn candidate(&self, operation: &Operation) -> bool {
        let truncates = operation.op == Op::OpenWrite && operation.detail[0] & O_TRUNC != 0;
        let also = if truncates { Op::Truncate.set() } else { OpSet::EMPTY };
        let ops = operation.op.set().union(also);
        // Once the quota is used up, what is counted is a candidate like everything else.
        let ops = ops.union(ops.counted());
        if self.ops.0 & ops.0 == 0 {
            return false;
        }
        let elsewhere = operation.op == Op::Rename && operation.flags & rename::ELSEWHERE != 0;
        let exchanged = operation.flags & rename::EXCHANGE != 0;
        let old = if elsewhere { ops.union(MOVED_AWAY) } else { ops };
        let new = if elsewhere && exchanged { old } else { ops };
        let matters =
            |set: OpSet, ops: OpSet| set.0 & ops.0 != 0 || (set.0 & ops.on_foreign().0 != 0 && !is_own(operation));
        let any = |set: OpSet| matters(set, old);
        let by_path = || {
            any(self.always)
                || operation.doubt & !doubt::ARGV != 0
                || !operation.path.has_root()
                || any(self.path_ops(operation.path.as_os_str().as_bytes()))
        };
        let by_other = || matters(self.path_ops(operation.other_path.as_os_str().as_bytes()), new);
        match operation.op {
            Op::Ioctl | Op::Signal | Op::Ptrace | Op::IoUring => true,
            Op::Connect => any(self.always) || self.reaches(operation.address.as_ref()),
            Op::Rename | Op::Link | Op::MoveMount | Op::PivotRoot => by_path() || by_other(),
            Op::OpenWrite | Op::OpenRead => by_path() || (any(self.block) && operation.is_block_device()),
            Op::Mknod => by_path() || (any(self.block) && operation.detail[0] & 0o170_000 == 0o060_000),
            Op::Unlink | Op::Rmdir | Op::Symlink | Op::Chmod | Op::Chown | Op::Truncate | Op::Mount | Op::Umount => {
                by_path()
            }
            Op::Exec => by_path() || self.is_by_arguments(operation),
        }
    }

    /// Is it an exec of a program whose arguments could match? Those of a script's interpreter are not the call's.
    fn is_by_arguments(&self, operation: &Operation) -> bool {
        let named = self.path_ops(operation.path.as_os_str().as_bytes()).0 & BY_ARGUMENTS.0 != 0;
        let whole = operation.doubt == 0 && operation.argc as usize == operation.argv.len();
        let program = self.programs.iter().find(|(file, _)| file == operation.file_name());
        let other = || {
            let argv = operation.argv.iter().map(|argument| OsStr::as_bytes(argument));
            program.is_some_and(|(_, arguments)| !arguments.could_match(argv))
        };
        named && !(operation.name.key.slot == SLOT_HELD && whole && other())
    }

    /// What the longest directory and the names in `path` say.
    fn path_ops(&self, path: &[u8]) -> OpSet {
        let walked = [path, b"/"].concat();
        let longest =
            self.paths.iter().filter(|(prefix, _)| walked.starts_with(prefix)).max_by_key(|(prefix, _)| prefix.len());
        let mut ops = longest.map_or(OpSet::EMPTY, |(_, ops)| *ops);
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).rev().enumerate();
        parts.by_ref().for_each(|(depth, part)| {
            for (_, value) in self.names.iter().filter(|(name, _)| name == part) {
                ops = ops.union(value.any);
                if depth == 0 {
                    ops = ops.union(value.last);
                }
            }
        });
        ops
    }

    fn reaches(&self, address: Option<&Address>) -> bool {
        let port = |family, port| self.ports.contains(&(family, port)) || self.ports.contains(&(family, 0));
        match address {
            None => false,
            Some(Address::UnixPath(_) | Address::UnixAbstract(_)) => port(AF_UNIX, 0),
            Some(Address::Other(family, _)) => *family != AF_UNSPEC && port(*family, 0),
            Some(Address::Inet(address)) => {
                let ip = mapped(address.ip());
                let family = if ip.to_ipv4_mapped().is_some() { AF_INET } else { AF_INET6 };
                let within = |(network, bits): &(Ipv6Addr, u8)| Network { address: *network, bits: *bits }.holds(ip);
                port(family, address.port()) || self.addresses.iter().any(within)
            }
        }
    }
}
