//! Cluster lockdown: what validators sign to freeze the chain by vote, and to thaw it by vote (document 000, DESIGN §8).
//!
//! Rules of a statement:
//!
//! * LK1. Who speaks is a member of the committee of the DAG era that runs; in an emergency nobody does. Nobody registers by voting.
//! * LK2. It names that era, and what is signed names the chain and what kind of statement it is. Only the end of an era ends
//!   a lockdown of it, so an era has at most one: the era says which lockdown is meant.
//! * LK3. Times are whole milliseconds. On arrival a statement is at most `vote_max_age` old and at most `vote_max_ahead` ahead
//!   of the receiver's clock.
//!
//! Rules of a certificate, which are the same for everybody at any time:
//!
//! * LK4. It holds votes of distinct members of one era, in their order: votes · denominator ≥ members · numerator.
//! * LK5. They lie at most `vote_max_age` apart: there was a moment at which none of them had expired.
//! * LK6. Votes for a recovery are all of one attempt and step, and for the same choice.

mod recovery;

pub use recovery::{NamedResume, RecoveryChoice, RecoveryStep, RecoverySubject, RecoveryVoteBody};

use crate::block::BlockOrigin;
use crate::committee::Committee;
use crate::crypto::{Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::governance::{GovernanceMessage, ResumePoint, SoftwareVersion};
use crate::hash::{Hash32, Purpose};
use crate::ids::{AuthorityIndex, BlockId, ChainId, Era, Height, StateRoot, TimestampMs};
use crate::limits::LOCKDOWN_REASON_BYTES_MAX;
use crate::parameters::LockdownParameters;
use borsh::{BorshDeserialize, BorshSerialize};

/// What has made a validator vote for a lockdown. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LockdownTrigger {
    /// A person.
    Operator,
    /// The risk analyzer of the node.
    Risk,
}

impl LockdownTrigger {
    /// Stable name for RPC, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Risk => "risk",
        }
    }
}

/// "Freeze the chain": what a validator says with `LOCKDOWN_VOTE` of document 000.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LockdownVoteBody {
    pub era: Era,
    /// Wall clock of the author: a newer vote replaces an older one.
    pub at: TimestampMs,
    pub trigger: LockdownTrigger,
    /// In the voter's words, at most [`LOCKDOWN_REASON_BYTES_MAX`] bytes.
    pub reason: Vec<u8>,
}

/// A block, and the state after it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct BlockPoint {
    pub height: Height,
    pub block: BlockId,
    pub state_root: StateRoot,
}

/// Where a frozen validator stands: `QUARANTINE_REPORT`. It decides nothing; it shows who has what others lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct QuarantineReportBody {
    pub era: Era,
    /// Wall clock of the author: a newer report replaces an older one.
    pub at: TimestampMs,
    pub head: BlockPoint,
    pub certified: Height,
    /// Highest height that it has attested in this era.
    pub attested: Height,
    /// How many transactions wait there.
    pub pending: u64,
    /// Merkle root of their ids in rising order.
    pub pending_root: Hash32,
}

/// What members sign about a lockdown.
pub trait LockdownStatement: BorshSerialize {
    /// What a signature is for: one of a vote is none of another statement.
    const PURPOSE: Purpose;

    fn era(&self) -> Era;

    /// Wall clock of the author.
    fn at(&self) -> TimestampMs;

    /// A statement of a later attempt replaces one of an earlier, whatever the clock says.
    fn attempt(&self) -> u32 {
        0
    }

    /// Checks the lengths that the format bounds, whoever signs it.
    fn check_limits(&self) -> Result<(), LockdownError> {
        Ok(())
    }
}

impl LockdownStatement for LockdownVoteBody {
    const PURPOSE: Purpose = Purpose::LOCKDOWN_VOTE;

    fn era(&self) -> Era {
        self.era
    }

    fn at(&self) -> TimestampMs {
        self.at
    }

    fn check_limits(&self) -> Result<(), LockdownError> {
        let actual = self.reason.len();
        if actual > LOCKDOWN_REASON_BYTES_MAX {
            return Err(LockdownError::ReasonTooLong { actual });
        }
        Ok(())
    }
}

impl LockdownStatement for QuarantineReportBody {
    const PURPOSE: Purpose = Purpose::QUARANTINE_REPORT;

