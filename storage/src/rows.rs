//! Values of the column families that are not types of the vocabulary themselves.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_ledger::{StateChanges, UndoRecord};
use holdfast_types::{
    BlockId, CommitDigest, Event, Height, Receipt, SignedVertexHeader, VertexRef,
};

/// Version of keys and values; a store of another version is refused.
pub const FORMAT_VERSION: u32 = 7;

/// Where the chain stands. One row, rewritten in the batch of every step.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Position {
    /// The last applied block; none before genesis.
    pub head: Option<(Height, BlockId)>,
    pub irreversible: Height,
    pub certified: Height,
    /// The column families `state` and `state_tree` hold the state after this block; what came later is in the
    /// journal.
    pub state_flushed: Option<Height>,
    /// Undo records below are pruned.
    pub undo_from: Height,
    /// Blocks below are pruned, or came with no snapshot.
    pub lowest_block: Height,
    /// The block that the store began with: 0, or that of a snapshot. It has no undo record, nor has any below it.
    pub base: Height,
}

impl Position {
    /// Lowest height that has an undo record.
    pub(crate) fn lowest_undo(&self) -> Height {
        if self.base == Height::ZERO {
            return self.undo_from;
        }
        self.undo_from.max(self.base.next())
    }
}

/// A block of the applied branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct AppliedRow {
    pub id: BlockId,
    pub commit: Option<CommitDigest>,
    /// An era is anchored on this block.
    pub anchors_era: bool,
}

/// What execution said of a block.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ReceiptsRow {
    /// One per transaction, in their order.
    pub receipts: Vec<Receipt>,
    /// Events of the block itself.
    pub events: Vec<Event>,
}

/// New values of a block that `state` does not hold yet, sorted by key. The pages of the tree follow from them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct JournalRow {
    pub values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl JournalRow {
    /// Encodes the row of `changes` without copying them first.
    pub(crate) fn encode(changes: &StateChanges) -> Vec<u8> {
        encode_sized(&changes.values)
    }
}

/// Encodes what takes a block back.
pub(crate) fn encode_undo(record: &UndoRecord) -> Vec<u8> {
    encode_sized(record)
}

/// Encodes into a buffer that never grows: these rows are large.
fn encode_sized<T: BorshSerialize>(value: &T) -> Vec<u8> {
    let length = borsh::object_length(value).expect("counting the bytes of a bounded value");
    let mut bytes = Vec::with_capacity(length);
    borsh::to_writer(&mut bytes, value).expect("writing a bounded value into memory");
    bytes
}

/// The last vertex that this validator signed in an era.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct OwnVertexRow {
    pub reference: VertexRef,
    pub header: SignedVertexHeader,
}
