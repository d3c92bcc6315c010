//! The wall clock of a node. Its monotonic clock is true.

use crate::chain::START;
use holdfast_types::TimestampMs;

/// The rate of a clock that stands still.
const FROZEN_PPM: i64 = -1_000_000;

/// How far a wall clock is from the true time, and how that changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// How far it was ahead when it was last set.
    ahead_ms: i64,
    set_at_ms: u64,
    /// What it gains since then, in parts of a million.
    gains_ppm: i64,
}

impl Clock {
    /// A clock that is so far ahead and stays it.
    #[must_use]
    pub fn ahead(ahead_ms: i64) -> Self {
        Self {
            ahead_ms,
            ..Self::default()
        }
    }

    /// The clock from now on, when it gains so many parts of a million, or loses them.
    #[must_use]
    pub const fn gaining(self, now_ms: u64, gains_ppm: i64) -> Self {
        Self {
            ahead_ms: self.ahead_ms(now_ms),
            set_at_ms: now_ms,
            gains_ppm,
        }
    }

    /// The clock that stands still from now on.
    #[must_use]
    pub const fn frozen(self, now_ms: u64) -> Self {
        self.gaining(now_ms, FROZEN_PPM)
    }

    /// How far it is ahead of the true time; behind, if negative.
    #[must_use]
    pub const fn ahead_ms(self, now_ms: u64) -> i64 {
        let since_ms = now_ms.saturating_sub(self.set_at_ms).cast_signed();
        self.ahead_ms + since_ms * self.gains_ppm / 1_000_000
    }

    #[must_use]
    pub const fn wall(self, now_ms: u64) -> TimestampMs {
        let true_ms = START.0 + now_ms;
        TimestampMs(true_ms.saturating_add_signed(self.ahead_ms(now_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::chain::START;

    #[test]
    fn a_frozen_clock_shows_what_it_showed() {
        let clock = Clock::ahead(70).frozen(1_000);
        assert_eq!(clock.wall(1_000).0, START.0 + 1_070);
        assert_eq!(clock.wall(9_000).0, START.0 + 1_070);
        assert_eq!(clock.ahead_ms(9_000), 70 - 8_000);
    }

    #[test]
    fn a_clock_that_drifts_gains_or_loses_from_where_it_is() {
        let fast = Clock::ahead(-50).gaining(1_000, 200_000);
        assert_eq!(fast.ahead_ms(1_000), -50);
        assert_eq!(fast.ahead_ms(11_000), -50 + 2_000);
        let slower = fast.gaining(11_000, -100_000);
        assert_eq!(slower.ahead_ms(21_000), 1_950 - 1_000);
    }
}
