//! What the RPC server asks of the node: the one seam between them.

use crate::codes::{ErrorCode, Fault};
use crate::dto::{
    Account, AccountName, Block, BlockDetail, BlockHeader, BlockSelector, Certificate, ChainState,
    Committee, EmergencyStatus, EvidenceItem, EvidenceReceipt, GovernanceState, GovernanceSummary,
    HaltMatrix, HaltProof, HaltReport, Hash, JournalEntry, LockdownStatus, NodeInfo, Peer,
    PendingTransactions, Receipt, RiskStatus, Status, Transaction, Validator,
};
use crate::feed::Feed;
use crate::health::Health;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

/// The node as the RPC server sees it.
///
/// Queries are synchronous. Those that may read the disk (`block` to `certificate`) run on blocking threads, a few at
/// a time; the others run on the runtime and must only read memory. `Ok(None)` means that there is no such thing, as
/// far as this node knows; the caller gets `null`.
pub trait Backend: Send + Sync + 'static {
    /// Where chain and node stand. Reads memory only.
    fn status(&self) -> Result<Status, BackendError>;

    /// The state of the chain in one word, for the header of every reply. Reads memory only, takes no lock that is
    /// held for long.
    fn chain_state(&self) -> ChainState;

    /// The facts behind `/livez` and `/readyz`. Reads memory only.
    fn health(&self) -> Health;

    /// What this node is. Reads memory only.
    fn node_info(&self) -> Result<NodeInfo, BackendError>;

    /// The connected peers. Reads memory only.
    fn peers(&self) -> Result<Vec<Peer>, BackendError>;

    /// The consensus parameters of the genesis document. Reads memory only.
    fn parameters(&self) -> Result<Map<String, Value>, BackendError>;

    /// A block. With [`BlockDetail::Ids`] its `transactions` are none.
    fn block(
        &self,
        selector: BlockSelector,
        detail: BlockDetail,
    ) -> Result<Option<Block>, BackendError>;

    /// The header of a block.
    fn header(&self, selector: BlockSelector) -> Result<Option<BlockHeader>, BackendError>;

    /// A transaction that is in a block or queued on this node.
    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, BackendError>;

    /// The receipt of an executed transaction, with its finality as of now.
    fn receipt(&self, id: &Hash) -> Result<Option<Receipt>, BackendError>;

    /// The receipts of the block with this height and id, in block order, each with the accounts that it concerns
    /// (sender, recipient, accounts named in events), for filtered subscriptions.
    fn block_receipts(
        &self,
        height: u64,
        id: &Hash,
    ) -> Result<Option<Vec<AttributedReceipt>>, BackendError>;

    /// An account as of the head, or with a proof as of a block whose state root is certified.
    fn account(
        &self,
        name: &AccountName,
        with_proof: bool,
    ) -> Result<Option<Account>, BackendError>;

    /// All registered validators, by account.
    fn validators(&self) -> Result<Vec<Validator>, BackendError>;

    /// The committee of an era; none: of the running era.
    fn committee(&self, era: Option<u64>) -> Result<Option<Committee>, BackendError>;

    /// The certificate of the block at a height.
    fn certificate(&self, height: u64) -> Result<Option<Certificate>, BackendError>;

    /// Queues an encoded signed transaction. The future is ready when the node has verified and durably queued it,
    /// or refused it; a transaction that is queued or executed already is accepted again. Many are in flight at
    /// once; a future that is dropped early may still have its effect.
    fn submit(&self, transaction: Vec<u8>) -> BoxFuture<'static, Result<Hash, BackendError>>;

    /// Everything about halts of this moment. Reads memory only.
    fn halt_report(&self) -> Result<HaltReport, BackendError>;

    /// The matrix, with what holds now. Reads memory only.
    fn halt_matrix(&self) -> Result<HaltMatrix, BackendError>;

    /// At most `limit` entries of the halt journal from `from` on.
    fn halt_history(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, BackendError>;

    /// What a halt in force stands on.
    fn halt_proof(&self, id: &Hash) -> Result<Option<HaltProof>, BackendError>;

    /// Everything about emergency consensus of this moment.
    fn emergency(&self) -> Result<EmergencyStatus, BackendError>;

    /// Everything about the lockdown of this moment. Reads memory only.
    fn lockdown(&self) -> Result<LockdownStatus, BackendError>;

    /// What waits on this node.
    fn pending(&self) -> Result<PendingTransactions, BackendError>;

    /// How the rules of the risk analyzer stand. Reads memory only.
    fn risk(&self) -> Result<RiskStatus, BackendError>;

    /// This validator votes to freeze the chain. Blocks until the vote is durable or refused.
    fn vote_lockdown(&self, reason: &str) -> Result<LockdownStatus, BackendError>;

    /// This validator votes to go on. Blocks until the wish is durable or refused.
    fn vote_recovery(&self) -> Result<LockdownStatus, BackendError>;

    /// The governors, and what they have ordered.
    fn governance(&self) -> Result<GovernanceState, BackendError>;

    /// Takes an encoded governance message, in any state of the chain. Blocks until it is durable or refused.
    fn submit_governance(&self, message: &[u8]) -> Result<GovernanceSummary, BackendError>;

    /// Evidence that waits for a block.
    fn evidence(&self) -> Result<Vec<EvidenceItem>, BackendError>;

    /// Takes encoded evidence, in any state of the chain. Blocks until it is durable or refused.
    fn submit_evidence(&self, evidence: &[u8]) -> Result<EvidenceReceipt, BackendError>;

    /// The event feed. An event is published after the queries above can see what it announces.
    fn feed(&self) -> &Feed;
}

