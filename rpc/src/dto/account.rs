//! Accounts and their proofs.

use super::{AccountName, Amount, Hash, HexBytes, Number, PublicKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An account as of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Account {
    /// Name of the account.
    pub name: AccountName,
    /// Key that signs its transactions.
    pub public_key: PublicKey,
    /// Free balance.
    pub balance: Amount,
    /// Nonce of its next transaction: the number of those executed.
    pub nonce: Number,
    /// The block whose state this is.
    pub as_of_height: Number,
    /// Proof of the account in the state, if asked for.
    pub proof: Option<AccountProof>,
}

/// Merkle proof of one state entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountProof {
    /// Root that the proof leads to; the certificate of the block at `height` vouches for it.
    pub state_root: Hash,
    /// Height of the block with this state root.
    pub height: Number,
    /// Key of the entry in the state.
    pub key_hex: HexBytes,
    /// Encoded value of the entry.
    pub value_hex: HexBytes,
    /// Encoded Merkle proof.
    pub proof_hex: HexBytes,
}

/// Options of `chain_getAccount`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountOptions {
    /// Add a Merkle proof against a state root; false if absent.
    pub proof: bool,
}
