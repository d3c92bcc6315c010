//! Chains of simulated networks, with all that happened to them, executed once more on RocksDB: from genesis, and from snapshots.

use holdfast_chain::{Branch, Chain, ChainStore};
use holdfast_ledger::tree;
use holdfast_simulation::chain::SimulatedChain;
use holdfast_simulation::random::Random;
use holdfast_simulation::run::SETTLE_MS;
use holdfast_simulation::{PROFILES, World};
use holdfast_storage::{
    CreateMode, SnapshotChain, SnapshotError, Storage, StorageOptions, import_snapshot,
};
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{Block, BlockOrigin, Certificate, Era, EraKind, Height};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// Blocks that the network makes after its faults.
const MORE_BLOCKS: u64 = 20;

/// A network of the profile of emergencies that has come back.
fn network(seed: u64) -> World {
    let profile = PROFILES.iter().find(|profile| profile.name == "emergency");
    let profile = profile.expect("there is such a profile");
    let mut random = Random::new(seed);
    let plan = profile.plan(&mut random);
    let mut world = World::new(&plan, random.number());
    let faults = profile.faults(&mut random);
    world.unleash(&faults);
    world.run(profile.faults_ms);
    world.heal();
    let target = world.certified_by_any().plus(MORE_BLOCKS);
    assert!(world.run_until_done(2 * SETTLE_MS, |world| world.is_settled_at(target)));
    world
}

fn open(path: &Path, of: &SimulatedChain) -> (Storage, Chain) {
    let options = StorageOptions {
        create: CreateMode::IfMissing,
        cache_bytes: 1 << 20,
        ..StorageOptions::default()
    };
    let storage = Storage::open(path, options, of.id).expect("it opens");
    if storage.head().expect("it reads").is_none() {
        storage.apply(of.genesis.clone()).expect("it fits");
    }
    let parameters = Arc::clone(&of.parameters);
    let chain = Chain::open(&storage, of.id, parameters, Arc::new(of.scheme));
    let chain = chain.expect("the store holds a chain");
    (storage, chain)
}

/// A chain on RocksDB that takes blocks as a node takes those of peers.
struct Copy {
    storage: Storage,
    chain: Chain,
    directory: TempDir,
}

impl Copy {
    fn from_genesis(of: &SimulatedChain) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (storage, chain) = open(&directory.path().join("data"), of);
        Self {
            storage,
            chain,
            directory,
        }
    }

    /// Of a snapshot of the block at a height, believed because the operator names it.
    fn from_snapshot(
        snapshot: &[u8],
        trusted: holdfast_types::BlockId,
        of: &SimulatedChain,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        let what = SnapshotChain {
            id: of.id,
            first_era: of.era.clone(),
            parameters: Arc::clone(&of.parameters),
            scheme: Arc::new(of.scheme),
            trusted: Some(trusted),
        };
        import_snapshot(snapshot, &path, &what).expect("it is a snapshot of this chain");
        let (storage, chain) = open(&path, of);
        Self {
            storage,
            chain,
            directory,
        }
    }

    /// Takes all that `node` has certified and that is not here.
    fn follow(&mut self, node: &impl ChainStore) {
        let top = node.certified_height().expect("it reads");
        let mut waiting = Vec::new();
        let mut height = self.chain.head().0.next();
        while height <= top {
            let block = node.block_at(height).expect("it reads");
            waiting.push(block.expect("blocks of the applied branch are kept"));
            if let Some(certificate) = node.certificate(height).expect("it reads") {
                self.take(std::mem::take(&mut waiting), certificate);
            }
            height = height.next();
        }
        assert_eq!(self.chain.head().0, top);
        let ours = self.storage.block_id_at(top).expect("it reads");
        assert_eq!(ours, node.block_id_at(top).expect("it reads"));
        let root = tree::state_root(&self.storage).expect("it reads");
        let last = node.block_at(top).expect("it reads");
        assert_eq!(root, last.map(|block| block.header.state_root));
    }

    fn take(&mut self, mut blocks: Vec<Block>, certificate: Certificate) {
        let of_emergency = |block: &Block| {
            let era = self.storage.era(block.header.era).expect("it reads");
            matches!(block.header.origin, BlockOrigin::Emergency { .. })
                || era.is_some_and(|era| era.kind == EraKind::Emergency)
        };
        if !blocks.iter().any(of_emergency) {
            let response = BlocksResponse {
                blocks,
                certificate: Some(certificate),
                end_votes: None,
            };
            let range = self.chain.verify_range(&self.storage, response);
            let mut range = range.expect("it reads").expect("it is proven");
            while let Some(step) = self
                .chain
                .import(&self.storage, &mut range)
                .expect("it executes")
            {
                self.storage.apply(step.batch).expect("it fits");
            }
            return;
        }
        while !blocks.is_empty() {
            let branch = Branch {
                blocks: blocks.clone(),
                certificate: Some(certificate.clone()),
                end_votes: None,
            };
            let step = self.chain.offer_branch(&self.storage, branch);
            let step = step.expect("it is no fault of ours").expect("it is better");
            self.storage
                .apply(step.expect("it is a step").batch)
                .expect("it fits");
            let head = self.chain.head().0;
            blocks.retain(|block| block.header.height > head);
        }
        let mut step = self.chain.certify(&self.storage, certificate);
        while let Some(now) = step.expect("it is ours") {
            self.storage.apply(now.batch).expect("it fits");
            step = self.chain.choose(&self.storage);
        }
    }
}

/// A height in the middle of each emergency that `node` has been through, and its last certified block.
fn heights(node: &impl ChainStore) -> BTreeSet<Height> {
    let last = node.latest_era().expect("it reads");
    let last = last.map_or(Era::ZERO, |era| era.era);
    let mut heights = BTreeSet::from([node.certified_height().expect("it reads")]);
    for number in 1..last.0 {
        let [of, after] = [number, number + 1].map(|era| node.era(Era(era)).expect("it reads"));
        if let (Some(of), Some(after)) = (of, after)
            && of.kind == EraKind::Emergency
        {
            let length = after.anchor_height.since(of.anchor_height);
            heights.insert(of.anchor_height.plus(length / 2));
        }
    }
    heights
}

#[test]
fn a_chain_with_emergencies_is_the_same_on_replay_and_from_a_snapshot_of_any_time() {
    let mut in_emergency = 0;
    for seed in 1..=8 {
        let world = network(seed);
        let node = world.node(0).disk.now();
        let mut replayed = Copy::from_genesis(world.chain());
        replayed.follow(node);
        for height in heights(node) {
            let mut snapshot = Vec::new();
            let exported = replayed
                .storage
                .export_snapshot(Some(height), &mut snapshot);
            let exported = match exported {
                // They are kept for an epoch.
                Err(SnapshotError::UndoPruned { .. }) => continue,
                exported => exported.expect("its state is known"),
            };
            let top = exported.manifest.top;
            in_emergency += usize::from(exported.manifest.is_emergency());
            let mut copy = Copy::from_snapshot(&snapshot, top.1, world.chain());
            assert_eq!(copy.chain.head(), top, "seed {seed}");
            copy.follow(node);
            let problems = copy.storage.check().expect("it reads").problems;
            assert_eq!(problems, Vec::<String>::new());
            drop(copy.directory);
        }
        drop(replayed.directory);
    }
    assert!(in_emergency > 5, "{in_emergency} snapshots in an emergency");
}
