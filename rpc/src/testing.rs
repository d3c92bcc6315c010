//! An in-memory backend for tests: a chain that makes a block when told to.

mod emergency;
mod halts;
mod lockdown;
mod samples;

use crate::backend::{AttributedReceipt, Backend, BackendError};
use crate::dto::{
    Account, AccountName, Block, BlockDetail, BlockHeader, BlockRef, BlockSelector, BlockSummary,
    Certificate, ChainState, Committee, EmergencyStatus, EvidenceItem, EvidenceReceipt, Finality,
    FinalityNotification, GovernanceState, GovernanceSummary, HaltMatrix, HaltProof, HaltReport,
    Hash, JournalEntry, LockdownStatus, NodeInfo, Number, Peer, PendingTransactions, Receipt,
    RiskStatus, Status, Transaction, Validator,
};
use crate::feed::{ChainEvent, Feed, FeedLimits};
use crate::health::Health;
use futures::FutureExt;
use futures::future::BoxFuture;
use halts::FakeHalts;
pub use halts::halt_id;
use lockdown::FakeLockdown;
pub use samples::sample_hash;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::watch;

/// The first byte of a transaction that the fake chain executes but lets fail.
pub const FAILING_TRANSACTION: u8 = 0xfa;

/// An in-memory backend.
#[derive(Debug)]
pub struct FakeBackend {
    chain: Mutex<FakeChain>,
    feed: Feed,
    /// While true, submitted transactions wait.
    submissions_held: watch::Sender<bool>,
}

#[derive(Debug)]
struct FakeChain {
    blocks: Vec<FakeBlock>,
    queue: Vec<Vec<u8>>,
    /// Every transaction that was ever queued.
    known: HashSet<Hash>,
    certified_height: u64,
    /// The last irreversible block, if emergency consensus alone stands for it.
    provisional_lib: Option<u64>,
    pruned_below: u64,
    submission_error: Option<BackendError>,
    health: Health,
    state: ChainState,
    halts: FakeHalts,
    lockdown: FakeLockdown,
}

#[derive(Clone, Debug)]
struct FakeBlock {
    header: BlockHeader,
    transactions: Vec<Transaction>,
    receipts: Vec<Receipt>,
}

impl FakeBackend {
    /// A chain that consists of the genesis block.
    #[must_use]
    pub fn new(feed_limits: FeedLimits) -> Arc<Self> {
        let genesis = FakeBlock {
            header: samples::header(0),
            transactions: Vec::new(),
            receipts: Vec::new(),
        };
        let chain = FakeChain {
            blocks: vec![genesis],
            queue: Vec::new(),
            known: HashSet::new(),
            certified_height: 0,
            provisional_lib: None,
            pruned_below: 0,
            submission_error: None,
            health: Health::all_pass(),
            state: ChainState::Running,
            halts: FakeHalts::default(),
            lockdown: FakeLockdown::default(),
        };
        Arc::new(Self {
            chain: Mutex::new(chain),
            feed: Feed::new(samples::RUN, feed_limits),
            submissions_held: watch::Sender::new(false),
        })
    }

    fn chain(&self) -> MutexGuard<'_, FakeChain> {
        self.chain
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Executes the queue into a block and announces it.
    pub fn produce_block(&self) -> BlockRef {
        let (summary, transaction_ids) = self.chain().append_block();
        let block = BlockRef {
            height: summary.header.height,
            id: summary.header.id,
        };
        self.feed.publish(ChainEvent::Block(Box::new(summary)));
        self.feed.publish(ChainEvent::Receipts {
            height: block.height.get(),
            block_id: block.id,
            transaction_ids,
        });
        block
    }

    /// Certifies the blocks up to a height and announces it. That ends an emergency.
    pub fn certify(&self, height: u64) {
        let mut chain = self.chain();
        chain.certified_height = height;
        if chain.provisional_lib.take().is_some() {
            chain.state = ChainState::Running;
        }
        self.announce_finality(chain);
    }

