//! Why the chain cannot go on.

use crate::forks::ForkError;
use holdfast_ledger::{EmergencyRefusal, LedgerError, StateError};
use holdfast_types::{
    AccountName, BlockId, Certificate, CommitDigest, Era, GovernanceError, Height, StateRoot,
};

/// Why the chain cannot go on. All of these are fatal: the store failed, an invariant of ours is broken, or the network
/// contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the store holds no chain; genesis was not applied")]
    NoGenesis,
    #[error("the store lacks {what}")]
    Incomplete { what: String },
    #[error(
        "commit {index} of era {era} contradicts the one that this chain has: {actual} instead of {expected}"
    )]
    CommitFork {
        era: u64,
        index: u64,
        expected: CommitDigest,
        actual: CommitDigest,
    },
    /// It was produced out of its turn, or by nobody who may produce.
    #[error("emergency block {height} does not follow: {refusal}")]
    EmergencyRefused {
        height: Height,
        refusal: EmergencyRefusal,
    },
    #[error("emergency block {height} is not signed by its producer")]
    EmergencySignature { height: Height },
    /// This node's own state is wrong: a quorum has executed the same and got something else.
    #[error(
        "executing the certified block {height} gives {field} {actual}, the certificate says {expected}: the state of this node is wrong"
    )]
    Diverged {
        height: Height,
        field: &'static str,
        expected: String,
        actual: String,
    },
    /// Two quorums have certified what excludes each other, so more than f validators signed both ways: with both
    /// certificates anyone can check that, and halt.
    #[error(
        "the certified blocks {} at height {} and {} at height {} exclude each other: the chain does not choose between them",
        first.body.block, first.body.height, second.body.block, second.body.height
    )]
    ContradictoryCertificates {
        first: Box<Certificate>,
        second: Box<Certificate>,
    },
    /// A certificate excludes what is irreversible here and not certified itself.
    #[error(
        "block {} at height {} is certified, but {ours} is irreversible there",
        certificate.body.block, certificate.body.height
    )]
    IrreversibleContradicted {
        ours: BlockId,
        certificate: Box<Certificate>,
    },
    /// A quorum has executed what did not execute here: the state or the software of this node is wrong.
    #[error("block {block} at height {height} is certified, but it was found invalid here")]
    CertifiedRejected { height: Height, block: BlockId },
    #[error(
        "block {block} at height {height} was found invalid before and executes now: execution depends on something that it must not"
    )]
    NotDeterministic { height: Height, block: BlockId },
    #[error(
        "the fork database has no room for block {height}: the last irreversible block is {irreversible} and does not move"
    )]
    ForkDatabaseFull {
        height: Height,
        irreversible: Height,
    },
    /// An invariant of the fork choice is broken.
    #[error(transparent)]
    Forks(#[from] ForkError),
    /// The fork choice goes in circles: an invariant of ours is broken.
    #[error("choosing a branch made no progress at head {head}")]
    NoProgress { head: Height },
}

impl ChainError {
    pub(super) fn incomplete(what: impl Into<String>) -> Self {
        Self::Incomplete { what: what.into() }
    }

    /// Whether a block is to blame rather than this node, if nobody has proved the block.
    pub(super) const fn is_of_block(&self) -> bool {
        matches!(
            self,
            Self::Diverged { .. }
                | Self::CommitFork { .. }
                | Self::EmergencyRefused { .. }
                | Self::EmergencySignature { .. }
                | Self::Ledger(
                    LedgerError::WrongBlock { .. } | LedgerError::BrokenInvariant { .. }
                )
        )
    }
}

