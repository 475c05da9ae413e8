//! What would go round the gate or harm guard: io_uring, whose operations cannot be held; bpf(2) and code for the kernel,
//! which could take the gate down; what starves guardd; the clock, by which the log is read; files that are guard's no
//! more. Signals are in `task`.

use core::ffi::c_void;

use aya_ebpf::{macros::lsm, programs::LsmContext};
use guard_common::{op::Op, record::SLOT_DENIED, shield::Shield};

use crate::{
    agent::{current_agent, state},
    gate::{self, ALLOW},
    guards,
    kread::{pointer, read},
    offset,
};

/// `int security_uring_allowed(void)` (6.15 and later)
#[lsm(hook = "uring_allowed")]
pub(crate) fn uring_allowed(_ctx: LsmContext) -> i32 {
    ring_setup()
}

/// `int security_inode_init_security_anon(struct inode *inode, const struct qstr *name,
/// const struct inode *context_inode)`; before `uring_allowed` the only hook on the way of `io_uring_setup`.
#[lsm(hook = "inode_init_security_anon")]
pub(crate) fn inode_init_security_anon(ctx: LsmContext) -> i32 {
    let name = ctx.arg::<*const c_void>(1) as u64;
    let Some(text) = pointer(name, offset!(qstr_name)).and_then(|text| read::<[u8; 10]>(text, 0)) else {
        // It may be a ring.
        return ring_setup();
    };
    if text == *b"[io_uring]" { ring_setup() } else { ALLOW }
}

/// A ring is refused, not held: the program falls back to ordinary calls, which can be held.
#[inline(always)]
fn ring_setup() -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    if !tagged.entry.ops.contains(Op::IoUring) {
        return ALLOW;
    }
    gate::hold_in(&tagged, Op::IoUring, SLOT_DENIED, |_index| Some(()))
}

/// `int security_bpf(int cmd, union bpf_attr *attr, unsigned int size)`
#[lsm(hook = "bpf")]
pub(crate) fn bpf(_ctx: LsmContext) -> i32 {
    match current_agent() {
        Some(tagged) => gate::shield(&tagged, Shield::Bpf),
        None => ALLOW,
    }
}

/// `int security_task_setrlimit(struct task_struct *p, unsigned int resource, struct rlimit *new_rlim)`
#[lsm(hook = "task_setrlimit")]
pub(crate) fn task_setrlimit(ctx: LsmContext) -> i32 {
    on_guardd(ctx.arg(0), Shield::Limits)
}

/// `int security_task_setscheduler(struct task_struct *p)`; also of `sched_setaffinity`
#[lsm(hook = "task_setscheduler")]
pub(crate) fn task_setscheduler(ctx: LsmContext) -> i32 {
    on_guardd(ctx.arg(0), Shield::Scheduling)
}

/// `int security_task_setnice(struct task_struct *p, int nice)`
#[lsm(hook = "task_setnice")]
pub(crate) fn task_setnice(ctx: LsmContext) -> i32 {
    on_guardd(ctx.arg(0), Shield::Scheduling)
}

/// `int security_task_setioprio(struct task_struct *p, int ioprio)`
#[lsm(hook = "task_setioprio")]
pub(crate) fn task_setioprio(ctx: LsmContext) -> i32 {
    on_guardd(ctx.arg(0), Shield::Scheduling)
}

/// `int security_task_movememory(struct task_struct *p)`
#[lsm(hook = "task_movememory")]
pub(crate) fn task_movememory(ctx: LsmContext) -> i32 {
    on_guardd(ctx.arg(0), Shield::Memory)
}

/// What is done to another task: refused when that is guardd's, or cannot be known.
#[inline(always)]
fn on_guardd(target: u64, what: Shield) -> i32 {
    let Some(tagged) = current_agent() else {
        return ALLOW;
    };
    let guardd = state().guardd;
    match read::<u32>(target, offset!(task_tgid)) {
        Some(tgid) if guardd == 0 || tgid != guardd => ALLOW,
        Some(_) | None => gate::shield(&tagged, what),
    }
}

/// `int security_kernel_read_file(struct file *file, enum kernel_read_file_id id, bool contents)`
#[lsm(hook = "kernel_read_file")]
pub(crate) fn kernel_read_file(ctx: LsmContext) -> i32 {
    kernel_code(ctx.arg(1))
}

/// `int security_kernel_load_data(enum kernel_load_data_id id, bool contents)`
#[lsm(hook = "kernel_load_data")]
pub(crate) fn kernel_load_data(ctx: LsmContext) -> i32 {
    kernel_code(ctx.arg(0))
}

/// Everything but firmware, which drivers ask for while somebody uses a device: modules, kexec, policies, certificates.
#[inline(always)]
fn kernel_code(id: u32) -> i32 {
    /// `READING_FIRMWARE`, `LOADING_FIRMWARE`: the same since 4.18.
    const FIRMWARE: u32 = 1;
    match current_agent() {
        Some(tagged) if id != FIRMWARE => gate::shield(&tagged, Shield::KernelCode),
        Some(_) | None => ALLOW,
    }
}

/// `void security_inode_free(struct inode *inode)`, the hook `inode_free_security`
#[lsm(hook = "inode_free_security")]
pub(crate) fn inode_free_security(ctx: LsmContext) -> i32 {
    guards::forget(ctx.arg(0));
    ALLOW
}

/// `int security_settime64(const struct timespec64 *ts, const struct timezone *tz)`, the hook `settime`
#[lsm(hook = "settime")]
pub(crate) fn settime(_ctx: LsmContext) -> i32 {
    match current_agent() {
        Some(tagged) => gate::shield(&tagged, Shield::Clock),
        None => ALLOW,
    }
}

/// `int security_capable(const struct cred *cred, struct user_namespace *ns, int cap, unsigned int opts)`, the hook `capable`
///
/// The only hook on the way of reboot(2), adjtimex(2), iopl(2), acct(2) and of what opens `/proc/kcore` or model-specific
/// registers.
#[lsm(hook = "capable")]
pub(crate) fn capable(ctx: LsmContext) -> i32 {
    let what = match ctx.arg::<u32>(2) {
        CAP_SYS_RAWIO => Shield::RawIo,
        CAP_SYS_PACCT => Shield::Accounting,
        CAP_SYS_BOOT => Shield::Reboot,
        CAP_SYS_TIME => Shield::Clock,
        _ => return ALLOW,
    };
    match current_agent() {
        // Somebody asks what would be, and does nothing.
        Some(tagged) if ctx.arg::<u32>(3) & CAP_OPT_NOAUDIT != 0 => gate::shield_silently(&tagged),
        Some(tagged) => gate::shield(&tagged, what),
        None => ALLOW,
    }
}

/// `include/uapi/linux/capability.h`
const CAP_SYS_RAWIO: u32 = 17;
const CAP_SYS_PACCT: u32 = 20;
const CAP_SYS_BOOT: u32 = 22;
const CAP_SYS_TIME: u32 = 25;
/// `include/linux/security.h`
const CAP_OPT_NOAUDIT: u32 = 2;