    fn era(&self) -> Era {
        self.era
    }

    fn at(&self) -> TimestampMs {
        self.at
    }
}

/// A statement that counts towards a certificate.
pub trait Ballot: LockdownStatement {
    /// What it is for: votes for different things do not count together.
    type Subject: Ord;

    fn subject(&self) -> Self::Subject;

    /// How many of `members` prove it.
    fn quorum(members: usize, parameters: &LockdownParameters) -> usize;
}

impl Ballot for LockdownVoteBody {
    /// The lockdown of an era, whatever the reason.
    type Subject = Era;

    fn subject(&self) -> Era {
        self.era
    }

    fn quorum(members: usize, parameters: &LockdownParameters) -> usize {
        lockdown_quorum(members, parameters)
    }
}

/// A statement with its author, a member of the committee of its era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Signed<B> {
    pub body: B,
    pub author: AuthorityIndex,
    pub signature: Signature,
}

pub type LockdownVote = Signed<LockdownVoteBody>;
pub type RecoveryVote = Signed<RecoveryVoteBody>;
pub type QuarantineReport = Signed<QuarantineReportBody>;

impl<B: LockdownStatement> Signed<B> {
    fn signing_hash(body: &B, author: AuthorityIndex, chain: &ChainId) -> SigningHash {
        SigningHash::new(B::PURPOSE.hash_on_chain(chain, &(author, body)))
    }

    /// Signs as `author`, the signer's position in the committee of the era.
    #[must_use]
    pub fn sign(body: B, author: AuthorityIndex, chain: &ChainId, signer: &dyn Signer) -> Self {
        let signature = signer.sign(&Self::signing_hash(&body, author, chain));
        Self {
            body,
            author,
            signature,
        }
    }

    /// The signature check against the committee of the statement's era; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        let message = Self::signing_hash(&self.body, self.author, chain);
        committee.signature_check(self.author, message, self.signature)
    }

    /// Verifies rules LK1 and LK2 against the committee of `era`.
    pub fn verify(
        &self,
        chain: &ChainId,
        era: Era,
        committee: &Committee,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), LockdownError> {
        self.body.check_limits()?;
        check_era(self.body.era(), era)?;
        let author = self.author;
        let check = self.signature_check(chain, committee);
        let check = check.ok_or(LockdownError::BadSigner { author })?;
        if scheme.verify(&check) {
            Ok(())
        } else {
            Err(LockdownError::BadSignature)
        }
    }

    /// Rule LK3, at the moment of receipt.
    pub fn check_time(
        &self,
        now: TimestampMs,
        parameters: &LockdownParameters,
    ) -> Result<(), LockdownError> {
        let at = self.body.at();
        let (age_ms, ahead_ms) = (now.since(at), at.since(now));
        let max_ms = parameters.vote_max_age_ms;
        if age_ms > max_ms {
            return Err(LockdownError::TooOld { age_ms, max_ms });
        }
        let max_ms = parameters.vote_max_ahead_ms;
        if ahead_ms > max_ms {
            return Err(LockdownError::Ahead { ahead_ms, max_ms });
        }
        Ok(())
    }
}

fn check_era(actual: Era, expected: Era) -> Result<(), LockdownError> {
    if actual == expected {
        return Ok(());
    }
    Err(LockdownError::OtherEra { actual, expected })
}

/// Votes that lock or that let go on: it convinces whoever was not there, also without the cluster secret.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct BallotCertificate<B> {
    /// Sorted by author.
    pub votes: Vec<Signed<B>>,
}

pub type LockdownCertificate = BallotCertificate<LockdownVoteBody>;
pub type RecoveryCertificate = BallotCertificate<RecoveryVoteBody>;

/// How many of `members` lock: the least number that is not below the fraction (document 000: two thirds).
///
/// Of no members nobody can.
#[must_use]
pub fn lockdown_quorum(members: usize, parameters: &LockdownParameters) -> usize {
    let numerator = parameters.quorum_numerator as usize;
    let denominator = (parameters.quorum_denominator as usize).max(1);
    members
        .saturating_mul(numerator)
        .div_ceil(denominator)
        .max(1)
}

