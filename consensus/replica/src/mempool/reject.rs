//! Why a transaction is not admitted.

use holdfast_types::TimestampMs;

/// Why a transaction is not admitted. Nothing in the mempool changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MempoolReject {
    /// The nonce was used: this transaction can never be executed. `expected` is the nonce to use next.
    #[error("nonce {nonce} was used already, the next one to use is {expected}")]
    NonceTooLow { nonce: u64, expected: u64 },
    /// Too many nonces before this one are missing. `expected` is the nonce to use next.
    #[error(
        "nonce {nonce} is too far ahead: the next one to use is {expected}, and at most {gap_max} beyond it are kept"
    )]
    NonceTooHigh {
        nonce: u64,
        expected: u64,
        gap_max: u64,
    },
    /// Another transaction of the sender waits with the same nonce.
    #[error("another transaction of this sender with nonce {nonce} waits already")]
    NonceTaken { nonce: u64 },
    /// The sender has as many transactions here as one sender may have.
    #[error("{transactions} transactions of this sender wait, the limit is {transactions_max}")]
    SenderFull {
        transactions: usize,
        transactions_max: usize,
    },
    /// The places for transactions that cannot run yet, because a lower nonce is missing, are taken.
    #[error("no room for nonce {nonce} before nonce {expected} is here: send that first")]
    GapFull { nonce: u64, expected: u64 },
    /// The mempool is full.
    #[error(
        "the queue is full: {transactions} of at most {transactions_max} transactions, {bytes} of at most {bytes_max} bytes"
    )]
    Full {
        transactions: usize,
        transactions_max: usize,
        bytes: usize,
        bytes_max: usize,
    },
    /// A halt rejects transactions instead of queueing them (rule R13 of the replica).
    #[error("the chain is halted and rejects transactions: send it again after the resume")]
    Halted,
    /// The nonce of the sender was read too many blocks ago (rule R11).
    #[error("the chain went on while the transaction waited to be looked at: send it again")]
    Outdated,
    /// The chain is past the time until which the transaction is valid.
    #[error(
        "the transaction expired at {expires_at} ms, the last block is of {block_timestamp} ms"
    )]
    Expired {
        expires_at: TimestampMs,
        block_timestamp: TimestampMs,
    },
}

impl MempoolReject {
    /// Stable name for RPC, metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NonceTooLow { .. } => "nonce_too_low",
            Self::NonceTooHigh { .. } => "nonce_too_high",
            Self::NonceTaken { .. } => "nonce_taken",
            Self::SenderFull { .. } => "sender_full",
            Self::GapFull { .. } => "gap_full",
            Self::Full { .. } => "mempool_full",
            Self::Outdated => "outdated",
            Self::Halted => "halted",
            Self::Expired { .. } => "expired",
        }
    }

    /// Whether the same transaction may be admitted later, once others have left.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::NonceTooHigh { .. }
            | Self::SenderFull { .. }
            | Self::GapFull { .. }
            | Self::Full { .. }
            | Self::Halted
            | Self::Outdated => true,
            Self::NonceTooLow { .. } | Self::NonceTaken { .. } | Self::Expired { .. } => false,
        }
    }
}
