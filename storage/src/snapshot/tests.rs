//! Snapshots between real stores, of chains of real blocks.

mod emergencies;
mod refusals;

use super::*;
use crate::options::{CreateMode, StorageOptions};
use crate::storage::Storage;
use holdfast_chain::fixture::{Commit, Node, certificate_in, genesis, transfer};
use holdfast_chain::{Branch, Chain, ChainBatch, ChainStore};
use holdfast_ledger::tree;
use holdfast_types::test_util::CHAIN;
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{
    Block, BlockOrigin, Certificate, Ed25519, EraContext, Height, Parameters, ResumeOrder,
};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// A chain on a store of its own directory, which takes the blocks that a [`Node`] has made.
struct Follower {
    storage: Storage,
    chain: Chain,
    parameters: Arc<Parameters>,
    directory: TempDir,
}

fn open(path: &Path, prune_blocks: Option<u64>) -> Storage {
    let options = StorageOptions {
        create: CreateMode::IfMissing,
        cache_bytes: 1 << 20,
        prune_blocks,
        ..StorageOptions::default()
    };
    Storage::open(path, options, CHAIN).unwrap()
}

fn chain_on(storage: &Storage, parameters: &Arc<Parameters>) -> Chain {
    Chain::open(storage, CHAIN, Arc::clone(parameters), Arc::new(Ed25519)).unwrap()
}

impl Follower {
    /// From genesis to the head of `node`.
    fn of(node: &Node) -> Self {
        Self::begun_with(genesis(&node.parameters), node)
    }

    fn begun_with(genesis: ChainBatch, node: &Node) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = open(&directory.path().join("data"), None);
        storage.apply(genesis).unwrap();
        let mut follower = Self {
            chain: chain_on(&storage, &node.parameters),
            parameters: Arc::clone(&node.parameters),
            storage,
            directory,
        };
        follower.follow(node);
        follower
    }

    /// A store that was imported from this snapshot.
    fn from_snapshot(snapshot: &[u8], node: &Node) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        import_snapshot(snapshot, &path, &of_chain(node)).unwrap();
        let storage = open(&path, None);
        let problems = storage.check().unwrap().problems;
        assert_eq!(problems, Vec::<String>::new());
        Self {
            chain: chain_on(&storage, &node.parameters),
            parameters: Arc::clone(&node.parameters),
            storage,
            directory,
        }
    }

    /// Takes what it has not yet of the chain of `node`, and then stands where that does.
    fn follow(&mut self, node: &Node) {
        let mut waiting = Vec::new();
        let mut height = self.chain.head().0.next();
        while height <= node.head().0 {
            let (_, block) = node.block_at(height);
            if let BlockOrigin::Resumed { .. } = block.header.origin {
                self.take(std::mem::take(&mut waiting), None);
                let message = block.body.governance.unwrap();
                let order = ResumeOrder::Governance(message);
                let step = self.chain.resume(&self.storage, &order).unwrap();
                self.storage.apply(step.unwrap().unwrap().batch).unwrap();
                height = height.next();
                continue;
            }
            waiting.push(block);
            if let Some(certificate) = node.store.certificate(height).unwrap() {
                self.take(std::mem::take(&mut waiting), Some(certificate));
            }
            height = height.next();
        }
        if !waiting.is_empty() {
            self.take(waiting, None);
        }
        assert_eq!(self.chain.head(), node.head());
        self.assert_same_state(node);
    }

    fn take(&mut self, blocks: Vec<Block>, certificate: Option<Certificate>) {
        let is_emergency =
            |block: &Block| matches!(block.header.origin, BlockOrigin::Emergency { .. });
        if blocks.iter().any(is_emergency) {
            let step = self
                .chain
                .offer_branch(
                    &self.storage,
                    Branch {
                        blocks,
                        certificate: certificate.clone(),
                        end_votes: None,
                    },
                )
                .unwrap()
                .unwrap();
            self.storage.apply(step.unwrap().batch).unwrap();
            if let Some(certificate) = certificate {
                self.certify(certificate);
            }
            return;
        }
        let response = BlocksResponse {
            blocks,
            certificate,
            end_votes: None,
        };
        let range = self.chain.verify_range(&self.storage, response).unwrap();
        let mut range = range.unwrap();
        while let Some(step) = self.chain.import(&self.storage, &mut range).unwrap() {
            self.storage.apply(step.batch).unwrap();
        }
    }

    fn certify(&mut self, certificate: Certificate) {
        let mut step = self.chain.certify(&self.storage, certificate).unwrap();
        while let Some(now) = step {
            self.storage.apply(now.batch).unwrap();
            step = self.chain.choose(&self.storage).unwrap();
        }
    }

    fn reopen(self, prune_blocks: Option<u64>) -> Self {
        let Self {
            storage,
            parameters,
            directory,
            ..
        } = self;
        drop(storage);
        let storage = open(&directory.path().join("data"), prune_blocks);
        Self {
            chain: chain_on(&storage, &parameters),
            storage,
            parameters,
            directory,
        }
    }

    fn export(&self, height: Option<u64>) -> (Exported, Vec<u8>) {
        let mut bytes = Vec::new();
        let exported = self
            .storage
            .export_snapshot(height.map(Height), &mut bytes)
            .unwrap();
        (exported, bytes)
    }

    fn assert_same_state(&self, node: &Node) {
        let root = tree::state_root(&self.storage).unwrap();
        assert_eq!(root, tree::state_root(&node.store).unwrap());
        let (_, head) = node.block_at(node.head().0);
        assert_eq!(root, Some(head.header.state_root));
        let era = EraContext::clone(node.chain.era());
        assert_eq!(self.storage.latest_era().unwrap(), Some(era));
    }
}

