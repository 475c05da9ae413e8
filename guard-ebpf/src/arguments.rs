//! Could a rule match the arguments of an exec? Asked where nothing but the program's name makes it a candidate; may err
//! towards yes, never towards no. What is read is compared again when the program has its own memory (`hooks/exec.rs`).

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_loop};
use guard_common::{
    arguments::{ArgumentKey, Program, Reader, could_match},
    count::Count,
    record::{ARGV_MAX, HoldKey, SLOT_HELD},
    table::{NAME_HEAD, NameKey},
};

use crate::{
    argv,
    count::count,
    kread::{Addr, copy, load},
    maps::{ARGUMENTS, HOLDS, PROGRAMS},
    offset,
    scratch::{self, slot},
};

/// True where no rule of the tables could match what the current task's exec call gives the program that `dentry` names,
/// and `note` made of the arguments what will be compared.
#[inline(always)]
pub(crate) fn are_other(tables: u32, dentry: Addr, argc: u32, note: impl FnOnce(u32) -> Option<()>) -> bool {
    let tid = bpf_get_current_pid_tgid() as u32;
    // What the task is held for is looked at first.
    if HOLDS.get_ptr(&HoldKey { id: tid, slot: SLOT_HELD }).is_some() {
        return false;
    }
    let Some(index) = scratch::claim() else {
        return false;
    };
    let other = read(index, tables, dentry, argc).and_then(|()| note(index)).is_some();
    scratch::release(index);
    if other {
        count(Count::OtherArguments);
    }
    other
}

/// Where the reading is. In the scratch, so that every byte looks the same to the verifier; see [`crate::path::Walk`].
#[repr(C)]
pub(crate) struct Look {
    program: u64,
    given: u64,
    reader: Reader,
    len: u32,
    at: u32,
}

/// `None` where a rule could match, or that cannot be known.
#[inline(never)]
fn read(index: u32, tables: u32, dentry: Addr, argc: u32) -> Option<()> {
    let program = program(tables, dentry)?;
    let (number, given) = (program.number, program.given);
    let memory = slot(index)?;
    // SAFETY: the record of a claimed slot.
    unsafe { (*memory).record.doubt = 0 };
    argv::from_call(index, argc)?;
    let mut claimed = index;
    // SAFETY: parts of a claimed slot; `step` has the signature `bpf_loop` calls, and `claimed` outlives the call.
    unsafe {
        if (*memory).record.doubt != 0 {
            return None;
        }
        let len = (*memory).record.argv_len;
        (*memory).look = Look { program: number, given, reader: Reader::new(), len, at: 0 };
        bpf_loop(ARGV_MAX as u32, step as *mut c_void, (&raw mut claimed).cast(), 0);
        let look = &(*memory).look;
        let is_whole = look.at == len && look.reader.arguments == argc && argc != 0;
        if !is_whole || could_match(look.given) {
            return None;
        }
    }
    // The daemon takes a table away only after it named another: what was not found was not there.
    (self::program(tables, dentry)?.number == number).then_some(())
}

/// The table of the program `dentry` names.
#[inline(never)]
fn program(tables: u32, dentry: Addr) -> Option<&'static Program> {
    let len: u32 = load(dentry, offset!(dentry_name_len));
    let name: Addr = load(dentry, offset!(dentry_name));
    // A longer one shares its key with others.
    let bounded = core::hint::black_box(len) & 31;
    if name == 0 || len == 0 || len > NAME_HEAD as u32 || bounded > NAME_HEAD as u32 {
        return None;
    }
    let mut key = NameKey { tables, len, head: [0; NAME_HEAD] };
    copy((&raw mut key.head).cast(), bounded, name)?;
    // SAFETY: the fields are copied at once.
    unsafe { PROGRAMS.get(&key) }
}

/// One byte. Answers 1 when there is no more.
extern "C" fn step(_step: u32, index: *const u32) -> i64 {
    // SAFETY: `bpf_loop` passes the pointer `read` gave it.
    let Some(memory) = slot(unsafe { *index }) else {
        return 1;
    };
    // SAFETY: two parts of a claimed slot that do not overlap.
    let (look, argv) = unsafe { (&mut (*memory).look, (&raw const (*memory).exec.argv).cast::<u8>()) };
    if look.at >= look.len {
        return 1;
    }
    let at = core::hint::black_box(look.at) & (ARGV_MAX as u32 - 1);
    // SAFETY: masked to the array.
    let byte = unsafe { argv.add(at as usize).read() };
    look.at += 1;
    let found = look.reader.take(byte);
    if found == 0 {
        return 0;
    }
    // SAFETY: the value is copied at once.
    if let Some(given) = unsafe { ARGUMENTS.get(&ArgumentKey { program: look.program, text: found }) } {
        look.given |= *given;
    }
    0
}