/// A receipt with the accounts that it concerns.
#[derive(Clone, Debug)]
pub struct AttributedReceipt {
    /// The receipt.
    pub receipt: Receipt,
    /// Accounts that a subscriber may filter by.
    pub accounts: Vec<AccountName>,
}

/// Why the node does not do what it was asked; each variant has its error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// A halt refuses the write.
    #[error("the chain is halted ({halt_kind}): {reason}")]
    ChainHalted {
        /// Stable name of the kind of halt.
        halt_kind: String,
        /// Why the chain is halted.
        reason: String,
    },
    /// The node must catch up first.
    #[error("this node is {commits_behind} commits behind")]
    NodeBehind {
        /// Distance to the highest certified block known.
        commits_behind: u64,
    },
    /// Locked by the validators.
    #[error("the validators have locked the chain")]
    Lockdown,
    /// Deleted by pruning.
    #[error("pruned: the lowest height on this node is {earliest}")]
    Pruned {
        /// The lowest height that is still there.
        earliest: u64,
    },
    /// No room for another transaction.
    #[error("the queue of this node is full")]
    MempoolFull {
        /// When a retry makes sense, in seconds.
        retry_after_seconds: u32,
    },
    /// The transaction can never be executed as it is.
    #[error("transaction rejected: {message}")]
    TransactionRejected {
        /// Stable name of the reason: `malformed`, `bad_signature`, `nonce_too_low`, …
        reason: String,
        /// The reason in words.
        message: String,
    },
    /// A governance message does nothing.
    #[error("the governance message was refused: {message}")]
    GovernanceRejected {
        /// Stable name of the reason: `not_enough_signatures`, `replayed`, …
        reason: String,
        /// The reason in words.
        message: String,
    },
    /// This validator does not vote in a lockdown.
    #[error("this validator does not vote: {message}")]
    LockdownRefused {
        /// Stable name of the reason: `not_locked`, `no_secret`, …
        reason: String,
        /// The reason in words.
        message: String,
    },
    /// Evidence proves nothing here.
    #[error("the evidence was refused: {message}")]
    EvidenceRejected {
        /// Stable name of the reason: `malformed`, `bad_signature`, …
        reason: String,
        /// The reason in words.
        message: String,
    },
    /// The store belongs to another process.
    #[error("this node runs read-only on a store that it does not own")]
    NotPrimaryStore,
    /// Something failed that the caller cannot help. The cause goes to the log, not to the caller.
    #[error("internal error: {cause}")]
    Internal {
        /// What failed, for the log.
        cause: String,
    },
}

impl From<BackendError> for Fault {
    fn from(error: BackendError) -> Self {
        let message = error.to_string();
        match error {
            BackendError::ChainHalted { halt_kind, reason } => {
                Self::new(ErrorCode::ChainHalted, message)
                    .detail("halt_kind", halt_kind)
                    .detail("reason", reason)
            }
            BackendError::NodeBehind { commits_behind } => {
                Self::new(ErrorCode::NodeBehind, message).detail("commits_behind", commits_behind)
            }
            BackendError::Lockdown => Self::new(ErrorCode::Lockdown, message),
            BackendError::Pruned { earliest } => {
                Self::new(ErrorCode::Pruned, message).detail("earliest", earliest)
            }
            BackendError::MempoolFull {
                retry_after_seconds,
            } => Self::new(ErrorCode::MempoolFull, message).retry_after(retry_after_seconds),
            BackendError::TransactionRejected { reason, .. } => {
                Self::new(ErrorCode::TransactionRejected, message).detail("reason", reason)
            }
            BackendError::GovernanceRejected { reason, .. } => {
                Self::new(ErrorCode::GovernanceRejected, message).detail("reason", reason)
            }
            BackendError::EvidenceRejected { reason, .. } => {
                Self::new(ErrorCode::EvidenceRejected, message).detail("reason", reason)
            }
            BackendError::LockdownRefused { reason, .. } => {
                Self::new(ErrorCode::LockdownRefused, message).detail("reason", reason)
            }
            BackendError::NotPrimaryStore => Self::new(ErrorCode::NotPrimaryStore, message),
            BackendError::Internal { cause } => {
                tracing::error!(%cause, "an RPC call failed");
                Self::new(
                    ErrorCode::InternalError,
                    "the node failed to answer; see its log",
                )
            }
        }
    }
}
