//! One scenario per promise.

use super::builder::{Builder, certificate, end_votes, era, transaction};
use super::observe::assert_same;
use super::{ContractStore, Harness};
use holdfast_chain::{AppliedBlock, ChainBatch, ChainStore, ModelStore};
use holdfast_replica::Record;
use holdfast_types::test_util::{era_context, genesis_refs, vertex};
use holdfast_types::{
    AuthorityIndex, BlockId, Era, EraContext, Height, Round, VerifiedVertex, VertexPayload,
};
use std::sync::Arc;

/// A store and its model, driven together.
pub(super) struct Pair<'a, H: Harness> {
    harness: &'a H,
    store: Option<H::Store>,
    pub model: ModelStore,
    pub builder: Builder,
    steps: usize,
}

impl<'a, H: Harness> Pair<'a, H> {
    pub(super) fn new(harness: &'a H, prune_blocks: Option<u64>) -> Self {
        let mut pair = Self {
            harness,
            store: Some(harness.create(prune_blocks)),
            model: ModelStore::new(prune_blocks),
            builder: Builder::default(),
            steps: 0,
        };
        pair.compare();
        let genesis = pair.builder.genesis();
        pair.apply(genesis);
        pair
    }

    pub(super) fn store(&mut self) -> &mut H::Store {
        self.store
            .as_mut()
            .expect("the store is there between steps")
    }

    pub(super) fn apply(&mut self, batch: ChainBatch) {
        self.model.apply(batch.clone());
        let applied = self.store().apply(batch);
        assert_eq!(applied, Ok(()), "step {}", self.steps);
        self.steps += 1;
        self.compare();
    }

    pub(super) fn restart(&mut self) {
        let store = self.store.take().expect("the store is there between steps");
        self.store = Some(self.harness.restart(store));
        self.compare();
    }

    pub(super) fn compare(&self) {
        let context = format!("after step {}", self.steps);
        let store = self
            .store
            .as_ref()
            .expect("the store is there between steps");
        assert_same(store, &self.model, &context);
    }

    /// Applies one block in a step of its own.
    pub(super) fn grow(&mut self, transactions: &[u64]) -> (Height, BlockId) {
        let transactions: Vec<_> = transactions.iter().copied().map(transaction).collect();
        let block = self.builder.block(&transactions);
        let place = (block.block.header.height, block.id);
        self.apply(apply(vec![block]));
        place
    }

    pub(super) fn grow_by(&mut self, count: usize) -> Vec<(Height, BlockId)> {
        (0..count).map(|_| self.grow(&[])).collect()
    }

    fn refuses(mut self, batch: ChainBatch) {
        let refused = self.store().apply(batch);
        assert!(refused.is_err(), "a batch that does not fit was applied");
    }
}

fn apply(blocks: Vec<AppliedBlock>) -> ChainBatch {
    ChainBatch {
        apply: blocks,
        ..ChainBatch::default()
    }
}

pub(crate) fn pop(blocks: &[(Height, BlockId)]) -> ChainBatch {
    ChainBatch {
        pop: blocks.iter().rev().copied().collect(),
        ..ChainBatch::default()
    }
}

fn irreversible(height: u64) -> ChainBatch {
    ChainBatch {
        irreversible: Some(Height(height)),
        ..ChainBatch::default()
    }
}

/// Every block is there with all that belongs to it, after each step and after each restart.
pub fn growth_survives_restarts<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.restart();
    for number in 0..10 {
        pair.grow(&[number * 2, number * 2 + 1]);
        pair.restart();
    }
    // Far enough that the state moves between journal and its own place more than twice.
    for number in 0..80 {
        pair.grow(&[]);
        if number % 13 == 5 {
            pair.restart();
        }
    }
}

/// Many blocks in one step, some of them irreversible at once: as sync applies them.
pub fn many_blocks_in_one_step<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let blocks = pair.builder.blocks(50);
    pair.apply(ChainBatch {
        irreversible: Some(Height(45)),
        ..apply(blocks)
    });
    pair.restart();
    let blocks = pair.builder.blocks(3);
    pair.apply(apply(blocks));
    pair.restart();
}

