//! How much of what rules with a threshold count an agent may do before guardd is asked: counted in the kernel, in parts
//! of the threshold's time. What stays below passes; guardd hears of the rest, and with it how much passed.
//!
//! The same code runs in the kernel and in its tests. It may count too much, never too little, whatever several
//! processors do at once: totals only grow, a part begins with what they were before anybody counted in it, and who
//! counts does so before looking.

use core::{mem::size_of, sync::atomic::AtomicU64};

/// Parts of time that are remembered: the one that is being counted in, and as many as the time is cut into.
pub const REMEMBERED: usize = 8;
/// Parts a threshold's time is cut into.
pub const PARTS: u64 = REMEMBERED as u64 - 1;

/// Value of the `QUOTAS` map; the key is the cgroup id (`u64`) of the agent's cgroup. The daemon writes the limits.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Quota {
    /// Nanoseconds of one part; 0 when nothing passes without guardd.
    pub span: AtomicU64,
    pub limit: Amounts,
    /// Of everything that was counted.
    pub all: Amounts,
    /// Of what guardd was asked about.
    pub asked: Amounts,
    /// By the number of the part modulo [`REMEMBERED`].
    pub begun: [Begun; REMEMBERED],
}

#[repr(C)]
#[derive(Debug, Default)]
pub struct Amounts {
    pub files: AtomicU64,
    pub bytes: AtomicU64,
}

/// The totals when a part began.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Begun {
    pub part: AtomicU64,
    pub all: Amounts,
    pub asked: Amounts,
}

/// [`Quota`] as plain words, in the order of its members: as the daemon reads and writes it.
pub type Words = [u64; WORDS];
pub const WORDS: usize = size_of::<Quota>() / size_of::<u64>();

/// What may pass, and in which time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Nanoseconds of one part.
    pub span: u64,
    pub files: u64,
    pub bytes: u64,
}

impl Limits {
    /// The element with these limits. What passed under others counts on, as if it had been a moment ago.
    #[must_use]
    pub fn put(self, before: Option<Words>, now: u64) -> Words {
        let mut words = before.unwrap_or([0; WORDS]);
        if words[0] != self.span {
            let (files, bytes) = (passed(&words, now, 0), passed(&words, now, 1));
            words = [0; WORDS];
            if let Some(part) = now.checked_div(self.span) {
                let part = part + 1;
                (words[ALL], words[ALL + 1]) = (files, bytes);
                words[BEGUN + EACH * (part as usize & (REMEMBERED - 1))] = part;
            }
        }
        [words[0], words[1], words[2]] = [self.span, self.files, self.bytes];
        words
    }
}

/// Where the totals, and the parts that begun, are in [`Words`].
const ALL: usize = 3;
const ASKED: usize = 5;
const BEGUN: usize = 7;
/// Words of one part.
const EACH: usize = 5;

/// As [`Quota::passed`], of words: files for `which` 0, bytes for 1.
fn passed(words: &Words, now: u64, which: usize) -> u64 {
    let part = now.checked_div(words[0]).map_or(0, |part| part + 1);
    let since = |begun: &[u64; EACH]| {
        let all = words[ALL + which].wrapping_sub(begun[1 + which]);
        all.saturating_sub(words[ASKED + which].wrapping_sub(begun[3 + which]))
    };
    words[BEGUN..].as_chunks::<EACH>().0.iter().filter(|begun| is_within(begun[0], part)).map(since).max().unwrap_or(0)
}

/// What several processors do to one word at once: the kernel's target has none of the operations of atomics.
pub trait Shared {
    fn load(word: &AtomicU64) -> u64;
    fn store(word: &AtomicU64, value: u64);
    fn add(word: &AtomicU64, by: u64);
    /// Answers what was there.
    fn swap(word: &AtomicU64, value: u64) -> u64;
}

/// What passed within the time of the longest threshold, and a little before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    pub files: u64,
    pub bytes: u64,
}

impl Amounts {
    #[inline(always)]
    fn add<S: Shared>(&self, bytes: u64) {
        S::add(&self.files, 1);
        S::add(&self.bytes, bytes);
    }
}

