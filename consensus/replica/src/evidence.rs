//! Evidence that waits to be executed: no halt stops it, no restart loses it, and nobody fills it for the others.

use holdfast_types::hash::Hash32;
use holdfast_types::{AuthorityIndex, Era, Evidence};
use std::collections::{BTreeMap, BTreeSet};

/// Offences of one offender in one era that wait at once: each costs the same stake, so more of them say nothing new.
pub const EVIDENCE_PER_OFFENDER_MAX: usize = 16;

#[derive(Clone, Debug)]
struct Waiting {
    evidence: Evidence,
    /// An own vertex of the running era carries it.
    carried: bool,
}

/// Verified evidence by offence, each once.
#[derive(Clone, Debug)]
pub struct EvidencePool {
    waiting_max: usize,
    waiting: BTreeMap<Hash32, Waiting>,
    per_offender: BTreeMap<(Era, AuthorityIndex), usize>,
    /// Offences that were executed in this era: what comes of them again is no news. The ledger knows for good.
    executed: BTreeSet<Hash32>,
}

impl EvidencePool {
    #[must_use]
    pub const fn new(waiting_max: usize) -> Self {
        Self {
            waiting_max,
            waiting: BTreeMap::new(),
            per_offender: BTreeMap::new(),
            executed: BTreeSet::new(),
        }
    }

    /// True if it is new here.
    pub fn insert(&mut self, evidence: Evidence) -> bool {
        let key = evidence.slot_key();
        let offender = (evidence.era(), evidence.offender());
        let count = self
            .per_offender
            .get(&offender)
            .copied()
            .unwrap_or_default();
        if self.waiting.len() >= self.waiting_max
            || count >= EVIDENCE_PER_OFFENDER_MAX
            || self.executed.contains(&key)
            || self.waiting.contains_key(&key)
        {
            return false;
        }
        self.per_offender.insert(offender, count.saturating_add(1));
        self.waiting.insert(
            key,
            Waiting {
                evidence,
                carried: false,
            },
        );
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

    /// True if something waits that no own vertex carries.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.waiting.values().any(|waiting| !waiting.carried)
    }

    /// All of it, by offence.
    pub fn iter(&self) -> impl Iterator<Item = &Evidence> {
        self.waiting.values().map(|waiting| &waiting.evidence)
    }

    /// Evidence for a vertex, at most `count`. It stays until a block has executed it.
    pub fn take(&mut self, count: usize) -> Vec<Evidence> {
        let ready = self.waiting.values_mut().filter(|waiting| !waiting.carried);
        ready
            .take(count)
            .map(|waiting| {
                waiting.carried = true;
                waiting.evidence.clone()
            })
            .collect()
    }

    /// Blocks have executed these offences; gives those that waited here.
    pub fn executed(&mut self, keys: &[Hash32]) -> Vec<Hash32> {
        let mut removed = Vec::new();
        for key in keys {
            if self.executed.len() < self.waiting_max {
                self.executed.insert(*key);
            }
            let Some(waiting) = self.waiting.remove(key) else {
                continue;
            };
            removed.push(*key);
            let offender = (waiting.evidence.era(), waiting.evidence.offender());
            if let Some(count) = self.per_offender.get_mut(&offender) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.per_offender.remove(&offender);
                }
            }
        }
        removed
    }

    /// Vertices of the era that were not committed are void: what they carried waits again.
    pub fn era_ended(&mut self) {
        self.executed.clear();
        for waiting in self.waiting.values_mut() {
            waiting.carried = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::samples;
    use holdfast_types::{Attestation, Height};

    /// An offence of `author` at `height`.
    fn offence(author: u16, height: u64) -> Evidence {
        let mut attestation: Attestation = samples("offence", 1).next().expect("one sample");
        attestation.author = AuthorityIndex(author);
        attestation.body.height = Height(height);
        Evidence::BadStateRoot { attestation }
    }

    #[test]
    fn evidence_stays_until_a_block_has_executed_it() {
        let mut pool = EvidencePool::new(10);
        assert!(pool.insert(offence(1, 5)));
        assert!(!pool.insert(offence(1, 5)));
        assert_eq!(pool.take(4).len(), 1);
        assert!(pool.take(4).is_empty(), "it is carried once in an era");
        assert!(!pool.has_ready());
        assert_eq!(pool.len(), 1);
        pool.era_ended();
        assert_eq!(pool.take(4), [offence(1, 5)]);
        let key = offence(1, 5).slot_key();
        assert_eq!(pool.executed(&[key, [9; 32]]), [key]);
        assert!(pool.is_empty());
        assert!(!pool.insert(offence(1, 5)), "it was executed in this era");
    }

    #[test]
    fn one_offender_does_not_fill_the_pool() {
        let mut pool = EvidencePool::new(100);
        for height in 0..1_000 {
            pool.insert(offence(1, height));
        }
        assert_eq!(pool.len(), EVIDENCE_PER_OFFENDER_MAX);
        assert!(pool.insert(offence(2, 1)));
        let keys: Vec<_> = pool.iter().map(Evidence::slot_key).collect();
        assert_eq!(pool.executed(&keys).len(), keys.len());
        assert!(pool.insert(offence(1, 5_000)), "there is room again");
    }
}