/// Each popped block leaves exactly what was before it.
pub fn undo_restores_every_step<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let mut blocks = Vec::new();
    for number in 0..40 {
        blocks.push(pair.grow(&[number]));
    }
    while let Some(block) = blocks.pop() {
        pair.apply(pop(&[block]));
        if blocks.len() % 9 == 4 {
            pair.restart();
        }
    }
    assert_eq!(
        pair.model.head().map(|head| head.map(|head| head.0)),
        Ok(Some(Height(0)))
    );
}

/// A switch is one step: pop to the common ancestor, apply the other branch. And back again.
pub fn branch_switch_is_one_step<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow_by(5);
    let ancestor = pair.builder.clone();
    let first = pair.grow_by(4);
    let mut other = ancestor.branch(1);
    let second = other.blocks(6);
    for block in &second {
        pair.apply(ChainBatch {
            insert_forks: vec![(block.id, block.block.clone())],
            ..ChainBatch::default()
        });
    }
    pair.apply(ChainBatch {
        apply: second.clone(),
        ..pop(&first)
    });
    pair.restart();
    pair.builder = other;
    pair.grow_by(2);
    let above: Vec<_> = (10..=13)
        .map(|height| (Height(height), applied_id(&pair.model, height)))
        .collect();
    // Back to the first branch, whose nodes have the keys of the second one's.
    let undone: Vec<_> = (6..=9)
        .map(|height| (Height(height), applied_id(&pair.model, height)))
        .chain(above)
        .collect();
    let mut again = ancestor;
    let first_again = again.blocks(4);
    pair.apply(ChainBatch {
        apply: first_again,
        ..pop(&undone)
    });
    pair.builder = again;
    pair.restart();
    pair.grow_by(3);
    let losers: Vec<_> = second
        .iter()
        .map(|block| (block.block.header.height, block.id))
        .collect();
    pair.apply(ChainBatch {
        remove_forks: losers,
        irreversible: Some(Height(8)),
        ..ChainBatch::default()
    });
    pair.restart();
}

fn applied_id(model: &ModelStore, height: u64) -> BlockId {
    let id = model.block_id_at(Height(height));
    id.expect("the model reads from memory")
        .expect("the block is applied")
}

/// Irreversible blocks move from the fork database to the block log, and never back by themselves.
pub fn irreversible_blocks_move_to_the_log<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow_by(6);
    pair.apply(irreversible(3));
    pair.restart();
    pair.apply(irreversible(3));
    pair.apply(irreversible(2));
    let block = pair.builder.block(&[]);
    pair.apply(ChainBatch {
        irreversible: Some(Height(6)),
        ..apply(vec![block])
    });
    pair.restart();
}

/// A governed rollback takes back irreversible blocks: they return to the fork database, and go on another branch.
pub fn rollback_below_the_last_irreversible_block<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow_by(3);
    let ancestor = pair.builder.clone();
    let blocks: Vec<_> = (0..6).map(|number| pair.grow(&[number])).collect();
    pair.apply(irreversible(8));
    let mut other = ancestor.branch(9);
    let anchor = applied_id(&pair.model, 3);
    pair.apply(ChainBatch {
        start_eras: vec![era(Era(2), Height(3), anchor)],
        remove_forks: blocks.clone(),
        ..pop(&blocks)
    });
    pair.restart();
    let again = other.blocks(2);
    pair.apply(apply(again));
    pair.builder = other;
    pair.apply(irreversible(4));
    pair.restart();
}

