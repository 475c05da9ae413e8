//! How much an agent may write into the log: so much at once, and more as time goes by. What is kept is bounded, so an agent
//! that could write without bound would push out what it did before.

use crate::daemon::clock::SECOND;

/// A bucket that fills steadily.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    most: u64,
    a_second: u64,
    left: u64,
    /// When it was filled last, on the boot clock; 0 before the first use.
    filled: u64,
}

impl Budget {
    /// Full, with room for `most`.
    pub(super) const fn new(most: u64, a_second: u64) -> Self {
        Self { most, a_second, left: most, filled: 0 }
    }

    /// Takes so much out at `now` on the boot clock; false, and takes nothing, when there is less.
    pub(super) fn take(&mut self, amount: u64, now: u64) -> bool {
        if self.filled == 0 {
            self.filled = now;
        }
        let gained = u128::from(now.saturating_sub(self.filled)) * u128::from(self.a_second) / u128::from(SECOND);
        // Only when something came of it, or asking often would keep it empty.
        if gained > 0 {
            let gained = u64::try_from(gained).unwrap_or(u64::MAX);
            self.left = self.left.saturating_add(gained).min(self.most);
            self.filled = now;
        }
        let enough = amount <= self.left;
        if enough {
            self.left -= amount;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_however_often_it_is_asked() {
        let mut budget = Budget::new(10, 1);
        assert!(budget.take(10, SECOND) && !budget.take(1, SECOND));
        for tenth in 0..9 {
            assert!(!budget.take(1, SECOND + tenth * SECOND / 10));
        }
        assert!(budget.take(1, 2 * SECOND) && !budget.take(1, 2 * SECOND));
        assert!(!budget.take(11, 1_000 * SECOND) && budget.take(10, 1_000 * SECOND), "never more than its room");
    }
}