impl Quota {
    /// Counts a file of so many bytes at `now` (`CLOCK_BOOTTIME` in nanoseconds). False when guardd is to be asked.
    #[inline(always)]
    pub fn passes<S: Shared>(&self, bytes: u64, now: u64) -> bool {
        let span = S::load(&self.span);
        if span == 0 {
            return false;
        }
        // 0 is the number of no part.
        let part = now / span + 1;
        self.begin::<S>(part);
        self.all.add::<S>(bytes);
        let (mut files, mut sizes) = (0, 0);
        let mut index = 0;
        while index < REMEMBERED {
            let begun = &self.begun[index];
            if is_within(S::load(&begun.part), part) {
                files = larger(files, S::load(&self.all.files).wrapping_sub(S::load(&begun.all.files)));
                sizes = larger(sizes, S::load(&self.all.bytes).wrapping_sub(S::load(&begun.all.bytes)));
            }
            index += 1;
        }
        if files <= S::load(&self.limit.files) && sizes <= S::load(&self.limit.bytes) {
            return true;
        }
        self.asked.add::<S>(bytes);
        false
    }

    /// What passed lately.
    #[inline(always)]
    pub fn passed<S: Shared>(&self, now: u64) -> Passed {
        let span = S::load(&self.span);
        let mut passed = Passed { files: 0, bytes: 0 };
        if span == 0 {
            return passed;
        }
        let part = now / span + 1;
        let mut index = 0;
        while index < REMEMBERED {
            let begun = &self.begun[index];
            if is_within(S::load(&begun.part), part) {
                let asked = S::load(&self.asked.files).wrapping_sub(S::load(&begun.asked.files));
                let all = S::load(&self.all.files).wrapping_sub(S::load(&begun.all.files));
                passed.files = larger(passed.files, all.saturating_sub(asked));
                let asked = S::load(&self.asked.bytes).wrapping_sub(S::load(&begun.asked.bytes));
                let all = S::load(&self.all.bytes).wrapping_sub(S::load(&begun.all.bytes));
                passed.bytes = larger(passed.bytes, all.saturating_sub(asked));
            }
            index += 1;
        }
        passed
    }

    /// Whoever comes to a part first notes the totals. They are read before it says that it was first: until then
    /// nobody has counted in this part. Until they are written, those of a part long ago stand there, which are less.
    #[inline(always)]
    fn begin<S: Shared>(&self, part: u64) {
        let begun = &self.begun[part as usize & (REMEMBERED - 1)];
        let (files, bytes) = (S::load(&self.all.files), S::load(&self.all.bytes));
        if S::load(&begun.part) != part && S::swap(&begun.part, part) != part {
            S::store(&begun.asked.files, S::load(&self.asked.files));
            S::store(&begun.asked.bytes, S::load(&self.asked.bytes));
            S::store(&begun.all.files, files);
            S::store(&begun.all.bytes, bytes);
        }
    }
}

#[inline(always)]
fn is_within(begun: u64, part: u64) -> bool {
    begun != 0 && part.wrapping_sub(begun) < REMEMBERED as u64
}

#[inline(always)]
fn larger(one: u64, other: u64) -> u64 {
    if one > other { one } else { other }
}

const _: () = {
    assert!(REMEMBERED.is_power_of_two());
    assert!(size_of::<Begun>() == 40);
    assert!(size_of::<Quota>() == 56 + 40 * REMEMBERED);
};

#[cfg(test)]
mod tests {
    use core::sync::atomic::Ordering::Relaxed;

    use super::*;

    struct Host;

    impl Shared for Host {
        fn load(word: &AtomicU64) -> u64 {
            word.load(Relaxed)
        }

        fn store(word: &AtomicU64, value: u64) {
            word.store(value, Relaxed);
        }

        fn add(word: &AtomicU64, by: u64) {
            word.fetch_add(by, Relaxed);
        }

        fn swap(word: &AtomicU64, value: u64) -> u64 {
            word.swap(value, Relaxed)
        }
    }

    const SECOND: u64 = 1_000_000_000;

    fn quota(seconds: u64, files: u64, bytes: u64) -> Quota {
        Quota {
            span: (seconds * SECOND).div_ceil(PARTS).into(),
            limit: Amounts { files: files.into(), bytes: bytes.into() },
            ..Quota::default()
        }
    }

    #[test]
    fn so_many_pass_and_then_guardd_is_asked_until_they_are_long_ago() {
        let quota = quota(60, 3, u64::MAX);
        let pass = |second: u64| quota.passes::<Host>(10, second * SECOND);
        assert_eq!([1, 2, 59, 60, 61].map(pass), [true, true, true, false, false]);
        assert_eq!(quota.passed::<Host>(61 * SECOND), Passed { files: 3, bytes: 30 });
        assert!(pass(500));
        assert_eq!(quota.passed::<Host>(500 * SECOND), Passed { files: 1, bytes: 10 });
    }

