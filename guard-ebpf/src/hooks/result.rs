//! The end of system calls, of every process: attached only while one is awaited that an approval let through.

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use crate::{hooks::trip::argument, result};

/// `TP_PROTO(struct pt_regs *regs, long ret)`, the tracepoint `sys_exit`
#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn call_over(ctx: RawTracePointContext) -> i32 {
    result::tell(argument(&ctx, 1).cast_signed());
    0
}
