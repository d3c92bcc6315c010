//! A client: an account that sends transfers, one nonce after the other.

use crate::chain::{client_account, client_key};
use crate::keys::{Scheme, SimulatedKey};
use crate::message::NodeId;
use holdfast_types::{
    AccountName, Action, ChainId, SignedTransaction, Signer, TransactionBody, TransactionId,
};
use std::collections::BTreeMap;

/// Transactions of one client that wait to take effect.
const OPEN_MAX: usize = 16;

/// A transaction that has not taken effect.
#[derive(Clone, Debug)]
pub struct Open {
    pub id: TransactionId,
    pub transaction: SignedTransaction,
    /// Its home has promised to keep it.
    pub acknowledged: bool,
}

/// The client.
#[derive(Clone, Debug)]
pub struct Client {
    number: usize,
    key: SimulatedKey,
    pub home: NodeId,
    next_nonce: u64,
    /// By nonce.
    pub open: BTreeMap<u64, Open>,
}

impl Client {
    #[must_use]
    pub fn new(number: usize, home: NodeId, scheme: Scheme) -> Self {
        Self {
            number,
            key: client_key(scheme, number),
            home,
            next_nonce: 0,
            open: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn account(&self) -> AccountName {
        client_account(self.number)
    }

    /// The lowest transaction that the client's home has not promised to keep. Nothing above it is sent before.
    #[must_use]
    pub fn to_repeat(&self) -> Option<&Open> {
        self.open.values().find(|open| !open.acknowledged)
    }

    /// True if it may have one more transaction under way.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.open.len() < OPEN_MAX
    }

    /// Signs the next transfer.
    pub fn transfer(&mut self, chain: &ChainId, to: AccountName, amount: u64) -> &Open {
        let nonce = self.next_nonce;
        self.next_nonce += 1;
        let body = TransactionBody {
            sender: client_account(self.number),
            public_key: self.key.public_key(),
            nonce,
            fee_max: u64::MAX,
            expires_at: None,
            action: Action::Transfer {
                to,
                amount,
                memo: Vec::new(),
            },
        };
        let open = Open {
            id: body.id(chain),
            transaction: body.sign(chain, &self.key),
            acknowledged: false,
        };
        self.open.entry(nonce).or_insert(open)
    }
}
