//! What an agent did lately, counted for rules with thresholds: pure state, no IO and no clock.
//!
//! The kernel lets half of a threshold pass and says with every candidate how much that was; here is counted what it asks
//! about. What passed may have been about something else, so the sums are at least what they should be.

use std::collections::{BTreeMap, HashMap, VecDeque, hash_map::DefaultHasher};
use std::hash::{Hash as _, Hasher as _};

use crate::operation::Operation;

/// One count of a rule: which, and over how long.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// Rule and number of its match; stays the same when rules are read again.
    pub key: String,
    /// Seconds.
    pub within: u64,
}

/// Sums over the time of a counter, the operation in question included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub files: u64,
    pub bytes: u64,
    pub directories: u64,
}

/// What one agent did, by counter.
#[derive(Debug, Default)]
pub struct Tallies(BTreeMap<String, Window>);

#[derive(Debug, Default)]
struct Window {
    /// Boot time in nanoseconds, bytes, and a number for the directory; the oldest first.
    acts: VecDeque<(u64, u64, u64)>,
    bytes: u64,
    directories: HashMap<u64, u32>,
}

/// More acts than this within one window are more than any threshold.
const MOST: usize = 65_536;

impl Tallies {
    /// Counts an operation at `now` (boot time in nanoseconds) and answers the sums.
    pub fn count(&mut self, counters: &[Counter], operation: &Operation, now: u64) -> Vec<(String, Tally)> {
        counters
            .iter()
            .map(|counter| {
                let window = self.0.entry(counter.key.clone()).or_default();
                window.forget_before(now.saturating_sub(counter.within.saturating_mul(1_000_000_000)));
                (counter.key.clone(), window.add(operation, now))
            })
            .collect()
    }
}

impl Window {
    fn forget_before(&mut self, start: u64) {
        while let Some((at, bytes, directory)) = self.acts.front().copied() {
            if at >= start {
                break;
            }
            self.acts.pop_front();
            self.bytes = self.bytes.saturating_sub(bytes);
            if let Some(count) = self.directories.get_mut(&directory) {
                *count -= 1;
                if *count == 0 {
                    self.directories.remove(&directory);
                }
            }
        }
    }

    fn add(&mut self, operation: &Operation, now: u64) -> Tally {
        if self.acts.len() >= MOST {
            return Tally { files: u64::MAX, bytes: u64::MAX, directories: u64::MAX };
        }
        let mut hasher = DefaultHasher::new();
        (operation.target.dev, operation.path.parent()).hash(&mut hasher);
        let directory = hasher.finish();
        let bytes = operation.target.size.max(operation.other.size);
        self.acts.push_back((now, bytes, directory));
        self.bytes = self.bytes.saturating_add(bytes);
        *self.directories.entry(directory).or_default() += 1;
        let passed = operation.passed;
        Tally {
            files: (self.acts.len() as u64).saturating_add(passed.files),
            bytes: self.bytes.saturating_add(passed.bytes),
            // Each of them may have been in a directory of its own.
            directories: (self.directories.len() as u64).saturating_add(passed.files),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::testing::unlink;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn sums_are_over_the_window_and_directories_are_counted_once() {
        let counters = [Counter { key: "r#0".to_owned(), within: 10 }];
        let mut tallies = Tallies::default();
        let mut count = |path: &str, seconds: u64| {
            let counted = tallies.count(&counters, &unlink(1, path), seconds * SECOND);
            (counted[0].1.files, counted[0].1.bytes, counted[0].1.directories)
        };
        assert_eq!(count("/a/1", 1), (1, 3, 1));
        assert_eq!(count("/a/2", 2), (2, 6, 1));
        assert_eq!(count("/b/1", 11), (3, 9, 2));
        assert_eq!(count("/b/2", 12), (3, 9, 2));
        assert_eq!(count("/b/3", 100), (1, 3, 1));
    }

    #[test]
    fn more_than_can_be_remembered_is_more_than_anything() {
        let counters = [Counter { key: "r#0".to_owned(), within: 10 }];
        let mut tallies = Tallies::default();
        let operation = unlink(1, "/a/1");
        for _ in 0..MOST {
            tallies.count(&counters, &operation, SECOND);
        }
        assert_eq!(tallies.count(&counters, &operation, SECOND)[0].1.files, u64::MAX);
        assert_eq!(tallies.count(&counters, &operation, 60 * SECOND)[0].1.files, 1);
    }
}