    /// So many validators have voted to freeze the chain.
    pub fn set_lockdown_votes(&self, votes: usize) {
        let status = {
            let mut chain = self.chain();
            chain.lockdown.set_votes(votes);
            let head = chain.block_ref(chain.head_height());
            chain.lockdown.status(&head)
        };
        self.feed.publish(ChainEvent::Lockdown(Box::new(status)));
    }

    /// From now on emergency consensus makes the blocks, and those up to a height are irreversible for it alone.
    pub fn set_emergency(&self, lib: u64) {
        let mut chain = self.chain();
        chain.provisional_lib = Some(lib);
        chain.state = ChainState::Emergency;
        self.announce_finality(chain);
    }

    fn announce_finality(&self, chain: MutexGuard<'_, FakeChain>) {
        let finality = FinalityNotification {
            certified: chain.block_ref(chain.certified_height),
            lib: chain.block_ref(chain.lib_height()),
            is_provisional: chain.provisional_lib.is_some(),
        };
        drop(chain);
        self.feed.publish(ChainEvent::Finality(finality));
    }

    /// Number of transactions that wait for a block.
    #[must_use]
    pub fn queue_len(&self) -> usize {
        self.chain().queue.len()
    }

    /// Refuses submissions with this error from now on; none: accepts them.
    pub fn set_submission_error(&self, error: Option<BackendError>) {
        self.chain().submission_error = error;
    }

    /// While held, submissions do not complete.
    pub fn hold_submissions(&self, hold: bool) {
        self.submissions_held.send_replace(hold);
    }

    /// Number of submissions that are held.
    #[must_use]
    pub fn held_submissions(&self) -> usize {
        self.submissions_held.receiver_count()
    }

    /// Forgets the blocks below a height.
    pub fn prune_below(&self, height: u64) {
        self.chain().pruned_below = height;
    }

    /// Begins or ends a halt of governance, and announces it.
    pub fn set_halted(&self, halted: bool) {
        let event = {
            let mut chain = self.chain();
            chain.state = if halted {
                ChainState::Halted
            } else {
                ChainState::Running
            };
            let head = chain.head_height();
            chain.halts.set_halted(halted, head)
        };
        self.feed.publish(event);
    }

    /// Refuses governance messages with this error from now on; none: accepts them.
    pub fn set_governance_error(&self, error: Option<BackendError>) {
        self.chain().halts.governance_error = error;
    }

    /// Executes the evidence that waits.
    pub fn punish_evidence(&self) {
        let halts = &mut self.chain().halts;
        halts.punished.append(&mut halts.evidence);
    }

    /// What the node says of its health and state from now on.
    pub fn set_health(&self, state: ChainState, change: impl FnOnce(&mut Health)) {
        let mut chain = self.chain();
        chain.state = state;
        chain.health = Health::all_pass();
        change(&mut chain.health);
    }
}

impl FakeChain {
    fn append_block(&mut self) -> (BlockSummary, Vec<Hash>) {
        let height = self.blocks.len() as u64;
        let header = samples::header(height);
        let bodies = std::mem::take(&mut self.queue);
        let transactions: Vec<_> = bodies
            .iter()
            .map(|bytes| samples::transaction(bytes))
            .collect();
        let receipts: Vec<_> = bodies
            .iter()
            .zip(0..)
            .map(|(bytes, index)| {
                samples::receipt(
                    bytes,
                    &header,
                    index,
                    bytes.first() == Some(&FAILING_TRANSACTION),
                )
            })
            .collect();
        let ids = transactions
            .iter()
            .map(|transaction| transaction.id)
            .collect();
        let transaction_count = transactions.len() as u32;
        self.blocks.push(FakeBlock {
            header: header.clone(),
            transactions,
            receipts,
        });
        (
            BlockSummary {
                header,
                transaction_count,
            },
            ids,
        )
    }

    fn lib_height(&self) -> u64 {
        let certified = self.certified_height.saturating_sub(1);
        self.provisional_lib.unwrap_or(certified)
    }

    fn finality(&self, height: u64) -> Finality {
        Finality::of_block(height, self.certified_height, self.provisional_lib)
    }

    fn block_ref(&self, height: u64) -> BlockRef {
        BlockRef {
            height: Number(height),
            id: samples::header(height).id,
        }
    }

