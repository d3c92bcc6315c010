//! The readings of one signal within a window.

use std::collections::VecDeque;

/// A window is kept in so many parts, however often it is measured.
const PARTS: u64 = 60;

/// What was measured in one part of the window.
#[derive(Clone, Copy, Debug)]
struct Part {
    from_ms: u64,
    first: u64,
    lowest: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Readings {
    window_ms: u64,
    parts: VecDeque<Part>,
    last: u64,
}

impl Readings {
    pub(super) const fn new(window_ms: u64) -> Self {
        Self {
            window_ms,
            parts: VecDeque::new(),
            last: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.window_ms);
    }

    pub(super) fn add(&mut self, now_ms: u64, value: u64) {
        self.last = value;
        let part_ms = self.window_ms.div_euclid(PARTS).max(1);
        match self.parts.back_mut() {
            Some(part) if now_ms.saturating_sub(part.from_ms) < part_ms => {
                part.lowest = part.lowest.min(value);
            }
            _ => self.parts.push_back(Part {
                from_ms: now_ms,
                first: value,
                lowest: value,
            }),
        }
        let begins_ms = now_ms.saturating_sub(self.window_ms);
        // One that began before the window reaches into it.
        while self
            .parts
            .get(1)
            .is_some_and(|part| part.from_ms <= begins_ms)
        {
            self.parts.pop_front();
        }
    }

    /// RA2: how much a counter has risen in the window, or since it is read.
    pub(super) fn rise(&self) -> u64 {
        let first = self.parts.front().map_or(self.last, |part| part.first);
        self.last.saturating_sub(first)
    }

    /// RA3: the lowest reading of a full window.
    pub(super) fn mildest(&self, now_ms: u64) -> Option<u64> {
        self.is_full(now_ms).then_some(())?;
        let lowest = self.parts.iter().map(|part| part.lowest);
        lowest.min()
    }

    /// RA4: how long what is left lasts, in seconds; none if it does not become less.
    pub(super) fn runway_seconds(&self, now_ms: u64) -> Option<u64> {
        let first = self.parts.front().filter(|_| self.is_full(now_ms))?;
        let used = first
            .first
            .checked_sub(self.last)
            .filter(|used| *used > 0)?;
        let passed_seconds = now_ms.saturating_sub(first.from_ms).div_euclid(1_000);
        let lasts = u128::from(self.last)
            .saturating_mul(u128::from(passed_seconds))
            .div_euclid(u128::from(used));
        Some(u64::try_from(lasts).unwrap_or(u64::MAX))
    }

    fn is_full(&self, now_ms: u64) -> bool {
        let first = self.parts.front();
        first.is_some_and(|part| now_ms.saturating_sub(part.from_ms) >= self.window_ms)
    }
}
