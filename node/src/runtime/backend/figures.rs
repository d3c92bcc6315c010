//! Metrics of what the backend knows: who this node is on the chain, and how long transactions take.

use super::NodeBackend;
use holdfast_ledger::dynamic_properties;
use holdfast_rpc::Metrics;
use holdfast_rpc::dto::SigningState;
use holdfast_types::{Height, TransactionId};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// Transactions that are timed at once; the oldest make room.
const TIMED_MAX: usize = 65_536;

/// When transactions were accepted here that no irreversible block holds yet.
#[derive(Debug, Default)]
pub(super) struct Stopwatches {
    accepted: HashMap<TransactionId, Instant>,
    /// In the order of acceptance. Some never come into a block.
    order: VecDeque<TransactionId>,
    /// By rising height: executed, and not irreversible yet.
    executed: VecDeque<(Height, Instant)>,
}

impl Stopwatches {
    pub(super) fn accepted(&mut self, id: TransactionId) {
        if self.accepted.insert(id, Instant::now()).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > TIMED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.accepted.remove(&oldest);
        }
    }

    pub(super) fn executed(&mut self, height: Height, ids: &[TransactionId], metrics: &Metrics) {
        for id in ids {
            if let Some(since) = self.accepted.remove(id) {
                let seconds = since.elapsed().as_secs_f64();
                metrics.chain.commit_seconds.observe(seconds);
                self.executed.push_back((height, since));
            }
        }
    }

    /// What was executed above was taken back: it is not timed any more.
    pub(super) fn taken_back(&mut self, common_ancestor: Height) {
        self.executed
            .retain(|(height, _)| *height <= common_ancestor);
    }

    pub(super) fn irreversible(&mut self, lib: Height, metrics: &Metrics) {
        while let Some((_, since)) = self.executed.pop_front_if(|(height, _)| *height <= lib) {
            let seconds = since.elapsed().as_secs_f64();
            metrics.chain.finality_seconds.observe(seconds);
        }
    }
}

impl NodeBackend {
    /// Sets the gauges of what this node is on the chain and of what waits in it.
    pub(in crate::runtime) fn set_gauges(&self) {
        let metrics = &self.parts.metrics;
        let standing = self.parts.board.read();
        let (authority, state, _) = self.signing(&standing);
        let place = authority.map_or(-1, |authority| i64::from(authority.0));
        metrics.consensus.authority.set(place);
        for (name, one) in [
            ("active", SigningState::Active),
            ("disabled", SigningState::Disabled),
            ("refused", SigningState::Refused),
        ] {
            metrics
                .signing
                .state
                .with(name)
                .set(i64::from(state == one));
        }
        let waiting: usize = self.parts.jobs.lengths().iter().sum();
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        metrics.core.verification_queue_messages.set(waiting);
        self.set_emergency_gauges(&standing);
        // A store that does not read stops the node elsewhere.
        if let Ok(Some(properties)) = dynamic_properties(self.parts.storage.as_ref()) {
            let epoch = i64::try_from(properties.epoch).unwrap_or(i64::MAX);
            metrics.chain.epoch.set(epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::start::BUILD;

    fn counts(metrics: &Metrics) -> [u64; 2] {
        let chain = &metrics.chain;
        [&chain.commit_seconds, &chain.finality_seconds].map(|one| one.get_sample_count())
    }

    #[test]
    fn a_transaction_is_timed_once_until_its_block_is_irreversible() {
        let metrics = Metrics::new(BUILD);
        let mut watches = Stopwatches::default();
        let [one, two, foreign] = [1, 2, 3].map(|byte| TransactionId::new([byte; 32]));
        watches.accepted(one);
        watches.accepted(two);
        watches.executed(Height(5), &[one, foreign], &metrics);
        watches.executed(Height(6), &[one, two], &metrics);
        assert_eq!(counts(&metrics), [2, 0]);
        watches.irreversible(Height(5), &metrics);
        assert_eq!(counts(&metrics), [2, 1]);
        watches.taken_back(Height(5));
        watches.irreversible(Height(9), &metrics);
        assert_eq!(counts(&metrics), [2, 1]);
    }
}
