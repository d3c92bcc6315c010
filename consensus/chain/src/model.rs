//! The slow, obvious store: it keeps the whole state of every block, so taking a block back means forgetting it. Tests
//! of the chain run on it, and other stores are compared with it.

use crate::store::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_ledger::{StateError, StateStore, UndoRecord};
use holdfast_types::{
    Block, BlockId, Certificate, CommitDigest, EndVotes, Era, EraContext, Height, Receipt,
    TransactionId,
};
use std::collections::BTreeMap;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
struct Layer {
    block: AppliedBlock,
    values: Map,
    /// Live nodes.
    nodes: Map,
    has_undo: bool,
}

/// A store in memory, for comparison.
#[derive(Clone, Debug, Default)]
pub struct ModelStore {
    /// The applied branch from genesis on.
    layers: Vec<Layer>,
    /// Blocks that are stored and not in the block log.
    forks: BTreeMap<(Height, BlockId), Block>,
    irreversible: Height,
    certificates: BTreeMap<(Height, BlockId), Certificate>,
    end_votes: Option<EndVotes>,
    eras: BTreeMap<Era, EraContext>,
    prune_blocks: Option<u64>,
    undo_from: Height,
}

impl ModelStore {
    #[must_use]
    pub fn new(prune_blocks: Option<u64>) -> Self {
        Self {
            prune_blocks,
            ..Self::default()
        }
    }

    /// Applies one step.
    ///
    /// # Panics
    /// If the batch does not continue the chain: the test is wrong.
    pub fn apply(&mut self, batch: ChainBatch) {
        for (height, id) in batch.pop {
            let layer = self
                .layers
                .pop()
                .expect("a block is popped, so there is one");
            assert_eq!(
                (layer.block.block.header.height, layer.block.id),
                (height, id)
            );
            self.forks.insert((height, id), layer.block.block);
            self.irreversible = self.irreversible.min(height.previous());
        }
        for block in batch.apply {
            self.apply_block(block);
        }
        for (id, block) in batch.insert_forks {
            self.forks.insert((block.header.height, id), block);
        }
        for key in batch.remove_forks {
            self.forks.remove(&key);
        }
        if let Some(height) = batch.irreversible {
            self.irreversible = self.irreversible.max(height);
            for layer in &self.layers {
                let header = &layer.block.block.header;
                if header.height <= height {
                    self.forks.remove(&(header.height, layer.block.id));
                }
            }
        }
        if let Some(below) = batch.prune_undo_below {
            let head = self
                .layers
                .last()
                .map(|layer| layer.block.block.header.height);
            let below = below.min(head.unwrap_or_default());
            self.undo_from = self.undo_from.max(below);
            for layer in &mut self.layers {
                layer.has_undo &= layer.block.block.header.height >= below;
            }
        }
        for certificate in batch.certificates {
            let body = certificate.body;
            self.certificates
                .insert((body.height, body.block), certificate);
        }
        self.end_votes = batch.end_votes.or_else(|| self.end_votes.take());
        for era in batch.start_eras {
            assert!(
                self.is_applied(era.anchor_height, &era.anchor),
                "an era begins on a block of the applied branch"
            );
            self.eras.insert(era.era, era);
        }
    }

    fn apply_block(&mut self, block: AppliedBlock) {
        let (mut values, mut nodes) = self
            .layers
            .last()
            .map(|layer| (layer.values.clone(), layer.nodes.clone()))
            .unwrap_or_default();
        write(&mut values, &block.changes.values);
        write(&mut nodes, &block.changes.tree_nodes);
        let height = block.block.header.height;
        if height > Height::ZERO {
            self.forks.insert((height, block.id), block.block.clone());
        }
        self.layers.push(Layer {
            block,
            values,
            nodes,
            has_undo: true,
        });
    }

    /// The lowest block that a pruning store may have dropped everything below of, at the latest.
    #[must_use]
    pub fn prunable_below(&self) -> Height {
        self.prune_blocks.map_or(Height::ZERO, |kept| {
            let by_count = self.irreversible.next().minus(kept.max(1));
            by_count.min(self.undo_from.previous())
        })
    }

    /// All state keys with their values.
    #[must_use]
    pub fn state_values(&self) -> Map {
        self.layers
            .last()
            .map(|layer| layer.values.clone())
            .unwrap_or_default()
    }

    /// Pages of the state tree at the head.
    #[must_use]
    pub fn live_nodes(&self) -> Map {
        self.layers
            .last()
            .map(|layer| layer.nodes.clone())
            .unwrap_or_default()
    }

    /// The applied block at this height, as it was applied.
    #[must_use]
    pub fn applied_block(&self, height: Height) -> Option<&AppliedBlock> {
        self.layer(height).map(|layer| &layer.block)
    }

