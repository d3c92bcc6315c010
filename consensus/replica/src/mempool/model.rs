//! A mempool that is a list, searched for every answer.

use super::fixture::{Draft, account};
use super::sender::Entry;
use super::*;

pub(super) const SENDERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) transaction: Arc<VerifiedTransaction>,
    eligible_at_ms: u64,
    pub(super) in_flight: bool,
}

impl Item {
    fn sender(&self) -> AccountName {
        self.transaction.body().sender
    }

    fn nonce(&self) -> u64 {
        self.transaction.body().nonce
    }

    fn expires_before(&self, time: u64) -> bool {
        let expires_at = self.transaction.body().expires_at;
        expires_at.is_some_and(|expires_at| expires_at.0 < time)
    }
}

/// All transactions in a list; what the mempool keeps in indexes is found by looking.
#[derive(Debug)]
pub(super) struct Model {
    config: MempoolConfig,
    pub(super) items: Vec<Item>,
    /// Nonces in the state. The mempool is told every change for the senders that it has.
    state: BTreeMap<AccountName, u64>,
    /// When the gap of a sender last moved: next nonce, and the block then.
    gaps: BTreeMap<AccountName, (u64, u64)>,
    blocks: u64,
    pub(super) block_timestamp: u64,
    pub(super) now_ms: u64,
}

impl Model {
    pub(super) fn new(config: MempoolConfig) -> Self {
        Self {
            config,
            items: Vec::new(),
            state: BTreeMap::new(),
            gaps: BTreeMap::new(),
            blocks: 0,
            block_timestamp: 0,
            now_ms: 0,
        }
    }

    pub(super) fn nonce_of(&self, sender: AccountName) -> u64 {
        self.state.get(&sender).copied().unwrap_or(0)
    }

    fn has(&self, sender: AccountName, nonce: u64) -> bool {
        self.items
            .iter()
            .any(|item| item.sender() == sender && item.nonce() == nonce)
    }

    fn next_nonce(&self, sender: AccountName) -> u64 {
        let mut nonce = self.nonce_of(sender);
        while self.has(sender, nonce) {
            nonce += 1;
        }
        nonce
    }

    fn gapped(&self) -> impl Iterator<Item = &Item> {
        self.items
            .iter()
            .filter(|item| item.nonce() > self.next_nonce(item.sender()))
    }

    /// Whether this may be taken now.
    fn is_ready(&self, item: &Item) -> bool {
        let mut below = self.nonce_of(item.sender())..item.nonce();
        let flying = |nonce: u64| {
            self.items.iter().any(|other| {
                other.in_flight && other.sender() == item.sender() && other.nonce() == nonce
            })
        };
        !item.in_flight
            && item.eligible_at_ms <= self.now_ms
            && below.all(flying)
            && item.nonce() >= self.nonce_of(item.sender())
    }

