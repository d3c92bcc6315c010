//! The ledger's state tree on this store: every node that an update or a branch switch needs is there.

use crate::harness::{assert_sound, open};
use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_ledger::{MemoryState, StateChanges, StateError, StateStore, UndoRecord, tree};
use holdfast_storage::Storage;
use holdfast_types::test_util::{CHAIN, Sampler};
use holdfast_types::{
    AuthorityIndex, Block, BlockBody, BlockHeader, BlockId, BlockOrigin, CommitDigest, Era, Height,
    Round, StateRoot, TimestampMs,
};
use std::collections::BTreeMap;

const KEYS: u32 = 400;

/// The state below some popped blocks, and above it the blocks of another branch: what a switch is executed on.
struct Branch<'a> {
    storage: &'a Storage,
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    nodes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl<'a> Branch<'a> {
    const fn at_head(storage: &'a Storage) -> Self {
        Self {
            storage,
            values: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    fn pop(&mut self, undo: UndoRecord) {
        let changes = undo.changes(self).unwrap();
        self.apply(&changes);
    }

    fn apply(&mut self, changes: &StateChanges) {
        self.values.extend(changes.values.iter().cloned());
        self.nodes.extend(changes.tree_nodes.iter().cloned());
    }
}

impl StateStore for Branch<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.values.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.storage.value(key),
        }
    }

    fn tree_node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        match self.nodes.get(key) {
            Some(content) => Ok(content.clone()),
            None => self.storage.tree_node(key),
        }
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("account {number}").into_bytes()
}

/// Random changes as a block of the ledger makes them.
fn execute(
    store: &impl StateStore,
    head: Option<(Height, BlockId)>,
    sampler: &mut Sampler,
) -> (AppliedBlock, StateRoot) {
    let mut values = BTreeMap::new();
    for _ in 0..sampler.below(60) {
        let value = (sampler.below(5) > 0).then(|| sampler.bytes::<20>().to_vec());
        let key = key(sampler.below(KEYS));
        // Only what exists can be removed.
        if value.is_some() || store.value(&key).unwrap().is_some() {
            values.insert(key, value);
        }
    }
    let before = values
        .keys()
        .map(|key| (key.clone(), store.value(key).unwrap()));
    let undo = UndoRecord {
        values: before.collect(),
    };
    let values: Vec<_> = values.into_iter().collect();
    let update = tree::update(store, &values).unwrap();
    let changes = StateChanges {
        values,
        tree_nodes: update.nodes,
    };
    (
        block(head, update.root, changes, undo, sampler),
        update.root,
    )
}

fn block(
    head: Option<(Height, BlockId)>,
    state_root: StateRoot,
    changes: StateChanges,
    undo: UndoRecord,
    sampler: &mut Sampler,
) -> AppliedBlock {
    let height = head.map_or(Height::ZERO, |(height, _)| height.next());
    let header = BlockHeader {
        height,
        parent: head.map_or_else(BlockId::default, |(_, id)| id),
        era: Era(1),
        timestamp: TimestampMs(height.0),
        origin: match head {
            None => BlockOrigin::Genesis,
            Some(_) => BlockOrigin::Dag {
                commit: CommitDigest::new(sampler.bytes()),
                commit_index: height.0,
                leader_round: Round(height.0),
                leader: AuthorityIndex(0),
            },
        },
        transactions_root: [0; 32],
        events_root: [0; 32],
        system_root: [0; 32],
        state_root,
        next_committee: None,
    };
    AppliedBlock {
        id: header.id(&CHAIN),
        block: Block {
            header,
            body: BlockBody::default(),
        },
        transaction_ids: Vec::new(),
        receipts: Vec::new(),
        events: Vec::new(),
        changes,
        undo,
    }
}

/// A step that pops `depth` blocks and applies `count` others, executed before anything is written.
fn switch(
    storage: &Storage,
    memory: &mut MemoryState,
    depth: u32,
    count: u32,
    sampler: &mut Sampler,
) -> ChainBatch {
    let mut batch = ChainBatch::default();
    let mut branch = Branch::at_head(storage);
    let mut head = storage.head().unwrap();
    for _ in 0..depth {
        let (height, id) = head.unwrap();
        let undo = storage.undo(height).unwrap().unwrap();
        memory.undo(&undo).unwrap();
        branch.pop(undo);
        batch.pop.push((height, id));
        let below = height.previous();
        head = storage.block_id_at(below).unwrap().map(|id| (below, id));
    }
    for _ in 0..count {
        let (applied, root) = execute(&branch, head, sampler);
        let expected = tree::update(memory, &applied.changes.values);
        assert_eq!(expected.unwrap().root, root);
        branch.apply(&applied.changes);
        memory.apply(&applied.changes);
        head = Some((applied.block.header.height, applied.id));
        batch.apply.push(applied);
    }
    batch
}

#[test]
fn updates_and_switches_find_their_nodes() {
    let directory = tempfile::tempdir().unwrap();
    let mut storage = open(directory.path());
    let mut memory = MemoryState::default();
    let mut sampler = Sampler::new("state tree on the store", 0);
    for step in 0..150_u64 {
        let reversible = match storage.head().unwrap() {
            Some((head, _)) => head.since(storage.irreversible_height().unwrap()),
            None => 0,
        };
        let depth = match step % 9 {
            4 | 8 => sampler.below(14).min(u32::try_from(reversible).unwrap()),
            _ => 0,
        };
        let mut batch = switch(&storage, &mut memory, depth, depth / 2 + 1, &mut sampler);
        let head = batch.apply.last().unwrap().block.header.clone();
        if step % 3 == 0 {
            batch.irreversible = Some(head.height.minus(16));
            batch.prune_undo_below = Some(head.height.minus(20));
        }
        storage.apply(batch).unwrap();
        if step % 20 == 7 {
            drop(storage);
            storage = open(directory.path());
            assert_sound(&storage);
        }
        let root = tree::state_root(&storage).unwrap();
        assert_eq!(root, Some(head.state_root));
    }
    for (key, value) in memory.values_sorted() {
        assert_eq!(storage.value(key).unwrap().as_ref(), Some(value));
    }
    for (key, page) in memory.tree_nodes_sorted() {
        assert_eq!(storage.tree_node(key).unwrap().as_ref(), Some(page));
    }
}
