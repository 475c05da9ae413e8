//! The only reader of kernel and user memory, at offsets the daemon resolved from this kernel's BTF.
//!
//! A read that fails is a value ([`None`]), which every caller turns into a doubt; nothing here decides.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::bindings::task_struct;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_probe_read_user, bpf_probe_read_user_str, bpf_task_pt_regs,
};

/// An address in kernel memory.
pub(crate) type Addr = u64;

/// The offset of a struct member, read so that the compiler cannot fold the placeholder in.
#[macro_export]
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a static of the program's own read-only data.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::OFFSETS.$field) }
    }};
}

/// Reads one value from kernel memory.
#[inline(always)]
pub(crate) fn read<T: Copy>(base: Addr, offset: u32) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes exactly `size_of::<T>()` bytes or fails; faults are handled by the kernel.
    let failed = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(u64::from(offset)) as *const c_void,
        )
    };
    if failed == 0 {
        // SAFETY: written in full above; `T` is a plain integer or array in every caller.
        Some(unsafe { value.assume_init() })
    } else {
        None
    }
}

/// Reads a kernel pointer that must not be null.
#[inline(always)]
pub(crate) fn pointer(base: Addr, offset: u32) -> Option<Addr> {
    read::<u64>(base, offset).filter(|address| *address != 0)
}

/// Reads an eight-byte member of a struct the verifier knows `base` to point to (a hook's own argument).
///
/// Costs one instruction where [`read`] costs a call.
#[inline(always)]
pub(crate) fn field(base: *const c_void, offset: usize) -> u64 {
    // SAFETY: the verifier proves that `base` is a trusted pointer to a struct with such a member.
    unsafe { core::ptr::read_volatile(base.byte_add(offset).cast()) }
}

/// Reads a member of a struct the verifier knows `base` to point to, at an offset the daemon resolved.
///
/// Where [`read`] answers `None` after a fault, this answers zero. `base` must come from a hook's argument, through
/// [`field`] and `load` alone; anything else does not pass the verifier.
#[inline(always)]
pub(crate) fn load<T: Copy>(base: Addr, offset: u32) -> T {
    // SAFETY: the verifier proves that `base` points to a struct with such a member; a fault reads as zero.
    unsafe { core::ptr::read_volatile(base.wrapping_add(u64::from(offset)) as *const T) }
}

/// Copies kernel memory to `to`, which must have room for `len` bytes the verifier can bound.
#[inline(always)]
pub(crate) fn copy(to: *mut u8, len: u32, from: Addr) -> Option<()> {
    // SAFETY: the verifier checks `to` and `len` against the map value they point into.
    let failed = unsafe { bpf_probe_read_kernel(to.cast(), len, from as *const c_void) };
    (failed == 0).then_some(())
}

/// Copies memory of the current process to `to`.
#[inline(always)]
pub(crate) fn copy_user(to: *mut u8, len: u32, from: u64) -> Option<()> {
    // SAFETY: as in [`copy`].
    let failed = unsafe { bpf_probe_read_user(to.cast(), len, from as *const c_void) };
    (failed == 0).then_some(())
}

/// Copies a string of the current process; answers its length with the NUL.
#[inline(always)]
pub(crate) fn copy_user_str(to: *mut u8, len: u32, from: u64) -> Option<u32> {
    // SAFETY: as in [`copy`].
    let copied = unsafe { bpf_probe_read_user_str(to.cast(), len, from as *const c_void) };
    match u32::try_from(copied) {
        // Kernels before 6.13 say so of an empty string, where later ones count its NUL.
        Ok(0) => {
            // SAFETY: the caller's memory has room for `len`, which is not 0.
            unsafe { to.write(0) };
            Some(1)
        }
        Ok(copied) => Some(copied),
        Err(_) => None,
    }
}

/// Copies a kernel string; answers its length with the NUL.
#[inline(always)]
pub(crate) fn copy_str(to: *mut u8, len: u32, from: Addr) -> Option<u32> {
    // SAFETY: as in [`copy`].
    let copied =
        unsafe { aya_ebpf::helpers::generated::bpf_probe_read_kernel_str(to.cast(), len, from as *const c_void) };
    u32::try_from(copied).ok().filter(|copied| *copied > 0)
}

/// The current task.
#[inline(always)]
pub(crate) fn current() -> *mut task_struct {
    // SAFETY: no arguments; the helper cannot fail.
    unsafe { bpf_get_current_task_btf() }
}

/// Offsets in `struct pt_regs`: user-visible ABI (ptrace) on x86-64.
pub(crate) mod register {
    pub(crate) const BX: u32 = 5 * 8;
    pub(crate) const R10: u32 = 7 * 8;
    pub(crate) const R8: u32 = 9 * 8;
    pub(crate) const CX: u32 = 11 * 8;
    pub(crate) const DX: u32 = 12 * 8;
    pub(crate) const SI: u32 = 13 * 8;
    pub(crate) const DI: u32 = 14 * 8;
    pub(crate) const ORIG_AX: u32 = 15 * 8;
}

/// Where the registers are that the current task entered the kernel with, a `struct pt_regs`.
#[inline(always)]
pub(crate) fn registers(task: *mut task_struct) -> Addr {
    // SAFETY: `task` comes from `current`.
    unsafe { bpf_task_pt_regs(task) as u64 }
}

/// Registers of the system call the current task is in (x86-64 names).
pub(crate) struct Regs {
    pub(crate) orig_ax: u64,
    pub(crate) si: u64,
    pub(crate) dx: u64,
    pub(crate) cx: u64,
    /// The call was made through the 32-bit entry.
    pub(crate) compat: bool,
}

/// `TS_COMPAT` in `thread_info.status`.
pub(crate) const COMPAT: u32 = 2;

/// Came the current call through the 32-bit entry? Which entry a call takes does not depend on the program.
#[inline(always)]
pub(crate) fn is_compat(task: Addr) -> Option<bool> {
    Some(read::<u32>(task, offset!(task_status))? & COMPAT != 0)
}

/// Reads the registers the current task entered the kernel with.
#[inline(always)]
pub(crate) fn regs(task: *mut task_struct) -> Option<Regs> {
    let regs = registers(task);
    Some(Regs {
        orig_ax: read(regs, register::ORIG_AX)?,
        si: read(regs, register::SI)?,
        dx: read(regs, register::DX)?,
        cx: read(regs, register::CX)?,
        compat: is_compat(task as u64)?,
    })
}
