//! Halts: what stops the chain, and the proofs that make every node stop on the same facts (DESIGN §6).
//!
//! Rules of a proof:
//!
//! * HP1. It holds the signed statements that contradict each other and nothing else, so every receiver can verify it with
//!   the committee of its era alone.
//! * HP2. A divergence names one (era, height): attestations of distinct authors, in their order, that do not all say the
//!   same. At least `root_divergence_min_dissenters` of them are not of the largest group that agrees. All name a commit:
//!   who differs on the block that resumes a chain stays out, and halts nobody.
//! * HP3. A cluster names distinct offenders of one era, in their order: `equivocation_cluster` of them, or f + 1 of the
//!   committee if that is less.
//! * HP4. A fork names two certificates of one (era, height) for different blocks.
//! * HP5. A DKG mismatch names one attempt of one era: confirmations of distinct authors, in their order, that do not all
//!   name the same group key, with as many outside of the largest group as in HP2.

use crate::attestation::{Attestation, AttestationBody, Certificate};
use crate::committee::Committee;
use crate::crypto::{Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::dkg::{DkgConfirmation, DkgConfirmationBody};
use crate::evidence::Evidence;
use crate::governance::{GovernanceMessage, SoftwareVersion};
use crate::hash::{Hash32, Purpose};
use crate::ids::{
    AuthorityIndex, BlockId, ChainId, CommitDigest, Era, HaltId, Height, StateRoot, TimestampMs,
};
use crate::limits::COMMITTEE_MEMBERS_MAX;
use crate::lockdown::LockdownNotice;
use crate::parameters::HaltParameters;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeMap;

/// Why a chain, or one node, is in a hard halt. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum HaltCause {
    /// Validators have signed different results of the same commit.
    RootDivergence,
    /// Validators have signed different commits of one height, or two quorums different blocks.
    DagFork,
    /// More validators than a fault can explain have equivocated in one era.
    EquivocationCluster,
    /// Two confirmations of a ceremony name different group keys.
    DkgMismatch,
    /// The ledger of this node broke one of its own invariants.
    BrokenInvariant,
    /// A quorum has certified something else than this node has computed: this node is the one that is wrong.
    OwnDivergence,
}

impl HaltCause {
    /// Stable name for RPC, metrics, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RootDivergence => "root_divergence",
            Self::DagFork => "dag_fork",
            Self::EquivocationCluster => "equivocation_cluster",
            Self::DkgMismatch => "dkg_mismatch",
            Self::BrokenInvariant => "broken_invariant",
            Self::OwnDivergence => "own_divergence",
        }
    }

    /// One sentence for a person.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::RootDivergence => "validators signed contradictory state roots for one commit",
            Self::DagFork => "contradictory commits or certificates exist for one height",
            Self::EquivocationCluster => {
                "as many validators equivocated in this era as halt the chain"
            }
            Self::DkgMismatch => "validators confirmed different keys of one DKG ceremony",
            Self::BrokenInvariant => "an invariant of the ledger is broken on this node",
            Self::OwnDivergence => {
                "a quorum certified another result than this node computed: this node is wrong"
            }
        }
    }
}

impl HaltId {
    /// A hard halt: what happened, in which era, at which height if it lies at one.
    #[must_use]
    pub fn of_event(cause: HaltCause, era: Era, height: Height) -> Self {
        Self::new(Purpose::HALT.hash_encoded(&(cause, era, height)))
    }

    /// A lockdown: there is at most one of an era.
    #[must_use]
    pub fn of_lockdown(era: Era) -> Self {
        Self::new(Purpose::HALT.hash_encoded(&("lockdown", era)))
    }

    /// An emergency halt: the id of the message that orders it.
    #[must_use]
    pub const fn of_message(message: Hash32) -> Self {
        Self::new(message)
    }
}

