//! What a system call did, looked at when it is done: its arguments are still in the registers, and what it opened or
//! was done to is the kernel's to say. Stopping is [`super::trip`]'s, the numbers are [`super::call`]'s.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use guard_common::{
    count::Count,
    op::{Op, OpSet, rename},
    record::{ADDRESS_MAX, HoldKey, PATH_MAX, SLOT_HELD, context, doubt, tripped},
};

use crate::{
    agent::{Tagged, agent_of},
    count::count,
    hooks::{
        call::{self, About, Call},
        file::{detail, mode_of},
        trip::{Reached, on_process, stop},
    },
    kread::{Addr, COMPAT, copy_user, copy_user_str, current, pointer, read, register},
    maps::HOLDS,
    object::{self, begin},
    offset,
    prefilter::{block, path_of_numbers},
    scratch::{self, slot},
};

/// A system call is done. `None` when it cannot be told what it did, or it could not be stopped.
#[inline(always)]
pub(crate) fn returned(tagged: &Tagged, regs: Addr, answer: i32) -> Option<()> {
    let asked = read::<u64>(regs, register::ORIG_AX)? as u32;
    if !call::is_exec(asked) && woken_unanswered() {
        count(Count::GrantVoid);
        return None;
    }
    let compat = read::<u32>(tagged.task, offset!(task_status))? & COMPAT;
    let number = call::native(asked, compat != 0);
    if !call::is_watched(number) {
        return Some(());
    }
    let index = scratch::claim()?;
    let stopped = match note(index, regs, number, compat, answer) {
        Some(true) => done(index, tagged, answer as u32),
        Some(false) => Some(()),
        None => None,
    };
    scratch::release(index);
    stopped
}

/// Writes what the call did into the scratch; false when it did nothing that matters. From memory of a map the
/// verifier reads nothing but numbers: what follows is one way for all calls, not one way for each. A function of its
/// own, so that its arguments are off the stack when a path is walked.
#[inline(never)]
fn note(index: u32, regs: Addr, number: u32, compat: u32, answer: i32) -> Option<bool> {
    use register::{BX, CX, DI, DX, R8, R10, SI};
    let argument = |native: u32, in_compat: u32| {
        let value = read::<u64>(regs, if compat != 0 { in_compat } else { native })?;
        Some(if compat != 0 { u64::from(value as u32) } else { value })
    };
    let mut number = number;
    let mut arguments =
        [argument(DI, BX)?, argument(SI, CX)?, argument(DX, DX)?, argument(R10, SI)?, argument(R8, DI)?];
    if number == call::SOCKETCALL {
        /// `SYS_CONNECT`
        const CONNECT: u64 = 3;
        if arguments[0] != CONNECT {
            return Some(false);
        }
        let mut words = [0_u32; 3];
        copy_user(words.as_mut_ptr().cast(), 12, arguments[1])?;
        arguments = [u64::from(words[0]), u64::from(words[1]), u64::from(words[2]), 0, 0];
        number = 42;
    }
    let memory = slot(index)?;
    let Some(call) = call::call(number, &arguments) else {
        return Some(false);
    };
    if !call::may_have_happened(call.op, answer) {
        return Some(false);
    }
    // SAFETY: a part of a claimed slot.
    unsafe { (*memory).call = call };
    Some(true)
}

/// Records what the call in the scratch did, and stops, if a rule may match it.
#[inline(always)]
fn done(index: u32, tagged: &Tagged, answer: u32) -> Option<()> {
    // SAFETY: a part of a claimed slot that nobody writes until it is released.
    let call = unsafe { &(*slot(index)?).call };
    let wanted = match call.about {
        About::Opened | About::File => on_file(index, tagged, call, answer)?,
        About::Attached => attached(index, tagged, call)?,
        About::Paths | About::Address | About::Nothing => plain(index, tagged, call)?,
    };
    if wanted { stop(index) } else { Some(()) }
}

/// Was this task stopped at its exec, and goes on although nobody answered? A stop is no more than a signal, which
/// anybody may take back; guardd removes the hold before it does.
#[inline(always)]
fn woken_unanswered() -> bool {
    let key = HoldKey { id: bpf_get_current_pid_tgid() as u32, slot: SLOT_HELD };
    // SAFETY: fields are copied at once.
    unsafe { HOLDS.get(&key) }.is_some_and(|held| held.op == Op::Exec as u32 && held.context == context::TRIPPED)
}

/// Records what the call's own arguments say.
#[inline(never)]
fn plain(index: u32, tagged: &Tagged, call: &Call) -> Option<bool> {
    if !tagged.entry.ops.contains(call.op) {
        return Some(false);
    }
    let ends = call.about as u32 == About::Address as u32 && copy_family(call.path) == Some(AF_UNSPEC);
    if ends {
        // It ends an association; nothing is reached by it.
        return Some(false);
    }
    record_plain(index, tagged, call)?;
    Some(true)
}

