//! A deterministic history: what a store must hold follows from its head alone.

use crate::harness::assert_sound;
use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_ledger::StateStore;
use holdfast_replica::{Record, SignGuardRecord};
use holdfast_storage::{RecordWriter, SignGuardFile, Storage};
use holdfast_store_contract::{Builder, key_of, transaction};
use holdfast_types::test_util::{era_context, genesis_refs, key_pair, vertex};
use holdfast_types::{
    AuthorityIndex, Era, Height, PublicKey, Round, Signer, TransactionId, VertexPayload,
};
use std::sync::Arc;

/// Own transactions stay in the mempool for so many blocks.
const MEMPOOL_BLOCKS: u64 = 5;
const UNDO_BLOCKS: u64 = 20;

/// The key that the history signs with.
pub fn own_key() -> PublicKey {
    key_pair(2).public_key()
}

/// A builder whose head is the block at `head`.
pub fn builder_at(head: Option<Height>) -> Builder {
    let mut builder = Builder::default();
    while builder.head().map(|(height, _)| height) < head {
        next_block(&mut builder);
    }
    builder
}

/// The next block of the history.
pub fn next_block(builder: &mut Builder) -> AppliedBlock {
    match builder.head() {
        None => builder.block(&[]),
        Some((height, _)) => builder.block(&[transaction(height.0), transaction(height.0 / 3)]),
    }
}

/// Goes one block on. Every seventh step takes two blocks back and brings them again.
pub fn advance(storage: &Storage, builder: &mut Builder) -> Height {
    let Some((head, id)) = builder.head() else {
        storage.apply(builder.genesis()).unwrap();
        return Height::ZERO;
    };
    let mut batch = ChainBatch::default();
    if head.0 % 7 == 6 {
        let below = storage.block_id_at(head.previous()).unwrap().unwrap();
        batch.pop = vec![(head, id), (head.previous(), below)];
        let mut again = builder_at(Some(head.minus(2)));
        batch.apply = vec![next_block(&mut again), next_block(&mut again)];
    }
    batch.apply.push(next_block(builder));
    batch.irreversible = Some(head.minus(3));
    batch.prune_undo_below = Some(head.minus(UNDO_BLOCKS));
    storage.apply(batch).unwrap();
    head.next()
}

/// What a validator makes durable after the block at `height`, before it sends.
pub fn records(height: Height) -> Vec<Record> {
    let context = era_context(4);
    let author = AuthorityIndex(2);
    let payload = VertexPayload {
        transactions: vec![transaction(height.0).into_transaction()],
        ..VertexPayload::default()
    };
    let round = Round(height.0 + 1);
    let own = vertex(&context, author, round, genesis_refs(&context), payload);
    vec![
        Record::SignGuard(Box::new(SignGuardRecord {
            key: own_key(),
            vertex: Some((Era(1), round)),
            attestation: None,
            emergency_end: None,
            end_vote: None,
            recovery: None,
            past_unknown: false,
        })),
        Record::OwnVertex(Arc::new(own)),
        Record::MempoolInsert(Arc::new(transaction(height.0))),
        Record::MempoolRemove(
            height
                .0
                .checked_sub(MEMPOOL_BLOCKS)
                .map(|number| transaction(number).id())
                .into_iter()
                .collect(),
        ),
    ]
}

pub fn commit(writer: &mut RecordWriter, height: Height) {
    writer.commit(&records(height)).unwrap();
}

/// The store holds the whole history up to its head, which is not below `acknowledged`, and nothing else.
pub fn assert_history(storage: &Storage, acknowledged: Option<Height>) -> Builder {
    let head = storage.head().unwrap();
    let height = head.map(|(height, _)| height);
    assert!(
        height >= acknowledged,
        "the head is {height:?}, block {acknowledged:?} was acknowledged"
    );
    let builder = builder_at(height);
    assert_eq!(builder.head(), head);
    for number in 0..48 {
        let key = key_of(number);
        let value = storage.value(&key).unwrap();
        assert_eq!(value.as_ref(), builder.values().get(&key), "{key:?}");
    }
    for key in builder.live_nodes() {
        assert!(storage.tree_node(key).unwrap().is_some(), "{key:?}");
    }
    for number in 0..height.map_or(0, |height| height.0) {
        let (block, _) = storage
            .transaction_place(&transaction(number).id())
            .unwrap()
            .unwrap();
        assert!(block <= Height(number + 1));
    }
    assert_sound(storage);
    builder
}

/// What was acknowledged with the block at `acknowledged` is durable: own vertex, guard, mempool.
pub fn assert_records(storage: &Storage, guard: &SignGuardFile, acknowledged: Height) {
    let round = Round(acknowledged.0 + 1);
    let own = storage.last_own_vertex(Era(1)).unwrap().unwrap();
    assert!(own.round() >= round);
    // The vertex is written before the guard: the last one, which was not acknowledged, may not be covered yet.
    let guarded = guard.record().vertex.unwrap();
    assert!(
        guarded >= (Era(1), round) && guarded >= (Era(1), own.round().previous()),
        "the guard is behind an acknowledged vertex"
    );
    let mempool: Vec<TransactionId> = storage
        .mempool()
        .unwrap()
        .iter()
        .map(|transaction| transaction.id())
        .collect();
    // The newest acknowledged transaction leaves only when a later step has removed it.
    let newest = transaction(acknowledged.0).id();
    let removed_by = Round(acknowledged.0 + MEMPOOL_BLOCKS + 1);
    assert!(mempool.contains(&newest) || own.round() >= removed_by);
}
