//! From rules files to kernel tables, and the judgement of one operation. No IO but reading the files.
//!
//! `file` reads text, `syntax` is its shape, `compile` checks it and fits it to one agent, `lower` writes the
//! kernel's tables, `judge` decides. Data flows in that order; nothing here knows the daemon or the socket.

pub mod act;
pub mod argv;
pub mod compile;
pub mod error;
pub mod file;
pub mod judge;
pub mod lower;
pub mod network;
#[cfg(test)]
mod pack;
pub mod pattern;
#[cfg(test)]
mod soundness;
pub mod syntax;
#[cfg(test)]
mod tests;
pub mod tool;
