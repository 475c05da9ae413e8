//! System calls that may matter to a rule: their numbers, and which argument says what. Pure; the trip tier reads and
//! stops. The numbers are those of x86-64; calls through the 32-bit entry and x32 calls are translated to them first.

use guard_common::{op::Op, record::tripped::FOLLOW};

use crate::hooks::file::is_destructive;

/// One system call that may matter.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) op: Op,
    pub(crate) about: About,
    /// Address of the path, or of the address, in the process.
    pub(crate) path: u64,
    /// The directory descriptor the path is relative to, with [`FOLLOW`]; or the descriptor itself.
    pub(crate) directory: u64,
    pub(crate) other: u64,
    pub(crate) other_directory: u64,
    /// Go into the record as its first two details.
    pub(crate) value: u64,
    pub(crate) second: u64,
}

/// What the arguments name.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// One or two paths in the process's memory.
    Paths = 0,
    /// The file behind the descriptor in `directory`.
    File = 1,
    /// The file behind the descriptor the call answered.
    Opened = 2,
    /// A socket address at `path`, `value` bytes long.
    Address = 3,
    /// The process that was attached to.
    Attached = 4,
    /// Nothing that has a place.
    Nothing = 5,
}

/// `AT_FDCWD`
const CWD: u64 = -100_i32 as u32 as u64;
/// `AT_SYMLINK_NOFOLLOW`
const NOFOLLOW: u64 = 0x100;

/// The number of the same call with the same arguments on x86-64; 0 where no rule asks for it. `read` is 0 there.
#[inline(always)]
pub(crate) fn native(number: u32, compat: bool) -> u32 {
    /// `__X32_SYSCALL_BIT`
    const X32: u32 = 0x4000_0000;
    if !compat {
        return match number & !X32 {
            // The numbers from 512 on are calls that x32 has of its own.
            514 => 16,
            521 => 101,
            539 => 310,
            540 => 311,
            other => other,
        };
    }
    match number {
        5 => 2,
        8 => 85,
        9 => 86,
        10 => 87,
        14 => 133,
        15 => 90,
        16 | 198 => 94,
        21 => 165,
        // The old `umount` has no flags; what is in their register says at most that a link was not followed.
        22 | 52 => 166,
        26 => 101,
        38 => 82,
        40 => 84,
        54 => 16,
        83 => 88,
        92 | 193 => 76,
        93 | 194 => 77,
        94 => 91,
        95 | 207 => 93,
        102 => SOCKETCALL,
        182 | 212 => 92,
        217 => 155,
        295 => 257,
        297 => 259,
        298 => 260,
        301 => 263,
        302 => 264,
        303 => 265,
        304 => 266,
        306 => 268,
        342 => 304,
        347 => 310,
        348 => 311,
        353 => 316,
        362 => 42,
        // From here on every architecture has the same numbers.
        425 | 429 | 437 | 438 | 452 => number,
        _ => 0,
    }
}

/// `socketcall(2)`, which x86-64 does not have: the arguments of the call it stands for are in memory.
pub(crate) const SOCKETCALL: u32 = u32::MAX;

/// Does [`call`] know this call, or what it stands for?
#[inline(always)]
pub(crate) fn is_watched(number: u32) -> bool {
    matches!(
        number,
        2 | 16 | 42 | 76 | 77 | 82 | 84..=88 | 90..=94 | 101 | 133 | 155 | 165 | 166 | 257 | 259 | 260 | 263..=266 | 268
        | 304 | 310 | 311 | 316 | 425 | 429 | 437 | 438 | 452 | SOCKETCALL
    )
}

/// Is this `execve` or `execveat`, through whichever entry? The number alone: an exec may change the entry.
#[inline(always)]
pub(crate) fn is_exec(number: u32) -> bool {
    matches!(number & 0xbfff_ffff, 11 | 59 | 322 | 358 | 520 | 545)
}

/// May a call with this answer have had an effect?
#[inline(always)]
pub(crate) fn may_have_happened(op: Op, answer: i32) -> bool {
    match op {
        // It reaches its destination even when it ends with an error, but for ENOENT, EBADF, EFAULT, ENOTSOCK.
        Op::Connect => !matches!(answer, -2 | -9 | -14 | -88),
        // Half of it may be done; ENOTTY says that the file knows no such command.
        Op::Ioctl => !matches!(answer, -9 | -25),
        Op::Unlink
        | Op::Rmdir
        | Op::Rename
        | Op::Link
        | Op::Symlink
        | Op::Mknod
        | Op::Chmod
        | Op::Chown
        | Op::Truncate
        | Op::OpenWrite
        | Op::OpenRead
        | Op::Exec
        | Op::Mount
        | Op::MoveMount
        | Op::Umount
        | Op::PivotRoot
        | Op::Signal
        | Op::Ptrace
        | Op::IoUring => answer >= 0,
    }
}

