//! Orders halts and resumes that governance did not sign, and proves contradictions that nobody signed.

use super::{Behaviour, Shown, Situation, sign_again};
use crate::chain::{GOVERNANCE_THRESHOLD, GOVERNORS, governor_key};
use crate::message::Gossip;
use holdfast_types::wire::GossipedGovernance;
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, ChainId, CommitDigest, Evidence,
    GovernanceAction, GovernanceBody, GovernanceMessage, HaltGossip, HaltProof, Height, Signature,
    SoftwareVersion, StateRoot, VerifiedVertex,
};
use std::sync::Arc;

const HALT_MS: u64 = 60_000;

/// It remembers what it signed last.
#[derive(Clone, Debug, Default)]
pub struct Forger {
    last: Option<Arc<VerifiedVertex>>,
}

impl Behaviour for Forger {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        self.last = Some(Arc::clone(vertex));
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn gossip(&mut self, situation: Situation<'_>) -> Vec<Gossip> {
        let Some(last) = &self.last else {
            return Vec::new();
        };
        let header = last.header();
        let until = header.timestamp.plus(HALT_MS);
        let halt = GovernanceAction::Halt {
            reason: b"forged".to_vec(),
            until,
            after_height: None,
        };
        let resume = GovernanceAction::Resume {
            reason: b"forged".to_vec(),
            era: header.era,
            height: Height(1),
            block: BlockId::new([7; 32]),
            state_root: StateRoot::new([7; 32]),
            minimum_version: SoftwareVersion::default(),
            halts: Vec::new(),
            evidence: Vec::new(),
        };
        let kind = situation.random.below(5);
        let known = situation.replica.halts().manager().state().sequence;
        let messages = [halt, resume].map(|action| {
            let body = GovernanceBody {
                sequence: known + 1,
                action,
            };
            forged(&situation, kind, body)
        });
        let proofs = [
            invented_divergence(&situation, last),
            twice_the_same(&situation, last),
            one_alone(&situation, last),
        ];
        let repetition = 0;
        let messages = messages.map(|message| {
            let gossiped = GossipedGovernance {
                message,
                repetition,
            };
            Gossip::Governance(Box::new(gossiped))
        });
        let proofs = proofs.map(|proof| {
            let gossiped = HaltGossip::Proof { proof, repetition };
            Gossip::Halt(Box::new(gossiped))
        });
        messages.into_iter().chain(proofs).collect()
    }
}

/// Too few signatures, signatures of one governor under many names, of nobody's key, or for another chain.
fn forged(situation: &Situation<'_>, kind: u64, body: GovernanceBody) -> GovernanceMessage {
    let scheme = situation.key.scheme();
    let other_chain = ChainId::new([9; 32]);
    let of = |number| governor_key(scheme, number);
    let signatures: Vec<(u16, Signature)> = match kind {
        0 => (1..GOVERNANCE_THRESHOLD)
            .map(|number| body.sign(number, situation.chain, &of(number)))
            .collect(),
        1 => (0..GOVERNANCE_THRESHOLD)
            .map(|_| body.sign(3, situation.chain, &of(3)))
            .collect(),
        2 => (0..GOVERNANCE_THRESHOLD)
            .map(|number| body.sign(number, situation.chain, &of(3)))
            .collect(),
        3 => (0..GOVERNANCE_THRESHOLD)
            .map(|number| (GOVERNORS as u16 + number, situation.key))
            .map(|(number, key)| body.sign(number, situation.chain, key))
            .collect(),
        _ => (0..GOVERNANCE_THRESHOLD)
            .map(|number| body.sign(number, &other_chain, &of(number)))
            .collect(),
    };
    GovernanceMessage { body, signatures }
}

fn attestation(
    situation: &Situation<'_>,
    vertex: &VerifiedVertex,
    author: AuthorityIndex,
    root: u8,
) -> Attestation {
    let body = AttestationBody {
        era: vertex.header().era,
        height: Height(1),
        block: BlockId::new([root; 32]),
        commit: CommitDigest::new([root; 32]),
        state_root: StateRoot::new([root; 32]),
    };
    body.sign(author, situation.chain, situation.key)
}

/// What all members should have signed, with the one key that this node has.
fn invented_divergence(situation: &Situation<'_>, vertex: &VerifiedVertex) -> HaltProof {
    let attestations = (0..4)
        .map(|author| attestation(situation, vertex, AuthorityIndex(author), author as u8 % 2))
        .collect();
    HaltProof::Divergence { attestations }
}

/// One member on both sides.
fn twice_the_same(situation: &Situation<'_>, vertex: &VerifiedVertex) -> HaltProof {
    let attestations = [1, 2].map(|root| attestation(situation, vertex, vertex.author(), root));
    HaltProof::Divergence {
        attestations: attestations.to_vec(),
    }
}

/// One equivocator, as often as the cluster needs some.
fn one_alone(situation: &Situation<'_>, vertex: &VerifiedVertex) -> HaltProof {
    let evidence = (1..=4).map(|later| {
        let other = sign_again(situation, vertex, |draft| {
            draft.timestamp = draft.timestamp.plus(later);
        });
        let mut both = [vertex, other.as_ref()];
        both.sort_by_key(|vertex| vertex.reference().digest);
        let [first, second] = both.map(|vertex| vertex.vertex().signed.clone());
        Evidence::Equivocation { first, second }
    });
    HaltProof::EquivocationCluster {
        evidence: evidence.collect(),
    }
}
