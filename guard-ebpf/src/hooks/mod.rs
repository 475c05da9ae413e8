//! One subject each; a program is a thin attribute function with the kernel prototype above it.

pub mod exec;
pub mod file;
pub mod mount;
pub mod net;
pub mod shield;
pub mod task;
pub mod trip;
