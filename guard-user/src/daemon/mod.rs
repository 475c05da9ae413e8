//! The daemon: one loop around a pure core.

mod adopt;
pub mod audit;
pub mod begin;
pub mod canary;
pub mod cgroup;
pub mod circumstances;
pub mod clock;
pub mod config;
pub mod core;
pub mod digest;
pub mod effect;
pub mod ended;
pub mod facts;
pub mod lock;
pub mod notify;
pub mod own_files;
mod permit;
pub mod process;
pub mod record;
pub mod rights;
pub mod rulebook;
pub mod run;
pub mod scope;
pub mod server;
pub mod state;
pub mod takeover;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod testing;
