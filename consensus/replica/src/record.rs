//! What the consensus half wants durable before anything is sent.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_halt::HaltState;
use holdfast_halt::journal::JournalEntry;
use holdfast_halt::lockdown::recovery::SignedRecovery;
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{
    AttestationBody, Era, Evidence, Hash32, PublicKey, Round, VerifiedTransaction, VerifiedVertex,
};
use std::sync::Arc;

/// State of the sign guard: what this key has signed, in the order (era, round) and (era, height). It is synced
/// before a signature leaves and never lowered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignGuardRecord {
    pub key: PublicKey,
    /// Highest slot in which a vertex was signed.
    pub vertex: Option<(Era, Round)>,
    /// The newest attestation of a block of a DAG; every older one is of a lower (era, height).
    pub attestation: Option<AttestationBody>,
    /// The last attestation of a block that ends an emergency: one at most in each of them. None once an attestation of an
    /// earlier era has shown that a certificate took that emergency back.
    pub emergency_end: Option<AttestationBody>,
    /// The last vote for the end of an emergency: one at most in each of them, as with attestations.
    pub end_vote: Option<AttestationBody>,
    /// The last votes to go on after a lockdown, of the latest era in which this key has cast any.
    pub recovery: Option<SignedRecovery>,
    /// More may have been signed than this says: the guard was made for a key with a past, or is older than what the
    /// network has seen. Nothing is signed before rule R12 is satisfied.
    pub past_unknown: bool,
}

impl SignGuardRecord {
    /// The newest statement on a block, of a DAG or of the end of an emergency.
    #[must_use]
    pub fn newest_attestation(&self) -> Option<AttestationBody> {
        let both = [self.attestation, self.emergency_end].into_iter().flatten();
        both.max_by_key(|body| (body.era, body.height))
    }

    /// Whether an attestation may have been signed under this guard.
    #[must_use]
    pub fn covers_attestation(&self, body: &AttestationBody) -> bool {
        let of_dag = self.attestation;
        of_dag.is_some_and(|last| (body.era, body.height) <= (last.era, last.height))
            || self.emergency_end.as_ref() == Some(body)
    }
}

/// One durable write; [`crate::durable`] has the order.
#[derive(Clone, Debug)]
pub enum Record {
    /// Raise the sign guard: synced in its own file, after everything else.
    SignGuard(Box<SignGuardRecord>),
    /// A vertex that this validator signed: synced before it is sent.
    OwnVertex(Arc<VerifiedVertex>),
    /// A vertex of a peer that the DAG accepted: written, synced with the next own vertex.
    PeerVertex(Arc<VerifiedVertex>),
    /// Vertices of this era at or below the round may go.
    PruneVertices { era: Era, up_to: Round },
    /// A transaction admitted to the mempool: synced before it is acknowledged.
    MempoolInsert(Arc<VerifiedTransaction>),
    /// Transactions that a block executed, or after which they never can be. One that the chain took back meanwhile stays,
    /// until the replica has heard of it and says what becomes of it.
    MempoolExecuted(Vec<holdfast_types::TransactionId>),
    /// Transactions that left the mempool in another way.
    MempoolRemove(Vec<holdfast_types::TransactionId>),
    /// What is known of halts: synced before anything of it is told.
    Halts(Box<HaltState>),
    /// One entry of the halt journal, with the state that it speaks of.
    Journal(JournalEntry),
    /// Evidence that waits to be executed: synced before it is acknowledged.
    Evidence(Box<Evidence>),
    /// Offences, by slot key, that were executed.
    EvidenceRemove(Vec<Hash32>),
}

impl Record {
    /// True if a batch with this record is synced when it is written, and with it all that was written before.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        match self {
            Self::MempoolInsert(_) => !mutant::is_on(Mutant::AcknowledgedTooEarly),
            Self::OwnVertex(_) | Self::Halts(_) | Self::Journal(_) | Self::Evidence(_) => true,
            Self::SignGuard(_)
            | Self::PeerVertex(_)
            | Self::PruneVertices { .. }
            | Self::MempoolExecuted(_)
            | Self::MempoolRemove(_)
            | Self::EvidenceRemove(_) => false,
        }
    }
}
