//! Vertices: the one signed message of a validator in a round.
//!
//! Rules that a vertex obeys to be verified (each refusal is a [`VertexReject`]):
//!
//! * V1. Its era is the one that the verifier runs, its author a member of that era's committee, its round ≥ 1.
//! * V2. It is at most [`VERTEX_BYTES_MAX`] long, with bounded lists.
//! * V3. The header's hashes are those of its parents and payload.
//! * V4. The first parent is the author's own previous vertex; the others are sorted by (round, author) with one
//!   vertex per slot, none of the author's own; all are of lower rounds; those of round 0 are the implied ones; those
//!   of the previous round are of a quorum of authors.
//! * V5. Attestations are the author's own, of this era, with rising heights.
//! * V6. The signatures of header, attestations and transactions verify.

use crate::attestation::{Attestation, Certificate};
use crate::codec;
use crate::committee::{Committee, EraContext};
use crate::crypto::{Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::evidence::Evidence;
use crate::governance::GovernanceMessage;
use crate::hash::{Hash32, Purpose};
use crate::ids::{AuthorityIndex, ChainId, Era, Round, TimestampMs, TransactionId, VertexDigest};
use crate::limits::{
    PARENTS_PER_MEMBER_MAX, VERTEX_ATTESTATIONS_MAX, VERTEX_BYTES_MAX, VERTEX_EVIDENCE_MAX,
    VERTEX_GOVERNANCE_MAX, VERTEX_TRANSACTIONS_MAX,
};
use crate::transaction::SignedTransaction;
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// Names one vertex; the order (round, author, digest) is the total order of the linearization.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct VertexRef {
    pub round: Round,
    pub author: AuthorityIndex,
    pub digest: VertexDigest,
}

impl VertexRef {
    /// The implied vertex of round 0.
    #[must_use]
    pub fn genesis(chain: &ChainId, context: &EraContext, author: AuthorityIndex) -> Self {
        let seed = context.seed(chain);
        Self {
            round: Round::ZERO,
            author,
            digest: VertexDigest::new(Purpose::VERTEX_GENESIS.hash_encoded(&(seed, author))),
        }
    }

    #[must_use]
    pub const fn slot(&self) -> (Round, AuthorityIndex) {
        (self.round, self.author)
    }
}

impl fmt::Display for VertexRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:?}{:?}({:#})",
            self.author, self.round, self.digest
        )
    }
}

impl fmt::Debug for VertexRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The signed part: small, so that two of them are a portable proof of equivocation.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VertexHeader {
    pub era: Era,
    pub round: Round,
    pub author: AuthorityIndex,
    /// Wall clock of the author.
    pub timestamp: TimestampMs,
    pub parents_hash: Hash32,
    pub payload_hash: Hash32,
}

impl VertexHeader {
    #[must_use]
    pub fn digest(&self, chain: &ChainId) -> VertexDigest {
        VertexDigest::new(Purpose::VERTEX.hash_on_chain(chain, self))
    }
}

/// A header with the author's signature over its digest.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedVertexHeader {
    pub header: VertexHeader,
    pub signature: Signature,
}

impl SignedVertexHeader {
    /// The signature check against the committee of the vertex's era; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        let message = SigningHash::new(*self.header.digest(chain).as_bytes());
        committee.signature_check(self.header.author, message, self.signature)
    }
}

/// What a vertex carries.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VertexPayload {
    pub transactions: Vec<SignedTransaction>,
    /// Blocks of this era that the author executed since its previous vertex, by rising height.
    pub attestations: Vec<Attestation>,
    pub evidence: Vec<Evidence>,
    /// Governance messages that have not taken effect on the chain.
    pub governance: Vec<GovernanceMessage>,
    /// Certificate of the era's anchor, in the author's first vertex of the era.
    pub anchor_certificate: Option<Certificate>,
}

impl VertexPayload {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty() && self.evidence.is_empty() && self.governance.is_empty()
    }
}

/// A vertex as sent and stored.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vertex {
    pub signed: SignedVertexHeader,
    pub parents: Vec<VertexRef>,
    pub payload: VertexPayload,
}

/// Everything a validator decides when it proposes; the hashes and the signature follow from it.
#[derive(Clone, Debug)]
pub struct VertexDraft {
    pub era: Era,
    pub round: Round,
    pub author: AuthorityIndex,
    pub timestamp: TimestampMs,
    /// Own previous vertex first, then sorted.
    pub parents: Vec<VertexRef>,
    pub payload: VertexPayload,
}

impl VertexDraft {
    /// The header that [`Self::sign`] will sign: what the sign guard records beforehand.
    #[must_use]
    pub fn header(&self) -> VertexHeader {
        VertexHeader {
            era: self.era,
            round: self.round,
            author: self.author,
            timestamp: self.timestamp,
            parents_hash: Purpose::VERTEX_PARENTS.hash_encoded(&self.parents),
            payload_hash: Purpose::VERTEX_PAYLOAD.hash_encoded(&self.payload),
        }
    }

