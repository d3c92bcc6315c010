//! One step of the chain as one write batch.
//!
//! The parts of a [`ChainBatch`] are taken in the order of its fields, and each sees what the parts before it have
//! decided. The state in memory is changed on the way; if anything fails after that, the store refuses to be read or
//! written any more.

mod prune;

use crate::chain_state::{self, ChainState};
use crate::column_family::ColumnFamily;
use crate::database::{Batch, Database, Durability};
use crate::error::StorageError;
use crate::keys;
use crate::records::{QueueRow, put_queued};
use crate::rows::{AppliedRow, JournalRow, ReceiptsRow, encode_undo};
use holdfast_chain::{AppliedBlock, ChainBatch};
use holdfast_ledger::{StateChanges, UndoRecord};
use holdfast_types::{Block, BlockId, Certificate, EraContext, Height, TransactionId};
use std::collections::HashMap;

/// After so many blocks the state goes to its column families, so that a restart replays no more than that.
pub(crate) const JOURNAL_BLOCKS_MAX: u64 = 32;
/// Or after so many bytes of changes, so that memory stays bounded.
const JOURNAL_BYTES_MAX: usize = 24 << 20;

/// Applies `batch`. On failure `chain` may be half changed and must not be used any more.
pub(crate) fn apply(
    database: &Database,
    chain: &mut ChainState,
    prune_blocks: Option<u64>,
    batch: ChainBatch,
    queued: &[QueueRow],
) -> Result<(), StorageError> {
    let mut step = Step::new(database, chain, &batch);
    for (height, id) in &batch.pop {
        step.pop(*height, id)?;
    }
    for block in batch.apply {
        step.apply_block(block)?;
    }
    for (id, block) in &batch.insert_forks {
        step.insert_fork(id, block);
    }
    for (height, id) in &batch.remove_forks {
        step.remove_fork(*height, id)?;
    }
    if let Some(height) = batch.irreversible {
        step.make_irreversible(height)?;
    }
    if let Some(height) = batch.prune_undo_below {
        step.prune_undo(height);
    }
    for certificate in &batch.certificates {
        step.add_certificate(certificate)?;
    }
    if let Some(votes) = &batch.end_votes {
        step.batch
            .put_row(ColumnFamily::Meta, keys::END_VOTES_KEY, votes);
    }
    for context in &batch.start_eras {
        step.start_era(context)?;
    }
    for (sequence, transaction) in queued {
        put_queued(&mut step.batch, *sequence, transaction);
    }
    if let Some(kept) = prune_blocks {
        step.prune_blocks(kept)?;
    }
    step.finish()
}

/// Whether the state goes to its column families in this step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateWrite {
    Journal,
    Flush,
}

struct Step<'a> {
    database: &'a Database,
    chain: &'a mut ChainState,
    batch: Batch<'a>,
    /// Rows of the applied branch that this step wrote (some) or deleted (none).
    applied: HashMap<Height, Option<AppliedRow>>,
    state_write: StateWrite,
    /// Blocks above it have a row in the journal when the step begins.
    journal_above: Option<Height>,
    journal_to: Height,
}

impl<'a> Step<'a> {
    fn new(database: &'a Database, chain: &'a mut ChainState, parts: &ChainBatch) -> Self {
        let head = chain.position.head.map_or(Height::ZERO, |(head, _)| head);
        let journal_above = chain.position.state_flushed;
        // The column families can only go forward along the branch that the journal continues, so taking blocks back
        // means flushing. Before genesis there is nothing to continue either.
        let state_write = match journal_above {
            Some(flushed)
                if parts.pop.is_empty()
                    && head.since(flushed) + (parts.apply.len() as u64) < JOURNAL_BLOCKS_MAX
                    && chain.overlay.dirty_bytes() < JOURNAL_BYTES_MAX =>
            {
                StateWrite::Journal
            }
            _ => StateWrite::Flush,
        };
        Self {
            database,
            batch: database.large_batch(),
            applied: HashMap::new(),
            state_write,
            journal_above,
            journal_to: head,
            chain,
        }
    }

    fn pop(&mut self, height: Height, id: &BlockId) -> Result<(), StorageError> {
        if self.chain.position.head != Some((height, *id)) || height <= self.chain.position.base {
            return Err(wrong(format!(
                "block {height} ({id:#}) is to be popped, the head is {}",
                display_head(self.chain.position.head)
            )));
        }
        let height_key = keys::height_key(height);
        let undo: Option<UndoRecord> = self.database.row(ColumnFamily::Undo, &height_key)?;
        let undo = undo.ok_or_else(|| {
            wrong(format!(
                "block {height} is to be popped, but its undo record is pruned"
            ))
        })?;
        let below = height.previous();
        let parent = self
            .applied_row(below)?
            .ok_or_else(|| wrong(format!("block {below}, the parent of the head, is pruned")))?;
        self.undo_state(undo)?;
        self.pop_transactions(height)?;
        if height <= self.chain.position.irreversible {
            // Only a governed rollback takes back a block of the log. Like every popped block it stays stored.
            self.mark_reversible(height, id);
            self.chain.position.irreversible = below;
        }
        for family in [
            ColumnFamily::Applied,
            ColumnFamily::Undo,
            ColumnFamily::Receipts,
        ] {
            self.batch.delete(family, &height_key);
        }
        self.applied.insert(height, None);
        self.chain.position.head = Some((below, parent.id));
        if self.chain.position.certified >= height {
            self.chain.position.certified = self.highest_certified(height)?;
        }
        Ok(())
    }

