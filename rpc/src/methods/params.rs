//! The parameters of every method.

use super::definition::params;
use crate::dto::{
    AccountName, AccountOptions, BlockDetail, BlockSelector, Cursor, EvidenceBytes,
    GovernanceBytes, Hash, Number, SendOptions, SubscriptionFinality, SubscriptionKind,
    TransactionBytes,
};

params! {
    /// No parameters.
    NoParams {}
}

params! {
    /// Parameters of `chain_getBlock`.
    BlockParams {
        /// Which block: `head`, `lib`, `certified`, a height or an id.
        required block: BlockSelector = "\"head\"",
        /// `full` (if absent) or `ids`.
        optional detail: BlockDetail = "\"full\"",
    }
}

params! {
    /// Parameters of `chain_getHeader`.
    HeaderParams {
        /// Which block: `head`, `lib`, `certified`, a height or an id.
        required block: BlockSelector = "\"certified\"",
    }
}

params! {
    /// Parameters of `chain_getTransaction` and `chain_getReceipt`.
    TransactionIdParams {
        /// Id of the transaction.
        required id: Hash = "\"c118cc35a46be1e62bfa4c702f50b79909dc97bc9df15f6c0ad7075998239352\"",
    }
}

params! {
    /// Parameters of `chain_getAccount`.
    AccountParams {
        /// Name of the account.
        required name: AccountName = "\"alice\"",
        /// What else to give.
        optional options: AccountOptions = "{\"proof\":true}",
    }
}

params! {
    /// Parameters of `chain_getCommittee`.
    CommitteeParams {
        /// Number of the era; the running one if absent.
        optional era: Number = "1",
    }
}

params! {
    /// Parameters of `chain_getCertificate`.
    HeightParams {
        /// Height of the block.
        required height: Number = "1",
    }
}

params! {
    /// Parameters of `chain_sendTransaction`.
    SendParams {
        /// The signed transaction in its canonical encoding, as hexadecimal digits.
        required transaction: TransactionBytes = "\"05616c696365\"",
        /// Whether to wait for more than the node's own queue.
        optional options: SendOptions = "{\"wait\":\"irreversible\",\"timeout_ms\":10000}",
    }
}

params! {
    /// Parameters of `chain_subscribe`.
    SubscribeParams {
        /// What to subscribe to.
        required kind: SubscriptionKind = "\"receipts\"",
        /// Go on behind this cursor; with the next event if absent.
        optional from: Cursor = "\"6423f1e8a1b4-17\"",
        /// For `blocks` and `receipts`: send them when committed (if absent), when irreversible, or with `emergency` also when emergency consensus alone has made them so.
        optional finality: SubscriptionFinality = "\"irreversible\"",
        /// For `receipts`: only those that concern this account.
        optional account: AccountName = "\"alice\"",
        /// For `receipts`: only that of this transaction.
        optional transaction_id: Hash = "\"c118cc35a46be1e62bfa4c702f50b79909dc97bc9df15f6c0ad7075998239352\"",
    }
}

params! {
    /// Parameters of `chain_unsubscribe`.
    UnsubscribeParams {
        /// Id as `chain_subscribe` gave it.
        required subscription: String = "\"1\"",
    }
}

params! {
    /// Parameters of `halt_getHistory`.
    HistoryParams {
        /// Index of the first entry; 0 if absent.
        optional from: Number = "0",
        /// How many entries at most, up to 500; 100 if absent.
        optional limit: Number = "100",
    }
}

params! {
    /// Parameters of `halt_getProof`.
    HaltIdParams {
        /// Id of the halt.
        required id: Hash = "\"5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e\"",
    }
}

params! {
    /// Parameters of `halt_subscribe` and `lockdown_subscribe`.
    HaltSubscribeParams {
        /// Go on behind this cursor; with the next event if absent.
        optional from: Cursor = "\"6423f1e8a1b4-17\"",
    }
}

params! {
    /// Parameters of `governance_submit`.
    GovernanceParams {
        /// The message with its signatures in its canonical encoding, as hexadecimal digits.
        required message: GovernanceBytes = "\"0700000000000000\"",
    }
}

params! {
    /// Parameters of `lockdown_vote`.
    LockdownVoteParams {
        /// Why, for the other operators: at most 256 bytes.
        required reason: String = "\"roots differ between data centres\"",
    }
}

params! {
    /// Parameters of `evidence_submit`.
    EvidenceParams {
        /// The evidence in its canonical encoding, as hexadecimal digits.
        required evidence: EvidenceBytes = "\"00\"",
    }
}
