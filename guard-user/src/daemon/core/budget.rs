//! How much an agent may write into the log: so much at once, and more as time goes by. What is kept is bounded, so an agent
//! that could write without bound would push out what it did before.

use crate::daemon::clock::MILLISECOND;

/// An amount that is used up, and comes back steadily.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    most: u64,
    a_second: u64,
    /// What was spent, less what came back.
    used: u64,
    /// Until when that is reckoned, on the boot clock.
    at: u64,
}

impl Budget {
    /// For `most` at once.
    pub(super) const fn new(most: u64, a_second: u64) -> Self {
        Self { most, a_second, used: 0, at: 0 }
    }

    /// Something is left at `now` on the boot clock.
    pub(super) fn has_room(&mut self, now: u64) -> bool {
        let passed = now.saturating_sub(self.at) / MILLISECOND;
        let back = passed.saturating_mul(self.a_second) / 1_000;
        // Only when something came back, or asking often would keep it from doing so.
        if back > 0 {
            self.at += passed * MILLISECOND;
            self.used = self.used.saturating_sub(back);
        }
        self.used < self.most
    }

    /// Spends so much; the last may be more than was left.
    pub(super) fn spend(&mut self, amount: u64) {
        self.used = self.used.saturating_add(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::clock::SECOND;

    #[test]
    fn it_comes_back_however_often_it_is_asked() {
        let mut budget = Budget::new(10, 1);
        assert!(budget.has_room(SECOND));
        budget.spend(10);
        assert!(!budget.has_room(SECOND));
        for tenth in 0..9 {
            assert!(!budget.has_room(SECOND + tenth * SECOND / 10));
        }
        assert!(budget.has_room(2 * SECOND));
        budget.spend(100);
        assert!(!budget.has_room(90 * SECOND), "what was spent too much comes first");
        assert!(budget.has_room(1_000 * SECOND));
        budget.spend(10);
        assert!(!budget.has_room(1_000 * SECOND), "no more than there is at once");
    }
}