    /// Restores the state to what it was before the block.
    fn undo_state(&mut self, undo: UndoRecord) -> Result<(), StorageError> {
        let overlay = &mut self.chain.overlay;
        let changes = undo
            .changes(&overlay.state(self.database))
            .map_err(|error| StorageError::damaged("taking a block back", error.reason))?;
        overlay.apply(changes);
        Ok(())
    }

    /// Takes the block's transactions out of the index, unless an earlier block included them first.
    fn pop_transactions(&mut self, height: Height) -> Result<(), StorageError> {
        let row: ReceiptsRow = self
            .database
            .row(ColumnFamily::Receipts, &keys::height_key(height))?
            .ok_or_else(|| missing("receipts of block", height))?;
        for (index, receipt) in row.receipts.iter().enumerate() {
            let id = receipt.transaction.as_bytes();
            let place = self.database.read(ColumnFamily::Transactions, id)?;
            if place.as_deref() == Some(&keys::place(height, index_u32(index))) {
                self.batch.delete(ColumnFamily::Transactions, id);
            }
        }
        Ok(())
    }

    fn apply_block(&mut self, applied: AppliedBlock) -> Result<(), StorageError> {
        let header = &applied.block.header;
        let height = header.height;
        self.check_continues(&applied)?;
        let row = AppliedRow {
            id: applied.id,
            commit: header.origin.commit(),
            anchors_era: false,
        };
        let height_key = keys::height_key(height);
        put_block(&mut self.batch, &row.id, &applied.block);
        if height > self.chain.position.irreversible {
            self.mark_reversible(height, &row.id);
        }
        self.batch.put_row(ColumnFamily::Applied, &height_key, &row);
        self.applied.insert(height, Some(row));
        index_transactions(&mut self.batch, height, applied.decided());
        let receipts = ReceiptsRow {
            receipts: applied.receipts,
            events: applied.events,
        };
        self.batch
            .put_row(ColumnFamily::Receipts, &height_key, &receipts);
        if self.state_write == StateWrite::Journal {
            let journal = JournalRow::encode(&applied.changes);
            self.batch
                .put(ColumnFamily::StateJournal, &height_key, &journal);
        }
        self.change_state(height, applied.changes, &applied.undo);
        self.chain.position.head = Some((height, row.id));
        let certificate_key = keys::block_key(height, &row.id);
        let certificate = self
            .database
            .read(ColumnFamily::Certificates, &certificate_key)?;
        if certificate.is_some() {
            self.chain.position.certified = height;
        }
        Ok(())
    }

    fn check_continues(&self, applied: &AppliedBlock) -> Result<(), StorageError> {
        let header = &applied.block.header;
        let continues = match self.chain.position.head {
            None => header.height == Height::ZERO,
            Some((head, id)) => header.height == head.next() && header.parent == id,
        };
        if !continues {
            return Err(wrong(format!(
                "block {} with parent {:#} is to be applied, the head is {}",
                header.height,
                header.parent,
                display_head(self.chain.position.head)
            )));
        }
        if applied.receipts.len() != applied.transaction_ids.len()
            || applied.receipts.len() != applied.block.body.transactions.len()
        {
            return Err(wrong(format!(
                "block {} has {} transactions, {} ids and {} receipts",
                header.height,
                applied.block.body.transactions.len(),
                applied.transaction_ids.len(),
                applied.receipts.len()
            )));
        }
        Ok(())
    }

    /// Takes the block's changes into the overlay and writes its undo row.
    fn change_state(&mut self, height: Height, changes: StateChanges, record: &UndoRecord) {
        self.chain.overlay.apply(changes);
        self.batch.put(
            ColumnFamily::Undo,
            &keys::height_key(height),
            &encode_undo(record),
        );
    }

    fn insert_fork(&mut self, id: &BlockId, block: &Block) {
        put_block(&mut self.batch, id, block);
        self.mark_reversible(block.header.height, id);
    }

    fn remove_fork(&mut self, height: Height, id: &BlockId) -> Result<(), StorageError> {
        if self.is_applied(height, id)? {
            return Err(wrong(format!(
                "block {height} ({id:#}) is to leave the fork database, but it is of the applied branch"
            )));
        }
        let key = keys::block_key(height, id);
        self.batch.delete(ColumnFamily::ForkBlocks, &key);
        self.batch.delete(ColumnFamily::Blocks, &key);
        self.batch.delete(ColumnFamily::BlockIndex, id.as_bytes());
        Ok(())
    }