    /// Signs as the author. The sign guard has allowed the slot before.
    #[must_use]
    pub fn sign(self, chain: &ChainId, signer: &dyn Signer) -> VerifiedVertex {
        let header = self.header();
        let digest = header.digest(chain);
        let signature = signer.sign(&SigningHash::new(*digest.as_bytes()));
        let vertex = Vertex {
            signed: SignedVertexHeader { header, signature },
            parents: self.parents,
            payload: self.payload,
        };
        VerifiedVertex::trust(vertex, chain)
    }
}

/// Why a vertex is refused. All of these are its author's or sender's fault except [`Self::WrongEra`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VertexReject {
    #[error("the vertex is of era {actual}, this node runs era {expected}")]
    WrongEra { actual: Era, expected: Era },
    #[error("authority {author} is no member of the committee")]
    UnknownAuthor { author: AuthorityIndex },
    #[error("round 0 is implied and never sent")]
    RoundZero,
    #[error("{field} holds {actual}, the limit is {limit}")]
    TooMany {
        field: &'static str,
        actual: usize,
        limit: usize,
    },
    #[error("{field} of the header is not the hash of what the vertex carries")]
    WrongHash { field: &'static str },
    #[error("parent {position} breaks the order or names a slot twice")]
    ParentOrder { position: usize },
    #[error("parent {position} is not of a lower round")]
    ParentRound { position: usize },
    #[error("parent {position} is of round 0, but not the implied vertex of its author")]
    ParentGenesis { position: usize },
    #[error("{actual} parents are of the previous round, the quorum is {quorum}")]
    ParentQuorum { actual: usize, quorum: usize },
    #[error("attestation {position} is not the author's own of this era with rising height")]
    Attestation { position: usize },
    #[error("transaction {position} exceeds a length limit")]
    TransactionLimits { position: usize },
    #[error("a signature of the vertex does not verify")]
    BadSignature,
}

/// A vertex that obeys V1 to V6, with the hashes that everybody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedVertex {
    reference: VertexRef,
    vertex: Vertex,
    transaction_ids: Vec<TransactionId>,
}

impl VerifiedVertex {
    pub fn verify(
        vertex: Vertex,
        chain: &ChainId,
        context: &EraContext,
        scheme: &dyn SignatureScheme,
    ) -> Result<Self, VertexReject> {
        let committee = &context.committee;
        check_header(&vertex, context)?;
        check_limits(&vertex, committee)?;
        check_hashes(&vertex)?;
        check_parents(&vertex, committee)?;
        check_genesis_parents(&vertex, chain, context)?;
        check_attestations(&vertex)?;
        let verified = Self::trust(vertex, chain);
        if scheme.verify_batch(&verified.signature_checks(chain, committee)?) {
            Ok(verified)
        } else {
            Err(VertexReject::BadSignature)
        }
    }

    /// For what was verified before: own vertices and those of our own store.
    #[must_use]
    pub fn trust(vertex: Vertex, chain: &ChainId) -> Self {
        let header = &vertex.signed.header;
        let reference = VertexRef {
            round: header.round,
            author: header.author,
            digest: header.digest(chain),
        };
        let transaction_ids = vertex
            .payload
            .transactions
            .iter()
            .map(|transaction| transaction.body.id(chain))
            .collect();
        Self {
            reference,
            vertex,
            transaction_ids,
        }
    }