/// Why this node does not resume as a message of governance asks. Nothing changed, and none of these is fatal: more blocks
/// or another message may be the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResumeRefusal {
    #[error("the message is no resume")]
    NotResume,
    /// Against the governors of the state after the named block.
    #[error(transparent)]
    Governance(#[from] GovernanceError),
    /// A lower era than expected has ended, by its last block or by another resume: the message is settled.
    #[error("the message ends era {actual}, but era {expected} is the one to end")]
    WrongEra { expected: Era, actual: Era },
    #[error("the message resumes on block {height}, which is above the head of this node")]
    Behind { height: Height },
    #[error(
        "the message resumes on another block than this node has at height {height}: {ours} with state root {state_root}"
    )]
    Differs {
        height: Height,
        ours: BlockId,
        state_root: StateRoot,
    },
    /// What a lockdown stops has a quorum, and an emergency has none.
    #[error("nobody recovers from a lockdown on a block of an emergency")]
    InEmergency,
    /// Only the committee of its era can certify what ends an era, and whoever syncs needs that certificate.
    #[error("block {height} ends its era and is not certified yet: that comes first")]
    Uncertified { height: Height },
    #[error(
        "the message resumes below block {certified}, which is certified or irreversible: it would take back what is final"
    )]
    BelowCertified { certified: Height },
}

/// Why a producer that could make a block in an emergency makes none. The list is closed: each has its name in metrics and RPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProductionRefusal {
    /// Neither the emergency key nor a validator's.
    NoKey,
    /// A halt holds.
    Halted,
    /// This validator has stopped signing for good.
    NotSigning,
    /// Others are ahead: their blocks come first. At most for a round.
    SyncFirst,
    /// No emergency can begin yet.
    NotBegun,
    /// The slot is another's.
    NotScheduled,
    /// There is a block of this slot or a later one.
    SlotTaken,
    /// All of the last blocks are the own ones.
    MinorityFork,
    /// A certificate outranks the emergency; its block is not here yet.
    Outranked,
}

impl ProductionRefusal {
    pub const ALL: [Self; 9] = [
        Self::NoKey,
        Self::Halted,
        Self::NotSigning,
        Self::SyncFirst,
        Self::NotBegun,
        Self::NotScheduled,
        Self::SlotTaken,
        Self::MinorityFork,
        Self::Outranked,
    ];

    /// Stable name for RPC, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Halted => "halted",
            Self::NotSigning => "not_signing",
            Self::SyncFirst => "sync_first",
            Self::NotBegun => "not_begun",
            Self::NotScheduled => "not_scheduled",
            Self::SlotTaken => "slot_taken",
            Self::MinorityFork => "minority_fork",
            Self::Outranked => "outranked",
        }
    }

    /// What the chain says to a block of the own.
    pub(super) const fn of(refusal: &OfferRefusal) -> Self {
        match refusal {
            OfferRefusal::Outranked => Self::Outranked,
            OfferRefusal::Slot(
                EmergencyRefusal::NoHardfork { .. }
                | EmergencyRefusal::NoStallClock
                | EmergencyRefusal::TooEarly { .. },
            ) => Self::NotBegun,
            OfferRefusal::Slot(EmergencyRefusal::NotAfterHead { .. }) | OfferRefusal::Known => {
                Self::SlotTaken
            }
            OfferRefusal::NoKey { .. } => Self::NoKey,
            _ => Self::NotScheduled,
        }
    }
}

/// Why a block of a peer does not come into the choice among branches. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferRefusal {
    #[error("the block does not come of emergency consensus")]
    NotEmergency,
    /// A certificate whose block is not here, or a commit of this node's own DAG, outranks these emergency blocks.
    #[error("a certificate or a commit of the own DAG comes before it")]
    Outranked,
    /// It was here before, or was found invalid before.
    #[error("the block is known")]
    Known,
    /// Its body is not that of its header.
    #[error("the {part} differs from what the header says")]
    WrongBody { part: &'static str },
    /// What is between has to be fetched first.
    #[error("its parent {parent} is not here")]
    Unlinked { parent: BlockId },
    #[error("{producer} has no signing key")]
    NoKey { producer: AccountName },
    #[error("the signature is not that of the producer")]
    BadSignature,
    #[error("the signature of transaction {position} is not that of its sender")]
    BadTransaction { position: usize },
    #[error(transparent)]
    Slot(#[from] EmergencyRefusal),
    /// Other branches are worth more.
    #[error("the fork database is full")]
    Full,
    #[error("the branch is not better than the own one")]
    NotBetter,
    /// Certified blocks stay, and what is that old is for people to decide.
    #[error("the branch forks off at {ancestor}, below what can be taken back")]
    TooDeep { ancestor: Height },
    #[error("block {height} does not execute: {reason}")]
    Invalid { height: Height, reason: String },
}