    /// Moves the applied blocks up to `to` from the fork database to the block log.
    fn make_irreversible(&mut self, to: Height) -> Result<(), StorageError> {
        let head = self.chain.position.head;
        if head.is_none_or(|(head, _)| to > head) {
            return Err(wrong(format!(
                "block {to} is to be irreversible, the head is {}",
                display_head(head)
            )));
        }
        while self.chain.position.irreversible < to {
            let height = self.chain.position.irreversible.next();
            let row = self
                .applied_row(height)?
                .ok_or_else(|| missing("index entry of block", height))?;
            let key = keys::block_key(height, &row.id);
            self.batch.delete(ColumnFamily::ForkBlocks, &key);
            self.chain.position.irreversible = height;
        }
        Ok(())
    }

    fn add_certificate(&mut self, certificate: &Certificate) -> Result<(), StorageError> {
        let (height, id) = (certificate.body.height, certificate.body.block);
        self.batch.put_row(
            ColumnFamily::Certificates,
            &keys::block_key(height, &id),
            certificate,
        );
        if height > self.chain.position.certified && self.is_applied(height, &id)? {
            self.chain.position.certified = height;
        }
        Ok(())
    }

    fn start_era(&mut self, context: &EraContext) -> Result<(), StorageError> {
        let height = context.anchor_height;
        let anchor = self.applied_row(height)?;
        let row = anchor.filter(|row| row.id == context.anchor).ok_or_else(|| {
            wrong(format!(
                "era {} is anchored on block {height} ({:#}), which is not of the applied branch",
                context.era, context.anchor
            ))
        })?;
        let row = AppliedRow {
            anchors_era: true,
            ..row
        };
        self.batch
            .put_row(ColumnFamily::Applied, &keys::height_key(height), &row);
        self.applied.insert(height, Some(row));
        self.batch
            .put_row(ColumnFamily::Eras, &keys::era_key(context.era), context);
        Ok(())
    }

    /// Makes the block one of the fork database.
    fn mark_reversible(&mut self, height: Height, id: &BlockId) {
        self.batch
            .put(ColumnFamily::ForkBlocks, &keys::block_key(height, id), &[]);
    }

    fn applied_row(&self, height: Height) -> Result<Option<AppliedRow>, StorageError> {
        match self.applied.get(&height) {
            Some(row) => Ok(*row),
            None => chain_state::applied_row(self.database, height),
        }
    }

    fn is_applied(&self, height: Height, id: &BlockId) -> Result<bool, StorageError> {
        Ok(self.applied_row(height)?.is_some_and(|row| row.id == *id))
    }

    fn highest_certified(&self, below: Height) -> Result<Height, StorageError> {
        chain_state::highest_certified(self.database, below, |height, id| {
            self.is_applied(height, id)
        })
    }

    fn finish(mut self) -> Result<(), StorageError> {
        if self.state_write == StateWrite::Flush {
            self.chain.overlay.flush(&mut self.batch);
            if let Some(mut height) = self.journal_above {
                while height < self.journal_to {
                    height = height.next();
                    self.batch
                        .delete(ColumnFamily::StateJournal, &keys::height_key(height));
                }
            }
            self.chain.position.state_flushed = self.chain.position.head.map(|(head, _)| head);
        }
        self.batch
            .put_row(ColumnFamily::Meta, keys::POSITION_KEY, &self.chain.position);
        self.database.note_large_batch(&self.batch);
        self.database.write(self.batch, Durability::Logged)
    }
}

/// Writes a block and its place in the index.
pub(crate) fn put_block(batch: &mut Batch<'_>, id: &BlockId, block: &Block) {
    let height = block.header.height;
    batch.put_row(ColumnFamily::Blocks, &keys::block_key(height, id), block);
    let height = keys::height_key(height);
    batch.put(ColumnFamily::BlockIndex, id.as_bytes(), &height);
}

/// Gives the transactions that a block decides their places.
pub(crate) fn index_transactions<'b>(
    batch: &mut Batch<'_>,
    height: Height,
    decided: impl Iterator<Item = (u32, &'b TransactionId)>,
) {
    // In the order of the ids: the database inserts neighbours much faster than scattered keys.
    let mut places: Vec<_> = decided
        .map(|(index, id)| (id.as_bytes(), keys::place(height, index)))
        .collect();
    places.sort_unstable();
    for (id, place) in places {
        batch.merge(ColumnFamily::Transactions, id, &place);
    }
}

pub(crate) fn wrong(reason: String) -> StorageError {
    StorageError::WrongBatch { reason }
}

fn missing(what: &'static str, height: Height) -> StorageError {
    StorageError::damaged("applying a batch", format!("{what} {height} is missing"))
}

fn display_head(head: Option<(Height, BlockId)>) -> String {
    head.map_or_else(
        || String::from("not there: the store is empty"),
        |(height, id)| format!("block {height} ({id:#})"),
    )
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("a block holds far fewer transactions than u32::MAX")
}
