//! When a chain without commits is stalled (rules S1 to S7), by example.

use holdfast_halt::{
    StallChange, StallConfig, StallDetector, StallObservation, StallReason, StallReasons,
};
use holdfast_types::test_util::committee;
use holdfast_types::{Height, Round};

pub(crate) const CONFIG: StallConfig = StallConfig {
    timeout_ms: 5_000,
    rounds: 5,
    idle_round_interval_ms: 1_000,
    escalation_ms: 3_600_000,
};

/// The idle pace is so slow that the other rules come first.
const SLOW: StallConfig = StallConfig {
    idle_round_interval_ms: 10_000,
    ..CONFIG
};

/// A committee of 128 in which all is well but nothing commits.
pub(crate) fn seen(now_ms: u64) -> StallObservation {
    StallObservation {
        now_ms,
        committed: false,
        certified: None,
        active_committee: 128,
        quorum: 86,
        certified_threshold: 85,
        halted: false,
        syncing: None,
    }
}

fn commit(now_ms: u64) -> StallObservation {
    StallObservation {
        committed: true,
        ..seen(now_ms)
    }
}

fn halted(now_ms: u64) -> StallObservation {
    StallObservation {
        halted: true,
        ..seen(now_ms)
    }
}

fn syncing(now_ms: u64, round: u64, height: u64) -> StallObservation {
    StallObservation {
        syncing: Some((Round(round), Height(height))),
        ..seen(now_ms)
    }
}

fn certified(now_ms: u64, round: u64, count: usize) -> StallObservation {
    StallObservation {
        certified: Some((Round(round), count)),
        ..seen(now_ms)
    }
}

fn active(now_ms: u64, members: usize) -> StallObservation {
    StallObservation {
        active_committee: members,
        ..seen(now_ms)
    }
}

fn began(reasons: &[StallReason]) -> Option<StallChange> {
    let reasons = reasons.iter().copied().collect();
    Some(StallChange::Began { reasons })
}

/// A detector that has seen a commit at 10 s.
fn started(config: StallConfig) -> StallDetector {
    let mut detector = StallDetector::new(config);
    assert_eq!(detector.next_deadline_ms(), None);
    assert_eq!(detector.observe(commit(10_000)), None);
    detector
}

#[test]
fn parameters_are_those_of_the_document() {
    let parameters = holdfast_types::test_util::parameters::parameters();
    assert_eq!(StallConfig::from_parameters(&parameters), CONFIG);
    let committee = committee(128);
    assert_eq!(committee.quorum(), seen(0).quorum);
    assert_eq!(committee.certified_threshold(), seen(0).certified_threshold);
}

#[test]
fn no_commit_for_five_seconds_is_a_stall() {
    let mut detector = started(CONFIG);
    assert_eq!(detector.next_deadline_ms(), Some(15_000));
    assert_eq!(detector.observe(seen(14_999)), None);
    assert_eq!(
        detector.observe(seen(15_000)),
        began(&[StallReason::NoCommit])
    );
    assert_eq!(detector.observe(seen(15_001)), None, "it began once");
    let stall = *detector.current().unwrap();
    assert_eq!((stall.since_ms, stall.escalated), (10_000, false));
    assert_eq!(
        detector.observe(commit(17_500)),
        Some(StallChange::Ended { lasted_ms: 7_500 })
    );
    assert_eq!(detector.current(), None);
    assert_eq!(detector.next_deadline_ms(), Some(22_500));
}

#[test]
fn a_slow_idle_pace_is_no_stall() {
    let mut detector = started(SLOW);
    assert_eq!(detector.observe(seen(59_999)), None);
    assert_eq!(
        detector.observe(seen(60_000)),
        began(&[StallReason::NoCommit])
    );
}

#[test]
fn five_rounds_with_84_certified_vertices_are_a_stall() {
    let mut detector = started(SLOW);
    for round in 1..=4 {
        assert_eq!(detector.observe(certified(10_000 + round, round, 84)), None);
        assert_eq!(detector.next_deadline_ms(), Some(60_000));
    }
    assert_eq!(detector.observe(certified(14_000, 5, 84)), None);
    assert_eq!(detector.next_deadline_ms(), Some(15_000));
    assert_eq!(
        detector.observe(certified(15_000, 6, 84)),
        began(&[StallReason::FewCertifiedVertices])
    );
}

