//! Evidence that waits to be ordered.

use holdfast_types::Evidence;
use holdfast_types::hash::Hash32;
use std::collections::{BTreeMap, BTreeSet};

/// Verified evidence by offence, each once.
#[derive(Clone, Debug)]
pub struct EvidencePool {
    waiting_max: usize,
    waiting: BTreeMap<Hash32, Evidence>,
    /// Offences that an own vertex carried in this era; forgotten with the era, the ledger deduplicates for good.
    ordered: BTreeSet<Hash32>,
}

impl EvidencePool {
    #[must_use]
    pub const fn new(waiting_max: usize) -> Self {
        Self {
            waiting_max,
            waiting: BTreeMap::new(),
            ordered: BTreeSet::new(),
        }
    }

    /// True if it is new here.
    pub fn insert(&mut self, evidence: Evidence) -> bool {
        let key = evidence.slot_key();
        if self.waiting.len() >= self.waiting_max
            || self.ordered.len() >= self.waiting_max
            || self.ordered.contains(&key)
            || self.waiting.contains_key(&key)
        {
            return false;
        }
        self.waiting.insert(key, evidence);
        true
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Evidence for a vertex, at most `count`.
    pub fn take(&mut self, count: usize) -> Vec<Evidence> {
        let mut taken = Vec::new();
        while taken.len() < count
            && let Some((key, evidence)) = self.waiting.pop_first()
        {
            self.ordered.insert(key);
            taken.push(evidence);
        }
        taken
    }

    pub fn era_ended(&mut self) {
        self.ordered.clear();
    }
}
