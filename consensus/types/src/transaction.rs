//! Transactions: what an account asks the ledger to do. Byte layout and signing rule: `docs/transactions.md`.

use crate::account::{AccountName, Amount};
use crate::codec::{self, CodecError};
use crate::crypto::{
    PublicKey, Signature, SignatureCheck, SignatureScheme, Signer, SigningHash, verify_each,
};
use crate::hash::Purpose;
use crate::ids::{ChainId, TimestampMs, TransactionId};
use crate::limits::{MEMO_BYTES_MAX, TRANSACTION_BYTES_MAX, URL_BYTES_MAX};
use borsh::{BorshDeserialize, BorshSerialize};

/// Chain properties that validators vote on; the median of the votes is in force.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    BorshSerialize,
    BorshDeserialize,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(deny_unknown_fields)]
pub struct ChainProperties {
    /// Fee of any transaction, in base units.
    pub transaction_fee: Amount,
    /// Fee per byte of the encoded signed transaction, in base units.
    pub byte_fee: Amount,
    /// Extra fee of creating an account, in base units.
    pub account_creation_fee: Amount,
}

/// What a transaction does. The position in this list is the tag byte: new ones are appended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    /// Moves `amount` to an existing account.
    Transfer {
        to: AccountName,
        amount: Amount,
        memo: Vec<u8>,
    },
    /// Creates an account with a key and a first balance, paid by the sender.
    CreateAccount {
        name: AccountName,
        key: PublicKey,
        balance: Amount,
    },
    /// Replaces the sender's key.
    UpdateKey { key: PublicKey },
    /// Registers the sender as a validator.
    RegisterValidator {
        signing_key: Option<PublicKey>,
        url: Vec<u8>,
    },
    /// Changes the sender's validator: a null signing key disables it.
    UpdateValidator {
        signing_key: Option<PublicKey>,
        url: Vec<u8>,
    },
    /// Moves `amount` from the sender's balance to the stake of a validator.
    Stake {
        validator: AccountName,
        amount: Amount,
    },
    /// Starts unbonding of `amount` of the sender's stake with a validator.
    Unstake {
        validator: AccountName,
        amount: Amount,
    },
    /// Votes of the sender's validator on chain properties.
    VoteProperties { properties: ChainProperties },
    /// Vote of the sender's validator on the hardfork version to run.
    VoteHardfork { version: u32 },
}

/// The part of a transaction that is signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TransactionBody {
    pub sender: AccountName,
    /// The sender's key at this time. It makes the signature checkable without state; the ledger checks that it is
    /// the account's key.
    pub public_key: PublicKey,
    /// Number of transactions that the sender has executed before this one.
    pub nonce: u64,
    /// The most that the sender pays as fee.
    pub fee_max: Amount,
    /// After this block time the transaction fails; none: never.
    pub expires_at: Option<TimestampMs>,
    pub action: Action,
}

impl TransactionBody {
    /// Id of the transaction, which is also the message that is signed. It does not cover the signature, so a
    /// changed encoding of the signature makes no second transaction.
    #[must_use]
    pub fn id(&self, chain: &ChainId) -> TransactionId {
        TransactionId::new(Purpose::TRANSACTION.hash_on_chain(chain, self))
    }

    /// Signs as the sender.
    #[must_use]
    pub fn sign(self, chain: &ChainId, signer: &dyn Signer) -> SignedTransaction {
        let message = SigningHash::new(*self.id(chain).as_bytes());
        let signature = signer.sign(&message);
        SignedTransaction {
            body: self,
            signature,
        }
    }
}

/// Why a transaction is refused before it is ordered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error("{field} is {actual} bytes long, the limit is {limit}")]
    FieldTooLong {
        field: &'static str,
        actual: usize,
        limit: usize,
    },
    #[error("the signature does not verify under public_key for this chain id")]
    BadSignature,
}

