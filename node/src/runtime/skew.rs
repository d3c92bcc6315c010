//! How far this machine's clock is from those of the committee: an answer to "where do you stand" carries the time of who
//! answers. Nothing is decided by it; it is for whoever watches the node.

use holdfast_types::TimestampMs;

/// An answer that was longer on the way says too little: the error is up to half of this.
const ROUND_TRIP_MS_MAX: u64 = 2_000;
/// One member alone does not say that this clock is wrong: its own may be.
const READINGS_MIN: usize = 2;

/// What one answer says of two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// By this clock, when it was asked.
    pub(super) asked: TimestampMs,
    /// By this clock, when the answer was here.
    pub(super) answered: TimestampMs,
    /// By the clock of who answered, somewhere in between.
    pub(super) theirs: TimestampMs,
}

impl Reading {
    /// This clock minus theirs, in ms. Nothing if the way was too long, or this clock was set meanwhile.
    fn offset_ms(self) -> Option<i64> {
        let round_trip = self.answered.0.checked_sub(self.asked.0)?;
        if round_trip > ROUND_TRIP_MS_MAX {
            return None;
        }
        let middle = i64::try_from(self.asked.0 + round_trip / 2).ok()?;
        // A peer may claim any time.
        Some(middle.saturating_sub(i64::try_from(self.theirs.0).unwrap_or(i64::MAX)))
    }
}

/// This clock minus the median of the others', in seconds; nothing if too few have answered.
pub(super) fn median_seconds(readings: impl IntoIterator<Item = Reading>) -> Option<f64> {
    let mut offsets: Vec<i64> = readings
        .into_iter()
        .filter_map(Reading::offset_ms)
        .collect();
    if offsets.len() < READINGS_MIN {
        return None;
    }
    offsets.sort_unstable();
    // Of two in the middle the smaller one: a single wrong clock among two does not count against this one.
    let lower = *offsets.get((offsets.len() - 1) / 2)?;
    let upper = *offsets.get(offsets.len() / 2)?;
    let offset = if lower.unsigned_abs() <= upper.unsigned_abs() {
        lower
    } else {
        upper
    };
    Some(offset as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another clock that is so far behind this one.
    fn behind(offset_ms: i64) -> Reading {
        Reading {
            asked: TimestampMs(1_000_000),
            answered: TimestampMs(1_000_100),
            theirs: TimestampMs(1_000_050_u64.saturating_add_signed(-offset_ms)),
        }
    }

    #[test]
    fn the_median_is_that_of_most_and_not_of_the_one_that_is_wrong() {
        assert_eq!(
            median_seconds([behind(20), behind(3_600_000), behind(-10)]),
            Some(0.02)
        );
        assert_eq!(median_seconds([behind(90_000), behind(4)]), Some(0.004));
        assert_eq!(
            median_seconds([behind(-2_500), behind(-2_500), behind(0)]),
            Some(-2.5)
        );
    }

    #[test]
    fn one_answer_is_too_few() {
        assert_eq!(median_seconds([]), None);
        assert_eq!(median_seconds([behind(5_000)]), None);
    }

    #[test]
    fn an_answer_that_took_long_or_came_before_the_question_does_not_count() {
        let mut slow = behind(0);
        slow.answered = TimestampMs(slow.asked.0 + ROUND_TRIP_MS_MAX + 1);
        let mut set_back = behind(0);
        set_back.answered = TimestampMs(slow.asked.0 - 1);
        assert_eq!(median_seconds([slow, set_back, behind(7)]), None);
    }

    #[test]
    fn a_claim_of_any_time_is_survived() {
        let claims = [0, u64::MAX].map(|theirs| Reading {
            theirs: TimestampMs(theirs),
            ..behind(0)
        });
        assert!(median_seconds(claims).is_some());
    }
}