    fn head_height(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    fn select(&self, selector: BlockSelector) -> Result<Option<&FakeBlock>, BackendError> {
        let height = match selector {
            BlockSelector::Head => self.head_height(),
            BlockSelector::Lib => self.lib_height(),
            BlockSelector::Certified => self.certified_height,
            BlockSelector::Height(height) => height,
            BlockSelector::Id(id) => {
                return Ok(self.blocks.iter().find(|block| block.header.id == id));
            }
        };
        if height < self.pruned_below {
            return Err(BackendError::Pruned {
                earliest: self.pruned_below,
            });
        }
        let index = usize::try_from(height).unwrap_or(usize::MAX);
        Ok(self.blocks.get(index))
    }

    fn with_finality(&self, receipt: &Receipt) -> Receipt {
        Receipt {
            finality: self.finality(receipt.height.get()),
            ..receipt.clone()
        }
    }
}

impl Backend for FakeBackend {
    fn status(&self) -> Result<Status, BackendError> {
        let chain = self.chain();
        let head = &chain.blocks[chain.blocks.len() - 1].header;
        let certified = chain.block_ref(chain.certified_height);
        let lib = chain.block_ref(chain.lib_height());
        Ok(samples::status(
            chain.state,
            head,
            certified,
            lib,
            chain.queue.len(),
        ))
    }

    fn chain_state(&self) -> ChainState {
        self.chain().state
    }

    fn health(&self) -> Health {
        self.chain().health.clone()
    }

    fn node_info(&self) -> Result<NodeInfo, BackendError> {
        Ok(samples::node_info())
    }

    fn peers(&self) -> Result<Vec<Peer>, BackendError> {
        Ok(vec![samples::peer()])
    }

    fn parameters(&self) -> Result<Map<String, Value>, BackendError> {
        Ok(samples::parameters())
    }

    fn block(
        &self,
        selector: BlockSelector,
        detail: BlockDetail,
    ) -> Result<Option<Block>, BackendError> {
        let chain = self.chain();
        Ok(chain.select(selector)?.map(|block| Block {
            finality: Some(chain.finality(block.header.height.get())),
            ..samples::block(&block.header, &block.transactions, detail)
        }))
    }

    fn header(&self, selector: BlockSelector) -> Result<Option<BlockHeader>, BackendError> {
        Ok(self
            .chain()
            .select(selector)?
            .map(|block| block.header.clone()))
    }

    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, BackendError> {
        let chain = self.chain();
        let executed = chain
            .blocks
            .iter()
            .flat_map(|block| &block.transactions)
            .find(|t| t.id == *id)
            .cloned();
        Ok(executed.or_else(|| {
            chain
                .queue
                .iter()
                .map(|bytes| samples::transaction(bytes))
                .find(|transaction| transaction.id == *id)
        }))
    }

    fn receipt(&self, id: &Hash) -> Result<Option<Receipt>, BackendError> {
        let chain = self.chain();
        let receipt = chain
            .blocks
            .iter()
            .flat_map(|block| &block.receipts)
            .find(|r| r.transaction_id == *id);
        Ok(receipt.map(|receipt| chain.with_finality(receipt)))
    }

    fn block_receipts(
        &self,
        height: u64,
        id: &Hash,
    ) -> Result<Option<Vec<AttributedReceipt>>, BackendError> {
        let chain = self.chain();
        let block = chain
            .select(BlockSelector::Height(height))?
            .filter(|block| block.header.id == *id);
        Ok(block.map(|block| {
            let attribute = |(transaction, receipt): (&Transaction, &Receipt)| AttributedReceipt {
                receipt: chain.with_finality(receipt),
                accounts: vec![transaction.sender.clone(), samples::name("bob")],
            };
            block
                .transactions
                .iter()
                .zip(&block.receipts)
                .map(attribute)
                .collect()
        }))
    }