/// Signed statements that contradict each other.
#[expect(
    clippy::large_enum_variant,
    reason = "a proof is rare and never one of many: a box would save nothing"
)]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum HaltProof {
    /// Rule HP2.
    Divergence { attestations: Vec<Attestation> },
    /// Rule HP3.
    EquivocationCluster { evidence: Vec<Evidence> },
    /// Rule HP4. The lower block id first.
    ContradictoryCertificates {
        first: Certificate,
        second: Certificate,
    },
    /// Rule HP5.
    DkgMismatch { confirmations: Vec<DkgConfirmation> },
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HaltProofError {
    #[error("the proof is of era {actual}, the committee of era {expected}")]
    WrongEra { actual: Era, expected: Era },
    #[error("the statements of the proof are of different heights or eras, or there are none")]
    DifferentSlots,
    #[error(
        "signers of the proof are sorted, named once and members; authority {authority} is not"
    )]
    BadSigner { authority: AuthorityIndex },
    #[error("{actual} validators are named, {needed} have to be")]
    TooFew { actual: usize, needed: usize },
    #[error("the statements do not contradict each other, or stand in the wrong order")]
    NoContradiction,
    #[error("a signature of the proof does not verify")]
    BadSignature,
}

/// What a halt needs to be one (DESIGN §15), for one committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HaltThresholds {
    /// Validators outside of the largest agreeing group.
    pub dissenters: usize,
    /// Equivocators.
    pub equivocators: usize,
}

impl HaltThresholds {
    #[must_use]
    pub fn new(parameters: &HaltParameters, committee: &Committee) -> Self {
        let cluster = usize::from(parameters.equivocation_cluster);
        Self {
            dissenters: usize::from(parameters.root_divergence_min_dissenters).max(1),
            equivocators: cluster.min(committee.validity_threshold()).max(1),
        }
    }
}

impl HaltProof {
    /// The era of the proof; none if it is empty.
    #[must_use]
    pub fn era(&self) -> Option<Era> {
        match self {
            Self::Divergence { attestations } => Some(attestations.first()?.body.era),
            Self::EquivocationCluster { evidence } => Some(evidence.first()?.era()),
            Self::ContradictoryCertificates { first, .. } => Some(first.body.era),
            Self::DkgMismatch { confirmations } => Some(confirmations.first()?.body.era),
        }
    }

    /// The height at which the contradiction lies, if it lies at one.
    #[must_use]
    pub fn height(&self) -> Option<Height> {
        match self {
            Self::Divergence { attestations } => Some(attestations.first()?.body.height),
            Self::EquivocationCluster { .. } | Self::DkgMismatch { .. } => None,
            Self::ContradictoryCertificates { first, .. } => Some(first.body.height),
        }
    }

    /// Stable name of what is proved, for RPC and files.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Divergence { .. } => "divergence",
            Self::EquivocationCluster { .. } => "equivocation_cluster",
            Self::ContradictoryCertificates { .. } => "contradictory_certificates",
            Self::DkgMismatch { .. } => "dkg_mismatch",
        }
    }

    #[must_use]
    pub fn cause(&self) -> HaltCause {
        match self {
            Self::Divergence { attestations } => {
                let mut commits = attestations.iter().map(|one| one.body.commit);
                let first = commits.next();
                if commits.all(|commit| Some(commit) == first) {
                    HaltCause::RootDivergence
                } else {
                    HaltCause::DagFork
                }
            }
            Self::EquivocationCluster { .. } => HaltCause::EquivocationCluster,
            Self::ContradictoryCertificates { .. } => HaltCause::DagFork,
            Self::DkgMismatch { .. } => HaltCause::DkgMismatch,
        }
    }

    /// The same for every proof of the same event: other signers that show it make no other halt.
    #[must_use]
    pub fn id(&self) -> HaltId {
        HaltId::of_event(
            self.cause(),
            self.era().unwrap_or_default(),
            self.height().unwrap_or_default(),
        )
    }

    /// Verifies rules HP1 to HP5 against the committee of the proof's era.
    pub fn verify(
        &self,
        chain: &ChainId,
        era: Era,
        committee: &Committee,
        thresholds: HaltThresholds,
        scheme: &dyn SignatureScheme,
    ) -> Result<HaltCause, HaltProofError> {
        let actual = self.era().ok_or(HaltProofError::DifferentSlots)?;
        if actual != era {
            return Err(HaltProofError::WrongEra {
                actual,
                expected: era,
            });
        }
        match self {
            Self::Divergence { attestations } => {
                verify_divergence(attestations, chain, committee, thresholds, scheme)?;
            }
            Self::EquivocationCluster { evidence } => {
                verify_cluster(evidence, chain, era, committee, thresholds, scheme)?;
            }
            Self::ContradictoryCertificates { first, second } => {
                verify_fork(first, second, chain, committee, scheme)?;
            }
            Self::DkgMismatch { confirmations } => {
                verify_dkg_mismatch(confirmations, chain, committee, thresholds, scheme)?;
            }
        }
        Ok(self.cause())
    }
}

