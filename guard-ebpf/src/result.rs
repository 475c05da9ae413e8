//! How calls end that an approval let through: noted when the grant is used, told when the call is over. It informs; it
//! decides nothing, and what goes wrong here costs a result and nothing else.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use guard_common::{
    count::Count,
    notice,
    record::{HoldKey, SLOT_HELD, SLOT_INTERPRETER},
};

use crate::{
    count::count,
    gate::{WAKEUP_ONCE, ring_with},
    kread::current,
    maps::{Awaited, LISTENING, RESULTS},
};

/// Notes that the current call goes on because this hold was approved; false when its end will not be told.
#[inline(never)]
pub(crate) fn note(key: &HoldKey, hold: u64) -> bool {
    let listening = listening();
    if listening == 0 {
        return false;
    }
    let task = current() as u64;
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    let mut awaited = Awaited { listening, key: *key, hold, interpreter: 0, tgid, pad: 0 };
    if key.slot == SLOT_INTERPRETER {
        (awaited.hold, awaited.interpreter) = (0, hold);
        // The program was approved in the same call.
        // SAFETY: the fields are copied at once; only this task writes them.
        if let Some((key, hold)) = unsafe { RESULTS.get(&task) }
            .filter(|of| is(of, listening) && of.key.slot == SLOT_HELD)
            .map(|of| (of.key, of.hold))
        {
            (awaited.key, awaited.hold) = (key, hold);
        }
    }
    if RESULTS.insert(&task, &awaited, 0).is_err() {
        count(Count::ResultsFull);
        return false;
    }
    true
}

/// The current call is undone, or what it does is not what was approved: it says nothing of that.
#[inline(always)]
pub(crate) fn forget(task: u64) {
    if RESULTS.remove(&task).is_err() {
        // Nothing was noted, as nearly always.
    }
}

/// The current call is over.
#[inline(always)]
pub(crate) fn tell(answer: i64) {
    let task = current() as u64;
    // SAFETY: the value is copied at once; only this task writes it.
    let Some(awaited) = (unsafe { RESULTS.get(&task) }).copied() else {
        return;
    };
    forget(task);
    if !is(&awaited, listening()) {
        return;
    }
    let error = error(answer);
    if awaited.hold != 0 {
        ring_with(&awaited.key, awaited.hold, error, notice::RESULT, WAKEUP_ONCE);
    }
    if awaited.interpreter != 0 {
        let key = HoldKey { id: awaited.key.id, slot: SLOT_INTERPRETER };
        ring_with(&key, awaited.interpreter, error, notice::RESULT, WAKEUP_ONCE);
    }
}

/// Was this noted of the current process, and no call missed since?
#[inline(always)]
fn is(awaited: &Awaited, listening: u64) -> bool {
    awaited.listening == listening && awaited.tgid == (bpf_get_current_pid_tgid() >> 32) as u32
}

/// What the program is told went wrong; 0 for nothing. A call that is to be done again after a signal is asked about again,
/// if it is: of what was approved the signal was the end.
#[inline(always)]
fn error(answer: i64) -> u32 {
    const EINTR: u32 = 4;
    match answer {
        // `ERESTARTSYS` to `ERESTART_RESTARTBLOCK`
        -516..=-512 => EINTR,
        // `MAX_ERRNO`: what is lower is an address.
        -4095..=-1 => answer.unsigned_abs() as u32,
        _ => 0,
    }
}

#[inline(always)]
fn listening() -> u64 {
    LISTENING.get(0).map_or(0, |number| *number)
}
