//! The two clocks, read at the edge and handed to the core. The core never looks at a clock itself.
#![forbid(unsafe_code)]

use rustix::time::{ClockId, clock_gettime};

/// One moment on both clocks, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// `CLOCK_BOOTTIME`: what deadlines and the kernel's records use.
    pub boottime: u64,
    /// Since 1970: what humans read.
    pub wall: i128,
}

pub const MILLISECOND: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MILLISECOND;

impl Now {
    #[must_use]
    pub fn read() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        let wall = clock_gettime(ClockId::Realtime);
        let boottime = u64::try_from(boot.tv_sec).unwrap_or(0) * SECOND + u64::try_from(boot.tv_nsec).unwrap_or(0);
        Self { boottime, wall: i128::from(wall.tv_sec) * 1_000_000_000 + i128::from(wall.tv_nsec) }
    }

    /// RFC 3339 in UTC with milliseconds.
    #[must_use]
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_nanosecond(self.wall).map_or_else(|_| "unknown".to_owned(), |time| format!("{time:.3}"))
    }

    /// The wall time of an earlier moment on the boot clock.
    #[must_use]
    pub fn at_boottime(self, boottime: u64) -> Self {
        let wall = self.wall - (i128::from(self.boottime) - i128::from(boottime));
        Self { boottime, wall }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(Now { boottime: 0, wall: 1_764_000_000_123_000_000 }.rfc3339(), "2025-11-24T16:00:00.123Z");
    }

    #[test]
    fn an_earlier_moment_keeps_its_distance() {
        let now = Now { boottime: 5 * SECOND, wall: 100_000_000_000 };
        assert_eq!(now.at_boottime(3 * SECOND).wall, 98_000_000_000);
    }
}