const AF_UNSPEC: u16 = 0;

#[inline(always)]
fn copy_family(address: u64) -> Option<u16> {
    let mut family = [0_u16; 1];
    copy_user(family.as_mut_ptr().cast(), 2, address)?;
    Some(family[0])
}

#[inline(always)]
fn record_plain(index: u32, tagged: &Tagged, call: &Call) -> Option<()> {
    begin(index, tagged.agent, tagged.task, call.op)?;
    details(index, call)?;
    match call.about {
        About::Address => record_address(index, call),
        About::Paths => record_paths(index, call),
        About::Nothing | About::File | About::Opened | About::Attached => Some(()),
    }
}

#[inline(always)]
fn details(index: u32, call: &Call) -> Option<()> {
    detail(index, 0, call.value)?;
    detail(index, 1, call.second)?;
    detail(index, 2, call.other_directory)?;
    detail(index, 3, call.directory)
}

#[inline(always)]
fn record_paths(index: u32, call: &Call) -> Option<()> {
    let memory = slot(index)?;
    // SAFETY: three parts of a claimed slot that do not overlap.
    let (record, path, other_path) =
        unsafe { (&mut (*memory).record, (&raw mut (*memory).path).cast(), (&raw mut (*memory).other_path).cast()) };
    // The kernel has read them in this very call, so their pages are there.
    match copy_user_str(path, PATH_MAX as u32, call.path) {
        Some(len) => record.path_len = len - 1,
        None => record.doubt |= doubt::READ,
    }
    if call.other != 0 {
        match copy_user_str(other_path, PATH_MAX as u32, call.other) {
            Some(len) => record.other_path_len = len - 1,
            None => record.doubt |= doubt::READ,
        }
    }
    if call.op as u32 == Op::Rename as u32 {
        /// `RENAME_NOREPLACE`, `RENAME_EXCHANGE`, `RENAME_WHITEOUT`
        const NOREPLACE: u64 = 1;
        const EXCHANGE: u64 = 2;
        const WHITEOUT: u64 = 4;
        // Nobody knows any more what stood at the new name: something, unless the call says otherwise.
        record.flags = rename::ELSEWHERE;
        record.flags |= if call.value & NOREPLACE == 0 { rename::OVERWRITE } else { 0 };
        record.flags |= if call.value & EXCHANGE != 0 { rename::EXCHANGE } else { 0 };
        record.flags |= if call.value & WHITEOUT != 0 { rename::WHITEOUT } else { 0 };
    }
    Some(())
}

#[inline(always)]
fn record_address(index: u32, call: &Call) -> Option<()> {
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    detail(index, 0, 0)?;
    let len = call.value as u32;
    let bounded = core::hint::black_box(len) & 127;
    if len > ADDRESS_MAX as u32 || bounded > ADDRESS_MAX as u32 {
        record.doubt |= doubt::READ;
        return Some(());
    }
    match copy_user((&raw mut record.address).cast(), bounded, call.path) {
        Some(()) => record.address_len = bounded,
        None => record.doubt |= doubt::READ,
    }
    Some(())
}

/// A call on a descriptor, or one that answered with a new one: the kernel's own file says which, and how it is open.
#[inline(never)]
fn on_file(index: u32, tagged: &Tagged, call: &Call, answer: u32) -> Option<bool> {
    let is_opened = call.about as u32 == About::Opened as u32;
    let any = if is_opened { OPENS } else { call.op.set().0 };
    if tagged.entry.ops.0 & any == 0 && tagged.entry.block.0 & any == 0 {
        return Some(false);
    }
    let descriptor = if is_opened { answer } else { call.directory as u32 };
    let Some((file, mount, dentry)) = file_of(descriptor) else {
        // Another thread closed it before it could be looked at: whatever it was is a candidate.
        count(Count::PathDoubt);
        begin(index, tagged.agent, tagged.task, call.op)?;
        details(index, call)?;
        // SAFETY: the record of a claimed slot.
        unsafe { (*slot(index)?).record.doubt |= doubt::READ | doubt::PATH };
        return Some(true);
    };
    let mut act = Act { op: call.op, ops: call.op.set(), value: call.value };
    if is_opened && !opened(call, file, dentry, &mut act)? {
        return Some(false);
    }
    let op = act.op as u32;
    let candidate = if op == Op::Ptrace as u32 || op == Op::Ioctl as u32 {
        // Candidates wherever they are, as they are for the gate.
        tagged.entry.ops.contains(act.op)
    } else {
        path_of_numbers(tagged, act.ops, mount, dentry)
            || (is_opened
                && tagged.entry.block.0 & act.ops.0 != 0
                && mode_of(dentry).is_none_or(|mode| block(tagged, act.ops, mode)))
    };
    if !candidate {
        return Some(false);
    }
    begin(index, tagged.agent, tagged.task, act.op)?;
    detail(index, 0, act.value)?;
    detail(index, 1, call.second)?;
    detail(index, 3, tripped::RESOLVED)?;
    object::name(index, mount, dentry, false)?;
    Some(true)
}

