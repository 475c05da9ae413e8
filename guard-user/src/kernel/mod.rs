//! Everything that talks to the kernel: what it can do, loading, maps, records.
//!
//! `support` looks, `btf` resolves struct members, `hooks` lists the programs, `load` loads and attaches them, `pins` has what
//! outlives guardd, `listen` is at the end of system calls while one is awaited, `probe` what the verifier makes of the programs,
//! `tables` writes and reads maps, `source` listens to the doorbell, `resolve` completes the paths
//! of the trip tier. Nothing here judges.

pub mod btf;
pub mod hooks;
mod listen;
pub mod load;
pub mod pins;
pub mod probe;
pub mod resolve;
pub mod source;
pub mod support;
pub mod tables;
