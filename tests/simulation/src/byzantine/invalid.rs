//! Sends vertices that break a rule that every node checks: too few parents, or parents out of order.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Invalid;

impl Behaviour for Invalid {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let kind = situation.random.below(3);
        let vertex = sign_again(&situation, vertex, |draft| match kind {
            0 => draft.parents.truncate(1),
            1 => draft.parents.reverse(),
            _ => {}
        });
        vec![Shown::to_all(&situation, vertex)]
    }
}
