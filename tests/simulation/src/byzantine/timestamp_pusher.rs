//! Dates its vertices as far ahead as others may just accept, and sometimes much further.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

/// Most that it pushes, in ms: beyond what any node accepts at once.
const AHEAD_MS: (u64, u64) = (0, 3_000);

#[derive(Clone, Copy, Debug)]
pub struct TimestampPusher;

impl Behaviour for TimestampPusher {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let ahead_ms = situation.random.between(AHEAD_MS);
        let vertex = sign_again(&situation, vertex, |draft| {
            draft.timestamp = draft.timestamp.plus(ahead_ms);
        });
        vec![Shown::to_all(&situation, vertex)]
    }
}
