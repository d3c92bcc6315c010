//! The view before the write against the store after it.

use super::Staged;
use crate::chain::fixture::{Commit, Node, certificate, transfer};
use crate::model::ModelStore;
use crate::store::{AppliedBlock, ChainBatch, ChainStore};
use holdfast_ledger::StateStore;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{BlockId, Era, EraContext, Height, TransactionId};

/// Everything a reader of either can ask for by key.
#[derive(Default)]
struct Questions {
    values: Vec<Vec<u8>>,
    nodes: Vec<Vec<u8>>,
    blocks: Vec<BlockId>,
    transactions: Vec<TransactionId>,
}

impl Questions {
    fn about(&mut self, node: &Node) {
        self.values.extend(node.store.state_values().into_keys());
        self.nodes.extend(node.store.live_nodes().into_keys());
        let (head, _) = node.head();
        for height in 0..=head.0 {
            let (id, block) = node.block_at(Height(height));
            self.blocks.push(id);
            let ids = block.body.transactions.iter().map(|it| it.body.id(&CHAIN));
            self.transactions.extend(ids);
        }
    }

    fn assert_same(&self, staged: &impl ChainStore, written: &ModelStore) {
        macro_rules! same {
            ($($method:ident($($argument:expr),*)),* $(,)?) => {
                $(assert_eq!(
                    staged.$method($($argument),*),
                    written.$method($($argument),*),
                    "{}({:?})",
                    stringify!($method),
                    ($($argument,)*)
                );)*
            };
        }
        same!(
            head(),
            irreversible_height(),
            certified_height(),
            latest_era()
        );
        same!(values(&self.values));
        for key in &self.values {
            same!(value(key));
        }
        let readable = written.live_nodes();
        for key in self.nodes.iter().chain(readable.keys()) {
            same!(tree_node(key));
        }
        for id in &self.blocks {
            same!(block(id));
        }
        for id in &self.transactions {
            same!(transaction_place(id));
        }
        for height in (0..12).map(Height) {
            same!(
                block_at(height),
                block_id_at(height),
                undo(height),
                certificate(height),
                certificate_at_or_above(height),
                certificates_above(height),
                commit_digest_at(height),
                receipts_at(height),
            );
        }
        for era in (0..6).map(Era) {
            same!(era(era));
        }
        let mut forks = staged.fork_blocks().expect("it reads");
        forks.sort_by_key(|(id, block)| (block.header.height, *id));
        let mut expected = written.fork_blocks().expect("it reads");
        expected.sort_by_key(|(id, block)| (block.header.height, *id));
        assert_eq!(forks, expected);
    }
}

/// Two branches with a common beginning: ours in the node, the blocks of theirs with the eras that they begin.
fn branches() -> (Node, Node, Vec<(AppliedBlock, Option<EraContext>)>) {
    let mut node = Node::new();
    let pay = |round, nonce, to| Commit::new(round).with(&[transfer(nonce, to, round)]);
    for round in 1..=3 {
        node.order(pay(round, round - 1, "bob").that_supports_the_head());
    }
    let mut other = node.clone();
    node.order(pay(10, 3, "carol"));
    node.order(pay(11, 4, "bob"));
    node.order(pay(12, 4, "carol").that_ends_the_era());
    let commits = [
        pay(20, 3, "carol"),
        pay(21, 4, "bob").that_ends_the_era(),
        // Included once more, and twice: the first inclusion counts.
        Commit::new(22).with(&[
            transfer(4, "bob", 21),
            transfer(5, "bob", 22),
            transfer(5, "bob", 22),
        ]),
        pay(23, 6, "carol").that_ends_the_era(),
        Commit::new(24),
    ];
    let mut theirs = Vec::new();
    for commit in commits {
        let step = other.try_order(commit).expect("it executes");
        let ChainBatch {
            apply, start_eras, ..
        } = step.batch;
        let era = start_eras.into_iter().next();
        theirs.extend(apply.into_iter().map(|block| (block, era.clone())));
    }
    (node, other, theirs)
}

#[test]
fn after_every_pop_and_every_block_the_view_answers_as_the_store_will() {
    let (mut node, other, theirs) = branches();
    // Certificates of both branches and of neither are in the store, whatever the chain thinks of them.
    let stored = [
        certificate(&node.block_at(Height(2))),
        certificate(&node.block_at(Height(5))),
        certificate(&other.block_at(Height(5))),
        certificate(&other.block_at(Height(7))),
        certificate(&other.block_at(Height(8))),
    ];
    node.store.apply(ChainBatch {
        certificates: stored.to_vec(),
        ..ChainBatch::default()
    });
    let mut questions = Questions::default();
    questions.about(&node);
    questions.about(&other);
    let base = node.store.clone();
    let mut written = base.clone();
    let mut staged = Staged::new(&base).expect("it holds a chain");
    questions.assert_same(&staged, &written);
    for height in [6, 5, 4].map(Height) {
        let (id, _) = node.block_at(height);
        staged.pop(height, &id).expect("it is the head");
        written.apply(ChainBatch {
            pop: vec![(height, id)],
            ..ChainBatch::default()
        });
        questions.assert_same(&staged, &written);
    }
    for (block, era) in theirs {
        staged.apply(block.clone(), era.clone()).expect("it fits");
        written.apply(ChainBatch {
            apply: vec![block],
            start_eras: era.into_iter().collect(),
            ..ChainBatch::default()
        });
        questions.assert_same(&staged, &written);
    }
    assert_eq!(written.head(), other.store.head());
    assert_eq!(written.live_nodes(), other.store.live_nodes());
    assert_eq!(base.head(), node.store.head());
}

#[test]
fn what_does_not_fit_is_refused() {
    let (node, _, theirs) = branches();
    let mut staged = Staged::new(&node.store).expect("it holds a chain");
    let (below, _) = node.block_at(Height(5));
    assert!(staged.pop(Height(5), &below).is_err());
    assert!(staged.pop(Height(6), &below).is_err());
    assert!(staged.apply(theirs[0].0.clone(), None).is_err());
    assert!(Staged::new(&ModelStore::default()).is_err());
    for height in [6, 5, 4].map(Height) {
        let (id, _) = node.block_at(height);
        staged.pop(height, &id).expect("it is the head");
    }
    staged.apply(theirs[0].0.clone(), None).expect("it fits");
    let head = (Height(4), theirs[0].0.id);
    assert!(staged.pop(head.0, &head.1).is_err(), "pops come first");
    let mut staged = Staged::new(&node.store).expect("it holds a chain");
    for height in [6, 5, 4, 3].map(Height) {
        let (id, _) = node.block_at(height);
        staged.pop(height, &id).expect("it is the head");
    }
    let (id, _) = node.block_at(Height(2));
    assert!(staged.pop(Height(2), &id).is_err(), "it is irreversible");
}
