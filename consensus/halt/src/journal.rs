//! The halt journal: what halted and resumed this node, in one record (DESIGN §6).
//!
//! Rules:
//!
//! * J1. Entries are numbered from 0, and each names the hash of the one before: none can be changed, left out or put in
//!   later without changing all after it.
//! * J2. An entry is written for what happened, never changed and never deleted. Wall clock, era and head stand beside it as
//!   they were: clocks may be set and heads taken back, so nothing is asked of their order.
//! * J3. A journal that was cut off at its end is a valid one: who keeps the hash of an entry elsewhere notices.

use crate::matrix::Mode;
use crate::stall::StallReasons;
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::hash::Purpose;
use holdfast_types::{
    AuthorityIndex, BlockId, Era, HaltCause, HaltId, Hash32, Height, Readiness, TimestampMs,
};

/// What the first entry names as the one before.
pub const FIRST_PREVIOUS: Hash32 = [0; 32];

/// What happened. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum JournalEvent {
    HaltBegan {
        halt: HaltId,
        mode: Mode,
        cause: Option<HaltCause>,
    },
    /// One halt of this mode ended, or the mode as a whole.
    HaltEnded {
        halt: Option<HaltId>,
        mode: Mode,
    },
    StallBegan {
        reasons: StallReasons,
    },
    StallEscalated,
    StallEnded {
        lasted_ms: u64,
    },
    /// A governance message, whatever it orders.
    MessageReceived {
        message: Hash32,
        sequence: u64,
    },
    ResumeRequested {
        message: Hash32,
    },
    /// This validator has signed for the next era.
    Ready {
        message: Hash32,
    },
    NotReady {
        readiness: Readiness,
    },
    EraStarted {
        era: Era,
    },
    /// A certified block excludes the block that this message orders.
    ResumeExcluded {
        message: Hash32,
    },
    /// A member votes to freeze the chain.
    LockdownVoted {
        author: AuthorityIndex,
    },
    /// The votes have expired before there were enough.
    LockdownVotesExpired,
    /// A member votes to go on from the block of this height.
    RecoveryVoted {
        author: AuthorityIndex,
        height: Height,
    },
    /// Enough members have voted to go on from this block.
    RecoveryOrdered {
        height: Height,
        block: BlockId,
    },
    /// The lockdown has lasted so long, and nobody has ended it.
    LockdownLasts {
        for_ms: u64,
    },
    /// A halt of governance holds no more: a quorum does not follow it.
    HaltVoid {
        halt: HaltId,
    },
}

impl JournalEvent {
    /// Stable name for RPC, logs and files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::HaltBegan { .. } => "halt_began",
            Self::HaltEnded { .. } => "halt_ended",
            Self::StallBegan { .. } => "stall_began",
            Self::StallEscalated => "stall_escalated",
            Self::StallEnded { .. } => "stall_ended",
            Self::MessageReceived { .. } => "message_received",
            Self::ResumeRequested { .. } => "resume_requested",
            Self::ResumeExcluded { .. } => "resume_excluded",
            Self::HaltVoid { .. } => "halt_void",
            Self::Ready { .. } => "ready",
            Self::NotReady { .. } => "not_ready",
            Self::EraStarted { .. } => "era_started",
            Self::LockdownVoted { .. } => "lockdown_voted",
            Self::LockdownVotesExpired => "lockdown_votes_expired",
            Self::RecoveryVoted { .. } => "recovery_voted",
            Self::RecoveryOrdered { .. } => "recovery_ordered",
            Self::LockdownLasts { .. } => "lockdown_lasts",
        }
    }
}

/// One line of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct JournalEntry {
    pub index: u64,
    /// Hash of the entry before.
    pub previous: Hash32,
    pub wall: TimestampMs,
    pub era: Era,
    pub head: Height,
    pub event: JournalEvent,
}

impl JournalEntry {
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Purpose::HALT_JOURNAL.hash_encoded(self)
    }
}

/// The end of the journal, where the next entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Journal {
    next_index: u64,
    last_hash: Hash32,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            next_index: 0,
            last_hash: FIRST_PREVIOUS,
        }
    }
}

impl Journal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The journal that ends with `last`.
    #[must_use]
    pub fn after(last: &JournalEntry) -> Self {
        Self {
            next_index: last.index.saturating_add(1),
            last_hash: last.hash(),
        }
    }

    /// Makes the next entry; it is in the journal once it is stored.
    pub fn append(
        &mut self,
        wall: TimestampMs,
        era: Era,
        head: Height,
        event: JournalEvent,
    ) -> JournalEntry {
        let entry = JournalEntry {
            index: self.next_index,
            previous: self.last_hash,
            wall,
            era,
            head,
            event,
        };
        *self = Self::after(&entry);
        entry
    }

    /// Index of the next entry: how many there are.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next_index
    }

    /// Hash of the last entry.
    #[must_use]
    pub const fn last_hash(&self) -> Hash32 {
        self.last_hash
    }
}

/// Why entries are no journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    #[error("entry {index} of the halt journal is missing: entry {actual} stands in its place")]
    WrongIndex { index: u64, actual: u64 },
    #[error(
        "entry {index} of the halt journal does not follow the one before: one of the two was changed"
    )]
    BrokenChain { index: u64 },
}

/// Checks rule J1 over a journal from its first entry on.
pub fn verify_chain<'a>(
    entries: impl IntoIterator<Item = &'a JournalEntry>,
) -> Result<(), JournalError> {
    let mut journal = Journal::new();
    for entry in entries {
        let index = journal.next_index;
        if entry.index != index {
            return Err(JournalError::WrongIndex {
                index,
                actual: entry.index,
            });
        }
        if entry.previous != journal.last_hash {
            return Err(JournalError::BrokenChain { index });
        }
        journal = Journal::after(entry);
    }
    Ok(())
}
