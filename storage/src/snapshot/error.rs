//! Why there is no snapshot, or why one is refused.

use crate::error::{OpenError, StorageError};
use holdfast_chain::snapshot::SnapshotRefusal;
use holdfast_chain::{ChainError, OfferRefusal, ResumeRefusal};
use holdfast_ledger::StateError;
use holdfast_types::{BlockId, ChainId, Height, StateRoot};
use std::path::PathBuf;

/// Exporting or importing failed. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("reading or writing the snapshot: {0}")]
    Io(#[from] std::io::Error),
    #[error("{} is not empty: a snapshot is imported into a new data directory only", path.display())]
    NotEmpty { path: PathBuf },
    #[error("this is no snapshot: its first bytes are other ones")]
    NotASnapshot,
    #[error("the snapshot has format {found}, this version reads formats up to {known}")]
    NewerFormat { found: u16, known: u16 },
    #[error("the snapshot is damaged in record {record}: {reason}")]
    Damaged { record: u64, reason: String },
    #[error("the snapshot is of chain {found}, the genesis file of chain {expected}")]
    WrongChain { found: ChainId, expected: ChainId },
    #[error("the snapshot is not believed: {0}")]
    Refused(#[from] SnapshotRefusal),
    #[error("the values have state root {actual}, block {height} says {expected}")]
    WrongState {
        height: Height,
        expected: StateRoot,
        actual: StateRoot,
    },
    #[error("the snapshot says that {field} is {said}, its state says {actual}")]
    Contradiction {
        field: &'static str,
        said: String,
        actual: String,
    },
    #[error("the blocks from {from} on are not taken: {refusal}")]
    BlocksRefused { from: Height, refusal: OfferRefusal },
    #[error("the block {height} that resumes the chain is not taken: {refusal}")]
    ResumeRefused {
        height: Height,
        refusal: ResumeRefusal,
    },
    #[error("the snapshot ends with block {actual}, not with block {expected}")]
    WrongTop { expected: Height, actual: Height },
    #[error("the block that is trusted, {trusted}, is not in the snapshot")]
    TrustedMissing { trusted: BlockId },
    #[error("block {height} is not there: the head is block {head}")]
    AboveHead { height: Height, head: Height },
    #[error(
        "the state after block {height} cannot be restored: undo records reach down to block {lowest} only"
    )]
    UndoPruned { height: Height, lowest: Height },
    #[error(
        "blocks from {needed} on belong into the snapshot; they are stored from {lowest} on only"
    )]
    BlocksPruned { needed: Height, lowest: Height },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Chain(#[from] ChainError),
}
