//! How long it takes from a leader's vertex until it is committed and its block certified, and what is sent for it.

use crate::message::NodeId;
use holdfast_types::{AuthorityIndex, Era, Height, Round};
use serde::Serialize;
use std::collections::BTreeMap;

/// Percentiles of a time, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub samples: usize,
}

impl Percentiles {
    fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let position = (times.len() * share).div_ceil(100).saturating_sub(1);
            times.get(position).copied().unwrap_or_default()
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            samples: times.len(),
        }
    }
}

/// What is measured while a world runs.
#[derive(Debug, Default)]
pub struct Stopwatch {
    /// When the vertices of leaders left their authors.
    sent_ms: BTreeMap<(Era, Round, AuthorityIndex), u64>,
    /// By node: leaders whose blocks it has, not certified there.
    waiting: BTreeMap<NodeId, BTreeMap<Height, u64>>,
    committed: Vec<u64>,
    certified: Vec<u64>,
    /// Gossiped bytes by sender.
    sent_bytes: BTreeMap<NodeId, u64>,
    counts: bool,
}

impl Stopwatch {
    /// Begins to count; what was sent before is known all the same.
    pub fn start(&mut self) {
        self.counts = true;
        self.committed.clear();
        self.certified.clear();
        self.sent_bytes.clear();
    }

    pub(crate) fn sent(&mut self, era: Era, round: Round, author: AuthorityIndex, now_ms: u64) {
        self.sent_ms.entry((era, round, author)).or_insert(now_ms);
    }

    /// The leader in this slot was committed by a node.
    pub(crate) fn committed(
        &mut self,
        era: Era,
        round: Round,
        leader: AuthorityIndex,
        now_ms: u64,
    ) {
        if let Some(sent_ms) = self
            .sent_ms
            .get(&(era, round, leader))
            .filter(|_| self.counts)
        {
            self.committed.push(now_ms - sent_ms);
        }
    }

    /// A node has applied the block of this leader.
    pub(crate) fn applied(
        &mut self,
        node: NodeId,
        height: Height,
        slot: (Era, Round, AuthorityIndex),
    ) {
        if let Some(sent_ms) = self.sent_ms.get(&slot).filter(|_| self.counts) {
            self.waiting
                .entry(node)
                .or_default()
                .insert(height, *sent_ms);
        }
    }

    /// A node knows of a certificate of this height.
    pub(crate) fn certified(&mut self, node: NodeId, height: Height, now_ms: u64) {
        let Some(waiting) = self.waiting.get_mut(&node) else {
            return;
        };
        let later = waiting.split_off(&height.next());
        for sent_ms in std::mem::replace(waiting, later).into_values() {
            self.certified.push(now_ms - sent_ms);
        }
    }

    pub(crate) fn sends(&mut self, node: NodeId, bytes: u64) {
        *self.sent_bytes.entry(node).or_default() += bytes;
    }

    /// From the leader's vertex to its commit, at all nodes.
    #[must_use]
    pub fn commits(&self) -> Percentiles {
        Percentiles::of(self.committed.clone())
    }

    /// From the leader's vertex to the certificate of its block, at all nodes.
    #[must_use]
    pub fn certificates(&self) -> Percentiles {
        Percentiles::of(self.certified.clone())
    }

    /// The most that a node has sent, in bytes.
    #[must_use]
    pub fn sent_bytes_max(&self) -> u64 {
        self.sent_bytes.values().copied().max().unwrap_or_default()
    }
}