/// What a call did; `None` for one that is not watched.
#[inline(always)]
pub(crate) fn call(number: u32, arguments: &[u64; 5]) -> Option<Call> {
    let [first, second, third, fourth, fifth] = *arguments;
    let follow = |wanted: bool| if wanted { FOLLOW } else { 0 };
    let of =
        |op, about| Call { op, about, path: 0, directory: CWD, other: 0, other_directory: CWD, value: 0, second: 0 };
    let at = |op, directory: u64, path| Call { directory: u64::from(directory as u32), path, ..of(op, About::Paths) };
    let two = |op, directory, path, other_directory: u64, other| Call {
        other_directory: u64::from(other_directory as u32),
        other,
        ..at(op, directory, path)
    };
    let opened = |flags| Some(Call { value: flags, ..of(Op::OpenWrite, About::Opened) });
    let file = |op| Call { directory: first, ..of(op, About::File) };
    match number {
        87 => Some(at(Op::Unlink, CWD, first)),
        84 => Some(at(Op::Rmdir, CWD, first)),
        263 => {
            /// `AT_REMOVEDIR`
            const REMOVEDIR: u64 = 0x200;
            Some(at(if third & REMOVEDIR != 0 { Op::Rmdir } else { Op::Unlink }, first, second))
        }
        82 => Some(two(Op::Rename, CWD, first, CWD, second)),
        264 => Some(two(Op::Rename, first, second, third, fourth)),
        316 => Some(Call { value: fifth, ..two(Op::Rename, first, second, third, fourth) }),
        86 => Some(two(Op::Link, CWD, first, CWD, second)),
        265 => {
            /// `AT_SYMLINK_FOLLOW`
            const SYMLINK_FOLLOW: u64 = 0x400;
            let directory = u64::from(first as u32) | follow(fifth & SYMLINK_FOLLOW != 0);
            Some(Call { directory, ..two(Op::Link, first, second, third, fourth) })
        }
        88 => Some(two(Op::Symlink, CWD, second, CWD, first)),
        266 => Some(two(Op::Symlink, second, third, CWD, first)),
        133 => Some(Call { value: second & 0xffff, second: third, ..at(Op::Mknod, CWD, first) }),
        259 => Some(Call { value: third & 0xffff, second: fourth, ..at(Op::Mknod, first, second) }),
        90 => Some(Call { value: second & 0xffff, directory: CWD | FOLLOW, ..at(Op::Chmod, CWD, first) }),
        268 => {
            let directory = u64::from(first as u32) | FOLLOW;
            Some(Call { value: third & 0xffff, directory, ..at(Op::Chmod, first, second) })
        }
        452 => {
            let directory = u64::from(first as u32) | follow(fourth & NOFOLLOW == 0);
            Some(Call { value: third & 0xffff, directory, ..at(Op::Chmod, first, second) })
        }
        91 => Some(Call { value: second & 0xffff, ..file(Op::Chmod) }),
        92 => Some(Call { value: second, second: third, directory: CWD | FOLLOW, ..at(Op::Chown, CWD, first) }),
        94 => Some(Call { value: second, second: third, ..at(Op::Chown, CWD, first) }),
        260 => {
            let directory = u64::from(first as u32) | follow(fifth & NOFOLLOW == 0);
            Some(Call { value: third, second: fourth, directory, ..at(Op::Chown, first, second) })
        }
        93 => Some(Call { value: second, second: third, ..file(Op::Chown) }),
        76 => Some(Call { directory: CWD | FOLLOW, ..at(Op::Truncate, CWD, first) }),
        77 => Some(file(Op::Truncate)),
        2 => opened(second),
        257 => opened(third),
        85 => opened(0o1000),
        // The flags of `openat2` are in memory: `path` says where.
        437 => Some(Call { path: third, ..of(Op::OpenWrite, About::Opened) }),
        304 => opened(third),
        16 if is_destructive(second as u32) => Some(Call { value: u64::from(second as u32), ..file(Op::Ioctl) }),
        42 => Some(Call { path: second, value: third, ..of(Op::Connect, About::Address) }),
        165 => Some(Call { value: fourth, other: first, directory: CWD | FOLLOW, ..at(Op::Mount, CWD, second) }),
        166 => {
            /// `UMOUNT_NOFOLLOW`
            const UMOUNT_NOFOLLOW: u64 = 8;
            let directory = CWD | follow(second & UMOUNT_NOFOLLOW == 0);
            Some(Call { value: second, directory, ..at(Op::Umount, CWD, first) })
        }
        429 => {
            /// `MOVE_MOUNT_F_SYMLINKS`, `MOVE_MOUNT_T_SYMLINKS`
            const FROM: u64 = 1;
            const TO: u64 = 0x10;
            let directory = u64::from(first as u32) | follow(fifth & FROM != 0);
            let other_directory = u64::from(third as u32) | follow(fifth & TO != 0);
            Some(Call { directory, other_directory, ..two(Op::MoveMount, first, second, third, fourth) })
        }
        155 => {
            let directory = CWD | FOLLOW;
            Some(Call { directory, other_directory: directory, ..two(Op::PivotRoot, CWD, first, CWD, second) })
        }
        101 => {
            /// `PTRACE_ATTACH`, `PTRACE_SEIZE`
            const ATTACH: u64 = 16;
            const SEIZE: u64 = 0x4206;
            let attaches = first == ATTACH || first == SEIZE;
            attaches.then(|| Call { value: first, second, ..of(Op::Ptrace, About::Attached) })
        }
        // Reading and writing another's memory, and taking its descriptors. Who it is the number says in its namespace.
        310 | 311 | 438 => Some(Call { second: first, ..of(Op::Ptrace, About::Nothing) }),
        425 => Some(of(Op::IoUring, About::Nothing)),
        _ => None,
    }
}
