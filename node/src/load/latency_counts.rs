//! How long many things took, in constant memory.

use std::time::Duration;

/// Longer times share the last count.
const COUNTED_MS_MAX: usize = 120_000;

/// A count for every millisecond.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyCounts {
    by_ms: Vec<u64>,
    total: u64,
    max_ms: u64,
}

impl LatencyCounts {
    pub(super) fn add(&mut self, latency: Duration) {
        let ms = latency.as_millis();
        let place = usize::try_from(ms)
            .unwrap_or(COUNTED_MS_MAX)
            .min(COUNTED_MS_MAX);
        if self.by_ms.len() <= place {
            self.by_ms.resize(place + 1, 0);
        }
        self.by_ms[place] += 1;
        self.total += 1;
        self.max_ms = self.max_ms.max(u64::try_from(ms).unwrap_or(u64::MAX));
    }

    /// The least time that this share of all did not exceed; 0 if there is none.
    pub(super) fn percentile_ms(&self, share: f64) -> u64 {
        // Far fewer are counted than f64 can tell apart.
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (ms, count) in (0..).zip(&self.by_ms) {
            seen += count;
            if seen >= wanted && seen > 0 {
                return ms;
            }
        }
        0
    }

    pub(super) const fn max_ms(&self) -> u64 {
        self.max_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_counted_took_no_time() {
        assert_eq!(LatencyCounts::default().percentile_ms(0.99), 0);
    }

    #[test]
    fn what_took_very_long_is_counted_and_the_longest_is_exact() {
        let mut counts = LatencyCounts::default();
        counts.add(Duration::from_secs(7_200));
        assert_eq!(counts.percentile_ms(0.5), COUNTED_MS_MAX as u64);
        assert_eq!(counts.max_ms(), 7_200_000);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_list(
            mut times in prop::collection::vec(0u64..5_000, 1..300),
            percent in 1u32..=100,
        ) {
            let mut counts = LatencyCounts::default();
            for ms in &times {
                counts.add(Duration::from_millis(*ms));
            }
            times.sort_unstable();
            let share = f64::from(percent) / 100.0;
            let position = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
            prop_assert_eq!(counts.percentile_ms(share), times[position]);
            prop_assert_eq!(Some(&counts.max_ms()), times.last());
        }
    }
}
