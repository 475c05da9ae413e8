//! guard's kernel programs: attributes, licence, module list.

#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features, reason = "atomic exchange has no stable name on this target")]

mod agent;
mod apart;
mod arguments;
mod argv;
mod clear;
mod count;
mod destination;
mod execution;
mod expected;
mod footprint;
mod gate;
mod guards;
mod held;
mod hooks;
mod kread;
mod maps;
mod marks;
mod object;
mod own;
mod pass;
mod path;
mod prefilter;
mod quota;
mod result;
mod scratch;

/// The kernel lets only GPL programs call the helpers that read memory and send signals.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the verifier refuses a program in which this could be reached.
    unsafe { core::hint::unreachable_unchecked() }
}
