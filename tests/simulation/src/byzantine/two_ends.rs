//! Attests every end of an emergency that it sees, of whatever branch, again and again.

use super::{Behaviour, Shown, Situation};
use crate::message::Gossip;
use holdfast_types::wire::GossipedAttestation;
use holdfast_types::{Attestation, AttestationBody, Block, EraKind, Signer, VerifiedVertex};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many ends are remembered.
const ENDS_MAX: usize = 8;

/// It remembers what it signed.
#[derive(Clone, Debug, Default)]
pub struct TwoEnds {
    ends: VecDeque<Attestation>,
    said: u32,
}

impl Behaviour for TwoEnds {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn sees_block(&mut self, situation: Situation<'_>, block: &Block) -> bool {
        let end = block.body.era_end.as_ref();
        let end = end.filter(|end| end.next_kind == EraKind::Dag && block.body.commit.is_none());
        let key = situation.key.public_key();
        let Some(me) = end.and_then(|end| end.committee.authority_of_key(&key)) else {
            return false;
        };
        let id = block.header.id(situation.chain);
        let body = AttestationBody::of_block(id, &block.header);
        if self.ends.iter().any(|known| known.body == body) {
            return false;
        }
        let other = |known: &Attestation| known.body.era == body.era;
        let contradicts = self.ends.iter().any(other);
        self.ends
            .push_back(body.sign(me, situation.chain, situation.key));
        if self.ends.len() > ENDS_MAX {
            self.ends.pop_front();
        }
        contradicts
    }

    fn gossip(&mut self, _: Situation<'_>) -> Vec<Gossip> {
        self.said = self.said.wrapping_add(1);
        let ends = self.ends.iter().map(|attestation| {
            Gossip::Attestation(Box::new(GossipedAttestation {
                attestation: *attestation,
                repetition: self.said,
            }))
        });
        ends.collect()
    }
}