fn check_order(
    authorities: impl Iterator<Item = AuthorityIndex>,
    committee: &Committee,
) -> Result<(), HaltProofError> {
    let mut before = None;
    for authority in authorities {
        let in_order = before.is_none_or(|before| before < authority);
        if !in_order || committee.member(authority).is_none() {
            return Err(HaltProofError::BadSigner { authority });
        }
        before = Some(authority);
    }
    Ok(())
}

fn verify_divergence(
    attestations: &[Attestation],
    chain: &ChainId,
    committee: &Committee,
    thresholds: HaltThresholds,
    scheme: &dyn SignatureScheme,
) -> Result<(), HaltProofError> {
    check_order(attestations.iter().map(|one| one.author), committee)?;
    let slot = |body: &AttestationBody| (body.era, body.height);
    let first = attestations.first().ok_or(HaltProofError::DifferentSlots)?;
    if attestations
        .iter()
        .any(|one| slot(&one.body) != slot(&first.body))
    {
        return Err(HaltProofError::DifferentSlots);
    }
    let without_commit = CommitDigest::default();
    if attestations
        .iter()
        .any(|one| one.body.commit == without_commit)
    {
        return Err(HaltProofError::NoContradiction);
    }
    check_dissenters(attestations.iter().map(|one| &one.body), thresholds)?;
    let checks = attestations
        .iter()
        .map(|one| one.signature_check(chain, committee));
    check_signatures(checks, scheme)
}

fn verify_dkg_mismatch(
    confirmations: &[DkgConfirmation],
    chain: &ChainId,
    committee: &Committee,
    thresholds: HaltThresholds,
    scheme: &dyn SignatureScheme,
) -> Result<(), HaltProofError> {
    check_order(confirmations.iter().map(|one| one.author), committee)?;
    let ceremony = |body: &DkgConfirmationBody| (body.era, body.attempt);
    let first = confirmations
        .first()
        .ok_or(HaltProofError::DifferentSlots)?;
    if confirmations
        .iter()
        .any(|one| ceremony(&one.body) != ceremony(&first.body))
    {
        return Err(HaltProofError::DifferentSlots);
    }
    check_dissenters(confirmations.iter().map(|one| &one.body), thresholds)?;
    let checks = confirmations
        .iter()
        .map(|one| one.signature_check(chain, committee));
    check_signatures(checks, scheme)
}

fn check_dissenters<'a, B: Ord + 'a>(
    bodies: impl Iterator<Item = &'a B>,
    thresholds: HaltThresholds,
) -> Result<(), HaltProofError> {
    let actual = dissenters(bodies);
    if actual < thresholds.dissenters {
        return Err(HaltProofError::TooFew {
            actual,
            needed: thresholds.dissenters,
        });
    }
    Ok(())
}

/// All authors have to be members: there is no check for others.
fn check_signatures(
    checks: impl Iterator<Item = Option<SignatureCheck>>,
    scheme: &dyn SignatureScheme,
) -> Result<(), HaltProofError> {
    let checks: Option<Vec<SignatureCheck>> = checks.collect();
    match checks {
        Some(checks) if scheme.verify_batch(&checks) => Ok(()),
        _ => Err(HaltProofError::BadSignature),
    }
}

/// How many statements are not of the largest group that agrees.
#[must_use]
pub fn dissenters<'a, B: Ord + 'a>(bodies: impl Iterator<Item = &'a B>) -> usize {
    let mut groups: BTreeMap<&B, usize> = BTreeMap::new();
    let mut all = 0usize;
    for body in bodies {
        let count = groups.entry(body).or_default();
        *count = count.saturating_add(1);
        all = all.saturating_add(1);
    }
    let largest = groups.values().copied().max().unwrap_or_default();
    all.saturating_sub(largest)
}

