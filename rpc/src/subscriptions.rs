//! Subscriptions of WebSocket connections: positions in the feed, filters, and the notifications made of events.

use crate::backend::AttributedReceipt;
use crate::codes::{ErrorCode, Fault};
use crate::dto::{
    AccountName, Cursor, Finality, Gap, Hash, Number, Receipt, ReceiptsNotification,
    SubscriptionFinality, SubscriptionKind,
};
use crate::feed::{ChainEvent, Entry};
use crate::methods::{NOTIFICATION_METHOD, SubscribeParams};
use crate::metrics::GaugeGuard;
use crate::state::ServerState;
use serde::Serialize;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

/// Events that a subscription looks at before others get their turn.
const EVENTS_PER_TURN: usize = 64;
/// A turn ends when its notifications are this long.
const TURN_BYTES: usize = 256 * 1024;

/// The ids of a connection's subscriptions: the truth about which exist.
#[derive(Debug, Default)]
pub(crate) struct ConnectionSubscriptions {
    ids: Mutex<HashSet<String>>,
}

impl ConnectionSubscriptions {
    pub(crate) fn subscribe(
        &self,
        state: &ServerState,
        params: SubscribeParams,
    ) -> Result<Subscription, Fault> {
        let subscription = Subscription::new(state, params)?;
        let mut ids = self.ids.lock().expect("no holder of the ids panics");
        let limit = state.config.subscriptions_per_connection_max;
        if ids.len() >= limit {
            let message = format!("this connection has {limit} subscriptions, which is the limit");
            return Err(Fault::new(ErrorCode::TooManySubscriptions, message).detail("limit", limit));
        }
        ids.insert(subscription.id.clone());
        Ok(subscription)
    }

    pub(crate) fn unsubscribe(&self, id: &str) -> bool {
        self.ids
            .lock()
            .expect("no holder of the ids panics")
            .remove(id)
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.ids
            .lock()
            .expect("no holder of the ids panics")
            .contains(id)
    }
}

/// One subscription and how far it has read.
#[derive(Debug)]
pub(crate) struct Subscription {
    id: String,
    kind: SubscriptionKind,
    finality: SubscriptionFinality,
    account: Option<AccountName>,
    transaction_id: Option<Hash>,
    /// Sequence of the last event that was looked at.
    position: u64,
    /// A cursor of another run, until the subscriber has been told of the gap behind it.
    foreign_cursor: Option<Cursor>,
    _count: GaugeGuard,
}

/// What a turn of a subscription gives.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) notifications: Vec<String>,
    /// There may be more to send at once.
    pub(crate) more: bool,
}