/// Certificates count for the applied branch only, whenever they come.
pub fn certificates_follow_the_branch<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow_by(2);
    let ancestor = pair.builder.clone();
    let first = pair.grow_by(4);
    let certify = |certified: &[(Height, BlockId)]| ChainBatch {
        certificates: certified
            .iter()
            .map(|(height, id)| certificate(*height, *id))
            .collect(),
        ..ChainBatch::default()
    };
    pair.apply(certify(&first[1..3]));
    pair.restart();
    // For a block of another branch, and for one that is not applied yet.
    let mut other = ancestor.branch(2);
    let second = other.blocks(5);
    let places: Vec<_> = second
        .iter()
        .map(|block| (block.block.header.height, block.id))
        .collect();
    pair.apply(certify(&[places[0], places[4]]));
    pair.apply(pop(&first[2..]));
    pair.apply(pop(&first[..2]));
    pair.restart();
    pair.apply(apply(second));
    pair.restart();
    let block = other.block(&[]);
    let place = (block.block.header.height, block.id);
    pair.apply(ChainBatch {
        certificates: vec![certificate(place.0, place.1)],
        ..apply(vec![block])
    });
}

/// Votes for the end of an emergency stay until others replace them, whatever becomes of their block.
pub fn end_votes_stay_until_there_are_others<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let blocks = pair.grow_by(3);
    let vote = |(height, id): (Height, BlockId)| ChainBatch {
        end_votes: Some(end_votes(height, id)),
        ..ChainBatch::default()
    };
    pair.apply(vote(blocks[1]));
    pair.restart();
    pair.apply(pop(&blocks[1..]));
    pair.restart();
    pair.apply(vote(blocks[0]));
    pair.restart();
}

/// An era whose anchor is taken back is not the latest any more, and is again when the anchor comes back.
pub fn eras_follow_their_anchor<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow_by(2);
    let ancestor = pair.builder.clone();
    let block = pair.builder.block(&[]);
    let anchor = (block.block.header.height, block.id);
    pair.apply(ChainBatch {
        start_eras: vec![era(Era(2), anchor.0, anchor.1)],
        ..apply(vec![block.clone()])
    });
    pair.restart();
    pair.apply(pop(&[anchor]));
    pair.restart();
    pair.apply(apply(vec![block]));
    pair.restart();
    pair.apply(pop(&[anchor]));
    let mut other = ancestor.branch(3);
    let block = other.block(&[]);
    let (height, id) = (block.block.header.height, block.id);
    pair.apply(apply(vec![block]));
    pair.apply(ChainBatch {
        start_eras: vec![era(Era(2), height, id)],
        ..ChainBatch::default()
    });
    pair.restart();
    // Two may begin in one step.
    let blocks = other.blocks(2);
    let begun = blocks
        .iter()
        .zip(3..)
        .map(|(block, number)| era(Era(number), block.block.header.height, block.id));
    pair.apply(ChainBatch {
        start_eras: begun.collect(),
        ..apply(blocks.clone())
    });
    pair.restart();
}

/// The place of a transaction is its first inclusion, and only the block that made it takes it back.
pub fn the_first_inclusion_counts<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    pair.grow(&[1, 2, 3]);
    let twice = pair.grow(&[4, 1, 5, 4]);
    let thrice = pair.grow(&[4, 1, 6]);
    pair.restart();
    pair.apply(pop(&[thrice]));
    pair.apply(pop(&[twice]));
    pair.restart();
    let mut other = pair.builder.branch(4);
    other = rebuild(&other, &pair.model);
    pair.builder = other;
    pair.grow(&[5, 2]);
    pair.grow(&[4, 4]);
    pair.restart();
}

/// A builder that goes on from the model's head, on the branch of `builder`. The head must be within the first blocks
/// of [`the_first_inclusion_counts`].
fn rebuild(builder: &Builder, model: &ModelStore) -> Builder {
    let head = model.head().expect("the model reads from memory");
    let mut rebuilt = Builder::default();
    rebuilt.genesis();
    while rebuilt.head() != head {
        let height = rebuilt
            .head()
            .map_or(Height::ZERO, |(height, _)| height.next());
        let block = model.block_at(height).expect("the model reads from memory");
        let block = block.expect("the block is applied");
        let transactions: Vec<_> = block
            .body
            .transactions
            .into_iter()
            .map(|transaction| {
                let id = transaction.body.id(&holdfast_types::test_util::CHAIN);
                holdfast_types::VerifiedTransaction::trust(id, transaction)
            })
            .collect();
        rebuilt.block(&transactions);
    }
    rebuilt.branch(builder.branch_number() + 1)
}

