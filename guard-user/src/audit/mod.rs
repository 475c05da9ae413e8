//! The audit log as a thing that can be proven: the chain over its lines, the key that signs it, its segments, and
//! the proof itself, and which records somebody asks for. Shared by guardd, which writes it, and guardctl, which needs no guardd to read it. What a line says
//! is not known here ([`crate::daemon::record`]); `docs/audit-log.md` says the same for people.

pub mod chain;
pub mod key;
pub mod query;
pub mod segment;
pub mod verify;