/// How many let go on: as many as lock, and no fewer than certify a block. Whoever has attested above the block that is named does not
/// attest the one with which the chain goes on, so those who have named it have to be enough. (Of three times as many members as there are
/// in a third, two thirds are one less than that.)
#[must_use]
pub fn recovery_quorum(members: usize, parameters: &LockdownParameters) -> usize {
    let certify = members.saturating_sub(members.saturating_sub(1) / 3);
    lockdown_quorum(members, parameters).max(certify)
}

impl<B: Ballot> BallotCertificate<B> {
    /// Era of the votes; none if there is no vote.
    #[must_use]
    pub fn era(&self) -> Option<Era> {
        self.votes.first().map(|vote| vote.body.era())
    }

    /// What the votes are for; none if there is no vote.
    #[must_use]
    pub fn subject(&self) -> Option<B::Subject> {
        self.votes.first().map(|vote| vote.body.subject())
    }

    /// Verifies rules LK1, LK2 and LK4 to LK6 against the committee of `era`.
    pub fn verify(
        &self,
        chain: &ChainId,
        era: Era,
        committee: &Committee,
        parameters: &LockdownParameters,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), LockdownError> {
        if let Some(actual) = self.era() {
            // Of another era nothing can be said, whatever its committee was.
            check_era(actual, era)?;
        }
        let actual = self.votes.len();
        let quorum = B::quorum(committee.size(), parameters);
        if actual < quorum {
            return Err(LockdownError::NoQuorum { actual, quorum });
        }
        let subject = self.subject();
        let mut before: Option<AuthorityIndex> = None;
        let mut checks = Vec::with_capacity(actual.min(committee.size()));
        for vote in &self.votes {
            vote.body.check_limits()?;
            check_era(vote.body.era(), era)?;
            if Some(vote.body.subject()) != subject {
                return Err(LockdownError::DifferentSubjects);
            }
            let author = vote.author;
            let check = vote
                .signature_check(chain, committee)
                .filter(|_| before.is_none_or(|before| before < author))
                .ok_or(LockdownError::BadSigner { author })?;
            before = Some(author);
            checks.push(check);
        }
        self.check_span(parameters)?;
        if scheme.verify_batch(&checks) {
            Ok(())
        } else {
            Err(LockdownError::BadSignature)
        }
    }

    /// Rule LK5.
    fn check_span(&self, parameters: &LockdownParameters) -> Result<(), LockdownError> {
        let times = self.votes.iter().map(|vote| vote.body.at());
        let first = times.clone().min().unwrap_or_default();
        let last = times.max().unwrap_or_default();
        let (span_ms, max_ms) = (last.since(first), parameters.vote_max_age_ms);
        if span_ms > max_ms {
            return Err(LockdownError::TooFarApart { span_ms, max_ms });
        }
        Ok(())
    }
}

/// What convinces who was not there: that the chain is locked, what a quorum has named last to go on with, and that it goes on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LockdownNotice {
    pub lock: LockdownCertificate,
    /// Of prevotes.
    pub agreed: Option<RecoveryCertificate>,
    /// Of precommits.
    pub recovery: Option<RecoveryCertificate>,
}

impl LockdownNotice {
    /// Verifies all certificates against the committee of `era`.
    pub fn verify(
        &self,
        chain: &ChainId,
        era: Era,
        committee: &Committee,
        parameters: &LockdownParameters,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), LockdownError> {
        self.lock
            .verify(chain, era, committee, parameters, scheme)?;
        let of_steps = [
            (&self.agreed, RecoveryStep::Prevote),
            (&self.recovery, RecoveryStep::Precommit),
        ];
        for (certificate, step) in of_steps {
            let Some(certificate) = certificate else {
                continue;
            };
            if certificate.subject().map(|subject| subject.step) != Some(step) {
                return Err(LockdownError::OtherStep {
                    expected: step.name(),
                });
            }
            certificate.verify(chain, era, committee, parameters, scheme)?;
        }
        Ok(())
    }
}

/// What travels on the topic `lockdown`: each is authenticated twice, by the cluster secret and by its author's key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum LockdownMessage {
    Vote(LockdownVote),
    Recovery(RecoveryVote),
    Report(QuarantineReport),
    /// Of either step, for who has missed the votes.
    Recovered(RecoveryCertificate),
}