/// Undo records go when they may, that of the head never.
pub fn undo_records_are_pruned<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let blocks = pair.grow_by(40);
    let prune = |below: u64| ChainBatch {
        prune_undo_below: Some(Height(below)),
        ..ChainBatch::default()
    };
    for below in [1, 1, 5, 4, 30] {
        pair.apply(prune(below));
    }
    pair.restart();
    pair.apply(pop(&blocks[35..]));
    pair.apply(prune(99));
    pair.restart();
    let head = blocks[34];
    pair.apply(pop(&[head]));
    pair.refuses(pop(&[blocks[33]]));
}

/// A pruning store keeps what it must: the last irreversible blocks, what can be undone, and eras with their
/// certificates.
pub fn blocks_are_pruned<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, Some(5));
    let mut era_number = 1;
    for number in 0..40_u64 {
        let block = pair.builder.block(&[transaction(number % 30)]);
        let (height, id) = (block.block.header.height, block.id);
        let mut batch = apply(vec![block]);
        batch.certificates = vec![certificate(height, id)];
        batch.irreversible = Some(height.previous());
        batch.prune_undo_below = Some(height.minus(3));
        if number % 12 == 3 {
            era_number += 1;
            batch.start_eras = vec![era(Era(era_number), height, id)];
        }
        pair.apply(batch);
        if number % 11 == 10 {
            pair.restart();
        }
    }
    let lowest = pair.model.prunable_below();
    assert!(lowest > Height(30), "the model prunes up to {lowest}");
    let dropped = lowest.previous();
    let store = pair.store();
    assert_eq!(store.block_at(dropped), Ok(None));
    assert_eq!(store.receipts_at(dropped), Ok(None));
    assert_eq!(store.certificate(dropped), Ok(None));
    // Blocks 4, 16 and 28 anchor eras.
    for (from, anchor) in [(1, 4), (4, 4), (5, 16), (17, 28)] {
        let certificate = store.certificate_at_or_above(Height(from));
        let certificate = certificate.expect("the store reads").map(|c| c.body.height);
        assert_eq!(certificate, Some(Height(anchor)));
        assert!(store.certificate(Height(anchor)).is_ok_and(|c| c.is_some()));
    }
}

/// Each of these contradicts the store, which refuses it whole.
pub fn batches_that_do_not_fit_are_refused<H: Harness>(harness: &H) {
    let grown = || {
        let mut pair = Pair::new(harness, None);
        let blocks = pair.grow_by(3);
        (pair, blocks)
    };
    let (pair, blocks) = grown();
    pair.refuses(pop(&blocks[..1]));
    let (mut pair, _) = grown();
    let skipped = pair.builder.blocks(2).split_off(1);
    pair.refuses(apply(skipped));
    let (pair, _) = grown();
    let mut orphan = Builder::default().branch(5);
    orphan.genesis();
    let wrong_parent = orphan.blocks(4).split_off(3);
    pair.refuses(apply(wrong_parent));
    let (pair, _) = grown();
    pair.refuses(irreversible(4));
    let (pair, blocks) = grown();
    pair.refuses(ChainBatch {
        remove_forks: vec![blocks[2]],
        ..ChainBatch::default()
    });
    let (pair, _) = grown();
    pair.refuses(ChainBatch {
        start_eras: vec![era(Era(2), Height(2), BlockId::new([1; 32]))],
        ..ChainBatch::default()
    });
    let (pair, _) = grown();
    let with_genesis: Vec<_> = (0..=3)
        .map(|height| (Height(height), applied_id(&pair.model, height)))
        .collect();
    pair.refuses(pop(&with_genesis));
}