#[test]
fn one_round_with_85_certified_vertices_breaks_the_series() {
    let mut detector = started(SLOW);
    for round in 1..=20 {
        let count = if round % 5 == 0 { 85 } else { 0 };
        let now_ms = 10_000 + round * 1_000;
        assert_eq!(detector.observe(certified(now_ms, round, count)), None);
    }
}

#[test]
fn vertices_that_are_certified_late_count() {
    let mut detector = started(SLOW);
    for round in 1..=20 {
        let now_ms = 10_000 + round * 1_000;
        assert_eq!(detector.observe(certified(now_ms, round, 10)), None);
        assert_eq!(detector.observe(certified(now_ms + 500, round, 100)), None);
    }
}

#[test]
fn few_certified_vertices_while_commits_go_on_are_no_stall() {
    let mut detector = started(CONFIG);
    for round in 1..=200 {
        let observation = StallObservation {
            committed: round % 4 == 0,
            ..certified(10_000 + round * 1_000, round, 3)
        };
        assert_eq!(detector.observe(observation), None);
    }
}

#[test]
fn rounds_that_were_not_seen_count_like_those_around_them() {
    let mut detector = started(SLOW);
    assert_eq!(detector.observe(certified(10_100, 10, 84)), None);
    assert_eq!(
        detector.observe(certified(15_000, 60, 84)),
        began(&[StallReason::FewCertifiedVertices])
    );
}

#[test]
fn lower_rounds_start_the_series_anew() {
    let mut detector = started(SLOW);
    assert_eq!(detector.observe(certified(10_100, 100, 1)), None);
    assert_eq!(detector.observe(certified(16_000, 1, 1)), None);
    assert_eq!(detector.observe(certified(16_100, 4, 1)), None);
    assert_eq!(
        detector.observe(certified(16_200, 5, 1)),
        began(&[StallReason::FewCertifiedVertices])
    );
}

#[test]
fn a_committee_of_85_active_members_is_a_stall_and_of_86_is_none() {
    let mut detector = started(SLOW);
    assert_eq!(detector.observe(active(11_000, 85)), None);
    assert_eq!(detector.next_deadline_ms(), Some(16_000));
    assert_eq!(
        detector.observe(active(12_000, 86)),
        None,
        "the time starts anew"
    );
    assert_eq!(detector.observe(active(13_000, 85)), None);
    assert_eq!(detector.observe(active(17_999, 85)), None);
    assert_eq!(
        detector.observe(active(18_000, 85)),
        began(&[StallReason::CommitteeBelowQuorum])
    );
}

#[test]
fn a_commit_shows_a_quorum_whoever_is_heard() {
    let mut detector = started(SLOW);
    for second in 1..=60 {
        let observation = StallObservation {
            committed: second % 4 == 0,
            ..active(10_000 + second * 1_000, 3)
        };
        assert_eq!(detector.observe(observation), None);
    }
}

#[test]
fn reasons_are_added_and_none_is_taken_away() {
    let mut detector = started(SLOW);
    detector.observe(active(11_000, 3));
    let change = detector.observe(active(16_000, 3));
    assert_eq!(change, began(&[StallReason::CommitteeBelowQuorum]));
    assert_eq!(detector.observe(active(60_000, 128)), None);
    let reasons = detector.current().unwrap().reasons;
    let expected: StallReasons = [StallReason::NoCommit, StallReason::CommitteeBelowQuorum]
        .into_iter()
        .collect();
    assert_eq!(reasons, expected);
}

#[test]
fn a_quorum_that_is_heard_again_does_not_end_it_but_a_commit_does() {
    let mut detector = started(SLOW);
    detector.observe(active(11_000, 3));
    detector.observe(active(16_000, 3));
    assert_eq!(detector.observe(active(17_000, 128)), None);
    assert!(detector.current().is_some());
    assert_eq!(
        detector.observe(commit(18_000)),
        Some(StallChange::Ended { lasted_ms: 8_000 })
    );
}

