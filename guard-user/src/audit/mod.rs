//! The audit log as a thing that can be proven: the chain over its lines, the key that signs it, its segments and the proof
//! itself; which records somebody asks for, and where they may be. Shared by guardd, which writes it, and guardctl, which
//! needs no guardd to read it. What a line says is not known here ([`crate::daemon::record`]); `docs/audit-log.md` says the same for people.

pub mod chain;
pub mod index;
pub mod key;
pub mod query;
pub mod segment;
pub mod verify;
