//! Transactions, receipts, and how far a transaction has come.

use super::{AccountName, Amount, ChainState, Hash, Number, PublicKey, Signature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a transaction does. The fields depend on `kind`; `docs/transactions.md` lists them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// `transfer`, `create_account`, `update_key`, `register_validator`, `update_validator`, `stake`, `unstake`,
    /// `vote_properties`, `vote_hardfork`; later versions may add more.
    pub kind: String,
    /// The fields of this kind.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Something that happened in the ledger. The fields depend on `kind`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// `transferred`, `account_created`, `key_updated`, `validator_registered`, `validator_updated`, `staked`,
    /// `unbonding_started`, `unbonding_completed`, `era_ended`, `irreversible_advanced`, `slashed`, `jailed`,
    /// `properties_changed`, `governance_executed`, `chain_halted`, `chain_resumed`,
    /// `emergency_activated`, `emergency_deactivated`,
    /// `hardfork_applied`; later versions may add more.
    pub kind: String,
    /// The fields of this kind.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// A signed transaction, decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Transaction {
    /// Id of the transaction.
    pub id: Hash,
    /// Account that signed and pays.
    pub sender: AccountName,
    /// The sender's key at the time of signing.
    pub public_key: PublicKey,
    /// Number of transactions that the sender had executed before.
    pub nonce: Number,
    /// The most that the sender pays as fee.
    pub fee_max: Amount,
    /// After this block time, in milliseconds since 1970-01-01 UTC, the transaction fails; null: never.
    pub expires_at_ms: Option<Number>,
    /// What the transaction does.
    pub action: Action,
    /// Signature of the sender over the id.
    pub signature: Signature,
    /// Length of the canonical encoding, in bytes.
    pub size_bytes: u32,
}

/// How far a transaction has come; each step includes those before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Finality {
    /// In the persisted queue of this node.
    Accepted,
    /// In a signed vertex.
    Included,
    /// Executed in a block; the block has no certificate yet.
    Committed,
    /// Emergency consensus has made the block irreversible for itself, and no certificate covers it: provisional.
    Emergency,
    /// The block or a descendant is certified: final.
    Irreversible,
}

impl Finality {
    /// The word that JSON uses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Included => "included",
            Self::Committed => "committed",
            Self::Emergency => "emergency",
            Self::Irreversible => "irreversible",
        }
    }

    /// That of an executed block at `height`, on a chain where the blocks up to `certified` are final. `provisional_lib` is
    /// the last irreversible block, if emergency consensus alone stands for it.
    #[must_use]
    pub const fn of_block(height: u64, certified: u64, provisional_lib: Option<u64>) -> Self {
        match provisional_lib {
            _ if height <= certified => Self::Irreversible,
            Some(lib) if height <= lib => Self::Emergency,
            _ => Self::Committed,
        }
    }
}

/// Whether a transaction took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// It took effect.
    Success,
    /// It had no effect but for its fee.
    Failed,
}

/// Result of one executed transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// Id of the transaction.
    pub transaction_id: Hash,
    /// Whether it took effect.
    pub status: ReceiptStatus,
    /// Stable name of the reason, if it failed: `insufficient_balance`, `nonce_too_low`, …
    pub failure_code: Option<String>,
    /// The reason in words, if it failed.
    pub failure_message: Option<String>,
    /// Height of the block that executed it.
    pub height: Number,
    /// Position in the block, from 0.
    pub index: u32,
    /// Id of the block that executed it.
    pub block_id: Hash,
    /// Fee paid.
    pub fee: Amount,
    /// How final it is: `committed`, `emergency` or `irreversible`.
    pub finality: Finality,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// What `chain_sendTransaction` waits for before it replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitFor {
    /// The node has queued the transaction.
    #[default]
    Accepted,
    /// A block has executed it.
    Committed,
    /// That block or a descendant is certified.
    Irreversible,
}

/// Options of `chain_sendTransaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SendOptions {
    /// What to wait for before replying; `accepted` if absent.
    pub wait: WaitFor,
    /// The longest wait, in milliseconds; the node caps it. When it runs out the reply says how far the
    /// transaction had come by then.
    pub timeout_ms: Option<u32>,
}

/// What became of a sent transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Id of the transaction.
    pub transaction_id: Hash,
    /// How far it had come when the reply was made.
    pub finality: Finality,
    /// True if the wait ran out first. The transaction stays queued: ask for its receipt later.
    pub timed_out: bool,
    /// The receipt, once a block has executed the transaction.
    pub receipt: Option<Receipt>,
    /// The state of the chain when the reply was made: unless `running`, the transaction waits in the queue of this node
    /// until the chain goes on.
    pub chain_state: ChainState,
}
