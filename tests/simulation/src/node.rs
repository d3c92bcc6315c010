//! One simulated node: the replica and the chain of the product on a disk in memory.

use crate::byzantine::Behaviour;
use crate::chain::SimulatedChain;
use crate::clock::Clock;
use crate::disk::{Disk, Loss};
use crate::keys::SimulatedKey;
use crate::message::{Asked, NodeId};
use holdfast_chain::{BranchFetch, Chain, ChainError, ProductionTurn};
use holdfast_dag::SubDag;
use holdfast_replica::validator_guard::ValidatorGuard;
use holdfast_replica::{
    HoldRequest, MempoolConfig, Now, Output, Replica, ReplicaConfig, Restored, ResumeRequest,
    SignGuard,
};
use holdfast_types::wire::{BlocksResponse, LastVertexRequest, PeerStatus};
use holdfast_types::{
    AuthorityIndex, Block, Certificate, EndVotes, Era, EraContext, Height, PublicKey, Signer,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Transactions in the mempool of a node.
pub const MEMPOOL_TRANSACTIONS_MAX: usize = 10_000;
/// Their bytes.
pub const MEMPOOL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Where in the writing of an output a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPoint {
    /// Records are to be written.
    BeforeWrite,
    /// They are written, not synced.
    BeforeSync,
    /// They are durable, the sign guard is not raised.
    BeforeGuard,
    /// All is durable, nothing was sent.
    BeforeSend,
    /// A block is written, the replica does not know.
    AfterBlock,
    /// The call to its disk of this number is to be made.
    BeforeCall(u64),
    /// It was made.
    AfterCall(u64),
}

impl CrashPoint {
    /// Those without a number.
    pub const ALL: [Self; 5] = [
        Self::BeforeWrite,
        Self::BeforeSync,
        Self::BeforeGuard,
        Self::BeforeSend,
        Self::AfterBlock,
    ];
}

/// What the execution half has to do.
#[derive(Debug)]
pub enum Execution {
    Commit(SubDag),
    Certificate(Certificate),
    Resume(Box<ResumeRequest>),
    Range {
        from: NodeId,
        response: BlocksResponse,
    },
    Produce(ProductionTurn),
    Hold(HoldRequest),
    EndVotes(EndVotes),
    YieldToLockdown(Era),
    Offer(Box<Block>),
    Branch {
        from: NodeId,
        branch: Box<holdfast_chain::Branch>,
    },
}

/// A question that waits for its answer.
#[derive(Debug)]
pub struct Pending {
    pub to: NodeId,
    pub purpose: Purpose,
}

/// Why a peer was asked.
#[derive(Debug)]
pub enum Purpose {
    Vertices(Asked),
    LastVertices {
        request: LastVertexRequest,
        from: AuthorityIndex,
    },
    Certificate,
    Halts,
    /// In the poll of this number.
    Status(u32),
    Blocks,
}

/// Where catching up stands.
#[derive(Debug)]
pub enum SyncState {
    Idle,
    Polling {
        waiting: usize,
        /// All have had their time: the next answer is enough.
        over: bool,
        answers: Vec<(NodeId, PeerStatus)>,
    },
    /// Asked for blocks, or executing them.
    Fetching(Box<BranchFetch>),
}

/// What is lost when the process ends.
#[derive(Debug)]
pub struct Running {
    pub replica: Replica,
    pub chain: Chain,
    /// The era that vertices are verified against.
    pub era: Arc<EraContext>,
    pub started_ms: u64,
    pub execution: VecDeque<Execution>,
    /// By content: until when the network remembers what it has passed on.
    pub seen: BTreeMap<u64, u64>,
    pub seen_order: VecDeque<(u64, u64)>,
    pub pending: BTreeMap<u64, Pending>,
    pub sync: SyncState,
    /// Number of the last poll.
    pub polls: u32,
    /// Peers are on another branch: from where their blocks are fetched.
    pub branch_from: Option<Height>,
    /// An emergency block came that stands on none that is here.
    pub is_forked: bool,
    /// What the replica was told of the head of peers that are ahead; none: nothing yet.
    pub peers_at: Option<Option<Height>>,
    /// Peers that were no help, until when.
    pub avoided: BTreeMap<NodeId, u64>,
    pub head_changed_ms: u64,
    /// The wake-up that counts.
    pub wake_at_ms: Option<u64>,
    /// Wake-ups in a row after which the replica asked to be woken at once.
    pub wakes_at_once: u32,
    pub crash_at: Option<(CrashPoint, Loss)>,
    pub highest_certified: Height,
    /// One order to stop held from the beginning of its last step to the end.
    pub halted_throughout: bool,
}

impl Running {
    /// True if a message of this content is new; it is remembered for a while.
    pub fn remember(&mut self, now_ms: u64, id: u64, for_ms: u64) -> bool {
        while let Some((until_ms, old)) = self.seen_order.front().copied() {
            if until_ms > now_ms {
                break;
            }
            self.seen_order.pop_front();
            if self.seen.get(&old) == Some(&until_ms) {
                self.seen.remove(&old);
            }
        }
        if self
            .seen
            .get(&id)
            .is_some_and(|until_ms| *until_ms > now_ms)
        {
            return false;
        }
        self.seen.insert(id, now_ms + for_ms);
        self.seen_order.push_back((now_ms + for_ms, id));
        true
    }
}

/// A node, up or down.
#[derive(Debug)]
pub struct Node {
    pub id: NodeId,
    /// None: a follower.
    pub key: Option<Arc<SimulatedKey>>,
    /// The key of the committee account, where this node has it.
    pub master: Option<Arc<SimulatedKey>>,
    /// Watches the own key on the chain.
    pub guard: Option<ValidatorGuard>,
    pub disk: Disk,
    pub clock: Clock,
    pub peers: Vec<NodeId>,
    /// None: it obeys the rules.
    pub behaviour: Option<Box<dyn Behaviour>>,
    /// Of a Byzantine node: the other block that it makes in a slot.
    pub second_block: Option<Box<Block>>,
    /// Its key runs in another process too.
    pub has_twin: bool,
    /// Counts the starts: what was meant for an earlier process does not reach a later one.
    pub incarnation: u32,
    /// Calls to its disk, over all starts.
    pub calls: u64,
    pub running: Option<Box<Running>>,
}

impl Node {
    #[must_use]
    pub fn new(id: NodeId, key: Option<SimulatedKey>, chain: &SimulatedChain) -> Self {
        let guard = key
            .as_ref()
            .map(|key| SignGuard::empty(key.public_key()).record().clone());
        Self {
            id,
            key: key.map(Arc::new),
            master: None,
            guard: None,
            disk: Disk::new(chain.genesis.clone(), guard),
            clock: Clock::default(),
            peers: Vec::new(),
            behaviour: None,
            second_block: None,
            has_twin: false,
            incarnation: 0,
            calls: 0,
            running: None,
        }
    }

    #[must_use]
    pub fn is_honest(&self) -> bool {
        self.behaviour.is_none() && !self.has_twin
    }

    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.key.as_ref().map(|key| key.public_key())
    }

    /// The time as the replica of this node wants it.
    #[must_use]
    pub fn now(&self, now_ms: u64) -> Now {
        let started_ms = self.running.as_ref().map_or(now_ms, |r| r.started_ms);
        Now {
            monotonic_ms: now_ms - started_ms,
            wall: self.clock.wall(now_ms),
        }
    }

    /// Starts the process from what is on the disk; the output of the restored replica has to be carried out.
    ///
    /// # Errors
    /// If the disk holds no chain to start from.
    pub fn start(&mut self, now_ms: u64, chain: &SimulatedChain) -> Result<Output, ChainError> {
        let opened = Chain::open(
            self.disk.now(),
            chain.id,
            Arc::clone(&chain.parameters),
            Arc::new(chain.scheme),
        )?;
        let mut config = ReplicaConfig::new(chain.id, &chain.parameters, mempool_config(chain));
        config.is_master = self.master.is_some();
        let signer = self.key.clone().zip(self.disk.guard().cloned());
        let signer = signer.map(|(key, guard)| (key as Arc<dyn Signer>, guard));
        let restored = Restored::read(self.disk.now(), &opened, &config.dag, signer)?;
        self.running = None;
        let (mut replica, first) = Replica::restore(config, restored, self.now(now_ms));
        if self.behaviour.is_some() {
            // What it signs beside its replica comes back to it.
            replica.never_stop_for_own_key();
        }
        self.incarnation += 1;
        self.running = Some(Box::new(Running {
            era: Arc::clone(replica.context()),
            highest_certified: opened.certified(),
            replica,
            chain: opened,
            started_ms: now_ms,
            execution: VecDeque::new(),
            seen: BTreeMap::new(),
            seen_order: VecDeque::new(),
            pending: BTreeMap::new(),
            sync: SyncState::Idle,
            polls: 0,
            branch_from: None,
            is_forked: false,
            peers_at: None,
            avoided: BTreeMap::new(),
            head_changed_ms: now_ms,
            wake_at_ms: None,
            wakes_at_once: 0,
            crash_at: None,
            halted_throughout: false,
        }));
        Ok(first)
    }
}

/// As the node's shell makes it, with room for what a simulation submits.
fn mempool_config(chain: &SimulatedChain) -> MempoolConfig {
    MempoolConfig {
        transactions_max: MEMPOOL_TRANSACTIONS_MAX,
        bytes_max: MEMPOOL_BYTES_MAX,
        per_sender_max: 64,
        nonce_gap_max: 64,
        gap_lifetime_blocks: chain.parameters.dag.gc_depth * 4,
        foreign_delay_ms: 2_000,
    }
}