fn verify_cluster(
    evidence: &[Evidence],
    chain: &ChainId,
    era: Era,
    committee: &Committee,
    thresholds: HaltThresholds,
    scheme: &dyn SignatureScheme,
) -> Result<(), HaltProofError> {
    let is_of_era =
        |item: &Evidence| item.era() == era && matches!(item, Evidence::Equivocation { .. });
    if !evidence.iter().all(is_of_era) {
        return Err(HaltProofError::DifferentSlots);
    }
    check_order(evidence.iter().map(Evidence::offender), committee)?;
    let actual = evidence.len();
    if actual < thresholds.equivocators || actual > COMMITTEE_MEMBERS_MAX {
        return Err(HaltProofError::TooFew {
            actual,
            needed: thresholds.equivocators,
        });
    }
    for item in evidence {
        item.verify(chain, committee, scheme)
            .map_err(|_| HaltProofError::BadSignature)?;
    }
    Ok(())
}

fn verify_fork(
    first: &Certificate,
    second: &Certificate,
    chain: &ChainId,
    committee: &Committee,
    scheme: &dyn SignatureScheme,
) -> Result<(), HaltProofError> {
    let slot = |certificate: &Certificate| (certificate.body.era, certificate.body.height);
    if slot(first) != slot(second) {
        return Err(HaltProofError::DifferentSlots);
    }
    if first.body.block >= second.body.block {
        return Err(HaltProofError::NoContradiction);
    }
    for certificate in [first, second] {
        certificate
            .verify(chain, committee, scheme)
            .map_err(|_| HaltProofError::BadSignature)?;
    }
    Ok(())
}

/// Whether this validator has signed for the era after a halt, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Readiness {
    /// Nobody has resumed.
    NotAsked,
    /// It has attested the block that resumes.
    Ready,
    /// It does not have the block to build on yet.
    Behind,
    /// It has another block at that height.
    Differs,
    /// It has attested a block above, which a quorum may have certified.
    AttestedAbove,
    /// Its software is older than the resume message asks for.
    OldVersion,
    /// Its own state is wrong.
    OwnFault,
}

impl Readiness {
    /// Stable name for RPC and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Ready => "ready",
            Self::Behind => "behind",
            Self::Differs => "differs",
            Self::AttestedAbove => "attested_above",
            Self::OldVersion => "old_version",
            Self::OwnFault => "own_fault",
        }
    }
}

/// What a halted validator says of itself: halted is not mute.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HaltStatus {
    /// The era that ran when the chain halted: its committee is who speaks.
    pub era: Era,
    pub head: Height,
    pub head_id: BlockId,
    pub state_root: StateRoot,
    pub certified: Height,
    /// Highest height that it has attested in this era.
    pub attested: Height,
    pub version: SoftwareVersion,
    /// The halts that it is in, at most [`crate::limits::RESUME_HALTS_MAX`].
    pub halts: Vec<HaltId>,
    /// What is wrong with this node alone.
    pub own_fault: Option<HaltCause>,
    /// The resume message that it follows.
    pub resume: Option<Hash32>,
    pub readiness: Readiness,
    /// Wall clock of the author: a newer statement replaces an older one.
    pub at: TimestampMs,
}

impl HaltStatus {
    fn signing_hash(&self, chain: &ChainId, author: AuthorityIndex) -> SigningHash {
        SigningHash::new(Purpose::HALT_STATUS.hash_on_chain(chain, &(author, self)))
    }

    /// Signs as `author`, its position in the committee of the era.
    #[must_use]
    pub fn sign(
        self,
        author: AuthorityIndex,
        chain: &ChainId,
        signer: &dyn Signer,
    ) -> SignedHaltStatus {
        let signature = signer.sign(&self.signing_hash(chain, author));
        SignedHaltStatus {
            status: self,
            author,
            signature,
        }
    }
}

/// A status with its author.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedHaltStatus {
    pub status: HaltStatus,
    pub author: AuthorityIndex,
    pub signature: Signature,
}

impl SignedHaltStatus {
    /// The signature check against the committee of the status's era; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        let message = self.status.signing_hash(chain, self.author);
        committee.signature_check(self.author, message, self.signature)
    }
}

/// What travels on the topic `halt`.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum HaltGossip {
    /// Gossip takes a message once: a proof that is told again has another `repetition`.
    Proof {
        proof: HaltProof,
        repetition: u32,
    },
    Status(SignedHaltStatus),
}

/// The halts that a node is in, with what proves them: what a peer learns that comes later.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HaltNotice {
    pub proofs: Vec<HaltProof>,
    pub messages: Vec<GovernanceMessage>,
    pub lockdown: Option<LockdownNotice>,
}

impl HaltNotice {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.proofs.is_empty() && self.messages.is_empty() && self.lockdown.is_none()
    }
}
