//! Says what an agent executes, for the log. Nothing is decided by it: what cannot be said is counted, and runs all the same.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid, generated::bpf_ktime_get_boot_ns};
use guard_common::{
    count::Count,
    execution::{ANCESTORS, Ancestor, ExecRecord, TEXT_MAX},
    record::{ARGV_MAX, COMM_LEN, PATH_MAX, doubt},
};

use crate::{
    apart,
    count::count,
    gate::{FORCE_WAKEUP, NO_WAKEUP},
    hooks::file::file_path,
    kread::{Addr, copy, copy_user, current, load, read},
    maps::{EXECUTION, EXECUTIONS, EXECUTIONS_SIZE},
    offset, path,
    scratch::{self, slot},
};

/// Tells of the program the current task, one of `agent`, is about to begin with.
#[inline(always)]
pub(crate) fn tell(agent: u64, bprm: Addr) {
    if apart::option(tell_apart(agent, bprm)).is_none() {
        count(Count::ExecUnseen);
    }
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn tell_apart(agent: u64, bprm: Addr) -> u32 {
    let Some(index) = scratch::claim() else {
        return 1;
    };
    let told = try_tell(index, agent, bprm);
    scratch::release(index);
    apart::number(told)
}

#[inline(always)]
fn try_tell(index: u32, agent: u64, bprm: Addr) -> Option<()> {
    // SAFETY: the element is of the claimed slot, and nothing else uses it meanwhile.
    let record = unsafe { &mut (*EXECUTION.get_ptr_mut(index)?).record };
    let task = current() as Addr;
    // SAFETY: no arguments; the helper cannot fail.
    record.time = unsafe { bpf_ktime_get_boot_ns() };
    record.agent = agent;
    record.start_boottime = load(task, offset!(task_start_boottime));
    record.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    record.uid = bpf_get_current_uid_gid() as u32;
    record.doubt = 0;
    record.argc = match read(bprm, offset!(bprm_argc)) {
        Some(argc) => argc,
        None => {
            record.doubt |= doubt::READ;
            0
        }
    };
    name(&mut record.comm, task);
    ancestors(record, task);
    let mm: Addr = load(task, offset!(task_mm));
    record.path_len = program(index, record, mm).unwrap_or_else(|| missing(record));
    record.cwd_len = directory(index, record, task).unwrap_or_else(|| missing(record));
    record.argv_len = arguments(index, record, mm).unwrap_or_else(|| missing(record));
    send(index)
}

/// What is read of a text that cannot be.
#[inline(always)]
fn missing(record: &mut ExecRecord) -> u32 {
    record.doubt |= doubt::READ;
    0
}

/// Notes the name of a task.
#[inline(always)]
fn name(to: &mut [u8; COMM_LEN], task: Addr) {
    let words = (&raw mut *to).cast::<u64>();
    let (first, second): (u64, u64) = (load(task, offset!(task_comm)), load(task, offset!(task_comm) + 8));
    // SAFETY: the two halves of the name, which is aligned to eight in its struct.
    unsafe {
        core::ptr::write_volatile(words, first);
        core::ptr::write_volatile(words.add(1), second);
    }
}

/// Notes the processes above, up to the first of all.
#[inline(always)]
fn ancestors(record: &mut ExecRecord, task: Addr) {
    let mut below = task;
    let mut place = 0;
    while place < ANCESTORS {
        let ancestor: &mut Ancestor = &mut record.ancestors[place];
        // What forked may be any thread of the parent; its first one stands for the process.
        let parent: Addr = load(below, offset!(task_real_parent));
        let leader: Addr = load(parent, offset!(task_leader));
        ancestor.start_boottime = load(leader, offset!(task_start_boottime));
        // Above the first process is the idle task, which is above itself.
        ancestor.tgid = load(leader, offset!(task_tgid));
        let cred: Addr = load(leader, offset!(task_cred));
        ancestor.uid = load(cred, offset!(cred_uid));
        name(&mut ancestor.comm, leader);
        below = leader;
        place += 1;
    }
}

/// Notes identity and path of the program; answers the path's length. What `/proc/PID/exe` leads to is the same.
#[inline(always)]
fn program(index: u32, record: &mut ExecRecord, mm: Addr) -> Option<u32> {
    let file: Addr = load(mm, offset!(mm_exe_file));
    if file == 0 {
        return None;
    }
    let inode: Addr = load(file, offset!(file_inode));
    if inode == 0 {
        return None;
    }
    record.ino = load(inode, offset!(inode_ino));
    record.size = load(inode, offset!(inode_size));
    record.generation = load(inode, offset!(inode_generation));
    let sb: Addr = load(inode, offset!(inode_sb));
    record.dev = load(sb, offset!(sb_dev));
    record.magic = load::<u64>(sb, offset!(sb_magic)) as u32;
    let (mount, dentry) = file_path(file)?;
    put_path(index, record, 0, mount, dentry)
}

/// Notes the working directory; answers its length.
#[inline(always)]
fn directory(index: u32, record: &mut ExecRecord, task: Addr) -> Option<u32> {
    let fs: Addr = load(task, offset!(task_fs));
    if fs == 0 {
        return None;
    }
    // `struct path`: a mount, then a directory entry.
    let (mount, dentry): (Addr, Addr) = (load(fs, offset!(fs_pwd)), load(fs, offset!(fs_pwd) + 8));
    let at = record.path_len;
    put_path(index, record, at, mount, dentry)
}

/// Puts the arguments behind both paths, from the memory of the new program, which nobody has written to but the kernel;
/// answers their length.
#[inline(always)]
fn arguments(index: u32, record: &mut ExecRecord, mm: Addr) -> Option<u32> {
    let at = record.path_len + record.cwd_len;
    let start: u64 = load(mm, offset!(mm_arg_start));
    let total = load::<u64>(mm, offset!(mm_arg_end)).wrapping_sub(start);
    let left = (TEXT_MAX as u32).wrapping_sub(at);
    let room = if left < ARGV_MAX as u32 { left } else { ARGV_MAX as u32 };
    let len = if total > u64::from(room) {
        record.doubt |= doubt::ARGV;
        room
    } else {
        total as u32
    };
    let len = core::hint::black_box(len) & (2 * ARGV_MAX as u32 - 1);
    if len > ARGV_MAX as u32 {
        return None;
    }
    copy_user(text(index, at)?, len, start)?;
    Some(len)
}

/// Puts a path at this place in the text; answers its length.
#[inline(always)]
fn put_path(index: u32, record: &mut ExecRecord, at: u32, mount: Addr, dentry: Addr) -> Option<u32> {
    path::begin(index, mount, dentry, 0)?;
    path::walk(index)?;
    let memory = slot(index)?;
    // SAFETY: the fields of a claimed slot are copied at once.
    let (start, doubts) = unsafe { ((*memory).state.start, (*memory).state.doubt) };
    record.doubt |= doubts;
    let start = core::hint::black_box(start) & (PATH_MAX as u32 - 1);
    let len = core::hint::black_box(PATH_MAX as u32 - start) & (PATH_MAX as u32 - 1);
    // SAFETY: masked to the walk buffer; `start + len` is `PATH_MAX`, or less where the mask cut it.
    let from = unsafe { (&raw const (*memory).walk).cast::<u8>().add(start as usize) } as u64;
    copy(text(index, at)?, len, from)?;
    Some(len)
}

/// A place in the text. The mask changes nothing: it is what the verifier can follow.
#[inline(always)]
fn text(index: u32, at: u32) -> Option<*mut u8> {
    let at = core::hint::black_box(at) & (TEXT_MAX as u32 - 1);
    // SAFETY: masked to the text of the element, which is of the claimed slot and followed by room for the longest path.
    Some(unsafe { (&raw mut (*EXECUTION.get_ptr_mut(index)?).text).cast::<u8>().add(at as usize) })
}

/// Sends the record with its texts. guardd reads once a second what nobody wakes it for; only what fills the ring does.
#[inline(always)]
fn send(index: u32) -> Option<()> {
    /// `BPF_RB_AVAIL_DATA`
    const UNREAD: u64 = 0;
    let execution = EXECUTION.get_ptr_mut(index)?;
    // SAFETY: the fields of a claimed element are copied at once.
    let len = unsafe { (*execution).record.path_len + (*execution).record.cwd_len + (*execution).record.argv_len };
    let len = core::hint::black_box(len) & (2 * TEXT_MAX as u32 - 1);
    if len > TEXT_MAX as u32 {
        return None;
    }
    // SAFETY: the record and the first bytes of the text behind it, in one element.
    let entry = unsafe { core::slice::from_raw_parts(execution.cast::<u8>(), size_of::<ExecRecord>() + len as usize) };
    let wake = if EXECUTIONS.query(UNREAD) > u64::from(EXECUTIONS_SIZE / 2) { FORCE_WAKEUP } else { NO_WAKEUP };
    EXECUTIONS.output::<[u8]>(entry, wake).ok()
}