impl LockdownMessage {
    /// Verifies rules LK1 to LK3 at the moment of receipt, against the committee of `era`. The time comes first: it costs
    /// nothing.
    pub fn verify(
        &self,
        now: TimestampMs,
        chain: &ChainId,
        era: Era,
        committee: &Committee,
        parameters: &LockdownParameters,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), LockdownError> {
        match self {
            Self::Vote(vote) => {
                vote.check_time(now, parameters)?;
                vote.verify(chain, era, committee, scheme)
            }
            Self::Recovery(vote) => {
                vote.check_time(now, parameters)?;
                vote.verify(chain, era, committee, scheme)
            }
            Self::Report(report) => {
                report.check_time(now, parameters)?;
                report.verify(chain, era, committee, scheme)
            }
            // It proves the same at any time.
            Self::Recovered(certificate) => {
                certificate.verify(chain, era, committee, parameters, scheme)
            }
        }
    }
}

/// A message with what shows that its sender knows the cluster secret.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GossipedLockdown {
    pub message: LockdownMessage,
    /// Gossip takes a message once: what is told again has another `repetition`.
    pub repetition: u32,
    /// HMAC-SHA256 over all of it.
    pub tag: [u8; 32],
}

/// What ends an era to let a halted chain go on.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ResumeOrder {
    /// A resume of governance.
    Governance(GovernanceMessage),
    /// The votes of the validators, after a lockdown of the era.
    Recovery { era: Era, point: BlockPoint },
}

impl ResumeOrder {
    /// What it goes on from; none of a message that is no resume.
    #[must_use]
    pub const fn point(&self) -> Option<ResumePoint> {
        match self {
            Self::Governance(message) => message.body.action.resume_point(),
            Self::Recovery { era, point } => Some(ResumePoint {
                era: *era,
                height: point.height,
                block: point.block,
                state_root: point.state_root,
                minimum_version: SoftwareVersion::ANY,
            }),
        }
    }

    /// The message of governance, if it is one.
    #[must_use]
    pub const fn message(&self) -> Option<&GovernanceMessage> {
        match self {
            Self::Governance(message) => Some(message),
            Self::Recovery { .. } => None,
        }
    }

    /// Where the block comes from with which the chain goes on.
    #[must_use]
    pub fn origin(&self, chain: &ChainId) -> BlockOrigin {
        match self {
            Self::Governance(message) => BlockOrigin::Resumed {
                message: message.body.id(chain),
            },
            Self::Recovery { .. } => BlockOrigin::Recovered,
        }
    }
}

/// Why a statement or a certificate of a lockdown changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockdownError {
    #[error("it is of era {actual}, the committee of era {expected} speaks")]
    OtherEra { actual: Era, expected: Era },
    #[error("votes are sorted by member, each once; authority {author} is not")]
    BadSigner { author: AuthorityIndex },
    #[error("a signature does not verify: another key, another chain id or a changed statement")]
    BadSignature,
    #[error("it is {age_ms} ms old, the limit is {max_ms} ms")]
    TooOld { age_ms: u64, max_ms: u64 },
    #[error("it is dated {ahead_ms} ms ahead, the limit is {max_ms} ms")]
    Ahead { ahead_ms: u64, max_ms: u64 },
    #[error("{actual} members have voted, {quorum} have to")]
    NoQuorum { actual: usize, quorum: usize },
    #[error("the votes are not for the same")]
    DifferentSubjects,
    #[error("the votes are not those of the step {expected}")]
    OtherStep { expected: &'static str },
    #[error("the votes lie {span_ms} ms apart, the limit is {max_ms} ms: the first had expired")]
    TooFarApart { span_ms: u64, max_ms: u64 },
    #[error("the reason is {actual} bytes long, the limit is {LOCKDOWN_REASON_BYTES_MAX}")]
    ReasonTooLong { actual: usize },
}

impl LockdownError {
    /// Stable name for RPC and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OtherEra { .. } => "other_era",
            Self::BadSigner { .. } => "bad_signer",
            Self::BadSignature => "bad_signature",
            Self::TooOld { .. } => "too_old",
            Self::Ahead { .. } => "ahead",
            Self::NoQuorum { .. } => "no_quorum",
            Self::DifferentSubjects => "different_subjects",
            Self::OtherStep { .. } => "other_step",
            Self::TooFarApart { .. } => "too_far_apart",
            Self::ReasonTooLong { .. } => "reason_too_long",
        }
    }
}