    pub(super) fn insert(
        &mut self,
        draft: &Draft,
        origin: Origin,
    ) -> Result<Admission, &'static str> {
        let transaction = draft.make();
        let eligible_at_ms = match origin {
            Origin::Foreign { eligible_at_ms } => eligible_at_ms,
            Origin::Local | Origin::Returning => 0,
        };
        if let Some(item) = self
            .items
            .iter_mut()
            .find(|item| item.transaction.id() == transaction.id())
        {
            item.eligible_at_ms = item.eligible_at_ms.min(eligible_at_ms);
            return Ok(Admission::AlreadyKnown);
        }
        let sender = transaction.body().sender;
        let next = self.next_nonce(sender);
        if draft.nonce < self.nonce_of(sender) {
            return Err("nonce_too_low");
        }
        if self.has(sender, draft.nonce) {
            return Err("nonce_taken");
        }
        if draft.expires_at.is_some_and(|at| at < self.block_timestamp) {
            return Err("expired");
        }
        let bytes = transaction.encoded_bytes();
        if origin != Origin::Returning {
            if draft.nonce > next + self.config.nonce_gap_max {
                return Err("nonce_too_high");
            }
            self.room(sender, bytes, draft.nonce > next)?;
        }
        self.items.push(Item {
            transaction,
            eligible_at_ms,
            in_flight: false,
        });
        self.note_gap(sender);
        Ok(Admission::Admitted)
    }

    fn room(&self, sender: AccountName, bytes: usize, gapped: bool) -> Result<(), &'static str> {
        let config = &self.config;
        let of_sender = |item: &&Item| item.sender() == sender;
        if self.items.iter().filter(of_sender).count() >= config.per_sender_max {
            return Err("sender_full");
        }
        if self.items.len() + 1 > config.transactions_max || self.bytes() + bytes > config.bytes_max
        {
            return Err("mempool_full");
        }
        let gapped_bytes = encoded_bytes(self.gapped().map(|item| &item.transaction));
        if gapped
            && (self.gapped().count() + 1 > config.transactions_max / 2
                || gapped_bytes + bytes > config.bytes_max / 2
                || self.gapped().filter(of_sender).count() + 1 > config.per_sender_max / 2)
        {
            return Err("gap_full");
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        encoded_bytes(self.items.iter().map(|item| &item.transaction))
    }

    /// Keeps track of when the gap of a sender last moved.
    fn note_gap(&mut self, sender: AccountName) {
        let next = self.next_nonce(sender);
        let gapped = self.gapped().any(|item| item.sender() == sender);
        match self.gaps.get(&sender) {
            _ if !gapped => {
                self.gaps.remove(&sender);
            }
            Some((noted, _)) if *noted == next => {}
            _ => {
                self.gaps.insert(sender, (next, self.blocks));
            }
        }
    }

    fn remove(&mut self, leaves: impl Fn(&Item) -> bool, left: &mut Vec<TransactionId>) {
        left.extend(
            self.items
                .iter()
                .filter(|item| leaves(item))
                .map(|item| item.transaction.id()),
        );
        self.items.retain(|item| !leaves(item));
    }

    pub(super) fn set_nonce(
        &mut self,
        sender: AccountName,
        nonce: u64,
        left: &mut Vec<TransactionId>,
    ) {
        self.state.insert(sender, nonce);
        self.remove(|item| item.sender() == sender && item.nonce() < nonce, left);
        self.note_gap(sender);
    }

    pub(super) fn executed(
        &mut self,
        transactions: &[ExecutedTransaction],
        block_timestamp: u64,
    ) -> Vec<TransactionId> {
        let mut left = Vec::new();
        for transaction in transactions {
            let sender = transaction.sender;
            let waits = self.items.iter().any(|item| item.sender() == sender);
            if !transaction.nonce_consumed && waits && transaction.nonce > self.nonce_of(sender) {
                let mut items = self.items.iter_mut();
                if let Some(item) = items.find(|item| item.transaction.id() == transaction.id) {
                    item.in_flight = false;
                }
                self.note_gap(sender);
            } else if !transaction.nonce_consumed {
                self.remove(|item| item.transaction.id() == transaction.id, &mut left);
                self.note_gap(sender);
            } else if transaction.nonce >= self.nonce_of(sender) {
                self.set_nonce(sender, transaction.nonce + 1, &mut left);
            }
        }
        self.blocks += 1;
        self.block_timestamp = block_timestamp;
        // One at a time, lowest time first: each departure may move a gap.
        while let Some(id) = self
            .items
            .iter()
            .filter(|item| item.expires_before(block_timestamp))
            .map(|item| (item.transaction.body().expires_at, item.transaction.id()))
            .min()
            .map(|(_, id)| id)
        {
            let sender = self
                .items
                .iter()
                .find(|item| item.transaction.id() == id)
                .map(Item::sender)
                .expect("the item was just found");
            self.remove(|item| item.transaction.id() == id, &mut left);
            self.note_gap(sender);
        }
        for sender in SENDERS.map(account) {
            let Some((next, since)) = self.gaps.get(&sender).copied() else {
                continue;
            };
            if self.blocks >= since + self.config.gap_lifetime_blocks {
                self.remove(
                    |item| item.sender() == sender && item.nonce() > next && !item.in_flight,
                    &mut left,
                );
                self.gaps.remove(&sender);
                self.note_gap(sender);
            }
        }
        left
    }
}

fn encoded_bytes<'a>(
    transactions: impl IntoIterator<Item = &'a Arc<VerifiedTransaction>>,
) -> usize {
    transactions
        .into_iter()
        .fold(0, |bytes, transaction| bytes + transaction.encoded_bytes())
}