    /// `alice` and `bob` exist; a query of `panic` panics.
    fn account(
        &self,
        name: &AccountName,
        with_proof: bool,
    ) -> Result<Option<Account>, BackendError> {
        assert_ne!(name.as_str(), "panic", "a query panics");
        let height = self.chain().head_height();
        let exists = matches!(name.as_str(), "alice" | "bob");
        Ok(exists.then(|| samples::account(name, height, with_proof)))
    }

    fn validators(&self) -> Result<Vec<Validator>, BackendError> {
        Ok(samples::validators())
    }

    fn committee(&self, era: Option<u64>) -> Result<Option<Committee>, BackendError> {
        Ok((era.unwrap_or(1) == 1).then(samples::committee))
    }

    fn certificate(&self, height: u64) -> Result<Option<Certificate>, BackendError> {
        let chain = self.chain();
        let certified = (1..=chain.certified_height).contains(&height);
        Ok(certified.then(|| samples::certificate(&samples::header(height))))
    }

    fn submit(&self, transaction: Vec<u8>) -> BoxFuture<'static, Result<Hash, BackendError>> {
        let result = {
            let mut chain = self.chain();
            match &chain.submission_error {
                Some(error) => Err(error.clone()),
                None if transaction.is_empty() => Err(BackendError::TransactionRejected {
                    reason: "malformed".to_owned(),
                    message: "a transaction is not empty".to_owned(),
                }),
                None => {
                    let id = samples::transaction_id(&transaction);
                    if chain.known.insert(id) {
                        chain.queue.push(transaction);
                    }
                    Ok(id)
                }
            }
        };
        let mut held = self.submissions_held.subscribe();
        async move {
            let released = held.wait_for(|held| !held).await.is_ok();
            assert!(released, "the backend outlives the call");
            result
        }
        .boxed()
    }

    fn halt_report(&self) -> Result<HaltReport, BackendError> {
        let chain = self.chain();
        let head = chain.block_ref(chain.head_height());
        let certified = chain.block_ref(chain.certified_height);
        Ok(chain.halts.report(head, certified, chain.queue.len()))
    }

    fn emergency(&self) -> Result<EmergencyStatus, BackendError> {
        let chain = self.chain();
        Ok(emergency::status(
            chain.state == ChainState::Emergency,
            chain.block_ref(chain.head_height()),
            chain.block_ref(chain.lib_height()),
            chain.block_ref(chain.certified_height),
        ))
    }

    fn halt_matrix(&self) -> Result<HaltMatrix, BackendError> {
        Ok(self.chain().halts.matrix())
    }

    fn halt_history(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, BackendError> {
        Ok(self.chain().halts.history(from, limit))
    }

    fn halt_proof(&self, id: &Hash) -> Result<Option<HaltProof>, BackendError> {
        Ok(self.chain().halts.proof(id))
    }

    fn lockdown(&self) -> Result<LockdownStatus, BackendError> {
        let chain = self.chain();
        Ok(chain.lockdown.status(&chain.block_ref(chain.head_height())))
    }

    fn pending(&self) -> Result<PendingTransactions, BackendError> {
        Ok(samples::pending())
    }

    fn risk(&self) -> Result<RiskStatus, BackendError> {
        Ok(samples::risk())
    }

    fn vote_lockdown(&self, reason: &str) -> Result<LockdownStatus, BackendError> {
        self.chain().lockdown.vote(reason)?;
        self.lockdown()
    }

    fn vote_recovery(&self) -> Result<LockdownStatus, BackendError> {
        self.chain().lockdown.recover()?;
        self.lockdown()
    }

    fn governance(&self) -> Result<GovernanceState, BackendError> {
        Ok(self.chain().halts.governance())
    }

    fn submit_governance(&self, message: &[u8]) -> Result<GovernanceSummary, BackendError> {
        self.chain().halts.submit_governance(message)
    }

    fn evidence(&self) -> Result<Vec<EvidenceItem>, BackendError> {
        Ok(self.chain().halts.evidence_items())
    }

    fn submit_evidence(&self, evidence: &[u8]) -> Result<EvidenceReceipt, BackendError> {
        self.chain().halts.submit_evidence(evidence)
    }

    fn feed(&self) -> &Feed {
        &self.feed
    }
}
