//! Transactions of clients, and the handing on of those that this node will not propose (rule R7).

use super::Replica;
use crate::io::{Message, Now, Output, Submission};
use crate::mempool::{Admission, MempoolReject, Origin};
use crate::record::Record;
use holdfast_halt::matrix::Activity;
use holdfast_types::{SignedTransaction, VerifiedTransaction};
use std::sync::Arc;

/// Most encoded bytes of transactions in one message: a gossip message of the topic holds them with room to spare.
const MESSAGE_BYTES_MAX: usize = 192 * 1024;

impl Replica {
    pub(super) fn on_transactions(
        &mut self,
        now: Now,
        submissions: Vec<Submission>,
        out: &mut Output,
    ) {
        let mut local = Vec::new();
        if !self.allows(Activity::TransactionSubmission) {
            let rejected = submissions.iter().map(|_| Err(MempoolReject::Halted));
            out.submissions.extend(rejected);
            return;
        }
        for submission in submissions {
            let Submission {
                transaction,
                account_nonce,
                as_of,
                origin,
            } = submission;
            let sender = transaction.body().sender;
            let result = match self.recent_nonces.now(&sender, account_nonce, as_of) {
                Some(nonce) => self.mempool.insert(Arc::clone(&transaction), nonce, origin),
                None => Err(MempoolReject::Outdated),
            };
            if matches!(result, Ok(Admission::Admitted)) {
                if origin == Origin::Local {
                    local.push(Arc::clone(&transaction));
                }
                out.persist.push(Record::MempoolInsert(transaction));
            }
            out.submissions.push(result);
        }
        if !local.is_empty() && !self.proposes() {
            if self.mempool.len() == local.len() {
                // Nothing waited before: the next repetition counts from now.
                self.forwarded_at_ms = now.monotonic_ms;
            }
            forward(local.iter(), out);
        }
    }

    pub(super) fn forward_again(&mut self, now: Now, out: &mut Output) {
        if self.proposes()
            || self
                .next_forward_ms()
                .is_none_or(|at_ms| now.monotonic_ms < at_ms)
        {
            return;
        }
        self.forwarded_at_ms = now.monotonic_ms;
        forward(
            self.mempool.oldest_local(MESSAGE_BYTES_MAX).into_iter(),
            out,
        );
    }

    /// When waiting transactions are handed on again; none if nothing waits. In ms.
    pub(super) fn next_forward_ms(&self) -> Option<u64> {
        let next_ms = self
            .forwarded_at_ms
            .saturating_add(self.config.forward_interval_ms);
        (!self.mempool.is_empty()).then_some(next_ms)
    }

    /// Whether this node proposes vertices in the running era.
    pub(super) fn proposes(&self) -> bool {
        self.authority().is_some() && !self.past_is_unknown()
    }
}

fn forward<'a>(transactions: impl Iterator<Item = &'a Arc<VerifiedTransaction>>, out: &mut Output) {
    let mut batch: Vec<SignedTransaction> = Vec::new();
    let mut bytes = 0usize;
    for transaction in transactions {
        if !batch.is_empty()
            && bytes.saturating_add(transaction.encoded_bytes()) > MESSAGE_BYTES_MAX
        {
            out.send
                .push(Message::Transactions(std::mem::take(&mut batch)));
            bytes = 0;
        }
        bytes = bytes.saturating_add(transaction.encoded_bytes());
        batch.push(transaction.transaction().clone());
    }
    if !batch.is_empty() {
        out.send.push(Message::Transactions(batch));
    }
}
