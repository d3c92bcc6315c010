//! What RPC asks of the node, answered from board and store; and what it tells subscribers.

mod convert;
mod emergency;
mod events;
mod figures;
mod halts;
mod health;
mod lockdown;
mod queries;
mod risk;
mod submit;

use super::board::Board;
use super::cluster::Cluster;
use super::core_thread::CoreHandle;
use super::execution::{AppliedSummary, ChainObserver};
use super::halted::HaltPicture;
use super::peers::Peers;
use super::verification::{Job, JobQueue};
use crate::clock;
use crate::watchdog::Vitals;
use figures::Stopwatches;
pub(super) use health::Bounds;
use holdfast_halt::risk::RiskLevel;
use holdfast_network::{NetworkHandle, PeerInfo};
use holdfast_rpc::dto::{
    BlockRef, BlockSummary, FinalityNotification, HaltNotification, Hash, LockdownStatus, Number,
};
use holdfast_rpc::{ChainEvent, Feed, FeedLimits, Metrics};
use holdfast_storage::Storage;
use holdfast_types::{
    BlockId, ChainId, Height, Parameters, PublicKey, SignatureScheme, TimestampMs, TransactionId,
};
pub(super) use lockdown::VoteAnswer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the backend is made of.
#[derive(Debug)]
pub struct BackendParts {
    pub chain_id: ChainId,
    pub chain_name: String,
    pub parameters: Arc<Parameters>,
    pub parameters_hash: [u8; 32],
    pub storage: Arc<Storage>,
    pub scheme: Arc<dyn SignatureScheme>,
    pub core: CoreHandle,
    pub board: Board,
    pub jobs: Arc<JobQueue<Job>>,
    pub network: NetworkHandle,
    pub peers: Peers,
    pub metrics: Metrics,
    /// What the watchdog has found.
    pub vitals: Vitals,
    pub validator_account: Option<String>,
    pub key: Option<PublicKey>,
    pub cluster: Cluster,
    /// From which level of risk on this validator votes by itself.
    pub votes_from: Option<RiskLevel>,
    pub moniker: String,
}

/// The node as RPC sees it.
#[derive(Debug)]
pub struct NodeBackend {
    parts: BackendParts,
    feed: Feed,
    started: Instant,
    started_at: TimestampMs,
    /// The peers as the network told them last: a task of the node keeps this fresh.
    known_peers: Mutex<Vec<PeerInfo>>,
    /// What subscribers were told of halts last, and the picture that it was made of.
    told: Mutex<Option<(Arc<HaltPicture>, HaltNotification)>>,
    /// The same of the lockdown.
    told_lockdown: Mutex<Option<LockdownStatus>>,
    stopwatches: Arc<Mutex<Stopwatches>>,
}

impl NodeBackend {
    #[must_use]
    pub fn new(parts: BackendParts) -> Self {
        let started_at = clock::wall();
        Self {
            parts,
            feed: Feed::new(started_at.0 ^ rand::random::<u64>(), FeedLimits::default()),
            started: Instant::now(),
            started_at,
            known_peers: Mutex::default(),
            told: Mutex::default(),
            told_lockdown: Mutex::default(),
            stopwatches: Arc::default(),
        }
    }

    /// Takes note of the peers.
    pub fn set_peers(&self, peers: Vec<PeerInfo>) {
        *self
            .known_peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = peers;
    }

    fn stopwatches(&self) -> MutexGuard<'_, Stopwatches> {
        self.stopwatches
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn known_peers(&self) -> Vec<PeerInfo> {
        self.known_peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ChainObserver for NodeBackend {
    fn applied(&self, block: &AppliedSummary) {
        let transactions = u64::try_from(block.transaction_ids.len()).unwrap_or(u64::MAX);
        let failed = u64::try_from(block.transactions_failed).unwrap_or(u64::MAX);
        let metrics = &self.parts.metrics;
        metrics.chain.blocks.inc();
        metrics.chain.transactions.with("failed").inc_by(failed);
        metrics
            .chain
            .transactions
            .with("success")
            .inc_by(transactions.saturating_sub(failed));
        self.stopwatches()
            .executed(block.header.height, &block.transaction_ids, metrics);
        let height = block.header.height.0;
        let block_id = Hash::new(*block.id.as_bytes());
        self.feed.publish(ChainEvent::Block(Box::new(BlockSummary {
            header: convert::header(&block.header, &block.id),
            transaction_count: u32::try_from(transactions).unwrap_or(u32::MAX),
        })));
        self.feed.publish(ChainEvent::Receipts {
            height,
            block_id,
            transaction_ids: block
                .transaction_ids
                .iter()
                .map(|id: &TransactionId| Hash::new(*id.as_bytes()))
                .collect(),
        });
    }

    fn switched(&self, common_ancestor: Height) {
        self.parts.metrics.chain.fork_switches.inc();
        self.stopwatches().taken_back(common_ancestor);
    }

    fn finality(&self, certified: (Height, BlockId), lib: Height) {
        use holdfast_chain::ChainStore as _;
        self.stopwatches().irreversible(lib, &self.parts.metrics);
        let lib_id = self
            .parts
            .storage
            .block_id_at(lib)
            .ok()
            .flatten()
            .unwrap_or_default();
        let is_provisional = self.parts.board.read().is_provisional;
        self.feed
            .publish(ChainEvent::Finality(FinalityNotification {
                certified: BlockRef {
                    height: Number(certified.0.0),
                    id: Hash::new(*certified.1.as_bytes()),
                },
                lib: BlockRef {
                    height: Number(lib.0),
                    id: Hash::new(*lib_id.as_bytes()),
                },
                is_provisional,
            }));
    }
}
