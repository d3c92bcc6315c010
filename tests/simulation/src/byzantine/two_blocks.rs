//! Makes two blocks in each of its slots of an emergency, and shows each to one half of its peers.

use super::{Behaviour, Shown, Situation};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct TwoBlocks;

impl Behaviour for TwoBlocks {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn makes_two_blocks(&self) -> bool {
        true
    }
}