fn layer(context: &EraContext, round: u64, parents: &[VerifiedVertex]) -> Vec<VerifiedVertex> {
    let parents: Vec<_> = match round {
        1 => genesis_refs(context),
        _ => parents.iter().map(VerifiedVertex::reference).collect(),
    };
    let make = |author| {
        let payload = VertexPayload {
            transactions: vec![transaction(round).into_transaction()],
            ..VertexPayload::default()
        };
        vertex(context, author, Round(round), parents.clone(), payload)
    };
    context.committee.authorities().map(make).collect()
}

/// Vertices come back in their order, the last own one is known, and pruning spares what lies above.
pub fn vertices_come_back<H: Harness>(harness: &H) {
    let mut pair = Pair::new(harness, None);
    let own = AuthorityIndex(2);
    for era in [Era(1), Era(2)] {
        let context = EraContext {
            era,
            ..era_context(4)
        };
        let mut all = Vec::new();
        let mut last = Vec::new();
        for round in 1..=80 {
            last = layer(&context, round, &last);
            let mut records = Vec::new();
            for vertex in &last {
                let vertex = Arc::new(vertex.clone());
                records.push(if vertex.author() == own {
                    Record::OwnVertex(vertex)
                } else {
                    Record::PeerVertex(vertex)
                });
            }
            // Arrival is in no order.
            records.rotate_left(round as usize % 4);
            assert_eq!(pair.store().commit_records(&records), Ok(()));
            all.extend(last.iter().cloned());
        }
        pair.restart();
        check_vertices(pair.store(), era, &all, own);
        let prune = Record::PruneVertices {
            era,
            up_to: Round(70),
        };
        assert_eq!(pair.store().commit_records(&[prune]), Ok(()));
        pair.restart();
        check_pruned(pair.store(), era, &all, Round(70));
        let prune = Record::PruneVertices {
            era,
            up_to: Round::MAX,
        };
        assert_eq!(pair.store().commit_records(&[prune]), Ok(()));
        pair.restart();
        assert_eq!(pair.store().vertices_above(era, Round::ZERO), []);
        assert_eq!(pair.store().last_own_vertex(era), None);
        let header = pair.store().last_own_header(era);
        assert_eq!(header.map(|signed| signed.header.round), Some(Round(80)));
    }
    assert_eq!(pair.store().last_own_header(Era(3)), None);
}

fn check_vertices<S: ContractStore>(
    store: &S,
    era: Era,
    all: &[VerifiedVertex],
    own: AuthorityIndex,
) {
    for round in [0, 1, 40, 79, 80, 81] {
        let expected: Vec<_> = all
            .iter()
            .filter(|vertex| vertex.round() > Round(round))
            .cloned()
            .collect();
        assert_eq!(store.vertices_above(era, Round(round)), expected);
        let end = Round(round + 5);
        let expected: Vec<_> = all
            .iter()
            .map(VerifiedVertex::reference)
            .filter(|reference| (Round(round)..end).contains(&reference.round))
            .collect();
        assert_eq!(store.vertex_references(era, Round(round)..end), expected);
    }
    let last = all.iter().rfind(|vertex| vertex.author() == own);
    assert_eq!(store.last_own_vertex(era).as_ref(), last);
    for vertex in all {
        assert_eq!(
            store.vertex(era, &vertex.reference()).as_ref(),
            Some(vertex)
        );
        assert_eq!(store.vertex(era.next(), &vertex.reference()), None);
    }
}

/// What lies above the pruned round is there; what lies below may be.
fn check_pruned<S: ContractStore>(store: &S, era: Era, all: &[VerifiedVertex], up_to: Round) {
    let expected: Vec<_> = all
        .iter()
        .filter(|vertex| vertex.round() > up_to)
        .cloned()
        .collect();
    assert_eq!(store.vertices_above(era, up_to), expected);
}
