//! Attests other state roots than it has.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::{AttestationBody, StateRoot, VerifiedVertex};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct WrongRoot;

impl Behaviour for WrongRoot {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let attestations = vertex.payload().attestations.iter().map(|attestation| {
            let body = AttestationBody {
                state_root: StateRoot::new([0xee; 32]),
                ..attestation.body
            };
            body.sign(attestation.author, situation.chain, situation.key)
        });
        let attestations = attestations.collect();
        let vertex = sign_again(&situation, vertex, |draft| {
            draft.payload.attestations = attestations;
        });
        vec![Shown::to_all(&situation, vertex)]
    }
}
