//! The door between the chain and whatever stores it.
//!
//! The chain decides and returns a [`ChainBatch`]; the store writes it in one atomic step. Reads go through
//! [`ChainStore`]. RocksDB and the simulator's double implement the same contract.

use holdfast_ledger::{StateChanges, StateError, StateStore, UndoRecord};
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Event, Height, Receipt,
    TransactionId, VerifiedTransaction,
};
use std::sync::Arc;

/// A block that was executed on top of the head.
#[derive(Clone, Debug)]
pub struct AppliedBlock {
    pub id: BlockId,
    pub block: Block,
    /// Ids of the block's transactions, in their order.
    pub transaction_ids: Vec<TransactionId>,
    /// One per transaction.
    pub receipts: Vec<Receipt>,
    /// Events of the block itself.
    pub events: Vec<Event>,
    pub changes: StateChanges,
    pub undo: UndoRecord,
}

impl AppliedBlock {
    /// Index and id of each transaction that gets its place on the chain by this block: see [`Receipt::decides`].
    pub fn decided(&self) -> impl Iterator<Item = (u32, &TransactionId)> {
        let ids = (0..).zip(&self.transaction_ids).zip(&self.receipts);
        ids.filter(|(_, receipt)| receipt.decides())
            .map(|(placed, _)| placed)
    }
}

/// One atomic step of the chain. A store applies the parts in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct ChainBatch {
    /// Head blocks to take back, highest first; their undo records are in the store. Each goes to the fork database,
    /// also one from the block log, whose end then lies below it.
    pub pop: Vec<(Height, BlockId)>,
    /// Blocks to apply, lowest first; each becomes the head.
    pub apply: Vec<AppliedBlock>,
    /// Blocks of other branches to keep in the fork database.
    pub insert_forks: Vec<(BlockId, Block)>,
    /// Blocks to drop from the fork database: pruned branches.
    pub remove_forks: Vec<(Height, BlockId)>,
    /// The last irreversible block is now this: blocks of the applied branch up to it move to the block log.
    pub irreversible: Option<Height>,
    /// Undo records below this height may go.
    pub prune_undo_below: Option<Height>,
    /// Certificates that became known.
    pub certificates: Vec<Certificate>,
    /// Votes of a quorum for the end of an emergency that became known. They replace those that were known before.
    pub end_votes: Option<EndVotes>,
    /// Eras that begin on applied blocks: their contexts, kept for as long as blocks of them are. One of the same number
    /// that began on another branch is replaced.
    pub start_eras: Vec<EraContext>,
    /// Transactions of popped blocks that go back to the queue with this write: a crash must not lose what is in neither.
    /// The shell puts them here, once it has checked their signatures.
    pub requeue: Vec<Arc<VerifiedTransaction>>,
}

impl ChainBatch {
    /// Whether there is nothing to write.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.pop.is_empty()
            && self.apply.is_empty()
            && self.insert_forks.is_empty()
            && self.remove_forks.is_empty()
            && self.irreversible.is_none()
            && self.prune_undo_below.is_none()
            && self.certificates.is_empty()
            && self.end_votes.is_none()
            && self.start_eras.is_empty()
            && self.requeue.is_empty()
    }
}

/// Read access to the chain. All of it reflects complete batches only.
pub trait ChainStore: StateStore {
    /// Height and id of the last applied block; none before genesis.
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError>;

    /// Height up to which blocks are in the block log.
    fn irreversible_height(&self) -> Result<Height, StateError>;

    /// Highest certified block of the applied branch.
    fn certified_height(&self) -> Result<Height, StateError>;

    /// A block of the applied branch, from block log or fork database.
    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError>;

    /// Id of a block of the applied branch.
    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError>;

    /// Any stored block: block log, applied reversible, or another branch.
    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError>;

    /// All blocks of the fork database (reversible ones of every branch), in any order.
    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError>;

    /// Undo record of an applied block.
    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError>;

    /// Certificate of exactly this height on the applied branch.
    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError>;

    /// The lowest stored certificate at or above `height`.
    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError>;

    /// All stored certificates above `height`, of every branch, by height and block id.
    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError>;

    /// The votes of a quorum for the end of an emergency that became known last, whatever branch the block is of.
    fn end_votes(&self) -> Result<Option<EndVotes>, StateError>;

    /// Context of an era, as the branch began it that was applied last: whether it is of the applied branch now is for
    /// the caller to know.
    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError>;

    /// Context of the newest era whose anchor is of the applied branch.
    fn latest_era(&self) -> Result<Option<EraContext>, StateError>;

    /// Digest of the commit that made the block at `height`; none for blocks without a commit.
    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError>;

    /// Height and index in the block that decided a transaction ([`AppliedBlock::decided`]): the first on the applied
    /// branch.
    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError>;

    /// Receipts of the block at `height`.
    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError>;
}
