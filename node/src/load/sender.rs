//! Lanes that send transfers.

use super::tracker::Tracker;
use crate::devnet::homes::{account_key, account_name};
use holdfast_rpc::dto::AccountOptions;
use holdfast_rpc::methods::{AccountParams, GetAccount};
use holdfast_rpc::{Client, ClientConfig, ClientError, ErrorCode};
use holdfast_types::{Action, ChainId, KeyPair, Signer, TransactionBody, codec};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the nodes take them.
    Saturate,
    /// This many per second, all lanes together.
    PerSecond(f64),
}

/// What the load is.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    pub chain: ChainId,
    /// Nodes that take transactions.
    pub urls: Vec<String>,
    /// Load accounts, from number 0.
    pub accounts: u32,
    pub lanes_per_node: u32,
    pub pace: Pace,
    pub batch_max: usize,
}

/// One lane: some of the accounts, one node, one batch at a time. An account belongs to one lane, so its nonces go out
/// in order.
#[derive(Debug)]
pub struct Lane {
    plan: LoadPlan,
    client: Client,
    tracker: Tracker,
    accounts: Vec<Account>,
    next_account: usize,
    batch_interval: Option<Duration>,
    batch: usize,
}

#[derive(Debug)]
struct Account {
    number: u32,
    key: KeyPair,
    nonce: u64,
}

/// How long a lane waits when a node is full.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// The most that a transfer of the load pays as fee, in base units.
const FEE_MAX: u64 = 1_000_000;

impl LoadPlan {
    /// Builds the lanes.
    pub fn lanes(&self, tracker: &Tracker) -> Result<Vec<Lane>, ClientError> {
        let nodes = u32::try_from(self.urls.len()).unwrap_or(u32::MAX).max(1);
        let count = nodes * self.lanes_per_node.max(1);
        let mut lanes = Vec::new();
        for number in 0..count.min(self.accounts) {
            let url = &self.urls[number as usize % self.urls.len()];
            let per_lane = match self.pace {
                Pace::Saturate => None,
                Pace::PerSecond(rate) => Some(rate / f64::from(count)),
            };
            // Small batches at low rates, so that the load is even; ten a second at the most.
            let batch = per_lane.map_or(self.batch_max, |rate| {
                ((rate / 10.0).ceil() as usize).clamp(1, self.batch_max)
            });
            lanes.push(Lane {
                client: Client::new(url, ClientConfig::default())?,
                tracker: tracker.clone(),
                accounts: (number..self.accounts)
                    .step_by(count as usize)
                    .map(|number| Account {
                        number,
                        key: account_key(number),
                        nonce: 0,
                    })
                    .collect(),
                next_account: 0,
                batch_interval: per_lane.map(|rate| Duration::from_secs_f64(batch as f64 / rate)),
                batch,
                plan: self.clone(),
            });
        }
        Ok(lanes)
    }
}

impl Lane {
    /// Sends until cancelled.
    pub async fn run(mut self, stopping: CancellationToken) -> Result<(), ClientError> {
        for position in 0..self.accounts.len() {
            self.read_nonce(position).await?;
        }
        let mut due = Instant::now();
        while !stopping.is_cancelled() {
            if let Some(interval) = self.batch_interval {
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    () = tokio::time::sleep_until(due.into()) => {}
                }
                due += interval;
            }
            self.send_batch().await?;
        }
        Ok(())
    }

    async fn read_nonce(&mut self, position: usize) -> Result<(), ClientError> {
        let account = &mut self.accounts[position];
        let name = account_name(account.number);
        let found = self
            .client
            .call::<GetAccount>(AccountParams {
                name: name
                    .as_str()
                    .parse()
                    .expect("a name of the chain is a name for RPC"),
                options: Some(AccountOptions::default()),
            })
            .await?;
        account.nonce = found.map_or(0, |account| account.nonce.get());
        Ok(())
    }

    async fn send_batch(&mut self) -> Result<(), ClientError> {
        let count = self.batch.min(self.accounts.len());
        let mut positions = Vec::with_capacity(count);
        let mut ids = Vec::with_capacity(count);
        let mut encoded = Vec::with_capacity(count);
        for _ in 0..count {
            let position = self.next_account;
            self.next_account = (self.next_account + 1) % self.accounts.len();
            let (id, bytes) = self.transfer(position);
            positions.push(position);
            ids.push(id);
            encoded.push(bytes);
        }
        let at = Instant::now();
        for id in &ids {
            self.tracker.sending(*id, at);
        }
        let replies = self.client.send_transactions(encoded).await?;
        let mut full = false;
        for ((reply, position), id) in replies.into_iter().zip(positions).zip(&ids) {
            match reply {
                Ok(_) => {
                    self.tracker.accepted();
                    self.accounts[position].nonce += 1;
                }
                Err(error) => {
                    self.tracker.refused(id);
                    if error.error_code() == Some(ErrorCode::MempoolFull) {
                        full = true;
                    } else {
                        tracing::debug!(%error, "a transfer of the load was refused");
                        self.read_nonce(position).await?;
                    }
                }
            }
        }
        if full {
            tokio::time::sleep(FULL_PAUSE).await;
        }
        Ok(())
    }

    /// A signed transfer of 1 to the next account.
    fn transfer(&self, position: usize) -> ([u8; 32], Vec<u8>) {
        let account = &self.accounts[position];
        let to = (account.number + 1) % self.plan.accounts;
        let body = TransactionBody {
            sender: account_name(account.number),
            public_key: account.key.public_key(),
            nonce: account.nonce,
            fee_max: FEE_MAX,
            expires_at: None,
            action: Action::Transfer {
                to: account_name(to),
                amount: 1,
                memo: Vec::new(),
            },
        };
        let id = *body.id(&self.plan.chain).as_bytes();
        let signed = body.sign(&self.plan.chain, &account.key);
        (id, codec::encode(&signed))
    }
}
