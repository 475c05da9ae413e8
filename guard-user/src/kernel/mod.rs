//! Everything that talks to the kernel: what it can do, loading, maps, records.
pub mod load;
pub mod support;
