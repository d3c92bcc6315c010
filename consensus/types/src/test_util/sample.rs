//! Reproducible samples of every wire and stored type: for pinned formats and as seeds of fuzzing.
//!
//! A sample obeys the rules that its type enforces when decoding (names, committees) and no others: it need not
//! verify. Lists are short, numbers lie at their edges as often as anywhere else.

use super::Sampler;
use crate::account::AccountName;
use crate::attestation::{
    Attestation, AttestationBody, Certificate, EndStatement, EndVote, EndVotes,
};
use crate::block::{
    Block, BlockBody, BlockHeader, BlockOrigin, CommitRecord, CommittedVertex, EraEnd, Support,
};
use crate::codec;
use crate::committee::{Committee, EraContext, EraKind, Member};
use crate::crypto::{PublicKey, Signature};
use crate::dkg::{DkgConfirmation, DkgConfirmationBody};
use crate::evidence::Evidence;
use crate::governance::{
    GovernanceAction, GovernanceBody, GovernanceMessage, Governors, SoftwareVersion,
};
use crate::halt::{
    HaltCause, HaltGossip, HaltNotice, HaltProof, HaltStatus, Readiness, SignedHaltStatus,
};
use crate::ids::{
    AuthorityIndex, BlockId, ChainId, CommitDigest, Era, HaltId, Height, Round, StateRoot,
    TimestampMs, TransactionId, VertexDigest,
};
use crate::lockdown::{
    BallotCertificate, BlockPoint, GossipedLockdown, LockdownMessage, LockdownNotice,
    LockdownTrigger, LockdownVoteBody, NamedResume, QuarantineReportBody, RecoveryChoice,
    RecoveryStep, RecoveryVoteBody, ResumeOrder, Signed,
};
use crate::peer_claim::PeerClaim;
use crate::receipt::{Event, FailureCode, Receipt, ReceiptStatus};
use crate::transaction::{Action, ChainProperties, SignedTransaction, TransactionBody};
use crate::vertex::{SignedVertexHeader, Vertex, VertexHeader, VertexPayload, VertexRef};
use crate::wire::{
    BlocksRequest, BlocksResponse, BranchRank, CertificateRequest, CertificateResponse,
    GossipedGovernance, GossipedStatement, LastVertexRequest, LastVertexResponse,
    MissingVerticesRequest, PeerStatus, TransactionBatch, VerticesRequest, VerticesResponse,
};

/// A type of which samples can be drawn.
pub trait Sample: Sized {
    fn sample(sampler: &mut Sampler) -> Self;
}

/// `cases` samples of `T`, the same in every run. `label` tells one series from another.
pub fn samples<T: Sample>(label: &str, cases: u64) -> impl Iterator<Item = T> + use<T> {
    let label = label.to_owned();
    (0..cases).map(move |case| T::sample(&mut Sampler::new(&label, case)))
}

macro_rules! sample_numbers {
    ($($type:ty),*) => {
        $(impl Sample for $type {
            fn sample(sampler: &mut Sampler) -> Self {
                match sampler.below(8) {
                    0 => 0,
                    1 => 1,
                    2 => Self::MAX,
                    3 => Self::MAX - 1,
                    4 | 5 => Self::try_from(sampler.below(100)).expect("100 fits every number"),
                    _ => Self::from_le_bytes(sampler.bytes()),
                }
            }
        })*
    };
}

macro_rules! sample_newtypes {
    ($($name:ident),*) => {
        $(impl Sample for $name {
            fn sample(sampler: &mut Sampler) -> Self {
                Self(Sample::sample(sampler))
            }
        })*
    };
}

macro_rules! sample_bytes {
    ($($name:ident),*) => {
        $(impl Sample for $name {
            fn sample(sampler: &mut Sampler) -> Self {
                Self::new(sampler.bytes())
            }
        })*
    };
}

macro_rules! sample_structs {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Sample for $name {
            fn sample(sampler: &mut Sampler) -> Self {
                Self { $($field: Sample::sample(sampler)),* }
            }
        })*
    };
}

macro_rules! sample_enums {
    ($($name:ident { $($variant:ident $({ $($field:ident),* })?),* })*) => {
        $(impl Sample for $name {
            fn sample(sampler: &mut Sampler) -> Self {
                let variants: &[fn(&mut Sampler) -> Self] = &[
                    $(|_sampler| Self::$variant $({ $($field: Sample::sample(_sampler)),* })?),*
                ];
                sampler.pick(variants)(sampler)
            }
        })*
    };
}

