//! Lanes that send transfers.

use super::patience::WhenDown;
use super::tracker::Tracker;
use crate::devnet::homes::{account_key, account_name};
use holdfast_rpc::dto::{AccountOptions, Hash};
use holdfast_rpc::methods::{AccountParams, GetAccount, GetReceipt, TransactionIdParams};
use holdfast_rpc::{Client, ClientConfig, ClientError, ErrorCode};
use holdfast_types::{Action, ChainId, KeyPair, Signer, TransactionBody, codec};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as the chain takes them: a new one for each that became irreversible.
    Saturate {
        /// Most that are on their way, all lanes together.
        outstanding_max: usize,
    },
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
    pub when_down: WhenDown,
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
    rhythm: Rhythm,
    batch: usize,
    knows_nonces: bool,
}

/// When a lane sends.
#[derive(Clone, Copy, Debug)]
enum Rhythm {
    /// When fewer than this many transactions are on their way.
    Room(usize),
    /// At fixed times; the lanes take turns.
    Every {
        interval: Duration,
        first_after: Duration,
    },
}

#[derive(Debug)]
struct Account {
    number: u32,
    key: KeyPair,
    nonce: u64,
    /// Transfers with this nonce and those behind it, signed beforehand.
    signed: VecDeque<Transfer>,
}

/// A signed transfer.
#[derive(Clone, Debug)]
struct Transfer {
    id: [u8; 32],
    encoded: Vec<u8>,
}

/// How long a lane waits when a node is full.
const FULL_PAUSE: Duration = Duration::from_millis(50);
/// The most that a transfer of the load pays as fee, in base units.
const FEE_MAX: u64 = 1_000_000;

impl Account {
    /// Goes on with the nonce of the state, unless what was sent is further: what a node has accepted is not sent
    /// again. It may be irreversible already, and would be waited for without end.
    fn skip_to(&mut self, state_nonce: u64) {
        while self.nonce < state_nonce {
            self.nonce += 1;
            self.signed.pop_front();
        }
    }
}

impl LoadPlan {
    /// Builds the lanes.
    pub fn lanes(&self, tracker: &Tracker) -> Result<Vec<Lane>, ClientError> {
        let nodes = u32::try_from(self.urls.len()).unwrap_or(u32::MAX).max(1);
        let count = nodes * self.lanes_per_node.max(1);
        let mut lanes = Vec::new();
        for number in 0..count.min(self.accounts) {
            let url = &self.urls[number as usize % self.urls.len()];
            let (batch, rhythm) = match self.pace {
                Pace::Saturate { outstanding_max } => {
                    (self.batch_max, Rhythm::Room(outstanding_max))
                }
                Pace::PerSecond(rate) => self.even(rate / f64::from(count), number, count),
            };
            lanes.push(Lane {
                client: Client::new(url, ClientConfig::default())?,
                tracker: tracker.clone(),
                accounts: (number..self.accounts)
                    .step_by(count as usize)
                    .map(|number| Account {
                        number,
                        key: account_key(number),
                        nonce: 0,
                        signed: VecDeque::new(),
                    })
                    .collect(),
                next_account: 0,
                rhythm,
                batch,
                knows_nonces: false,
                plan: self.clone(),
            });
        }
        Ok(lanes)
    }

    /// Small batches at low rates, so that the load is even; ten a second at the most.
    fn even(&self, rate: f64, number: u32, count: u32) -> (usize, Rhythm) {
        let batch = ((rate / 10.0).ceil() as usize).clamp(1, self.batch_max);
        let interval = Duration::from_secs_f64(batch as f64 / rate);
        let first_after = interval.mul_f64(f64::from(number) / f64::from(count));
        (
            batch,
            Rhythm::Every {
                interval,
                first_after,
            },
        )
    }
}

