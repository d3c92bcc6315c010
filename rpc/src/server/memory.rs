//! A bound on the memory that requests being read and replies being sent take together.

use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits are counted in units of this many bytes.
const UNIT_BYTES: usize = 1024;

/// Replies below this size are not counted: the number of connections and calls bounds them.
const SMALL_REPLY_BYTES: usize = 4 * 1024;

/// A bound on the memory of requests and replies.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBudget {
    units: Arc<Semaphore>,
}

/// Memory taken from the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    _permit: OwnedSemaphorePermit,
}

impl MemoryBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
        }
    }

    /// Takes memory, or says at once that there is none.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(Reservation { _permit: permit })
    }

    /// Takes memory for a reply; none is counted for a small one.
    pub(crate) fn try_reserve_reply(&self, bytes: usize) -> Option<Reservation> {
        self.try_reserve(if bytes < SMALL_REPLY_BYTES { 0 } else { bytes })
    }
}

/// A reply that keeps its memory reserved until the last byte of it is sent.
pub(crate) fn hold(text: String, reservations: Vec<Reservation>) -> Bytes {
    Bytes::from_owner(HeldText {
        text,
        _reservations: reservations,
    })
}

struct HeldText {
    text: String,
    _reservations: Vec<Reservation>,
}

impl AsRef<[u8]> for HeldText {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_comes_back_when_the_reply_is_gone() {
        let budget = MemoryBudget::new(10 * UNIT_BYTES);
        let request = budget.try_reserve(UNIT_BYTES).unwrap();
        let reservation = budget.try_reserve_reply(9 * UNIT_BYTES).unwrap();
        let reply = hold("x".repeat(9 * UNIT_BYTES), vec![reservation]);
        assert!(budget.try_reserve(1).is_none());
        assert!(budget.try_reserve_reply(SMALL_REPLY_BYTES).is_none());
        assert!(budget.try_reserve_reply(SMALL_REPLY_BYTES - 1).is_some());
        let part = reply.slice(5..);
        drop(reply);
        assert!(budget.try_reserve(1).is_none());
        drop((part, request));
        assert!(budget.try_reserve(10 * UNIT_BYTES).is_some());
    }
}