fn of_chain(node: &Node) -> SnapshotChain {
    let era = node.store.era(holdfast_types::Era(1)).unwrap();
    SnapshotChain {
        id: CHAIN,
        first_era: era.unwrap(),
        parameters: Arc::clone(&node.parameters),
        scheme: Arc::new(Ed25519),
        trusted: None,
    }
}

/// Makes a block, certified unless it is not to be.
fn grow(node: &mut Node, round: u64, is_certified: bool) {
    let commit = Commit::new(round).with(&[transfer(round - 1, "bob", 5)]);
    let commit = commit.that_supports_the_head();
    let context = EraContext::clone(node.chain.era());
    let block = node.order(if round.is_multiple_of(4) {
        commit.that_ends_the_era()
    } else {
        commit
    });
    if is_certified {
        let certificate = certificate_in(&context, &block);
        node.certify(certificate).unwrap();
    }
}

/// So many blocks, four to an era, all certified.
fn chain_of(blocks: u64) -> Node {
    let mut node = Node::new();
    for round in 1..=blocks {
        grow(&mut node, round, true);
    }
    node
}

#[test]
fn a_store_from_a_snapshot_holds_what_the_exported_one_held() {
    let node = chain_of(14);
    let exporter = Follower::of(&node);
    let (exported, snapshot) = exporter.export(None);
    assert_eq!(exported.manifest.base, node.head());
    assert!(exported.is_proven);
    assert_eq!(exported.lowest, Height(8));
    let importer = Follower::from_snapshot(&snapshot, &node);
    importer.assert_same_state(&node);
    let (from, to) = (&exporter.storage, &importer.storage);
    assert_eq!(from.head(), to.head());
    assert_eq!(from.certified_height(), to.certified_height());
    assert_eq!(to.view().lowest_block(), Ok(Height(8)));
    assert_eq!(to.block_at(Height(7)), Ok(None));
    for height in (8..=14).map(Height) {
        assert_eq!(from.block_at(height), to.block_at(height));
        assert_eq!(from.receipts_at(height), to.receipts_at(height));
        let id = node.block_at(height).1.body.transactions[0].body.id(&CHAIN);
        assert_eq!(to.transaction_place(&id), Ok(Some((height, 0))));
    }
    for era in (1..=4).map(holdfast_types::Era) {
        assert_eq!(from.era(era), to.era(era));
    }
    let anchor = node.chain.era().anchor_height;
    assert_eq!(from.certificate(anchor), to.certificate(anchor));
    // One more hop: what came from a snapshot can be exported, without the proofs of pruned anchors.
    let (again, _) = importer.export(None);
    assert_eq!(again.manifest, exported.manifest);
    assert!(!again.is_proven);
}

#[test]
fn a_node_from_a_snapshot_goes_on_over_restarts_and_ends_of_eras() {
    let mut node = chain_of(10);
    let (_, snapshot) = Follower::of(&node).export(None);
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    for round in 11..=20 {
        // Of the last blocks some are certified late, by what stands on them.
        grow(&mut node, round, round % 4 != 1);
        if node.chain.certified() == node.head().0 {
            follower.follow(&node);
            follower = follower.reopen(None);
        }
    }
    assert_eq!(follower.chain.head().0, Height(20));
    let problems = follower.storage.check().unwrap().problems;
    assert_eq!(problems, Vec::<String>::new());
}

/// Whoever keeps one block keeps the blocks of two eras all the same: they are what attestations are judged by.
#[test]
fn pruning_does_not_touch_what_evidence_may_name() {
    let mut node = chain_of(10);
    let (_, snapshot) = Follower::of(&node).export(None);
    let mut follower = Follower::from_snapshot(&snapshot, &node).reopen(Some(1));
    for round in 11..=12 {
        grow(&mut node, round, true);
        follower.follow(&node);
    }
    assert_eq!(follower.storage.view().lowest_block(), Ok(Height(4)));
}

#[test]
fn the_state_of_a_block_in_the_past_is_exported_too() {
    let node = chain_of(14);
    let exporter = Follower::of(&node);
    for height in [5, 8, 13] {
        let (exported, snapshot) = exporter.export(Some(height));
        let at = Height(height);
        assert_eq!(exported.manifest.base, (at, node.block_at(at).0));
        assert_eq!(exported.manifest.top, exported.manifest.base);
        let mut importer = Follower::from_snapshot(&snapshot, &node);
        assert_eq!(importer.chain.head(), exported.manifest.base);
        importer.follow(&node);
    }
}

#[test]
fn an_empty_chain_has_a_snapshot_of_genesis() {
    let node = Node::new();
    let (exported, snapshot) = Follower::of(&node).export(None);
    assert_eq!(exported.manifest.base.0, Height::ZERO);
    let mut follower = Follower::from_snapshot(&snapshot, &node);
    let mut node = node;
    grow(&mut node, 1, true);
    follower.follow(&node);
}
