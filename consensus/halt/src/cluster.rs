//! The equivocation cluster: more validators than a fault explains sign two vertices in one slot (document 001).
//!
//! Rules:
//!
//! * E1. Each validator counts once, however often it equivocated. Only equivocations of the running era count: older ones
//!   are punished, and halt nobody.
//! * E2. Exactly when the threshold is reached there is a proof, once per era. It holds one equivocation of each.
//! * E3. What is kept is never more than the threshold, which is not above the committee's size.

use holdfast_types::{AuthorityIndex, Era, Evidence, HaltProof, HaltThresholds};
use std::collections::BTreeMap;

/// Counts the equivocators of the running era.
#[derive(Clone, Debug)]
pub struct ClusterDetector {
    era: Era,
    threshold: usize,
    by_offender: BTreeMap<AuthorityIndex, Evidence>,
}

impl ClusterDetector {
    #[must_use]
    pub const fn new(era: Era, thresholds: HaltThresholds) -> Self {
        Self {
            era,
            threshold: thresholds.equivocators,
            by_offender: BTreeMap::new(),
        }
    }

    /// Forgets the era before.
    pub fn era_started(&mut self, era: Era, thresholds: HaltThresholds) {
        *self = Self::new(era, thresholds);
    }

    /// Adds evidence that was verified; gives the proof if this one completes it.
    pub fn add(&mut self, evidence: &Evidence) -> Option<HaltProof> {
        let counts =
            matches!(evidence, Evidence::Equivocation { .. }) && evidence.era() == self.era;
        let offender = evidence.offender();
        let known = self.by_offender.contains_key(&offender);
        if !counts || known || self.by_offender.len() >= self.threshold {
            return None;
        }
        self.by_offender.insert(offender, evidence.clone());
        (self.by_offender.len() >= self.threshold).then(|| HaltProof::EquivocationCluster {
            evidence: self.by_offender.values().cloned().collect(),
        })
    }

    /// How many validators have equivocated in this era, up to the threshold.
    #[must_use]
    pub fn offenders(&self) -> usize {
        self.by_offender.len()
    }
}
