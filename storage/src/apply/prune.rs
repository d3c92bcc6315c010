//! What may go. Bounded work in every step, so that no block waits for a backlog.

use super::{Step, missing};
use crate::chain_state::parse_certificate_key;
use crate::column_family::ColumnFamily;
use crate::error::StorageError;
use crate::keys;
use crate::rows::ReceiptsRow;
use holdfast_types::Height;
use rocksdb::Direction;

/// Blocks pruned in one step at most: twice as fast as blocks come would be enough to catch up with any backlog.
const PRUNED_BLOCKS_PER_STEP: u64 = 4;
/// Up to so many rows single deletions are cheaper than a range.
const SINGLE_DELETIONS_MAX: u64 = 16;

impl Step<'_> {
    /// Drops undo records below `below`; that of the head always stays.
    pub(super) fn prune_undo(&mut self, below: Height) {
        let head = self
            .chain
            .position
            .head
            .map_or(Height::ZERO, |(head, _)| head);
        let below = below.min(head);
        let from = self.chain.position.undo_from;
        if below <= from {
            return;
        }
        if below.since(from) <= SINGLE_DELETIONS_MAX {
            let mut height = from;
            while height < below {
                self.batch
                    .delete(ColumnFamily::Undo, &keys::height_key(height));
                height = height.next();
            }
        } else {
            self.batch.delete_range(
                ColumnFamily::Undo,
                &keys::height_key(from),
                &keys::height_key(below),
            );
        }
        self.chain.position.undo_from = below;
    }

    /// Drops irreversible blocks until `kept` are left, with everything that belongs to them. Blocks that can still be
    /// undone stay, and the one below them. So do eras, and certificates of the blocks on which eras are anchored:
    /// they are the chain of committees.
    pub(super) fn prune_blocks(&mut self, kept: u64) -> Result<(), StorageError> {
        let position = &self.chain.position;
        let keep_from = position
            .irreversible
            .next()
            .minus(kept.max(1))
            .min(position.undo_from.previous());
        let mut pruned = 0;
        while self.chain.position.lowest_block < keep_from && pruned < PRUNED_BLOCKS_PER_STEP {
            self.prune_block(self.chain.position.lowest_block)?;
            self.chain.position.lowest_block = self.chain.position.lowest_block.next();
            pruned += 1;
        }
        Ok(())
    }

    fn prune_block(&mut self, height: Height) -> Result<(), StorageError> {
        let height_key = keys::height_key(height);
        let applied = self
            .applied_row(height)?
            .ok_or_else(|| missing("index entry of block", height))?;
        let receipts: Option<ReceiptsRow> =
            self.database.row(ColumnFamily::Receipts, &height_key)?;
        // Blocks are pruned in their order, so no earlier inclusion of these transactions is left.
        for receipt in receipts.iter().flat_map(|row| &row.receipts) {
            self.batch
                .delete(ColumnFamily::Transactions, receipt.transaction.as_bytes());
        }
        let certificates =
            self.database
                .scan(ColumnFamily::Certificates, &height_key, Direction::Forward);
        for entry in certificates {
            let (key, _) = entry?;
            let (certified, id) = parse_certificate_key(&key)?;
            if certified != height {
                break;
            }
            if !(applied.anchors_era && id == applied.id) {
                self.batch.delete(ColumnFamily::Certificates, &key);
            }
        }
        self.batch
            .delete(ColumnFamily::BlockIndex, applied.id.as_bytes());
        self.batch
            .delete(ColumnFamily::Blocks, &keys::block_key(height, &applied.id));
        self.batch.delete(ColumnFamily::Receipts, &height_key);
        self.batch.delete(ColumnFamily::Applied, &height_key);
        Ok(())
    }
}