impl Lane {
    /// Signs the next `count` transfers of every account, so that signing takes no time while it is measured.
    pub async fn signed_ahead(mut self, count: usize) -> Result<Self, ClientError> {
        self.read_nonces().await?;
        let signing = tokio::task::spawn_blocking(move || {
            for position in 0..self.accounts.len() {
                let first = self.accounts[position].nonce;
                self.accounts[position].signed = (first..)
                    .take(count)
                    .map(|nonce| self.sign(position, nonce))
                    .collect();
            }
            self
        });
        Ok(signing.await.expect("signing a transfer does not panic"))
    }

    /// Sends until cancelled.
    pub async fn run(mut self, stopping: CancellationToken) -> Result<(), ClientError> {
        if !self.knows_nonces {
            self.read_nonces().await?;
        }
        let mut due = Instant::now();
        if let Rhythm::Every { first_after, .. } = self.rhythm {
            due += first_after;
        }
        loop {
            let turn = async {
                match self.rhythm {
                    Rhythm::Room(limit) => self.tracker.fewer_pending_than(limit).await,
                    Rhythm::Every { .. } => tokio::time::sleep_until(due.into()).await,
                }
            };
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = turn => {}
            }
            match self.rhythm {
                Rhythm::Room(_) => self.send_batch(Instant::now()).await?,
                // A transfer that is late because the node keeps the lane waiting counts from when it was due.
                Rhythm::Every { interval, .. } => {
                    self.send_batch(due).await?;
                    due += interval;
                }
            }
        }
    }

    async fn read_nonces(&mut self) -> Result<(), ClientError> {
        for position in 0..self.accounts.len() {
            self.read_nonce(position).await?;
        }
        self.knows_nonces = true;
        Ok(())
    }

    async fn read_nonce(&mut self, position: usize) -> Result<(), ClientError> {
        let name = account_name(self.accounts[position].number);
        let params = AccountParams {
            name: name
                .as_str()
                .parse()
                .expect("a name of the chain is a name for RPC"),
            options: Some(AccountOptions::default()),
        };
        let ask = || self.client.call::<GetAccount>(params.clone());
        let found = self.plan.when_down.ask(ask).await?;
        let state_nonce = found.map_or(0, |account| account.nonce.get());
        self.accounts[position].skip_to(state_nonce);
        Ok(())
    }

    async fn send_batch(&mut self, at: Instant) -> Result<(), ClientError> {
        let count = self.batch.min(self.accounts.len());
        let mut positions = Vec::with_capacity(count);
        let mut ids = Vec::with_capacity(count);
        let mut encoded = Vec::with_capacity(count);
        for _ in 0..count {
            let position = self.next_account;
            self.next_account = (self.next_account + 1) % self.accounts.len();
            let transfer = self.next_transfer(position);
            positions.push(position);
            ids.push(transfer.id);
            encoded.push(transfer.encoded);
        }
        for id in &ids {
            self.tracker.sending(*id, at);
        }
        let send = || self.client.send_transactions(encoded.clone());
        let replies = self.plan.when_down.ask(send).await?;
        let mut full = false;
        for ((reply, position), id) in replies.into_iter().zip(positions).zip(&ids) {
            match reply {
                Ok(_) => self.note_accepted(position),
                Err(_) if self.was_accepted(*id).await? => self.note_accepted(position),
                Err(error) if error.error_code() == Some(ErrorCode::Lockdown) => {
                    self.tracker.frozen(id);
                    full = true;
                }
                Err(error) => {
                    self.tracker.refused(id, &error);
                    match error.error_code() {
                        Some(ErrorCode::MempoolFull | ErrorCode::RateLimited) => full = true,
                        _ => self.read_nonce(position).await?,
                    }
                }
            }
        }
        if full {
            tokio::time::sleep(FULL_PAUSE).await;
        }
        Ok(())
    }

    fn note_accepted(&mut self, position: usize) {
        self.tracker.accepted();
        self.accounts[position].nonce += 1;
        self.accounts[position].signed.pop_front();
    }

    /// True if a transfer that was refused is in a block: it was sent before, and the node was killed before its answer.
    async fn was_accepted(&self, id: [u8; 32]) -> Result<bool, ClientError> {
        if self.plan.when_down == WhenDown::End {
            return Ok(false);
        }
        let params = TransactionIdParams { id: Hash::new(id) };
        let ask = || self.client.call::<GetReceipt>(params.clone());
        let receipt = self.plan.when_down.ask(ask).await?;
        Ok(receipt.is_some())
    }

    fn next_transfer(&self, position: usize) -> Transfer {
        let account = &self.accounts[position];
        match account.signed.front() {
            Some(transfer) => transfer.clone(),
            None => self.sign(position, account.nonce),
        }
    }

    /// A signed transfer of 1 to the next account.
    fn sign(&self, position: usize, nonce: u64) -> Transfer {
        let account = &self.accounts[position];
        let to = (account.number + 1) % self.plan.accounts;
        let body = TransactionBody {
            sender: account_name(account.number),
            public_key: account.key.public_key(),
            nonce,
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
        Transfer {
            id,
            encoded: codec::encode(&signed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pace: Pace) -> LoadPlan {
        LoadPlan {
            chain: ChainId::new([7; 32]),
            urls: vec![
                "http://127.0.0.1:1".to_owned(),
                "http://127.0.0.1:2".to_owned(),
            ],
            accounts: 10,
            lanes_per_node: 2,
            pace,
            batch_max: 250,
            when_down: WhenDown::End,
        }
    }

    #[test]
    fn every_account_belongs_to_one_lane() {
        let lanes = plan(Pace::Saturate { outstanding_max: 5 })
            .lanes(&Tracker::default())
            .unwrap();
        assert_eq!(lanes.len(), 4);
        let mut numbers: Vec<u32> = lanes
            .iter()
            .flat_map(|lane| lane.accounts.iter().map(|account| account.number))
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn paced_lanes_make_the_rate_together_and_take_turns() {
        for rate in [1.0, 100.0, 1_000.0, 30_000.0] {
            let lanes = plan(Pace::PerSecond(rate))
                .lanes(&Tracker::default())
                .unwrap();
            let mut sum = 0.0;
            for (number, lane) in lanes.iter().enumerate() {
                let Rhythm::Every {
                    interval,
                    first_after,
                } = lane.rhythm
                else {
                    panic!("a paced lane has a rhythm");
                };
                sum += lane.batch as f64 / interval.as_secs_f64();
                let turn = first_after.as_secs_f64() / interval.as_secs_f64();
                assert!((turn - number as f64 / 4.0).abs() < 1e-6);
            }
            assert!((sum / rate - 1.0).abs() < 1e-6, "{sum} instead of {rate}");
        }
    }

    #[test]
    fn what_was_accepted_is_not_sent_again_and_what_others_sent_is_skipped() {
        let mut lanes = plan(Pace::PerSecond(1.0))
            .lanes(&Tracker::default())
            .unwrap();
        let lane = &mut lanes[0];
        let ahead: Vec<Transfer> = (3..6).map(|nonce| lane.sign(0, nonce)).collect();
        let account = &mut lane.accounts[0];
        account.nonce = 3;
        account.signed = ahead.clone().into();
        account.skip_to(1);
        assert_eq!(account.nonce, 3);
        account.skip_to(4);
        assert_eq!(account.nonce, 4);
        assert_eq!(account.signed.front().unwrap().id, ahead[1].id);
        account.skip_to(9);
        assert_eq!(account.nonce, 9);
        assert!(account.signed.is_empty());
    }

    #[test]
    fn a_transfer_signed_beforehand_is_the_one_that_would_be_signed_now() {
        let mut lanes = plan(Pace::PerSecond(1.0))
            .lanes(&Tracker::default())
            .unwrap();
        let lane = &mut lanes[0];
        let now = lane.next_transfer(0);
        let later = lane.sign(0, 1);
        let ahead = VecDeque::from([lane.sign(0, 0), later.clone()]);
        lane.accounts[0].signed = ahead;
        assert_eq!(lane.next_transfer(0).encoded, now.encoded);
        lane.accounts[0].signed.pop_front();
        lane.accounts[0].nonce = 1;
        assert_eq!(lane.next_transfer(0).encoded, later.encoded);
        assert_ne!(later.id, now.id);
    }
}