#[test]
fn an_hour_escalates_once() {
    let mut detector = started(CONFIG);
    detector.observe(seen(15_000));
    assert_eq!(detector.next_deadline_ms(), Some(3_610_000));
    assert_eq!(detector.observe(seen(3_609_999)), None);
    assert_eq!(
        detector.observe(seen(3_610_000)),
        Some(StallChange::Escalated)
    );
    assert!(detector.current().unwrap().escalated);
    assert_eq!(detector.next_deadline_ms(), None);
    assert_eq!(detector.observe(seen(9_999_999)), None);
    assert_eq!(
        detector.observe(commit(10_010_000)),
        Some(StallChange::Ended {
            lasted_ms: 10_000_000
        })
    );
}

#[test]
fn after_a_jump_of_time_it_begins_before_it_escalates() {
    let mut detector = started(CONFIG);
    assert_eq!(
        detector.observe(seen(9_000_000)),
        began(&[StallReason::NoCommit])
    );
    let due = detector.next_deadline_ms().unwrap();
    assert!(due <= 9_000_000);
    assert_eq!(
        detector.observe(seen(9_000_000)),
        Some(StallChange::Escalated)
    );
}

#[test]
fn a_halted_node_is_not_judged_and_starts_anew() {
    let mut detector = started(CONFIG);
    assert_eq!(detector.observe(halted(12_000)), None);
    assert_eq!(detector.next_deadline_ms(), None);
    assert_eq!(detector.observe(halted(100_000)), None);
    assert_eq!(detector.observe(seen(100_001)), None);
    assert_eq!(detector.next_deadline_ms(), Some(105_001));
    assert_eq!(detector.observe(seen(105_000)), None);
    assert!(detector.observe(seen(105_001)).is_some());
    assert_eq!(
        detector.observe(halted(106_000)),
        Some(StallChange::Ended { lasted_ms: 5_999 })
    );
    assert_eq!(detector.observe(halted(107_000)), None);
}

#[test]
fn a_sync_that_gets_on_is_not_judged_and_one_that_stands_still_is() {
    let mut detector = started(CONFIG);
    // Every 29 s something comes: now a round, now blocks.
    for step in 0u64..20 {
        let now_ms = 12_000 + 29_000 * step;
        assert_eq!(
            detector.observe(syncing(now_ms, step / 2, step.div_ceil(2))),
            None
        );
        assert_eq!(detector.next_deadline_ms(), Some(now_ms + 30_000));
    }
    let still_ms = 12_000 + 29_000 * 19;
    assert_eq!(detector.observe(syncing(still_ms + 29_999, 9, 10)), None);
    let reasons = [StallReason::NoCommit].into_iter().collect();
    assert_eq!(
        detector.observe(syncing(still_ms + 30_000, 9, 10)),
        Some(StallChange::Began { reasons })
    );
    assert_eq!(detector.observe(syncing(still_ms + 31_000, 9, 10)), None);
    // Somebody helps.
    assert_eq!(
        detector.observe(syncing(still_ms + 32_000, 9, 11)),
        Some(StallChange::Ended { lasted_ms: 32_000 })
    );
    assert_eq!(detector.observe(seen(still_ms + 33_000)), None);
    assert_eq!(detector.next_deadline_ms(), Some(still_ms + 38_000));
}

#[test]
fn time_that_goes_back_stands_still() {
    let mut detector = started(CONFIG);
    assert_eq!(detector.observe(seen(0)), None);
    assert_eq!(detector.observe(commit(0)), None);
    assert_eq!(detector.next_deadline_ms(), Some(15_000));
}

#[test]
fn reasons_have_names() {
    let names = StallReason::ALL.map(StallReason::name);
    assert_eq!(
        names,
        [
            "no_commit",
            "few_certified_vertices",
            "committee_below_quorum"
        ]
    );
}