sample_numbers!(u8, u16, u32, u64);
sample_newtypes!(AuthorityIndex, Era, Height, Round, TimestampMs);
sample_bytes!(
    BlockId,
    ChainId,
    CommitDigest,
    HaltId,
    PublicKey,
    Signature,
    StateRoot,
    TransactionId,
    VertexDigest
);

sample_structs! {
    Attestation { body, author, signature }
    AttestationBody { era, height, block, commit, state_root }
    EndVote { body, author, signature }
    EndVotes { body, signatures }
    DkgConfirmation { body, author, signature }
    DkgConfirmationBody { era, attempt, group_key }
    Block { header, body }
    BlockBody { commit, transactions, supports, evidence, governance, era_end }
    BlockHeader {
        height, parent, era, timestamp, origin, transactions_root, events_root, system_root, state_root,
        next_committee
    }
    BlocksRequest { from, to }
    BranchRank { resumed, voted, era }
    BlocksResponse { blocks, certificate, end_votes }
    Certificate { body, signatures }
    CertificateRequest { height }
    CertificateResponse { certificate }
    ChainProperties { transaction_fee, byte_fee, account_creation_fee }
    CommitRecord { era, index, leader, previous, timestamp, vertices }
    CommittedVertex { reference, timestamp }
    EraContext { era, kind, anchor, anchor_height, anchor_timestamp, committee }
    EraEnd { next_kind, committee }
    GossipedStatement { statement, repetition }
    GossipedGovernance { message, repetition }
    LastVertexRequest { era, author }
    HaltNotice { proofs, messages, lockdown }
    LockdownNotice { lock, agreed, recovery }
    HaltStatus {
        era, head, head_id, state_root, certified, attested, version, halts, own_fault, resume, readiness, at
    }
    GovernanceBody { sequence, action }
    GovernanceMessage { body, signatures }
    Governors { keys, threshold, sequence }
    LastVertexResponse { running, of_author, own, halts }
    BlockPoint { height, block, state_root }
    GossipedLockdown { message, repetition, tag }
    LockdownVoteBody { era, at, trigger, reason }
    RecoveryChoice { point, resume }
    NamedResume { sequence, message }
    RecoveryVoteBody { era, at, attempt, step, choice }
    QuarantineReportBody { era, at, head, certified, attested, pending, pending_root }
    SignedHaltStatus { status, author, signature }
    SoftwareVersion { major, minor, patch }
    Member { account, signing_key }
    MissingVerticesRequest { era, from, held }
    PeerClaim { key, signature }
    PeerStatus { head, head_id, certified, is_provisional, lowest_block, rank, round, timestamp_ms }
    Receipt { transaction, status, fee, events }
    SignedTransaction { body, signature }
    SignedVertexHeader { header, signature }
    Support { authority, height }
    TransactionBatch { transactions }
    TransactionBody { sender, public_key, nonce, fee_max, expires_at, action }
    Vertex { signed, parents, payload }
    VertexHeader { era, round, author, timestamp, parents_hash, payload_hash }
    VertexPayload { transactions, attestations, evidence, governance, anchor_certificate }
    VertexRef { round, author, digest }
    VerticesRequest { era, references }
    VerticesResponse { vertices }
}

sample_enums! {
    Action {
        Transfer { to, amount, memo },
        CreateAccount { name, key, balance },
        UpdateKey { key },
        RegisterValidator { signing_key, url },
        UpdateValidator { signing_key, url },
        Stake { validator, amount },
        Unstake { validator, amount },
        VoteProperties { properties },
        VoteHardfork { version }
    }
    BlockOrigin {
        Genesis,
        Dag { commit, commit_index, leader_round, leader },
        Resumed { message },
        Emergency { slot, producer, signature },
        Recovered
    }
    EraKind { Dag, Emergency }
    Event {
        Transferred { from, to, amount },
        AccountCreated { name, creator },
        KeyUpdated { account },
        ValidatorRegistered { account },
        ValidatorUpdated { account, signing_key },
        Staked { account, validator, amount },
        UnbondingStarted { account, validator, amount },
        UnbondingCompleted { account, amount },
        EraEnded { era, next_era },
        IrreversibleAdvanced { height },
        Slashed { validator, era, amount, burned },
        Jailed { validator, until },
        PropertiesChanged { properties },
        GovernanceExecuted { sequence, message },
        ChainHalted { halt, height },
        ChainResumed { message, era },
        EmergencyActivated { slot, stalled_ms },
        EmergencyDeactivated { validators },
        HardforkApplied { version }
    }
    Evidence {
        Equivocation { first, second },
        ContradictoryAttestations { first, second },
        BadStateRoot { attestation }
    }
    GovernanceAction {
        Halt { reason, until, after_height },
        Resume { reason, era, height, block, state_root, minimum_version, halts, evidence },
        RotateKeys { keys, threshold }
    }
    HaltCause {
        RootDivergence, DagFork, EquivocationCluster, DkgMismatch, BrokenInvariant, OwnDivergence
    }
    HaltProof {
        Divergence { attestations },
        EquivocationCluster { evidence },
        ContradictoryCertificates { first, second },
        DkgMismatch { confirmations }
    }
    LockdownTrigger { Operator, Risk }
    RecoveryStep { Prevote, Precommit }
    Readiness { NotAsked, Ready, Behind, Differs, AttestedAbove, OldVersion, OwnFault }
}

