//! The threshold clock (rule D2).

use crate::vertices::VertexStore;
use holdfast_types::Round;

/// Shows the round in which this validator may propose: one above the highest complete round.
#[derive(Clone, Debug)]
pub struct ThresholdClock {
    quorum: usize,
    round: Round,
    /// When the clock came to `round`, in ms.
    entered_at_ms: u64,
}

impl ThresholdClock {
    /// Round 0 is complete by definition.
    #[must_use]
    pub const fn new(quorum: usize, now_ms: u64) -> Self {
        Self {
            quorum,
            round: Round(1),
            entered_at_ms: now_ms,
        }
    }

    #[must_use]
    pub const fn round(&self) -> Round {
        self.round
    }

    #[must_use]
    pub const fn entered_at_ms(&self) -> u64 {
        self.entered_at_ms
    }

    /// Looks at the round of a vertex that was just accepted; true if the clock advanced.
    pub fn observe(&mut self, vertices: &VertexStore, round: Round, now_ms: u64) -> bool {
        if round < self.round || vertices.authors(round) < self.quorum {
            return false;
        }
        self.round = round.next();
        self.entered_at_ms = now_ms;
        true
    }

    /// A restored DAG has committed up to `round`, so that round was complete for a quorum, even if its vertices are not
    /// here.
    pub fn advance_to(&mut self, round: Round, now_ms: u64) {
        if round > self.round {
            self.round = round;
            self.entered_at_ms = now_ms;
        }
    }
}