/// What an open may turn out to be.
const OPENS: u64 =
    Op::OpenRead.set().0 | Op::OpenWrite.set().0 | Op::Truncate.set().0 | Op::Mknod.set().0 | Op::Ptrace.set().0;

/// What was done to a file.
struct Act {
    op: Op,
    /// The kinds a rule may name it by.
    ops: OpSet,
    value: u64,
}

/// What it was to open this file; false when it was nothing.
#[inline(never)]
fn opened(call: &Call, file: Addr, dentry: Addr, act: &mut Act) -> Option<bool> {
    /// `FMODE_READ`, `FMODE_WRITE`, `FMODE_PATH`, `FMODE_CREATED`
    const READ: u32 = 1;
    const WRITE: u32 = 2;
    const PATH: u32 = 0x4000;
    const CREATED: u32 = 1 << 20;
    const O_TRUNC: u64 = 0o1000;
    let mode = read::<u32>(file, offset!(file_mode))?;
    if mode & PATH != 0 {
        return Some(false);
    }
    let mut asked = call.value;
    if call.path != 0 {
        // `struct open_how` begins with the flags; unreadable, it is the worst.
        let mut flags = [O_TRUNC; 1];
        if copy_user(flags.as_mut_ptr().cast(), 8, call.path).is_none() {
            count(Count::PathDoubt);
            flags[0] = O_TRUNC;
        }
        asked = flags[0];
    }
    let truncates = asked & O_TRUNC != 0;
    let flags = u64::from(read::<u32>(file, offset!(file_flags))?) & (3 | 0o2000);
    if is_memory(dentry) == Some(true) {
        // The memory of a process.
        *act = Act { op: Op::Ptrace, ops: Op::Ptrace.set(), value: 0 };
    } else if mode & CREATED != 0 {
        *act = Act { op: Op::Mknod, ops: Op::Mknod.set(), value: u64::from(mode_of(dentry)?) };
    } else if truncates {
        let ops = Op::OpenWrite.set().union(Op::Truncate.set());
        *act = Act { op: Op::OpenWrite, ops, value: flags | O_TRUNC };
    } else if mode & WRITE != 0 {
        *act = Act { op: Op::OpenWrite, ops: Op::OpenWrite.set(), value: flags };
    } else if mode & READ != 0 {
        *act = Act { op: Op::OpenRead, ops: Op::OpenRead.set(), value: flags };
    } else {
        return Some(false);
    }
    Some(true)
}

/// File, mount and directory entry of a descriptor of the current task.
#[inline(always)]
fn file_of(descriptor: u32) -> Option<(Addr, Addr, Addr)> {
    let files = pointer(current() as u64, offset!(task_files))?;
    let table = pointer(files, offset!(files_fdt))?;
    if descriptor >= read::<u32>(table, offset!(fdtable_max_fds))? {
        return None;
    }
    let file = pointer(pointer(table, offset!(fdtable_fd))?.wrapping_add(u64::from(descriptor) * 8), 0)?;
    let path = offset!(file_path);
    Some((file, pointer(file, path)?, pointer(file, path + 8)?))
}

/// Is this `/proc/PID/mem`?
#[inline(always)]
fn is_memory(dentry: Addr) -> Option<bool> {
    const PROC: u64 = 0x9fa0;
    if read::<u32>(dentry, offset!(dentry_name_len))? != 3 {
        return Some(false);
    }
    let name = read::<[u8; 3]>(pointer(dentry, offset!(dentry_name))?, 0)?;
    let sb = pointer(dentry, offset!(dentry_sb))?;
    Some(name == *b"mem" && read::<u64>(sb, offset!(sb_magic))? == PROC)
}

/// The process that was attached to last is the first in the list.
#[inline(never)]
fn attached(index: u32, tagged: &Tagged, call: &Call) -> Option<bool> {
    let first = pointer(tagged.task, offset!(task_ptraced))?;
    let target = first.wrapping_sub(u64::from(offset!(task_ptrace_entry)));
    let nobody = first == tagged.task.wrapping_add(u64::from(offset!(task_ptraced)));
    if !nobody && agent_of(target) == tagged.agent {
        return Some(false);
    }
    let target = if nobody { 0 } else { target };
    on_process(index, tagged, Op::Ptrace, &Reached { value: call.value, target, number: call.second })
}
