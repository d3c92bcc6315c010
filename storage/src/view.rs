//! Reading the chain.

use crate::chain_state::{self, ChainState, parse_certificate_key};
use crate::column_family::ColumnFamily;
use crate::database::{Database, decode};
use crate::error::StorageError;
use crate::keys;
use crate::rows::{AppliedRow, ReceiptsRow};
use crate::state::State;
use holdfast_chain::ChainStore;
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Event, Height, Receipt,
    TransactionId,
};
use rocksdb::Direction;
use std::sync::RwLockReadGuard;

/// Where a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptLookup {
    pub height: Height,
    /// Position in the block.
    pub index: u32,
    pub receipt: Receipt,
}

/// A consistent view: head, state and indexes after one complete batch. Applying waits while a view is held, so hold
/// it for single answers only; and do not call [`crate::Storage`] in the same thread meanwhile, which may lock up.
#[derive(Debug)]
pub struct ReadView<'a> {
    database: &'a Database,
    chain: RwLockReadGuard<'a, ChainState>,
}

impl<'a> ReadView<'a> {
    pub(crate) const fn new(
        database: &'a Database,
        chain: RwLockReadGuard<'a, ChainState>,
    ) -> Self {
        Self { database, chain }
    }

    pub(crate) fn chain(&self) -> &ChainState {
        &self.chain
    }

    /// The lowest block that is still stored; above 0 in a pruned store.
    pub fn lowest_block(&self) -> Result<Height, StateError> {
        self.chain.check_readable()?;
        Ok(self.chain.position.lowest_block)
    }

    /// Lowest height whose block can still be undone.
    pub fn undo_from(&self) -> Result<Height, StateError> {
        self.chain.check_readable()?;
        Ok(self.chain.position.lowest_undo())
    }

    /// Receipt of a transaction: of the first block on the applied branch that decided it.
    pub fn receipt(&self, id: &TransactionId) -> Result<Option<ReceiptLookup>, StateError> {
        let Some((height, index)) = self.transaction_place(id)? else {
            return Ok(None);
        };
        let receipts = self.receipts_row(height)?.map(|row| row.receipts);
        let receipt = receipts.and_then(|receipts| receipts.into_iter().nth(index as usize));
        let receipt = receipt.ok_or_else(|| {
            StorageError::damaged(
                "reading a receipt",
                format!("transaction {id:#} is indexed at {index} of block {height}, which has no such receipt"),
            )
        })?;
        Ok(Some(ReceiptLookup {
            height,
            index,
            receipt,
        }))
    }

    /// Events of the block itself at `height`.
    pub fn block_events_at(&self, height: Height) -> Result<Option<Vec<Event>>, StateError> {
        Ok(self.receipts_row(height)?.map(|row| row.events))
    }

    /// Blocks of the applied branch from `from` on, with their ids: at most `count`, and no more once their encoded
    /// length together has passed `bytes_max`.
    pub fn blocks_from(
        &self,
        from: Height,
        count: usize,
        bytes_max: usize,
    ) -> Result<Vec<(BlockId, Block)>, StateError> {
        let mut blocks = Vec::new();
        let mut bytes_total = 0;
        let mut height = from;
        while blocks.len() < count && bytes_total <= bytes_max {
            let Some(row) = self.applied(height)? else {
                break;
            };
            let bytes = self.block_bytes(height, &row.id)?;
            bytes_total += bytes.len();
            blocks.push((row.id, decode(ColumnFamily::Blocks, &bytes)?));
            if height == Height::MAX {
                break;
            }
            height = height.next();
        }
        Ok(blocks)
    }

    pub(crate) fn applied(&self, height: Height) -> Result<Option<AppliedRow>, StorageError> {
        self.chain.check_readable()?;
        chain_state::applied_row(self.database, height)
    }

    /// An encoded block that an index names.
    fn block_bytes(&self, height: Height, id: &BlockId) -> Result<Vec<u8>, StorageError> {
        let bytes = self
            .database
            .read(ColumnFamily::Blocks, &keys::block_key(height, id))?;
        bytes.map(|bytes| bytes.to_vec()).ok_or_else(|| {
            StorageError::damaged(
                "reading a block",
                format!("block {height} ({id:#}) is missing"),
            )
        })
    }

    fn receipts_row(&self, height: Height) -> Result<Option<ReceiptsRow>, StorageError> {
        self.chain.check_readable()?;
        self.database
            .row(ColumnFamily::Receipts, &keys::height_key(height))
    }
}

impl ReadView<'_> {
    fn state(&self) -> Result<State<'_>, StorageError> {
        self.chain.check_readable()?;
        Ok(self.chain.overlay.state(self.database))
    }
}

impl StateStore for ReadView<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.state()?.value(key)
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        self.state()?.values(keys)
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.state()?.tree_node(key)
    }
}

