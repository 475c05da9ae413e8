//! The arguments an exec was let through with, from then until the program runs. Comparing is the hook's
//! (`hooks/exec.rs`).

use guard_common::record::{ARGV_MAX, doubt};

use crate::{
    kread::copy,
    maps::{EXECS, Exec, LONG_EXECS, SHORT_ARGV},
    scratch::slot,
};

/// What was noted of a task's exec.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) argc: u32,
    /// Bytes of the arguments.
    pub(crate) len: u32,
    /// Not 0 where there were more.
    pub(crate) truncated: u32,
}

/// Notes the arguments in a claimed scratch. Room for them is made here, before anybody waits.
#[inline(always)]
pub(crate) fn note(index: u32, task: u64) -> Option<()> {
    forget(task);
    let memory = slot(index)?;
    // SAFETY: parts of a claimed slot; a short element begins as a long one does.
    unsafe {
        let exec = &raw mut (*memory).exec;
        (*exec).argc = (*memory).record.argc;
        (*exec).argv_len = (*memory).record.argv_len;
        (*exec).truncated = u32::from((*memory).record.doubt & doubt::ARGV != 0);
        (*exec).pad = 0;
        EXECS.insert(&task, &*exec.cast(), 0).ok()?;
        if (*exec).argv_len > SHORT_ARGV as u32 {
            LONG_EXECS.insert(&task, &*exec, 0).ok()?;
        }
    }
    Some(())
}

/// Copies what was noted to `path` of a claimed scratch. `Some(None)` where nothing was.
#[inline(always)]
pub(crate) fn read(index: u32, task: u64) -> Option<Option<Expected>> {
    // SAFETY: the element belongs to the current task alone.
    let Some(noted) = (unsafe { EXECS.get(&task) }) else {
        return Some(None);
    };
    let expected = Expected { argc: noted.argc, len: noted.argv_len, truncated: noted.truncated };
    let memory = slot(index)?;
    // SAFETY: part of a claimed slot, as long as the longest arguments.
    let to = unsafe { (&raw mut (*memory).path).cast::<u8>() };
    if expected.len > SHORT_ARGV as u32 {
        // SAFETY: as above.
        let long = unsafe { LONG_EXECS.get(&task) }?;
        copy(to, ARGV_MAX as u32, (&raw const long.argv) as u64)?;
    } else {
        copy(to, SHORT_ARGV as u32, (&raw const noted.argv) as u64)?;
    }
    Some(Some(expected))
}

/// Forgets what was noted, if anything was.
#[inline(always)]
pub(crate) fn forget(task: u64) {
    // SAFETY: the field is copied at once.
    let Some(len) = unsafe { EXECS.get(&task) }.map(|noted: &Exec<SHORT_ARGV>| noted.argv_len) else {
        return;
    };
    if EXECS.remove(&task).is_err() || (len > SHORT_ARGV as u32 && LONG_EXECS.remove(&task).is_err()) {
        // It is gone already.
    }
}
