//! Uplinks that carry only so much: what a node sends waits there for its turn.

/// What an uplink carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    pub bytes_per_s: u64,
}

impl Bandwidth {
    pub const MEGABIT: Self = Self {
        bytes_per_s: 125_000,
    };
}

/// The uplink of one node.
#[derive(Clone, Copy, Debug)]
pub struct Uplink {
    bandwidth: Bandwidth,
    /// When all that waits has been sent.
    free_at_us: u64,
}

impl Uplink {
    #[must_use]
    pub const fn new(bandwidth: Bandwidth) -> Self {
        Self {
            bandwidth,
            free_at_us: 0,
        }
    }

    /// How long what is sent now waits until its turn comes, in ms.
    #[must_use]
    pub const fn backlog_ms(&self, now_ms: u64) -> u64 {
        self.free_at_us.saturating_sub(now_ms * 1000).div_ceil(1000)
    }

    /// How long it takes until a message that is sent now has left, in ms.
    #[must_use]
    pub fn leaves_after_ms(&self, now_ms: u64, bytes: u64) -> u64 {
        (self.free_with(now_ms, bytes) - now_ms * 1000).div_ceil(1000)
    }

    /// A message is sent.
    pub fn send(&mut self, now_ms: u64, bytes: u64) {
        self.free_at_us = self.free_with(now_ms, bytes);
    }

    fn free_with(&self, now_ms: u64, bytes: u64) -> u64 {
        self.free_at_us.max(now_ms * 1000) + bytes * 1_000_000 / self.bandwidth.bytes_per_s
    }
}