/// A transaction with its signature.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedTransaction {
    pub body: TransactionBody,
    pub signature: Signature,
}

impl SignedTransaction {
    /// Decodes one transaction within its limits; the signature is not checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, TransactionError> {
        let transaction: Self = codec::decode("a transaction", bytes, TRANSACTION_BYTES_MAX)?;
        transaction.check_limits()?;
        Ok(transaction)
    }

    /// Checks the lengths that the format bounds.
    pub fn check_limits(&self) -> Result<(), TransactionError> {
        let (field, actual, limit) = match &self.body.action {
            Action::Transfer { memo, .. } => ("memo", memo.len(), MEMO_BYTES_MAX),
            Action::RegisterValidator { url, .. } | Action::UpdateValidator { url, .. } => {
                ("url", url.len(), URL_BYTES_MAX)
            }
            Action::CreateAccount { .. }
            | Action::UpdateKey { .. }
            | Action::Stake { .. }
            | Action::Unstake { .. }
            | Action::VoteProperties { .. }
            | Action::VoteHardfork { .. } => return Ok(()),
        };
        if actual > limit {
            return Err(TransactionError::FieldTooLong {
                field,
                actual,
                limit,
            });
        }
        Ok(())
    }

    /// The signature check of this transaction whose id is `id`.
    #[must_use]
    pub fn signature_check(&self, id: &TransactionId) -> SignatureCheck {
        SignatureCheck {
            key: self.body.public_key,
            message: SigningHash::new(*id.as_bytes()),
            signature: self.signature,
        }
    }
}

/// A transaction whose limits and signature were checked; the ledger decides the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTransaction {
    id: TransactionId,
    transaction: SignedTransaction,
    encoded_bytes: usize,
}

impl VerifiedTransaction {
    pub fn verify(
        transaction: SignedTransaction,
        chain: &ChainId,
        scheme: &dyn SignatureScheme,
    ) -> Result<Self, TransactionError> {
        transaction.check_limits()?;
        let id = transaction.body.id(chain);
        if !scheme.verify(&transaction.signature_check(&id)) {
            return Err(TransactionError::BadSignature);
        }
        Ok(Self::trust(id, transaction))
    }

    /// Verifies many at once, in the time of one batch if all are valid. Each gets its own verdict.
    pub fn verify_many(
        transactions: Vec<SignedTransaction>,
        chain: &ChainId,
        scheme: &dyn SignatureScheme,
    ) -> Vec<Result<Self, TransactionError>> {
        let ids: Vec<_> = transactions.iter().map(|t| t.body.id(chain)).collect();
        let checks: Vec<_> = transactions
            .iter()
            .zip(&ids)
            .map(|(transaction, id)| transaction.signature_check(id))
            .collect();
        let valid = verify_each(&checks, scheme);
        transactions
            .into_iter()
            .zip(ids)
            .zip(valid)
            .map(|((transaction, id), valid)| {
                transaction.check_limits()?;
                if valid {
                    Ok(Self::trust(id, transaction))
                } else {
                    Err(TransactionError::BadSignature)
                }
            })
            .collect()
    }

    /// For what was verified before: a transaction of a verified vertex, a certified block or our own store.
    #[must_use]
    pub fn trust(id: TransactionId, transaction: SignedTransaction) -> Self {
        let encoded_bytes = codec::encoded_len(&transaction);
        Self {
            id,
            transaction,
            encoded_bytes,
        }
    }

    #[must_use]
    pub const fn id(&self) -> TransactionId {
        self.id
    }

    #[must_use]
    pub const fn transaction(&self) -> &SignedTransaction {
        &self.transaction
    }

    #[must_use]
    pub const fn body(&self) -> &TransactionBody {
        &self.transaction.body
    }

    /// Length of the encoded signed transaction: what the byte fee counts.
    #[must_use]
    pub const fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    #[must_use]
    pub fn into_transaction(self) -> SignedTransaction {
        self.transaction
    }
}
