//! Votes to go on after a lockdown.

use super::{Ballot, BlockPoint, LockdownStatement, recovery_quorum};
use crate::governance::GovernanceMessage;
use crate::hash::{Hash32, Purpose};
use crate::ids::{ChainId, Era, TimestampMs};
use crate::parameters::LockdownParameters;
use borsh::{BorshDeserialize, BorshSerialize};

/// What a locked chain is to go on with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct RecoveryChoice {
    /// From here.
    pub point: BlockPoint,
    /// The resume message of governance that says so; none: the votes alone.
    pub resume: Option<NamedResume>,
}

/// A resume message of governance that voters of a locked chain name. They have let governance decide: a later message replaces it as it
/// would where nothing is locked.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize,
)]
pub struct NamedResume {
    pub sequence: u64,
    pub message: Hash32,
}

impl NamedResume {
    #[must_use]
    pub fn of(message: &GovernanceMessage, chain: &ChainId) -> Self {
        Self {
            sequence: message.body.sequence,
            message: message.body.id(chain),
        }
    }

    /// Whether this is the message that was named, or one that replaces it.
    #[must_use]
    pub fn is_followed_by(&self, message: &GovernanceMessage, chain: &ChainId) -> bool {
        message.body.sequence > self.sequence || Self::of(message, chain) == *self
    }
}

/// A vote to go on has two steps, as in Tendermint (Buchman, Kwon, Milosevic: The latest gossip on BFT consensus, 2018): only
/// what a quorum has named may be confirmed, and what a quorum has confirmed is the only choice that ever can be.
/// The position in this list is the tag byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum RecoveryStep {
    Prevote,
    Precommit,
}

impl RecoveryStep {
    /// Stable name for RPC, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }
}

/// "Go on with this": `RECOVERY_VOTE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct RecoveryVoteBody {
    pub era: Era,
    /// Wall clock of the author: of one attempt a newer vote replaces an older one.
    pub at: TimestampMs,
    /// Counted from 0: a vote of a later attempt replaces one of an earlier.
    pub attempt: u32,
    pub step: RecoveryStep,
    pub choice: RecoveryChoice,
}

/// What votes have to have in common to count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecoverySubject {
    pub era: Era,
    pub attempt: u32,
    pub step: RecoveryStep,
    pub choice: RecoveryChoice,
}

impl LockdownStatement for RecoveryVoteBody {
    const PURPOSE: Purpose = Purpose::RECOVERY_VOTE;

    fn era(&self) -> Era {
        self.era
    }

    fn at(&self) -> TimestampMs {
        self.at
    }

    fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl Ballot for RecoveryVoteBody {
    type Subject = RecoverySubject;

    fn quorum(members: usize, parameters: &LockdownParameters) -> usize {
        recovery_quorum(members, parameters)
    }

    fn subject(&self) -> RecoverySubject {
        let Self {
            era,
            attempt,
            step,
            choice,
            ..
        } = *self;
        RecoverySubject {
            era,
            attempt,
            step,
            choice,
        }
    }
}
