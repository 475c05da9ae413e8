//! Reads the arguments of the exec call the current task is in, from its own memory.
//!
//! Another thread may change that memory at any time. What is read here is for judging; what counts is compared
//! again when the program has its own memory (`hooks/exec.rs`).

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use guard_common::record::{ARGV_MAX, doubt};

use crate::{
    apart,
    kread::{copy_user, copy_user_str, current, regs},
    scratch::slot,
};

/// Most arguments that are read.
const ARGUMENTS: u32 = 1_024;

#[repr(C)]
struct Read {
    argv: u64,
    index: u32,
    position: u32,
    count: u32,
    /// 4 or 8 bytes a pointer.
    width: u32,
    done: u32,
    doubt: u32,
}

/// Fills `argv` of the scratch and `argc` of the record; `argc` is [`u32::MAX`] where the kernel's count is not the caller's.
#[inline(always)]
pub(crate) fn from_call(index: u32, argc: u32) -> Option<()> {
    apart::option(argv_apart(index, argc))
}

/// See [`crate::apart`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn argv_apart(index: u32, argc: u32) -> u32 {
    apart::number(read_all(index, argc))
}

#[inline(always)]
fn read_all(index: u32, argc: u32) -> Option<()> {
    let regs = regs(current())?;
    let call = regs.orig_ax & 0xbfff_ffff;
    let argv = match (regs.compat, call) {
        (false, 59 | 520) => regs.si,
        (false, 322 | 545) => regs.dx,
        (true, 11) => regs.cx & 0xffff_ffff,
        (true, 358) => regs.dx & 0xffff_ffff,
        _ => 0,
    };
    let narrow = regs.compat || regs.orig_ax & 0x4000_0000 != 0;
    let mut read = Read { argv, index, position: 0, count: 0, width: if narrow { 4 } else { 8 }, done: 0, doubt: 0 };
    if argv == 0 {
        read.doubt = doubt::ARGV;
    } else {
        // SAFETY: `read_argument` has the signature `bpf_loop` calls, and `read` outlives the call.
        unsafe { bpf_loop(ARGUMENTS, read_argument as *mut c_void, (&raw mut read).cast(), 0) };
        if read.done == 0 {
            read.doubt |= doubt::ARGV;
        }
    }
    // SAFETY: the record of a claimed slot.
    let record = unsafe { &mut (*slot(index)?).record };
    record.argv_len = read.position;
    record.argc = if argc == u32::MAX { read.count } else { argc };
    record.doubt |= read.doubt;
    Some(())
}

/// One argument. Answers 1 when there is no more.
extern "C" fn read_argument(number: u32, read: *mut Read) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `read` was given.
    let read = unsafe { &mut *read };
    let mut pointer = 0_u64;
    let at = read.argv.wrapping_add(u64::from(number) * u64::from(read.width));
    let copied = if read.width == 4 {
        copy_user((&raw mut pointer).cast(), 4, at)
    } else {
        copy_user((&raw mut pointer).cast(), 8, at)
    };
    if copied.is_none() {
        read.doubt |= doubt::ARGV;
        read.done = 1;
        return 1;
    }
    if pointer == 0 {
        read.done = 1;
        return 1;
    }
    read.count += 1;
    let Some(memory) = slot(read.index) else {
        read.doubt |= doubt::READ;
        return 1;
    };
    let position = core::hint::black_box(read.position) & (2 * ARGV_MAX as u32 - 1);
    if position >= ARGV_MAX as u32 {
        read.doubt |= doubt::ARGV;
        read.done = 1;
        return 1;
    }
    let left = core::hint::black_box(ARGV_MAX as u32 - position) & (2 * ARGV_MAX as u32 - 1);
    if left > ARGV_MAX as u32 {
        return 1;
    }
    // SAFETY: `position + left` is at most twice the array, and as much follows it in the scratch.
    let to = unsafe { (&raw mut (*memory).exec.argv).cast::<u8>().add(position as usize) };
    match copy_user_str(to, left, pointer) {
        Some(len) => {
            read.position = position + len;
            if read.position >= ARGV_MAX as u32 {
                read.position = ARGV_MAX as u32;
                read.doubt |= doubt::ARGV;
                read.done = 1;
                return 1;
            }
            0
        }
        None => {
            read.doubt |= doubt::ARGV;
            read.done = 1;
            1
        }
    }
}