    fn layer(&self, height: Height) -> Option<&Layer> {
        self.layers.get(usize::try_from(height.0).ok()?)
    }

    fn is_applied(&self, height: Height, id: &BlockId) -> bool {
        self.layer(height)
            .is_some_and(|layer| layer.block.id == *id)
    }
}

fn write(map: &mut Map, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

impl StateStore for ModelStore {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let head = self.layers.last();
        Ok(head.and_then(|layer| layer.values.get(key).cloned()))
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let head = self.layers.last();
        Ok(head.and_then(|layer| layer.nodes.get(key).cloned()))
    }
}

impl ChainStore for ModelStore {
    fn head(&self) -> Result<Option<(Height, BlockId)>, StateError> {
        let head = self.layers.last();
        Ok(head.map(|layer| (layer.block.block.header.height, layer.block.id)))
    }

    fn irreversible_height(&self) -> Result<Height, StateError> {
        Ok(self.irreversible)
    }

    fn certified_height(&self) -> Result<Height, StateError> {
        let applied = self.certificates.keys();
        let applied = applied.filter(|(height, id)| self.is_applied(*height, id));
        Ok(applied.map(|(height, _)| *height).max().unwrap_or_default())
    }

    fn block_at(&self, height: Height) -> Result<Option<Block>, StateError> {
        Ok(self.layer(height).map(|layer| layer.block.block.clone()))
    }

    fn block_id_at(&self, height: Height) -> Result<Option<BlockId>, StateError> {
        Ok(self.layer(height).map(|layer| layer.block.id))
    }

    fn block(&self, id: &BlockId) -> Result<Option<Block>, StateError> {
        let applied = self.layers.iter().find(|layer| layer.block.id == *id);
        let fork = || self.forks.iter().find(|((_, fork), _)| fork == id);
        Ok(applied
            .map(|layer| layer.block.block.clone())
            .or_else(|| fork().map(|(_, block)| block.clone())))
    }

    fn fork_blocks(&self) -> Result<Vec<(BlockId, Block)>, StateError> {
        let forks = self.forks.iter();
        Ok(forks.map(|((_, id), block)| (*id, block.clone())).collect())
    }

    fn undo(&self, height: Height) -> Result<Option<UndoRecord>, StateError> {
        let layer = self.layer(height).filter(|layer| layer.has_undo);
        Ok(layer.map(|layer| layer.block.undo.clone()))
    }

    fn certificate(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        let id = self.block_id_at(height)?;
        Ok(id.and_then(|id| self.certificates.get(&(height, id)).cloned()))
    }

    fn certificate_at_or_above(&self, height: Height) -> Result<Option<Certificate>, StateError> {
        let head = self.head()?.map(|(head, _)| head);
        let mut above = self
            .certificates
            .range((height, BlockId::new([0; 32]))..)
            .filter(|((height, id), _)| {
                head.is_none_or(|head| *height > head) || self.is_applied(*height, id)
            });
        Ok(above.next().map(|(_, certificate)| certificate.clone()))
    }

    fn certificates_above(&self, height: Height) -> Result<Vec<Certificate>, StateError> {
        let from = (height.next(), BlockId::new([0; 32]));
        Ok(self
            .certificates
            .range(from..)
            .map(|(_, it)| it.clone())
            .collect())
    }

    fn end_votes(&self) -> Result<Option<EndVotes>, StateError> {
        Ok(self.end_votes.clone())
    }

    fn era(&self, era: Era) -> Result<Option<EraContext>, StateError> {
        Ok(self.eras.get(&era).cloned())
    }

    fn latest_era(&self) -> Result<Option<EraContext>, StateError> {
        let mut eras = self.eras.values().rev();
        Ok(eras
            .find(|era| self.is_applied(era.anchor_height, &era.anchor))
            .cloned())
    }

    fn commit_digest_at(&self, height: Height) -> Result<Option<CommitDigest>, StateError> {
        let layer = self.layer(height);
        Ok(layer.and_then(|layer| layer.block.block.header.origin.commit()))
    }

    fn transaction_place(&self, id: &TransactionId) -> Result<Option<(Height, u32)>, StateError> {
        let lowest = usize::try_from(self.prunable_below().0).unwrap_or(usize::MAX);
        for layer in self.layers.iter().skip(lowest) {
            let mut decided = layer.block.decided();
            if let Some((index, _)) = decided.find(|(_, other)| *other == id) {
                return Ok(Some((layer.block.block.header.height, index)));
            }
        }
        Ok(None)
    }

    fn receipts_at(&self, height: Height) -> Result<Option<Vec<Receipt>>, StateError> {
        Ok(self.layer(height).map(|layer| layer.block.receipts.clone()))
    }
}
