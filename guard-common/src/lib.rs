//! The types that cross between the kernel programs and the daemon, each written once.
//!
//! Everything here is `no_std`, `repr(C)`, padded by hand, and asserted by size and offset. No behaviour
//! beyond conversions lives here, and nothing here reads memory it was not given.

#![no_std]
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod arguments;
pub mod clear;
pub mod config;
pub mod count;
pub mod execution;
pub mod footprint;
pub mod grant;
pub mod notice;
pub mod op;
#[cfg(feature = "user")]
pub mod pod;
pub mod quota;
pub mod record;
pub mod shield;
pub mod table;
pub mod task;

/// Version of everything in this crate. Programs and maps of another one are not used: an older
/// version's are inherited from, a newer one's keep the daemon from starting.
pub const ABI_VERSION: u32 = 10;
