//! Token buckets: how much of something one peer may use.

use std::time::Instant;

/// A sustained rate and the burst above it, in the unit of whatever is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_second: u64,
    pub(crate) burst: u64,
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Starts full, refills at the rate, never holds more than the burst. Counts in billionths of a token,
/// so that no fraction is lost however often it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenBucket {
    rate: Rate,
    level: i128,
    updated: Instant,
}

impl TokenBucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self {
            rate,
            level: i128::from(rate.burst) * NANOS_PER_SECOND,
            updated: now,
        }
    }

    /// Takes `amount` if all of it is there; otherwise takes nothing and answers false.
    pub(crate) fn try_take(&mut self, amount: u64, now: Instant) -> bool {
        self.refill(now);
        let cost = i128::from(amount) * NANOS_PER_SECOND;
        let enough = self.level >= cost;
        if enough {
            self.level -= cost;
        }
        enough
    }

    /// Takes `amount` whether or not it is there: for costs known only afterwards. The debt is at
    /// most one burst, so that it is paid back in bounded time.
    pub(crate) fn debit(&mut self, amount: u64, now: Instant) {
        self.refill(now);
        let floor = -i128::from(self.rate.burst) * NANOS_PER_SECOND;
        self.level = (self.level - i128::from(amount) * NANOS_PER_SECOND).max(floor);
    }

    /// Whether anything is left.
    pub(crate) fn is_positive(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level > 0
    }

    /// Whether nothing is missing: then it is as good as a new one.
    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.level >= i128::from(self.rate.burst) * NANOS_PER_SECOND
    }

    fn refill(&mut self, now: Instant) {
        let elapsed_nanos = now.saturating_duration_since(self.updated).as_nanos();
        self.updated = self.updated.max(now);
        // A clock that stood still for centuries still fits: u64 seconds x u64 rate is below i128.
        let elapsed_nanos = i128::try_from(elapsed_nanos).unwrap_or(i128::MAX / 2);
        let gained = elapsed_nanos.saturating_mul(i128::from(self.rate.per_second));
        let full = i128::from(self.rate.burst) * NANOS_PER_SECOND;
        self.level = self.level.saturating_add(gained).min(full);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: 5,
    };

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(RATE, start);
        for _ in 0..5 {
            assert!(bucket.try_take(1, start));
        }
        assert!(!bucket.try_take(1, start));
        assert!(!bucket.try_take(1, start + Duration::from_millis(99)));
        assert!(bucket.try_take(1, start + Duration::from_millis(100)));
        assert!(!bucket.try_take(1, start + Duration::from_millis(100)));
        assert!(bucket.try_take(5, start + Duration::from_secs(3600)));
        assert!(!bucket.try_take(1, start + Duration::from_secs(3600)));
    }

    #[test]
    fn what_is_too_much_takes_nothing() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(RATE, start);
        assert!(!bucket.try_take(6, start));
        assert!(bucket.try_take(5, start));
    }

    #[test]
    fn a_debt_is_bounded_and_paid_back() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(RATE, start);
        bucket.debit(1_000_000, start);
        assert!(!bucket.is_positive(start + Duration::from_millis(500)));
        assert!(bucket.is_positive(start + Duration::from_millis(501)));
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut bucket = TokenBucket::new(RATE, start);
        assert!(bucket.try_take(5, start));
        assert!(!bucket.try_take(1, start - Duration::from_secs(50)));
        assert!(!bucket.try_take(1, start));
    }

    proptest! {
        /// Whatever the pattern of calls, no more than burst + rate x time passes, and an amount
        /// asked for below the rate and within the burst is never refused for ever.
        #[test]
        fn never_more_than_burst_plus_rate(
            per_second in 1u64..10_000,
            burst in 1u64..10_000,
            calls in proptest::collection::vec((0u64..2_000, 0u64..50_000_000), 1..200),
        ) {
            let start = Instant::now();
            let mut bucket = TokenBucket::new(Rate { per_second, burst }, start);
            let mut now = start;
            let mut taken = 0u128;
            for (amount, step_nanos) in calls {
                now += Duration::from_nanos(step_nanos);
                if bucket.try_take(amount, now) {
                    taken += u128::from(amount);
                }
                let elapsed = now.duration_since(start).as_nanos();
                let allowed = u128::from(burst) * 1_000_000_000 + elapsed * u128::from(per_second);
                prop_assert!(taken * 1_000_000_000 <= allowed);
            }
            now += Duration::from_secs(20_000);
            prop_assert!(bucket.try_take(burst, now));
        }
    }
}
