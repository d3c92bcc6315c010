//! Votes for every end of an emergency that it sees, and attests it, of whatever branch, again and again.

use super::{Behaviour, Shown, Situation};
use crate::message::Gossip;
use holdfast_types::wire::GossipedStatement;
use holdfast_types::{AttestationBody, Block, EndStatement, EraKind, Signer, VerifiedVertex};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many statements are remembered, two for each end.
const STATEMENTS_MAX: usize = 16;

/// It remembers what it signed.
#[derive(Clone, Debug, Default)]
pub struct TwoEnds {
    statements: VecDeque<EndStatement>,
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
        if self.statements.iter().any(|known| *known.body() == body) {
            return false;
        }
        let other = |known: &EndStatement| known.body().era == body.era;
        let contradicts = self.statements.iter().any(other);
        let (chain, key) = (situation.chain, situation.key);
        self.statements.extend([
            EndStatement::Vote(body.vote(me, chain, key)),
            EndStatement::Attestation(body.sign(me, chain, key)),
        ]);
        while self.statements.len() > STATEMENTS_MAX {
            self.statements.pop_front();
        }
        contradicts
    }

    fn gossip(&mut self, _: Situation<'_>) -> Vec<Gossip> {
        self.said = self.said.wrapping_add(1);
        let statements = self.statements.iter().map(|statement| {
            Gossip::Statement(Box::new(GossipedStatement {
                statement: *statement,
                repetition: self.said,
            }))
        });
        statements.collect()
    }
}
