//! A store as it will be.
//!
//! A branch is executed before anything of the switch to it is written. [`Staged`] answers as the store below it would
//! after writing the same steps: blocks taken back with their undo records, blocks applied, eras begun. It changes
//! nothing below.
//!
//! It keeps what the steps change and asks the store for the rest. The state tree of a block that was taken back follows
//! from the old values in its undo record.

#[cfg(test)]
mod tests;

use crate::store::{AppliedBlock, ChainStore};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Height, Receipt,
    TransactionId,
};
use std::collections::BTreeMap;

/// Keys with what they hold now; no value: nothing.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A view of a [`ChainStore`] in which some blocks are taken back and others applied.
#[derive(Debug)]
pub struct Staged<'a, S: ?Sized> {
    store: &'a S,
    head: (Height, BlockId),
    /// Blocks of the store above it are taken back.
    kept: Height,
    irreversible: Height,
    values: Changes,
    nodes: Changes,
    applied: BTreeMap<Height, AppliedBlock>,
    /// First places in the staged blocks.
    places: BTreeMap<TransactionId, (Height, u32)>,
    eras: BTreeMap<Era, EraContext>,
}

impl<'a, S: ChainStore + ?Sized> Staged<'a, S> {
    /// The store after these blocks, highest first, are taken back.
    pub fn below(store: &'a S, pop: &[(Height, BlockId)]) -> Result<Self, StateError> {
        let mut staged = Self::new(store)?;
        for (height, id) in pop {
            staged.pop(*height, id)?;
        }
        Ok(staged)
    }

    /// The same for blocks that were irreversible only as long as no certificate says otherwise.
    pub fn unwound(store: &'a S, pop: &[(Height, BlockId)]) -> Result<Self, StateError> {
        let mut staged = Self::new(store)?;
        for (height, id) in pop {
            staged.irreversible = staged.irreversible.min(height.previous());
            staged.pop(*height, id)?;
        }
        Ok(staged)
    }

    /// The store as it is. It must hold a chain.
    pub fn new(store: &'a S) -> Result<Self, StateError> {
        let head = store
            .head()?
            .ok_or_else(|| broken("the store holds no chain"))?;
        Ok(Self {
            store,
            head,
            kept: head.0,
            irreversible: store.irreversible_height()?,
            values: Changes::new(),
            nodes: Changes::new(),
            applied: BTreeMap::new(),
            places: BTreeMap::new(),
            eras: BTreeMap::new(),
        })
    }

    /// Takes the head back, which must be reversible. Blocks are popped before any is applied.
    pub fn pop(&mut self, height: Height, id: &BlockId) -> Result<(), StateError> {
        if self.head != (height, *id) || height <= self.irreversible || !self.applied.is_empty() {
            return Err(broken(format!(
                "block {height} is to be popped, the head is {} and block {} irreversible",
                self.head.0, self.irreversible
            )));
        }
        let undo = self
            .store
            .undo(height)?
            .ok_or_else(|| broken(format!("block {height} has no undo record any more")))?;
        let below = height.previous();
        let parent = self
            .store
            .block_id_at(below)?
            .ok_or_else(|| broken(format!("block {below}, the parent of the head, is gone")))?;
        let changes = undo.changes(self)?;
        self.nodes.extend(changes.tree_nodes);
        self.values.extend(changes.values);
        self.kept = below;
        self.head = (below, parent);
        Ok(())
    }

    /// Applies a block on the head, which begins `era` if that is some.
    pub fn apply(
        &mut self,
        block: AppliedBlock,
        era: Option<EraContext>,
    ) -> Result<(), StateError> {
        let header = &block.block.header;
        let height = header.height;
        if height != self.head.0.next() || header.parent != self.head.1 {
            return Err(broken(format!(
                "block {height} is to be applied, the head is {}",
                self.head.0
            )));
        }
        self.values.extend(block.changes.values.iter().cloned());
        self.nodes.extend(block.changes.tree_nodes.iter().cloned());
        for (index, id) in block.decided() {
            self.places.entry(*id).or_insert((height, index));
        }
        self.head = (height, block.id);
        self.applied.insert(height, block);
        self.eras.extend(era.map(|era| (era.era, era)));
        Ok(())
    }

    fn is_applied(&self, height: Height, id: &BlockId) -> Result<bool, StateError> {
        Ok(self.block_id_at(height)?.as_ref() == Some(id))
    }
}

fn broken(reason: impl Into<String>) -> StateError {
    StateError {
        reason: format!("staging a branch: {}", reason.into()),
    }
}

