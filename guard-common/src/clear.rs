//! What the kernel remembers of execs that the rules cleared: everything they were judged by. One that differs in any of
//! it is another one and is judged.

use core::mem::size_of;

use crate::{
    op::Op,
    record::{HoldRecord, INLINE_MAX},
};

/// Key of the `CLEARED` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClearKey {
    /// Under which policy it was judged. Other rules are another policy, so nothing outlives the rules that cleared it.
    pub policy: u32,
    /// [`crate::record::HoldKey::slot`]: a script's interpreter is judged apart.
    pub slot: u32,
    pub uid: u32,
    pub gid: u32,
    pub argc: u32,
    pub argv_len: u32,
    pub path_len: u32,
    /// The rest of these is the program's, as in [`crate::record::Object`].
    pub dev: u32,
    pub generation: u32,
    pub mode: u32,
    pub rdev: u32,
    pub nlink: u32,
    pub owner: u32,
    pub magic: u32,
    pub ino: u64,
    pub parent_ino: u64,
    pub size: u64,
    /// The arguments and the path, as [`HoldRecord::text`] has them; zero behind.
    pub text: [u8; INLINE_MAX],
}

impl ClearKey {
    /// Notes all but the text.
    #[inline(always)]
    pub fn note(&mut self, policy: u32, slot: u32, record: &HoldRecord) {
        (self.policy, self.slot) = (policy, slot);
        (self.uid, self.gid) = (record.uid, record.gid);
        (self.argc, self.argv_len, self.path_len) = (record.argc, record.argv_len, record.path_len);
        let program = &record.target;
        (self.dev, self.generation, self.mode) = (program.dev, program.generation, program.mode);
        (self.rdev, self.nlink, self.owner) = (program.rdev, program.nlink, program.uid);
        (self.magic, self.ino) = (program.magic, program.ino);
        (self.parent_ino, self.size) = (program.parent_ino, program.size);
    }

    /// Does a key hold all there is to this operation? Of an exec the other fields of a record are empty, the name of
    /// the program is the end of its path, and it is nobody's own.
    #[must_use]
    #[inline(always)]
    pub fn holds_all_of(record: &HoldRecord) -> bool {
        let len = record.argv_len.wrapping_add(record.path_len);
        record.op == Op::Exec as u32
            && record.doubt == 0
            && record.other_path_len == 0
            && record.address_len == 0
            && record.argv_len <= INLINE_MAX as u32
            && len <= INLINE_MAX as u32
    }
}

const _: () = assert!(size_of::<ClearKey>() == 80 + INLINE_MAX);