/// Everything that the mempool derives, derived again from its entries.
fn check_indexes(pool: &Mempool) {
    let mut tally = Tally::default();
    let (ready, waiting) = pool.schedule.contents();
    let mut scheduled = 0;
    let mut expiries = 0;
    let mut deadlines = 0;
    for (name, queue) in &pool.senders {
        assert!(!queue.is_empty());
        let entries: Vec<(u64, &Entry, bool)> = queue.entries().collect();
        let mut next = queue.account_nonce();
        for (nonce, entry, in_flight) in &entries {
            assert!(*nonce >= queue.account_nonce());
            if *nonce == next {
                next += 1;
            }
            let load = Load::of(&entry.transaction);
            tally = tally.plus(Tally {
                total: load,
                gapped: if *nonce < next { Load::default() } else { load },
                in_flight: usize::from(*in_flight),
            });
            let id = entry.transaction.id();
            assert_eq!(pool.places.get(&id), Some(&(*name, *nonce)));
            assert_eq!(pool.arrivals.get(&entry.arrival), Some(&id));
            if let Some(expires_at) = entry.transaction.body().expires_at {
                expiries += 1;
                assert!(pool.expiries.contains(&(expires_at, id)));
            }
        }
        assert_eq!(queue.next_nonce(), next);
        assert_eq!(
            queue.gap_deadline.is_some(),
            queue.tally().gapped.transactions > 0
        );
        if let Some(deadline) = queue.gap_deadline {
            deadlines += 1;
            assert!(pool.gap_deadlines.contains(&(deadline, *name)));
        }
        match queue.turn {
            schedule::Turn::None => assert!(queue.next().is_none()),
            schedule::Turn::Waiting { eligible_at_ms } => {
                scheduled += 1;
                assert!(waiting.contains(&(eligible_at_ms, *name)));
                assert_eq!(
                    queue.next().map(|next| next.eligible_at_ms),
                    Some(eligible_at_ms)
                );
            }
            schedule::Turn::Ready { ticket } => {
                scheduled += 1;
                assert_eq!(ready.get(&ticket), Some(name));
                assert_eq!(queue.next().and_then(|next| next.ticket), Some(ticket));
            }
        }
    }
    assert_eq!(pool.tally, tally);
    assert_eq!(ready.len() + waiting.len(), scheduled);
    assert_eq!(pool.expiries.len(), expiries);
    assert_eq!(pool.gap_deadlines.len(), deadlines);
    assert_eq!(pool.places.len(), pool.len());
    assert_eq!(pool.arrivals.len(), pool.len());
}

/// Checks a take against the model and does it there.
pub(super) fn follow_take(
    model: &mut Model,
    taken: &[Arc<VerifiedTransaction>],
    transactions_max: usize,
    bytes_max: usize,
) {
    assert!(taken.len() <= transactions_max);
    let bytes = encoded_bytes(taken);
    assert!(bytes <= bytes_max);
    for transaction in taken {
        let position = model
            .items
            .iter()
            .position(|item| item.transaction.id() == transaction.id())
            .expect("what is taken is in the mempool");
        assert!(
            model.is_ready(&model.items[position]),
            "{:?} was taken out of turn",
            transaction.body()
        );
        model.items[position].in_flight = true;
    }
    let largest = model
        .items
        .iter()
        .map(|item| item.transaction.encoded_bytes())
        .max();
    if taken.len() < transactions_max && largest.is_none_or(|largest| bytes + largest <= bytes_max)
    {
        let ready: Vec<_> = model
            .items
            .iter()
            .filter(|item| model.is_ready(item))
            .collect();
        assert!(ready.is_empty(), "left behind: {ready:?}");
    }
}

pub(super) fn compare(pool: &Mempool, model: &Model) {
    check_indexes(pool);
    assert_eq!(pool.len(), model.items.len());
    assert_eq!(pool.is_empty(), model.items.is_empty());
    assert_eq!(pool.bytes(), model.bytes());
    assert_eq!(
        pool.in_flight_len(),
        model.items.iter().filter(|item| item.in_flight).count()
    );
    assert_eq!(pool.gapped_len(), model.gapped().count());
    assert_eq!(
        pool.oldest().map(|oldest| oldest.id()),
        model.items.first().map(|item| item.transaction.id())
    );
    for item in &model.items {
        assert_eq!(pool.get(&item.transaction.id()), Some(&item.transaction));
    }
    for sender in SENDERS.map(account) {
        let known = model.items.iter().any(|item| item.sender() == sender);
        assert_eq!(
            pool.next_nonce(&sender),
            known.then(|| model.next_nonce(sender))
        );
    }
    assert_eq!(
        pool.has_ready(model.now_ms),
        model.items.iter().any(|item| model.is_ready(item))
    );
    let waiting_until = SENDERS
        .map(account)
        .into_iter()
        .filter_map(|sender| {
            let next = model
                .items
                .iter()
                .filter(|item| item.sender() == sender && !item.in_flight)
                .min_by_key(|item| item.nonce())?;
            let runnable = next.nonce() < model.next_nonce(sender);
            (runnable && !model.is_ready(next)).then_some(next.eligible_at_ms)
        })
        .min();
    let told = pool
        .next_eligible_ms()
        .filter(|eligible_at_ms| *eligible_at_ms > model.now_ms);
    assert_eq!(told, waiting_until);
}