impl ChainStore for ReadView<'_> {
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
        self.chain.check_readable()?;
        Ok(self.chain.position.head)
    }

    fn irreversible_height(&self) -> Result<Height, StateError> {
        self.chain.check_readable()?;
        Ok(self.chain.position.irreversible)
    }

    fn certified_height(&self) -> Result<Height, StateError> {
        self.chain.check_readable()?;
        Ok(self.chain.position.certified)
    }

    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError> {
        let Some(row) = self.applied(height)? else {
            return Ok(None);
        };
        let bytes = self.block_bytes(height, &row.id)?;
        Ok(Some(decode(ColumnFamily::Blocks, &bytes)?))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError> {
        Ok(self.applied(height)?.map(|row| row.id))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError> {
        self.chain.check_readable()?;
        let height = self
            .database
            .read(ColumnFamily::BlockIndex, id.as_bytes())?;
        let Some(height) = height else {
            return Ok(None);
        };
        let height = keys::parse_height(&height).ok_or_else(|| {
            StorageError::damaged(
                "reading a block",
                format!("the index entry of block {id:#} is malformed"),
            )
        })?;
        Ok(self
            .database
            .row(ColumnFamily::Blocks, &keys::block_key(height, id))?)
    }

    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
        self.chain.check_readable()?;
        let mut blocks = Vec::new();
        for entry in self.database.scan_all(ColumnFamily::ForkBlocks) {
            let (key, _) = entry?;
            let (height, id) = keys::parse_block_key(&key).ok_or_else(|| {
                StorageError::damaged("scanning", "a fork block has a malformed key")
            })?;
            let bytes = self.block_bytes(height, &id)?;
            blocks.push((id, decode(ColumnFamily::Blocks, &bytes)?));
        }
        Ok(blocks)
    }

    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError> {
        self.chain.check_readable()?;
        Ok(self
            .database
            .row(ColumnFamily::Undo, &keys::height_key(height))?)
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        if height < self.chain.position.lowest_block {
            let certificate = self.certificate_at_or_above(height)?;
            return Ok(certificate.filter(|certificate| certificate.body.height == height));
        }
        let Some(row) = self.applied(height)? else {
            return Ok(None);
        };
        let key = keys::block_key(height, &row.id);
        Ok(self.database.row(ColumnFamily::Certificates, &key)?)
    }

    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        self.chain.check_readable()?;
        let from = keys::block_key(height, &BlockId::new([0; 32]));
        let head = self.chain.position.head.map(|(head, _)| head);
        for entry in self
            .database
            .scan(ColumnFamily::Certificates, &from, Direction::Forward)
        {
            let (key, bytes) = entry?;
            let (height, id) = parse_certificate_key(&key)?;
            // A certificate counts if its block is of the applied branch. Above the head nothing is applied that could
            // say otherwise, and of pruned blocks only certificates of the applied branch are left.
            let beyond =
                head.is_none_or(|head| height > head) || height < self.chain.position.lowest_block;
            if beyond || self.applied(height)?.is_some_and(|row| row.id == id) {
                return Ok(Some(decode(ColumnFamily::Certificates, &bytes)?));
            }
        }
        Ok(None)
    }

    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError> {
        self.chain.check_readable()?;
        if height == Height::MAX {
            return Ok(Vec::new());
        }
        let from = keys::block_key(height.next(), &BlockId::new([0; 32]));
        let mut certificates = Vec::new();
        for entry in self
            .database
            .scan(ColumnFamily::Certificates, &from, Direction::Forward)
        {
            let (_, bytes) = entry?;
            certificates.push(decode(ColumnFamily::Certificates, &bytes)?);
        }
        Ok(certificates)
    }

    fn end_votes(&self) -> Result<Option<EndVotes>, StateError> {
        self.chain.check_readable()?;
        Ok(self.database.row(ColumnFamily::Meta, keys::END_VOTES_KEY)?)
    }

    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError> {
        self.chain.check_readable()?;
        Ok(self.database.row(ColumnFamily::Eras, &keys::era_key(era))?)
    }

    fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
        self.chain.check_readable()?;
        let from = keys::era_key(Era::MAX);
        for entry in self
            .database
            .scan(ColumnFamily::Eras, &from, Direction::Reverse)
        {
            let (_, bytes) = entry?;
            let context: EraContext = decode(ColumnFamily::Eras, &bytes)?;
            // An era whose anchor was taken back never began. What was pruned is irreversible and counts.
            let pruned = context.anchor_height < self.chain.position.lowest_block;
            let anchor = self.applied(context.anchor_height)?;
            if pruned || anchor.is_some_and(|row| row.id == context.anchor) {
                return Ok(Some(context));
            }
        }
        Ok(None)
    }

    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError> {
        Ok(self.applied(height)?.and_then(|row| row.commit))
    }

    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError> {
        self.chain.check_readable()?;
        let place = self
            .database
            .read(ColumnFamily::Transactions, id.as_bytes())?;
        let Some(place) = place else { return Ok(None) };
        let place = keys::parse_place(&place).ok_or_else(|| {
            StorageError::damaged(
                "reading a transaction",
                format!("the place of transaction {id:#} is malformed"),
            )
        })?;
        Ok(Some(place))
    }

    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
        Ok(self.receipts_row(height)?.map(|row| row.receipts))
    }
}
