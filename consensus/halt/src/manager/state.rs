//! What is known of halts, as it is persisted and told.

use crate::journal::Journal;
use crate::lockdown::{LockdownPhase, LockdownState};
use crate::matrix::{Activity, ModeSet, permission_in};
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::{
    Era, GovernanceAction, GovernanceMessage, HaltCause, HaltId, HaltNotice, HaltProof, Height,
    TimestampMs,
};

/// Hard halts of one era that are kept: each after the first changes nothing but the report.
pub const HARD_HALTS_MAX: usize = 8;
/// Governance messages that wait to be recorded on the chain.
pub const MESSAGES_WAITING_MAX: usize = 8;

/// A hard halt on proof.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HardHalt {
    pub id: HaltId,
    pub cause: HaltCause,
    pub proof: HaltProof,
    /// Wall clock of this node.
    pub since: TimestampMs,
}

/// What is wrong with this node alone.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OwnFault {
    pub id: HaltId,
    pub cause: HaltCause,
    pub height: Height,
    /// What was expected and what was found, for a person.
    pub detail: String,
    pub since: TimestampMs,
}

/// A halt that governance ordered.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EmergencyHalt {
    pub id: HaltId,
    pub message: GovernanceMessage,
    pub until: TimestampMs,
    pub after_height: Option<Height>,
    /// When it was received, by the wall clock of this node.
    pub received: TimestampMs,
    /// It took effect: at once, or with its height.
    pub active: bool,
}

/// All that is known of halts, as it is persisted.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HaltState {
    /// The era that runs, or that ran when the chain stopped.
    pub era: Era,
    pub hard: Vec<HardHalt>,
    pub own_fault: Option<OwnFault>,
    pub emergency: Option<EmergencyHalt>,
    /// The message that ends the running era.
    pub resume: Option<GovernanceMessage>,
    /// Its block is built here, and perhaps attested: no other message ends the era any more.
    pub resume_is_built: bool,
    /// Highest sequence number of a resume that a certified block excludes.
    pub excluded_sequence: u64,
    /// Highest sequence number that took effect here or on the chain.
    pub sequence: u64,
    /// The same on the chain alone.
    pub executed_sequence: u64,
    /// Messages that the chain has not recorded, by rising sequence number.
    pub waiting: Vec<GovernanceMessage>,
    /// Live time of the chain when the last halt of governance ended.
    pub emergency_ended: Option<TimestampMs>,
    pub lockdown: LockdownState,
    pub journal: Journal,
}

impl HaltState {
    /// Whether a node for which `modes` hold fetches emergency blocks from peers: no halt forbids it, or they may lead to the block
    /// that the resume message names. As long as that is not resumed here it is on another branch or above the head; what is above it is
    /// taken back then.
    #[must_use]
    pub fn fetches_emergency_blocks(&self, modes: ModeSet) -> bool {
        permission_in(Activity::EmergencyBlocks, modes.ordered()).allows() || self.resume.is_some()
    }

    /// Whether it fetches those of branches that governance or a quorum of votes has chosen, and only those: nothing but a lockdown
    /// holds, and it may be of an era that others have left so (rule U11 of the chain). Not once the voters have confirmed from where to go
    /// on: this validator attests that, and may not attest another branch beside it.
    #[must_use]
    pub fn fetches_ordered_blocks(&self) -> bool {
        self.is_only_locked() && self.lockdown.phase() == LockdownPhase::Locked
    }

    /// Messages that do something yet: the halt, the resume, and new keys that the chain has not recorded. A halt that is
    /// over waits to be recorded, too, and is nothing to act on.
    pub fn messages(&self) -> impl Iterator<Item = &GovernanceMessage> {
        let emergency = self.emergency.iter().map(|halt| &halt.message);
        let is_rotation = |message: &&GovernanceMessage| {
            matches!(message.body.action, GovernanceAction::RotateKeys { .. })
        };
        let rotations = self.waiting.iter().filter(is_rotation);
        emergency.chain(&self.resume).chain(rotations)
    }

    /// What a peer has to know to stand as this node does.
    #[must_use]
    pub fn notice(&self) -> HaltNotice {
        HaltNotice {
            proofs: self.hard.iter().map(|halt| halt.proof.clone()).collect(),
            messages: self.messages().cloned().collect(),
            lockdown: self.lockdown.notice(),
        }
    }

    /// Whether there is anything that a peer may not know.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let is_said = self.lockdown.phase() != LockdownPhase::Normal;
        !self.hard.is_empty() || is_said || self.messages().next().is_some()
    }

    /// Whether this very proof is here.
    #[must_use]
    pub fn holds_proof(&self, proof: &HaltProof) -> bool {
        self.hard.iter().any(|halt| halt.proof == *proof)
    }

    /// Whether this very message is here and does something.
    #[must_use]
    pub fn holds_message(&self, message: &GovernanceMessage) -> bool {
        self.messages().any(|held| held == message)
    }
}

/// Where the chain stands, for judging an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Wall clock of this node.
    pub wall: TimestampMs,
    pub head: Height,
    /// Live time of the head.
    pub live_time: TimestampMs,
}
