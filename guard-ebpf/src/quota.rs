//! Asks and tells an agent's quota; the counting is [`guard_common::quota`]'s. What cannot be counted does not pass.

use aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns;
use core::{
    intrinsics::{AtomicOrdering::Relaxed, atomic_xadd, atomic_xchg},
    sync::atomic::AtomicU64,
};
use guard_common::{
    quota::{Quota, Shared},
    record::HoldRecord,
};

use crate::{
    kread::{Addr, read},
    maps::QUOTAS,
    offset,
};

/// One instruction each.
struct Atomic;

impl Shared for Atomic {
    #[inline(always)]
    fn load(word: &AtomicU64) -> u64 {
        // SAFETY: an aligned word, which the kernel's processors read at once.
        unsafe { word.as_ptr().read_volatile() }
    }

    #[inline(always)]
    fn store(word: &AtomicU64, value: u64) {
        // SAFETY: as above.
        unsafe { word.as_ptr().write_volatile(value) }
    }

    #[inline(always)]
    fn add(word: &AtomicU64, by: u64) {
        // SAFETY: an aligned word that is written atomically everywhere.
        unsafe {
            atomic_xadd::<u64, u64, { Relaxed }>(word.as_ptr(), by);
        }
    }

    #[inline(always)]
    fn swap(word: &AtomicU64, value: u64) -> u64 {
        // SAFETY: as above.
        unsafe { atomic_xchg::<u64, { Relaxed }>(word.as_ptr(), value) }
    }
}

/// May what is in `inode` pass without guardd? Then it is counted.
#[inline(never)]
pub(crate) fn passes(agent: u64, inode: Addr) -> bool {
    match (of(agent), read::<u64>(inode, offset!(inode_size))) {
        // SAFETY: no arguments; the helper cannot fail.
        (Some(quota), Some(size)) => quota.passes::<Atomic>(size, unsafe { bpf_ktime_get_boot_ns() }),
        _ => false,
    }
}

/// Notes in a record how much passed lately.
#[inline(never)]
pub(crate) fn note(record: &mut HoldRecord) {
    (record.passed_files, record.passed_bytes) = (0, 0);
    if let Some(quota) = of(record.agent) {
        // SAFETY: no arguments; the helper cannot fail.
        let passed = quota.passed::<Atomic>(unsafe { bpf_ktime_get_boot_ns() });
        (record.passed_files, record.passed_bytes) = (passed.files, passed.bytes);
    }
}

#[inline(always)]
fn of(agent: u64) -> Option<&'static Quota> {
    // SAFETY: a map value of atomic words; were the element reused meanwhile, another agent's count would be too high.
    unsafe { QUOTAS.get(&agent) }
}
