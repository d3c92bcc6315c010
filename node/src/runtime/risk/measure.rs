//! What the rules of the risk analyzer are given.

use crate::memory::{available_bytes, resident_bytes};
use crate::runtime::backend::Bounds;
use crate::runtime::board::Standing;
use holdfast_halt::Mode;
use holdfast_halt::risk::{RiskSample, RiskSignal};
use holdfast_network::{NetworkCounters, Penalty};
use holdfast_types::{AuthorityIndex, Era, EraContext, EraKind};
use std::collections::BTreeSet;

/// What the rules are given at this moment, measured against what the chain demands of a node that is well.
pub(super) fn sample(
    bounds: Bounds,
    standing: &Standing,
    offenders: &mut Offenders,
    counters: &NetworkCounters,
    free_bytes: Option<u64>,
) -> RiskSample {
    let mut sample = RiskSample::default();
    offenders.measure(&standing.context, &mut sample);
    let waiting = u64::try_from(standing.halts.evidence.len()).unwrap_or(u64::MAX);
    sample.set(RiskSignal::Evidence, waiting);
    let faults: u64 = Penalty::ALL
        .into_iter()
        .map(|penalty| counters.penalty(penalty))
        .sum();
    sample.set(RiskSignal::InvalidMessages, faults);
    let offset = standing.clock_skew_seconds.abs();
    sample.set(
        RiskSignal::ClockOffset,
        permille(offset / bounds.clock_drift.as_secs_f64()),
    );
    if moves(standing) {
        let delay = standing.head_changed_at.elapsed().as_secs_f64();
        sample.set(
            RiskSignal::CommitDelay,
            permille(delay / bounds.stall_after.as_secs_f64()),
        );
        let committee = &standing.context.committee;
        let missing = committee.size().saturating_sub(standing.active_committee);
        let spare = committee.size().saturating_sub(committee.quorum()).max(1);
        sample.set(
            RiskSignal::MembersMissing,
            permille(missing as f64 / spare as f64),
        );
    }
    if let Some(free) = free_bytes {
        sample.set(RiskSignal::DiskFree, free);
    }
    if let Some(share) = memory_share() {
        sample.set(RiskSignal::Memory, permille(share));
    }
    sample
}

/// Who was seen to break a rule in the running era: one of f that does so ever again stays one of f.
#[derive(Debug, Default)]
pub(super) struct Offenders {
    era: Era,
    equivocated: BTreeSet<AuthorityIndex>,
    contradicted: BTreeSet<AuthorityIndex>,
}

impl Offenders {
    pub(super) fn equivocated(&mut self, author: AuthorityIndex) {
        self.equivocated.insert(author);
    }

    pub(super) fn contradicted(&mut self, author: AuthorityIndex) {
        self.contradicted.insert(author);
    }

    /// In thousandths of as many as the chain does not tolerate. In another era they are counted anew, and nothing is measured once, so
    /// that no window holds both.
    fn measure(&mut self, context: &EraContext, sample: &mut RiskSample) {
        if context.era != self.era {
            *self = Self {
                era: context.era,
                ..Self::default()
            };
            return;
        }
        let too_many = context.committee.max_faulty() as f64 + 1.0;
        let share = |offenders: &BTreeSet<_>| permille(offenders.len() as f64 / too_many);
        sample.set(RiskSignal::Equivocations, share(&self.equivocated));
        sample.set(RiskSignal::RootMismatches, share(&self.contradicted));
    }
}

/// A share in thousandths. Too much for the type is the most there is.
fn permille(share: f64) -> u64 {
    (share * 1_000.0) as u64
}

/// Whether the chain is one that should make blocks, as far as this node can tell: nothing halts it, and this node is where it is.
fn moves(standing: &Standing) -> bool {
    let is_stopped = Mode::ALL
        .into_iter()
        .any(|mode| mode != Mode::SoftStall && standing.halts.modes.contains(mode));
    let is_dag = standing.context.kind == EraKind::Dag && !standing.between_eras;
    standing.has_moved && is_dag && !is_stopped && standing.sync_target.is_none()
}

/// Memory of this process, as a share of it and what the machine has left; none where `/proc` does not tell.
fn memory_share() -> Option<f64> {
    let used = resident_bytes(std::process::id())? as f64;
    Some(used / (used + available_bytes()? as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::halted::fixture::{self, well};
    use holdfast_halt::risk::{RiskAnalyzer, RiskLevel};
    use holdfast_types::Height;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    const BOUNDS: Bounds = Bounds {
        stall_after: Duration::from_secs(5),
        clock_drift: Duration::from_secs(1),
    };

    /// Which rules are above normal after two minutes in which this was measured.
    fn raised(standing: &Standing) -> Vec<(RiskSignal, RiskLevel)> {
        let mut analyzer = RiskAnalyzer::default();
        let (counters, mut offenders) = (NetworkCounters::default(), Offenders::default());
        for seconds in 0..120 {
            let sample = sample(BOUNDS, standing, &mut offenders, &counters, None);
            analyzer.observe(seconds * 1_000, &sample);
        }
        let standings = analyzer.standings();
        standings
            .filter(|standing| standing.level > RiskLevel::Normal)
            .filter(|standing| standing.rule.signal != RiskSignal::Memory)
            .map(|standing| (standing.rule.signal, standing.level))
            .collect()
    }

    #[test]
    fn a_node_that_is_well_worries_about_nothing() {
        assert_eq!(raised(&well()), []);
    }

    #[test]
    fn members_and_blocks_are_missed_where_the_chain_should_move() {
        let mut standing = well();
        standing.active_committee = 3;
        standing.clock_skew_seconds = -0.6;
        standing.head_changed_at = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        let expected = [
            (RiskSignal::ClockOffset, RiskLevel::Elevated),
            (RiskSignal::MembersMissing, RiskLevel::High),
            (RiskSignal::CommitDelay, RiskLevel::High),
        ];
        assert_eq!(raised(&standing), expected);
        // Not while it catches up, nor where it stands by order.
        let mut syncs = standing.clone();
        syncs.sync_target = Some(Height(100));
        let picture = fixture::picture([Mode::Lockdown].into_iter().collect(), Vec::new());
        let mut locked = standing;
        locked.halts = Arc::new(picture);
        for standing in [syncs, locked] {
            assert_eq!(raised(&standing), expected[..1]);
        }
    }

    #[test]
    fn one_offender_of_four_is_no_reason_to_freeze_the_chain_and_two_are() {
        let standing = well();
        let mut analyzer = RiskAnalyzer::default();
        let mut offenders = Offenders::default();
        let mut seconds = 0;
        let mut look = |offenders: &mut Offenders| {
            seconds += 1;
            let counters = NetworkCounters::default();
            let sample = sample(BOUNDS, &standing, offenders, &counters, Some(0));
            analyzer.observe(seconds * 1_000, &sample);
            analyzer.level()
        };
        assert_eq!(
            [look(&mut offenders), look(&mut offenders)],
            [RiskLevel::Normal; 2]
        );
        for _ in 0..100 {
            offenders.equivocated(AuthorityIndex(1));
        }
        assert_eq!(look(&mut offenders), RiskLevel::High);
        offenders.equivocated(AuthorityIndex(3));
        assert_eq!(look(&mut offenders), RiskLevel::Critical);
    }

    #[test]
    fn memory_is_measured_against_what_is_left() {
        assert!(memory_share().is_some_and(|share| share > 0.0 && share < 1.0));
    }
}
