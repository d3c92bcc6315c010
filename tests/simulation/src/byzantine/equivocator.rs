//! Signs two vertices in every slot and shows each to one half of its peers.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Equivocator;

impl Behaviour for Equivocator {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let twin = sign_again(&situation, vertex, |draft| {
            draft.timestamp = draft.timestamp.plus(1);
            draft.payload.transactions.clear();
        });
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
