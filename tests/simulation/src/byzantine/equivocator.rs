//! Signs two vertices in every slot and shows each to one half of its peers.

use super::{Behaviour, Shown, Situation};
use holdfast_types::{VerifiedVertex, VertexDraft, VertexPayload};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Equivocator;

impl Behaviour for Equivocator {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let header = vertex.header();
        let twin = VertexDraft {
            era: header.era,
            round: header.round,
            author: header.author,
            timestamp: header.timestamp.plus(1),
            parents: vertex.parents().to_vec(),
            payload: VertexPayload {
                transactions: Vec::new(),
                ..vertex.payload().clone()
            },
        };
        let twin = Arc::new(twin.sign(situation.chain, situation.key));
        let (left, right) = situation
            .peers
            .iter()
            .partition(|_| situation.random.chance(500));
        vec![
            Shown {
                vertex: Arc::clone(vertex),
                to: left,
            },
            Shown {
                vertex: twin,
                to: right,
            },
        ]
    }
}
