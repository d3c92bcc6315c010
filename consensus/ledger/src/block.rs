//! Execution of one block.

use crate::state::{StateChanges, StateError, StateStore, UndoRecord};
use holdfast_types::{
    AccountName, ChainId, Committee, Era, EraEnd, Event, Evidence, Height, Parameters, Receipt,
    StateRoot, Support, TimestampMs, VerifiedTransaction,
};

/// A block to be executed on the state that the store holds.
#[derive(Clone, Copy, Debug)]
pub struct BlockInput<'a> {
    pub chain: ChainId,
    /// One above the height of the state.
    pub height: Height,
    /// The running era, as the state names it.
    pub era: Era,
    /// Above the timestamp of the state.
    pub timestamp: TimestampMs,
    /// Committee of the era, as the state names it.
    pub committee: &'a Committee,
    pub transactions: &'a [VerifiedTransaction],
    /// Raises of `last_supported_block_num`, already validated against the chain. Others than raises, and authorities
    /// that are no members, are ignored.
    pub supports: &'a [Support],
    /// Verified evidence with the account that its offender had in the committee of its era.
    pub evidence: &'a [(Evidence, AccountName)],
}

/// What a block did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockOutcome {
    /// One per transaction, in their order.
    pub receipts: Vec<Receipt>,
    /// Events of the block itself.
    pub events: Vec<Event>,
    pub changes: StateChanges,
    pub undo: UndoRecord,
    /// State after the block.
    pub state_root: StateRoot,
    /// The last irreversible block after this block.
    pub lib: Height,
    /// Set in the last block of an era.
    pub era_end: Option<EraEnd>,
}

/// Why a block could not be executed. Fatal in every case, and never the fault of a transaction or a peer: the
/// caller stops the node (a broken invariant is a hard halt).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error(transparent)]
    Store(#[from] StateError),
    #[error(
        "the block does not continue the state: {field} is {actual}, the state asks for {expected}"
    )]
    WrongBlock {
        field: &'static str,
        expected: String,
        actual: String,
    },
    #[error("ledger invariant broken at height {height}: {invariant}")]
    BrokenInvariant { height: Height, invariant: String },
}

/// Executes `input` on the state in `store`, which is not changed: the outcome says what to write.
pub fn execute_block<S: StateStore + ?Sized>(
    _store: &S,
    _parameters: &Parameters,
    _input: &BlockInput<'_>,
) -> Result<BlockOutcome, LedgerError> {
    unimplemented!("bodies follow the signatures")
}
