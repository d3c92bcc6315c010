//! What the fork database refuses to do.

use holdfast_types::{BlockId, Height};

/// Why the fork database does not do what it was asked. Nothing in it changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// A mistake of the caller.
    #[error("block {id} is not in the fork database")]
    UnknownBlock { id: BlockId },
    /// An invariant of the fork database is broken: the node must stop.
    #[error(
        "the branch of block {id} does not lead down to the root: it breaks at height {height}"
    )]
    BrokenBranch { id: BlockId, height: Height },
    /// Two certified blocks exclude each other, so more than f validators signed both ways. The chain stays where it
    /// is: both certificates are the proof for a halt.
    #[error(
        "certified block {applied} is applied, certified block {other} excludes it: the chain does not choose between them"
    )]
    ContradictoryCertificates { applied: BlockId, other: BlockId },
    /// An applied block was valid when it was applied: a mistake of the caller.
    #[error("block {id} is applied or below the head, it cannot be marked invalid")]
    InvalidIsApplied { id: BlockId },
    /// A quorum executed what this node finds invalid: its own state or software is wrong, it must stop.
    #[error("block {id} was found invalid here, but block {certified} at or above it is certified")]
    InvalidIsCertified { id: BlockId, certified: BlockId },
    /// Governance restarted the chain on what this node finds invalid: its own state or software is wrong, it must stop.
    #[error(
        "block {id} was found invalid here, but governance anchored an era at {anchor}, at or above it"
    )]
    InvalidIsAnchor { id: BlockId, anchor: BlockId },
    /// Only an applied block becomes irreversible: a mistake of the caller.
    #[error("block {id} is not on the branch of the head, it cannot become the root")]
    RootNotApplied { id: BlockId },
    /// The block was made void by governance: switch before anything becomes irreversible.
    #[error("block {id} is void, it cannot become the root")]
    RootIsVoid { id: BlockId },
    /// Governance resumes on an applied block: a mistake of the caller.
    #[error("block {id} is not on the branch of the head, the head cannot go back to it")]
    CutNotApplied { id: BlockId },
    /// Nothing certified is taken back: a mistake of the caller.
    #[error("going back to block {id} would abandon the certified block {certified}")]
    CutAbandonsCertified { id: BlockId, certified: BlockId },
    #[error("going back to block {id} would abandon {anchor}, on which governance anchored an era")]
    CutAbandonsAnchor { id: BlockId, anchor: BlockId },
    /// A certificate outranks the applied branch: switch before anything becomes irreversible.
    #[error("block {id} as root would abandon the certified block {certified}")]
    RootAbandonsCertified { id: BlockId, certified: BlockId },
}
