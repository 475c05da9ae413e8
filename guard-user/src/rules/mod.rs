//! STAND-IN for compiling the daemon alone; the real module replaces it.
pub mod compile;
pub mod file;
pub mod judge;
pub mod lower;