    fn signature_checks(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Result<Vec<SignatureCheck>, VertexReject> {
        let unknown = || VertexReject::UnknownAuthor {
            author: self.reference.author,
        };
        let key = committee
            .member(self.reference.author)
            .ok_or_else(unknown)?
            .signing_key;
        let payload = &self.vertex.payload;
        let mut checks = Vec::with_capacity(
            payload
                .transactions
                .len()
                .saturating_add(payload.attestations.len())
                .saturating_add(1),
        );
        checks.push(SignatureCheck {
            key,
            message: SigningHash::new(*self.reference.digest.as_bytes()),
            signature: self.vertex.signed.signature,
        });
        for attestation in &payload.attestations {
            checks.push(
                attestation
                    .signature_check(chain, committee)
                    .ok_or_else(unknown)?,
            );
        }
        for (transaction, id) in payload.transactions.iter().zip(&self.transaction_ids) {
            checks.push(transaction.signature_check(id));
        }
        Ok(checks)
    }

    #[must_use]
    pub const fn reference(&self) -> VertexRef {
        self.reference
    }

    #[must_use]
    pub const fn round(&self) -> Round {
        self.reference.round
    }

    #[must_use]
    pub const fn author(&self) -> AuthorityIndex {
        self.reference.author
    }

    #[must_use]
    pub const fn header(&self) -> &VertexHeader {
        &self.vertex.signed.header
    }

    #[must_use]
    pub fn parents(&self) -> &[VertexRef] {
        &self.vertex.parents
    }

    #[must_use]
    pub const fn payload(&self) -> &VertexPayload {
        &self.vertex.payload
    }

    #[must_use]
    pub const fn vertex(&self) -> &Vertex {
        &self.vertex
    }

    /// Ids of the transactions, in their order.
    #[must_use]
    pub fn transaction_ids(&self) -> &[TransactionId] {
        &self.transaction_ids
    }
}

fn check_header(vertex: &Vertex, context: &EraContext) -> Result<(), VertexReject> {
    let header = &vertex.signed.header;
    if header.era != context.era {
        return Err(VertexReject::WrongEra {
            actual: header.era,
            expected: context.era,
        });
    }
    if context.committee.member(header.author).is_none() {
        return Err(VertexReject::UnknownAuthor {
            author: header.author,
        });
    }
    if header.round == Round::ZERO {
        return Err(VertexReject::RoundZero);
    }
    Ok(())
}

fn check_limits(vertex: &Vertex, committee: &Committee) -> Result<(), VertexReject> {
    let payload = &vertex.payload;
    let limits = [
        (
            "parents",
            vertex.parents.len(),
            committee.size().saturating_mul(PARENTS_PER_MEMBER_MAX),
        ),
        (
            "transactions",
            payload.transactions.len(),
            VERTEX_TRANSACTIONS_MAX,
        ),
        (
            "attestations",
            payload.attestations.len(),
            VERTEX_ATTESTATIONS_MAX,
        ),
        ("evidence", payload.evidence.len(), VERTEX_EVIDENCE_MAX),
        (
            "governance messages",
            payload.governance.len(),
            VERTEX_GOVERNANCE_MAX,
        ),
        ("bytes", codec::encoded_len(vertex), VERTEX_BYTES_MAX),
    ];
    for (field, actual, limit) in limits {
        if actual > limit {
            return Err(VertexReject::TooMany {
                field,
                actual,
                limit,
            });
        }
    }
    for (position, transaction) in payload.transactions.iter().enumerate() {
        if transaction.check_limits().is_err() {
            return Err(VertexReject::TransactionLimits { position });
        }
    }
    Ok(())
}

fn check_hashes(vertex: &Vertex) -> Result<(), VertexReject> {
    let header = &vertex.signed.header;
    if header.parents_hash != Purpose::VERTEX_PARENTS.hash_encoded(&vertex.parents) {
        return Err(VertexReject::WrongHash {
            field: "parents_hash",
        });
    }
    if header.payload_hash != Purpose::VERTEX_PAYLOAD.hash_encoded(&vertex.payload) {
        return Err(VertexReject::WrongHash {
            field: "payload_hash",
        });
    }
    Ok(())
}

fn check_parents(vertex: &Vertex, committee: &Committee) -> Result<(), VertexReject> {
    let header = &vertex.signed.header;
    let previous_round = header.round.previous();
    let mut of_previous_round: usize = 0;
    let mut before = None;
    for (position, parent) in vertex.parents.iter().enumerate() {
        let own = parent.author == header.author;
        let member = committee.member(parent.author).is_some();
        let in_order = if position == 0 {
            own
        } else {
            !own && before.is_none_or(|before| before < parent.slot())
        };
        if !member || !in_order {
            return Err(VertexReject::ParentOrder { position });
        }
        if parent.round >= header.round {
            return Err(VertexReject::ParentRound { position });
        }
        if position > 0 {
            before = Some(parent.slot());
        }
        if parent.round == previous_round {
            of_previous_round = of_previous_round.saturating_add(1);
        }
    }
    let quorum = committee.quorum();
    if of_previous_round < quorum {
        return Err(VertexReject::ParentQuorum {
            actual: of_previous_round,
            quorum,
        });
    }
    Ok(())
}

/// A reference to a round-0 vertex that does not exist could never be fetched, so it is refused here.
fn check_genesis_parents(
    vertex: &Vertex,
    chain: &ChainId,
    context: &EraContext,
) -> Result<(), VertexReject> {
    for (position, parent) in vertex.parents.iter().enumerate() {
        if parent.round == Round::ZERO
            && *parent != VertexRef::genesis(chain, context, parent.author)
        {
            return Err(VertexReject::ParentGenesis { position });
        }
    }
    Ok(())
}

fn check_attestations(vertex: &Vertex) -> Result<(), VertexReject> {
    let header = &vertex.signed.header;
    let mut before = None;
    for (position, attestation) in vertex.payload.attestations.iter().enumerate() {
        let own = attestation.author == header.author && attestation.body.era == header.era;
        if !own || before.is_some_and(|before| before >= attestation.body.height) {
            return Err(VertexReject::Attestation { position });
        }
        before = Some(attestation.body.height);
    }
    Ok(())
}