impl<B: Sample> Sample for Signed<B> {
    fn sample(sampler: &mut Sampler) -> Self {
        Self {
            body: Sample::sample(sampler),
            author: Sample::sample(sampler),
            signature: Sample::sample(sampler),
        }
    }
}

impl<B: Sample> Sample for BallotCertificate<B> {
    fn sample(sampler: &mut Sampler) -> Self {
        let votes = Sample::sample(sampler);
        Self { votes }
    }
}

impl Sample for ResumeOrder {
    fn sample(sampler: &mut Sampler) -> Self {
        if sampler.below(2) == 0 {
            Self::Governance(Sample::sample(sampler))
        } else {
            Self::Recovery {
                era: Sample::sample(sampler),
                point: Sample::sample(sampler),
            }
        }
    }
}

impl Sample for LockdownMessage {
    fn sample(sampler: &mut Sampler) -> Self {
        match sampler.below(4) {
            0 => Self::Vote(Sample::sample(sampler)),
            1 => Self::Recovery(Sample::sample(sampler)),
            2 => Self::Report(Sample::sample(sampler)),
            _ => Self::Recovered(Sample::sample(sampler)),
        }
    }
}

impl Sample for EndStatement {
    fn sample(sampler: &mut Sampler) -> Self {
        if sampler.below(2) == 0 {
            Self::Attestation(Sample::sample(sampler))
        } else {
            Self::Vote(Sample::sample(sampler))
        }
    }
}

impl Sample for HaltGossip {
    fn sample(sampler: &mut Sampler) -> Self {
        if sampler.below(2) == 0 {
            Self::Proof {
                proof: Sample::sample(sampler),
                repetition: Sample::sample(sampler),
            }
        } else {
            Self::Status(Sample::sample(sampler))
        }
    }
}

impl Sample for ReceiptStatus {
    fn sample(sampler: &mut Sampler) -> Self {
        if sampler.below(2) == 0 {
            Self::Success
        } else {
            Self::Failed(Sample::sample(sampler))
        }
    }
}

impl Sample for FailureCode {
    fn sample(sampler: &mut Sampler) -> Self {
        // The codes are unit variants with consecutive tags, so the list needs no second copy here.
        let codes: Vec<Self> = (0..=u8::MAX)
            .map_while(|tag| codec::decode("a failure code", &[tag], 1).ok())
            .collect();
        *sampler.pick(&codes)
    }
}

impl Sample for AccountName {
    fn sample(sampler: &mut Sampler) -> Self {
        const INNER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-.";
        const LETTERS: &[u8] = INNER.split_at(26).0;
        const LETTERS_AND_DIGITS: &[u8] = INNER.split_at(36).0;
        let length = 1 + sampler.below(24);
        let name: String = (0..length)
            .map(|position| match position {
                0 => LETTERS,
                last if last + 1 == length => LETTERS_AND_DIGITS,
                _ => INNER,
            })
            .map(|alphabet| char::from(*sampler.pick(alphabet)))
            .collect();
        Self::new(&name).expect("the name is built by the rule")
    }
}

impl Sample for Committee {
    fn sample(sampler: &mut Sampler) -> Self {
        let size = 1 + sampler.below(5);
        let mut members: Vec<Member> = (0..size).map(|_| Sample::sample(sampler)).collect();
        members.sort_by_key(|member| member.account);
        members.dedup_by_key(|member| member.account);
        Self::new(members).expect("members are sorted, distinct and have random keys")
    }
}

impl<const N: usize> Sample for [u8; N] {
    fn sample(sampler: &mut Sampler) -> Self {
        sampler.bytes()
    }
}

impl Sample for bool {
    fn sample(sampler: &mut Sampler) -> Self {
        sampler.below(2) > 0
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(sampler: &mut Sampler) -> Self {
        (sampler.below(3) > 0).then(|| T::sample(sampler))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(sampler: &mut Sampler) -> Self {
        (0..sampler.below(5)).map(|_| T::sample(sampler)).collect()
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    fn sample(sampler: &mut Sampler) -> Self {
        (A::sample(sampler), B::sample(sampler))
    }
}
