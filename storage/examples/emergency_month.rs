//! An emergency of many days with one master: what it costs, and whether anything grows but the disk.
//!
//! `cargo run --release -p holdfast-storage --example emergency_month [-- days]`
//!
//! One master makes a block in each slot of three seconds, a follower takes it; each has a store of its own. Nobody comes
//! back, so nothing is certified, and all of it is one emergency. Prints for each day the time, the memory of the process and
//! what both stores hold of it (write buffers, block caches, open table files, state), the disk of one store, and the most
//! blocks that a fork database held.

use holdfast_chain::fixture::emergencies::{MASTER_KEY, SLOT_MS, committee};
use holdfast_chain::fixture::genesis;
use holdfast_chain::{Chain, ChainStore, EmergencyProposal, Step};
use holdfast_ledger::{EmergencyClock, dynamic_properties, emergency_clock};
use holdfast_storage::{CreateMode, Storage, StorageOptions};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{Block, Ed25519, Height, Parameters, TimestampMs};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tempfile::TempDir;

const DAY_MS: u64 = 24 * 3_600_000;
/// Few, so that what grows is seen.
const CACHE_BYTES: usize = 8 << 20;
/// What the fork database of one branch holds: its head, and the block below, which is irreversible.
const FORKS_MAX: usize = 2;

/// A chain on a store of its own.
struct Node {
    chain: Chain,
    storage: Storage,
    directory: TempDir,
    forks: usize,
}

impl Node {
    fn new(parameters: &Arc<Parameters>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let options = StorageOptions {
            create: CreateMode::IfMissing,
            cache_bytes: CACHE_BYTES,
            ..StorageOptions::default()
        };
        let storage = Storage::open(&directory.path().join("data"), options, CHAIN);
        let storage = storage.expect("a new store opens");
        storage.apply(genesis(parameters)).expect("it is written");
        let chain = Chain::open(&storage, CHAIN, Arc::clone(parameters), Arc::new(Ed25519));
        Self {
            chain: chain.expect("it opens"),
            storage,
            directory,
            forks: 0,
        }
    }

    /// What the store holds in memory, in bytes: write buffers, block cache, open table files, state.
    fn held(&self) -> [u64; 4] {
        let metrics = self.storage.metrics().expect("a store has figures");
        let families = metrics.families.iter();
        let state = metrics.unflushed_state_bytes + metrics.state_cache_bytes;
        [
            families.map(|family| family.memtables_bytes).sum(),
            metrics.block_cache_bytes,
            metrics.table_readers_bytes,
            state,
        ]
    }

    fn write(&mut self, step: Step) {
        self.storage.apply(step.batch).expect("it is written");
        self.forks = self.forks.max(self.chain.forks().len());
    }

    /// The block of a slot, made here.
    fn produce(&mut self, timestamp: TimestampMs) -> Block {
        let proposal = EmergencyProposal {
            producer: committee(),
            timestamp,
            signer: &key_pair(MASTER_KEY),
            transactions: Vec::new(),
            evidence: Vec::new(),
            governance: Vec::new(),
        };
        let made = self.chain.produce(&self.storage, proposal);
        let made = made.expect("to produce is no fault");
        let step = made.expect("the slot is the master's");
        let step = step.expect("a block was made");
        let block = step.batch.apply.last().map(|made| made.block.clone());
        self.write(step);
        block.expect("it is applied")
    }

    fn take(&mut self, block: Block) {
        let taken = self.chain.offer(&self.storage, block);
        let taken = taken.expect("a block of a peer is no fault of ours");
        let step = taken.expect("it is the next one");
        self.write(step.expect("it is the head"));
    }
}

fn memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

fn bytes_below(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn main() {
    let days = std::env::args().nth(1);
    let days: u64 = days.map_or(30, |text| text.parse().expect("days are a number"));
    let parameters = Arc::new(parameters());
    let (mut master, mut follower) = (Node::new(&parameters), Node::new(&parameters));
    let clock: EmergencyClock =
        emergency_clock(&master.storage, &parameters).expect("the state reads");
    let zero = clock.slot_zero.expect("an emergency can begin");
    let started = Instant::now();
    println!("day    blocks  seconds  memory MiB  buffers  cache  tables  state  disk MiB  forks");
    for day in 1..=days {
        for slot in 0..DAY_MS / SLOT_MS {
            let at = zero.plus((day - 1) * DAY_MS + slot * SLOT_MS);
            let block = master.produce(at);
            follower.take(block);
        }
        let (height, id) = master.chain.head();
        assert_eq!(follower.chain.head(), (height, id), "they agree");
        let properties = dynamic_properties(&follower.storage).expect("the state reads");
        let lib = properties.expect("there is a state").lib;
        assert_eq!(lib, height.previous(), "all but the head is irreversible");
        let certified = follower.storage.certified_height();
        assert_eq!(certified.expect("it reads"), Height::ZERO);
        let forks = master.forks.max(follower.forks);
        assert!(forks <= FORKS_MAX, "the fork database holds {forks} blocks");
        let mut held = [0.0; 4];
        for node in [&master, &follower] {
            for (sum, bytes) in held.iter_mut().zip(node.held()) {
                *sum += bytes as f64 / f64::from(1 << 20);
            }
        }
        let [buffers, cache, tables, state] = held;
        println!(
            "{day:>3} {:>9} {:>8} {:>11} {buffers:>8.1} {cache:>6.1} {tables:>7.1} {state:>6.1} {:>9} {forks:>6}",
            height.0,
            started.elapsed().as_secs(),
            memory_kib() / 1_024,
            bytes_below(follower.directory.path()) >> 20,
        );
    }
}
