//! The vocabulary of Holdfast: everything that is signed, sent, stored or hashed.
//!
//! Rules of this crate:
//!
//! 1. One canonical encoding (borsh) for every wire and stored type; decoding refuses trailing bytes.
//! 2. One hash (BLAKE3); every use has its own derive-key context, so no hash of one kind is valid as another.
//! 3. One signature verdict: ZIP-215, equal for single and batch verification, for every byte string.
//! 4. Every signing purpose is a named method; no function signs arbitrary bytes.
//! 5. "Verified" is a type: the DAG takes only [`VerifiedVertex`], the mempool only [`VerifiedTransaction`].

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::panic,
        clippy::let_underscore_must_use
    )
)]

pub mod account;
pub mod attestation;
pub mod block;
pub mod codec;
pub mod committee;
pub mod crypto;
pub mod dkg;
pub mod evidence;
pub mod governance;
pub mod halt;
pub mod hash;
pub mod ids;
pub mod limits;
pub mod lockdown;
pub mod merkle;
pub mod mutant;
pub mod parameters;
pub mod peer_claim;
pub mod receipt;
pub mod transaction;
pub mod vertex;
pub mod wire;

// Fixtures may panic and overflow: a test that does so fails, which is what it is for.
#[cfg(any(test, feature = "test-utils"))]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
pub mod test_util;

pub use account::{AccountName, AccountNameError, Amount};
pub use attestation::{
    Attestation, AttestationBody, Certificate, CertificateError, EndStatement, EndVote, EndVotes,
};
pub use block::{
    Block, BlockBody, BlockHeader, BlockOrigin, CommitRecord, CommittedVertex, EraEnd, Support,
};
pub use committee::{Committee, CommitteeError, EraContext, EraKind, Member};
pub use crypto::{
    CachingEd25519, Ed25519, KeyPair, PublicKey, Signature, SignatureCheck, SignatureScheme, Signer,
};
pub use dkg::{DkgConfirmation, DkgConfirmationBody};
pub use evidence::{Evidence, EvidenceError};
pub use governance::{
    GovernanceAction, GovernanceBody, GovernanceError, GovernanceMessage, Governors, ResumePoint,
    SoftwareVersion,
};
pub use halt::{
    HaltCause, HaltGossip, HaltNotice, HaltProof, HaltProofError, HaltStatus, HaltThresholds,
    Readiness, SignedHaltStatus,
};
pub use hash::Hash32;
pub use ids::{
    AuthorityIndex, BlockId, ChainId, CommitDigest, Era, HaltId, Height, Round, StateRoot,
    TimestampMs, TransactionId, VertexDigest,
};
pub use lockdown::{
    BlockPoint, LockdownCertificate, LockdownError, LockdownMessage, LockdownTrigger, LockdownVote,
    LockdownVoteBody, NamedResume, QuarantineReport, QuarantineReportBody, RecoveryCertificate,
    RecoveryChoice, RecoveryStep, RecoverySubject, RecoveryVote, RecoveryVoteBody, ResumeOrder,
};
pub use parameters::Parameters;
pub use peer_claim::PeerClaim;
pub use receipt::{Event, FailureCode, Receipt, ReceiptStatus};
pub use transaction::{
    Action, ChainProperties, SignedTransaction, TransactionBody, TransactionError,
    VerifiedTransaction,
};
pub use vertex::{
    SignedVertexHeader, VerifiedVertex, Vertex, VertexDraft, VertexHeader, VertexPayload,
    VertexRef, VertexReject,
};