    #[test]
    fn bytes_are_counted_as_well() {
        let quota = quota(60, u64::MAX, 100);
        assert!(quota.passes::<Host>(60, SECOND));
        assert!(!quota.passes::<Host>(60, SECOND));
        assert!(quota.passes::<Host>(60, 200 * SECOND));
    }

    /// The element the kernel would have, of the words the daemon wrote.
    fn of(words: &Words) -> Quota {
        let amounts = |at: usize| Amounts { files: words[at].into(), bytes: words[at + 1].into() };
        let begun = |index: usize| {
            let at = BEGUN + EACH * index;
            Begun { part: words[at].into(), all: amounts(at + 1), asked: amounts(at + 3) }
        };
        Quota {
            span: words[0].into(),
            limit: amounts(1),
            all: amounts(ALL),
            asked: amounts(ASKED),
            begun: core::array::from_fn(begun),
        }
    }

    fn words(quota: &Quota) -> Words {
        let mut words = [0; WORDS];
        let mut at = 0;
        let mut put = |word: &AtomicU64| {
            words[at] = Host::load(word);
            at += 1;
        };
        put(&quota.span);
        let begun = quota
            .begun
            .iter()
            .flat_map(|begun| [None, Some(&begun.all), Some(&begun.asked)].map(|amounts| (begun, amounts)));
        for amounts in [&quota.limit, &quota.all, &quota.asked] {
            put(&amounts.files);
            put(&amounts.bytes);
        }
        for (begun, amounts) in begun {
            match amounts {
                None => put(&begun.part),
                Some(amounts) => {
                    put(&amounts.files);
                    put(&amounts.bytes);
                }
            }
        }
        words
    }

    #[test]
    fn other_limits_keep_what_passed_and_the_same_keep_everything() {
        let limits = Limits { span: SECOND, files: 3, bytes: u64::MAX };
        let quota = of(&limits.put(None, 0));
        let pass = |second: u64| quota.passes::<Host>(10, second * SECOND);
        assert_eq!([1, 2, 3, 4, 30, 31].map(pass), [true, true, true, false, true, true]);
        let before = words(&quota);
        assert_eq!(limits.put(Some(before), 31 * SECOND), before);
        assert_eq!(words(&of(&before)), before);
        let wider = of(&Limits { span: 7 * SECOND, files: 9, ..limits }.put(Some(before), 31 * SECOND));
        assert_eq!(wider.passed::<Host>(32 * SECOND), Passed { files: 2, bytes: 20 });
        assert!(wider.passes::<Host>(10, 33 * SECOND));
        assert_eq!(wider.passed::<Host>(33 * SECOND).files, 3);
        assert_eq!(Limits::default().put(Some(before), 31 * SECOND), [0; WORDS]);
    }

    #[test]
    fn without_a_time_nothing_passes() {
        assert!(!Quota::default().passes::<Host>(0, SECOND));
    }

    /// A simple generator: the test is the same every time.
    fn next(seed: &mut u64) -> u64 {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *seed >> 33
    }

    #[test]
    fn within_any_time_no_more_pass_than_may_and_all_that_passed_is_told() {
        let mut seed = 7;
        for round in 0..200 {
            let (seconds, files) = (1 + next(&mut seed) % 100, next(&mut seed) % 20);
            let quota = quota(seconds, files, u64::MAX);
            let mut passed: [u64; 300] = [0; 300];
            let (mut count, mut now) = (0, next(&mut seed) % (1 << 40));
            for _ in 0..300 {
                now += next(&mut seed) % (seconds * SECOND / 8);
                if quota.passes::<Host>(1, now) {
                    passed[count] = now;
                    count += 1;
                }
                let lately = passed[..count].iter().filter(|at| **at + seconds * SECOND >= now).count() as u64;
                assert!(lately <= files, "round {round}: {lately} of {files}");
                assert!(quota.passed::<Host>(now).files >= lately, "round {round}: {lately} passed");
            }
        }
    }

    extern crate std;

    #[test]
    fn of_many_at_once_no_more_pass_than_may() {
        for start in 0..50 {
            let quota = quota(7, 100, u64::MAX);
            let passed = std::thread::scope(|scope| {
                let threads: std::vec::Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            let at = |step: u64| start * SECOND + step * SECOND / 40;
                            (0..200).filter(|step| quota.passes::<Host>(1, at(*step))).count()
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum::<usize>()
            });
            // Five seconds, of seven that count.
            assert!(passed <= 100, "{passed} passed");
            assert!(quota.passed::<Host>(start * SECOND + 5 * SECOND).files >= passed as u64);
        }
    }
}