impl Subscription {
    fn new(state: &ServerState, params: SubscribeParams) -> Result<Self, Fault> {
        let SubscribeParams {
            kind,
            from,
            finality,
            account,
            transaction_id,
        } = params;
        let receipts = kind == SubscriptionKind::Receipts;
        if account.is_some() && !receipts {
            return Err(Fault::parameter(
                "account",
                "only the kind `receipts` is filtered",
            ));
        }
        if transaction_id.is_some() && !receipts {
            return Err(Fault::parameter(
                "transaction_id",
                "only the kind `receipts` is filtered",
            ));
        }
        let has_blocks = matches!(kind, SubscriptionKind::Blocks | SubscriptionKind::Receipts);
        if finality.is_some() && !has_blocks {
            return Err(Fault::parameter(
                "finality",
                "only for the kinds `blocks` and `receipts`",
            ));
        }
        let (position, foreign_cursor) = starting_point(state, from)?;
        Ok(Self {
            id: state.next_subscription_id(),
            kind,
            finality: finality.unwrap_or_default(),
            account,
            transaction_id,
            position,
            foreign_cursor,
            _count: state.metrics.rpc.count_subscription(kind),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Makes the next notifications. Never waits for events; may wait for a query of receipts.
    pub(crate) async fn turn(&mut self, state: &Arc<ServerState>) -> Turn {
        let feed = state.feed();
        let read = feed.read_after(self.position, self.kind, EVENTS_PER_TURN);
        let mut notifications = Vec::new();
        if read.lost_through.is_some() || self.foreign_cursor.is_some() {
            let from = self
                .foreign_cursor
                .take()
                .unwrap_or_else(|| feed.cursor(self.position));
            self.position = read.lost_through.unwrap_or(self.position);
            notifications.push(self.gap(state, from, read.first_height));
        }
        let final_height = match self.finality {
            SubscriptionFinality::Committed => u64::MAX,
            SubscriptionFinality::Emergency => feed.provisional_height(),
            SubscriptionFinality::Irreversible => feed.certified_height(),
        };
        let mut more = read.entries.len() == EVENTS_PER_TURN;
        for entry in &read.entries {
            if entry.height().is_some_and(|height| height > final_height) {
                more = false;
                break;
            }
            let before = self.position;
            self.position = entry.sequence;
            notifications.extend(self.notification(state, entry, before).await);
            if notifications.iter().map(String::len).sum::<usize>() >= TURN_BYTES {
                more = true;
                break;
            }
        }
        Turn {
            notifications,
            more,
        }
    }

    async fn notification(
        &self,
        state: &Arc<ServerState>,
        entry: &Entry,
        before: u64,
    ) -> Option<String> {
        match (&entry.event, self.kind) {
            (ChainEvent::Block(_), SubscriptionKind::Blocks)
            | (ChainEvent::Finality(_), SubscriptionKind::Finality)
            | (ChainEvent::Halts(_), SubscriptionKind::Halts)
            | (ChainEvent::Lockdown(_), SubscriptionKind::Lockdown) => {
                entry.json().map(|body| self.text(state, body))
            }
            (
                ChainEvent::Receipts {
                    height,
                    block_id,
                    transaction_ids,
                },
                SubscriptionKind::Receipts,
            ) => {
                let wanted = self
                    .transaction_id
                    .is_none_or(|id| transaction_ids.contains(&id));
                if transaction_ids.is_empty() || !wanted {
                    return None;
                }
                let Some(receipts) = state.receipts.load(state, *height, *block_id).await else {
                    // The block is gone, pruned or off the best branch: the subscriber is told, not left to guess.
                    return Some(self.gap(state, state.feed().cursor(before), Some(height + 1)));
                };
                self.receipts_notification(state, *height, *block_id, &receipts)
            }
            _ => None,
        }
    }

    fn receipts_notification(
        &self,
        state: &ServerState,
        height: u64,
        block_id: Hash,
        receipts: &[AttributedReceipt],
    ) -> Option<String> {
        let receipts: Vec<_> = receipts
            .iter()
            .filter(|receipt| self.wants(receipt))
            .map(|r| self.finalized(&r.receipt, state))
            .collect();
        if receipts.is_empty() {
            return None;
        }
        let body = ReceiptsNotification {
            height: Number(height),
            block_id,
            receipts,
        };
        Some(self.text(state, &named("receipts", &body)))
    }

    fn wants(&self, attributed: &AttributedReceipt) -> bool {
        self.transaction_id
            .is_none_or(|id| id == attributed.receipt.transaction_id)
            && self
                .account
                .as_ref()
                .is_none_or(|account| attributed.accounts.contains(account))
    }

    /// The receipt was read when its block was committed, perhaps for another subscriber; by now it is as final as this
    /// subscription waits for.
    fn finalized(&self, receipt: &Receipt, state: &ServerState) -> Receipt {
        let mut receipt = receipt.clone();
        let is_certified = receipt.height.get() <= state.feed().certified_height();
        receipt.finality = match self.finality {
            SubscriptionFinality::Committed => return receipt,
            SubscriptionFinality::Emergency if !is_certified => Finality::Emergency,
            SubscriptionFinality::Emergency | SubscriptionFinality::Irreversible => {
                Finality::Irreversible
            }
        };
        receipt
    }

    fn gap(&self, state: &ServerState, from: Cursor, next_height: Option<u64>) -> String {
        state
            .metrics
            .rpc
            .subscription_gaps
            .with(self.kind.as_str())
            .inc();
        let to = state.feed().cursor(self.position);
        let gap = Gap {
            from,
            to,
            next_height: next_height.map(Number),
        };
        self.text(state, &named("gap", &gap))
    }

    fn text(&self, state: &ServerState, body: &str) -> String {
        let cursor = state.feed().cursor(self.position);
        format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"{NOTIFICATION_METHOD}\",\"params\":{{\"subscription\":\"{}\",\"result\":{{\"cursor\":\"{cursor}\",{body}}}}}}}",
            self.id
        )
    }
}

/// Where a subscription starts, and the cursor behind which everything is missing, if it is of another run.
fn starting_point(
    state: &ServerState,
    from: Option<Cursor>,
) -> Result<(u64, Option<Cursor>), Fault> {
    let newest = state.feed().newest();
    match from {
        None => Ok((newest, None)),
        Some(cursor) if cursor.run != state.feed().cursor(0).run => Ok((0, Some(cursor))),
        Some(cursor) if cursor.sequence > newest => Err(Fault::parameter(
            "from",
            "this node has not given out this cursor",
        )),
        Some(cursor) => Ok((cursor.sequence, None)),
    }
}

fn named(name: &str, body: &impl Serialize) -> String {
    format!(
        "\"{name}\":{}",
        serde_json::to_string(body).expect("these shapes always serialize")
    )
}

impl Entry {
    /// Height of the block that the event is about; others are about none in particular.
    fn height(&self) -> Option<u64> {
        match &self.event {
            ChainEvent::Block(block) => Some(block.header.height.get()),
            ChainEvent::Receipts { height, .. } => Some(*height),
            ChainEvent::Finality(_) | ChainEvent::Halts(_) | ChainEvent::Lockdown(_) => None,
        }
    }
}

/// The receipts of the last few blocks that subscribers wanted, so that many subscribers cost one query per block.
#[derive(Debug, Default)]
pub(crate) struct ReceiptCache {
    blocks: Mutex<VecDeque<(Hash, Receipts)>>,
}

type Receipts = Arc<Vec<AttributedReceipt>>;

impl ReceiptCache {
    const BLOCKS_MAX: usize = 4;

    async fn load(
        &self,
        state: &Arc<ServerState>,
        height: u64,
        block_id: Hash,
    ) -> Option<Receipts> {
        if let Some(receipts) = self.find(block_id) {
            return Some(receipts);
        }
        let loaded = state
            .query(move |backend| {
                backend
                    .block_receipts(height, &block_id)
                    .map_err(Fault::from)
            })
            .await;
        let receipts = match loaded {
            Ok(receipts) => Arc::new(receipts?),
            Err(fault) => {
                tracing::warn!(height, %fault, "cannot read the receipts of a block for subscribers");
                return None;
            }
        };
        let mut blocks = self.blocks.lock().expect("no holder of the cache panics");
        if blocks.len() == Self::BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((block_id, Arc::clone(&receipts)));
        Some(receipts)
    }

    fn find(&self, block_id: Hash) -> Option<Receipts> {
        let blocks = self.blocks.lock().expect("no holder of the cache panics");
        blocks
            .iter()
            .find(|(id, _)| *id == block_id)
            .map(|(_, receipts)| Arc::clone(receipts))
    }
}