impl<S: ChainStore + ?Sized> StateStore for Staged<'_, S> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.values.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.store.value(key),
        }
    }

    fn values(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        if self.values.is_empty() {
            return self.store.values(keys);
        }
        let below: Vec<Vec<u8>> = keys
            .iter()
            .filter(|key| !self.values.contains_key(*key))
            .cloned()
            .collect();
        let mut below = self.store.values(&below)?.into_iter();
        let value = |key| match self.values.get(key) {
            Some(value) => Ok(value.clone()),
            None => below
                .next()
                .ok_or_else(|| broken("the store gave fewer values than it was asked for")),
        };
        keys.iter().map(value).collect()
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.nodes.get(key) {
            Some(content) => Ok(content.clone()),
            None => self.store.tree_node(key),
        }
    }
}

impl<S: ChainStore + ?Sized> ChainStore for Staged<'_, S> {
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
        Ok(Some(self.head))
    }

    fn irreversible_height(&self) -> Result<Height, StateError> {
        Ok(self.irreversible)
    }

    fn certified_height(&self) -> Result<Height, StateError> {
        // Each turn goes down by one.
        let mut height = self.head.0;
        while height > self.kept {
            if self.certificate(height)?.is_some() {
                return Ok(height);
            }
            height = height.previous();
        }
        let below = self.store.certified_height()?;
        if below <= self.kept {
            return Ok(below);
        }
        while height > Height::ZERO && self.store.certificate(height)?.is_none() {
            height = height.previous();
        }
        Ok(height)
    }

    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError> {
        if height <= self.kept {
            return self.store.block_at(height);
        }
        let applied = self.applied.get(&height);
        Ok(applied.map(|applied| applied.block.clone()))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError> {
        if height <= self.kept {
            return self.store.block_id_at(height);
        }
        Ok(self.applied.get(&height).map(|applied| applied.id))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError> {
        let applied = self.applied.values().find(|applied| applied.id == *id);
        match applied {
            Some(applied) => Ok(Some(applied.block.clone())),
            None => self.store.block(id),
        }
    }

    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
        let mut blocks: BTreeMap<BlockId, Block> = self.store.fork_blocks()?.into_iter().collect();
        let reversible = self.applied.values();
        let reversible =
            reversible.filter(|applied| applied.block.header.height > self.irreversible);
        blocks.extend(reversible.map(|applied| (applied.id, applied.block.clone())));
        Ok(blocks.into_iter().collect())
    }

    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError> {
        if height <= self.kept {
            return self.store.undo(height);
        }
        let applied = self.applied.get(&height);
        Ok(applied.map(|applied| applied.undo.clone()))
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        if height <= self.kept {
            return self.store.certificate(height);
        }
        let Some(id) = self.block_id_at(height)? else {
            return Ok(None);
        };
        let above = self.store.certificates_above(height.previous())?;
        Ok(above
            .into_iter()
            .find(|certificate| certificate.body.height == height && certificate.body.block == id))
    }

    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        if height <= self.kept
            && let Some(certificate) = self.store.certificate_at_or_above(height)?
            && certificate.body.height <= self.kept
        {
            return Ok(Some(certificate));
        }
        let from = height.max(self.kept.next());
        for certificate in self.store.certificates_above(from.previous())? {
            let body = &certificate.body;
            if body.height > self.head.0 || self.is_applied(body.height, &body.block)? {
                return Ok(Some(certificate));
            }
        }
        Ok(None)
    }

    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError> {
        self.store.certificates_above(height)
    }

    fn end_votes(&self) -> Result<Option<EndVotes>, StateError> {
        self.store.end_votes()
    }

    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError> {
        match self.eras.get(&era) {
            Some(context) => Ok(Some(context.clone())),
            None => self.store.era(era),
        }
    }

    fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
        if let Some(context) = self.eras.values().next_back() {
            return Ok(Some(context.clone()));
        }
        let mut latest = self.store.latest_era()?;
        // Each turn goes down by one era.
        while let Some(context) = latest {
            if context.anchor_height <= self.kept || context.era == Era::ZERO {
                return Ok(Some(context));
            }
            latest = self.store.era(context.era.previous())?;
        }
        Ok(None)
    }

    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError> {
        if height <= self.kept {
            return self.store.commit_digest_at(height);
        }
        let applied = self.applied.get(&height);
        Ok(applied.and_then(|applied| applied.block.header.origin.commit()))
    }

    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError> {
        let below = self.store.transaction_place(id)?;
        if below.is_some_and(|(height, _)| height <= self.kept) {
            return Ok(below);
        }
        Ok(self.places.get(id).copied())
    }

    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
        if height <= self.kept {
            return self.store.receipts_at(height);
        }
        let applied = self.applied.get(&height);
        Ok(applied.map(|applied| applied.receipts.clone()))
    }
}
