//! When a chain without commits is stalled, whatever is seen.

use crate::stall::{CONFIG, seen};
use holdfast_halt::{StallChange, StallConfig, StallDetector, StallObservation};
use holdfast_types::{Height, Round};
use proptest::prelude::*;

fn configs() -> impl Strategy<Value = StallConfig> {
    (1u64..10_000, 1u64..8, 1u64..3_000, 0u64..100_000).prop_map(
        |(timeout_ms, rounds, idle_round_interval_ms, escalation_ms)| StallConfig {
            timeout_ms,
            rounds,
            idle_round_interval_ms,
            escalation_ms,
        },
    )
}

/// What is seen some time after the observation before.
fn observations() -> impl Strategy<Value = (u64, StallObservation)> {
    let certified = prop::option::of((0u64..40, 0usize..5));
    let time = prop_oneof![0u64..200, 0u64..20_000];
    // Neither round nor height rises for long.
    let syncing = prop::option::weighted(0.3, (0u64..2, 0u64..2));
    (time, 0u8..10, certified, 0usize..5, 0u8..20, syncing).prop_map(
        |(step, committed, certified, active_committee, halted, syncing)| {
            let observation = StallObservation {
                committed: committed == 0,
                certified: certified.map(|(round, count)| (Round(round), count)),
                active_committee,
                quorum: 3,
                certified_threshold: 3,
                halted: halted == 0,
                syncing: syncing.map(|(round, height)| (Round(round), Height(height))),
                ..seen(0)
            };
            (step, observation)
        },
    )
}

/// Gives each observation its time.
fn timed(steps: Vec<(u64, StallObservation)>) -> Vec<StallObservation> {
    let mut now_ms = 1_000u64;
    let steps = steps.into_iter();
    steps
        .map(|(step, observation)| {
            now_ms += step;
            StallObservation {
                now_ms,
                ..observation
            }
        })
        .collect()
}

proptest! {
    #[test]
    fn begins_and_ends_alternate_and_an_escalation_lies_between(
        config in configs(),
        steps in prop::collection::vec(observations(), 0..200),
    ) {
        let mut detector = StallDetector::new(config);
        let (mut stalled, mut escalated) = (false, false);
        let mut since_ms = None;
        for observation in timed(steps) {
            let change = detector.observe(observation);
            let now_ms = observation.now_ms;
            match change {
                Some(StallChange::Began { reasons }) => {
                    prop_assert!(!stalled && !reasons.is_empty());
                    prop_assert!(!observation.committed && !observation.halted);
                    stalled = true;
                    since_ms = detector.current().map(|stall| stall.since_ms);
                    // No rule fires earlier.
                    prop_assert!(now_ms - since_ms.unwrap() >= config.timeout_ms);
                }
                Some(StallChange::Escalated) => {
                    prop_assert!(stalled && !escalated);
                    prop_assert!(now_ms - since_ms.unwrap() >= config.escalation_ms);
                    escalated = true;
                }
                Some(StallChange::Ended { lasted_ms }) => {
                    prop_assert!(stalled);
                    prop_assert!(observation.committed || observation.halted || observation.syncing.is_some());
                    prop_assert_eq!(lasted_ms, now_ms - since_ms.unwrap());
                    (stalled, escalated) = (false, false);
                }
                None => prop_assert!(!(stalled && observation.committed)),
            }
            prop_assert_eq!(detector.current().is_some(), stalled);
            if observation.halted {
                prop_assert_eq!(detector.next_deadline_ms(), None);
            }
        }
    }

    #[test]
    fn commits_within_the_timeout_mean_no_stall_whatever_else_is_seen(
        config in configs(),
        steps in prop::collection::vec(observations(), 1..200),
    ) {
        let mut detector = StallDetector::new(config);
        let mut last_commit_ms = None;
        for mut observation in timed(steps) {
            let due = last_commit_ms.is_none_or(|last| observation.now_ms - last >= config.timeout_ms);
            observation.committed |= due;
            if observation.committed {
                last_commit_ms = Some(observation.now_ms);
            }
            prop_assert_eq!(detector.observe(observation), None);
        }
    }

    #[test]
    fn no_commit_means_a_stall_by_the_deadline_whatever_else_is_seen(
        config in configs(),
        steps in prop::collection::vec(observations(), 1..100),
    ) {
        let mut detector = StallDetector::new(config);
        let mut first_ms = None;
        for observation in timed(steps) {
            let observation = StallObservation { committed: false, halted: false, syncing: None, ..observation };
            detector.observe(observation);
            let waited_ms = observation.now_ms - *first_ms.get_or_insert(observation.now_ms);
            if waited_ms >= config.patience_ms() {
                prop_assert!(detector.current().is_some());
            }
        }
    }

    /// A caller that sleeps until the deadline misses nothing: between two observations nothing would have changed.
    #[test]
    fn nothing_changes_by_time_alone_before_the_deadline(
        config in configs(),
        steps in prop::collection::vec(observations(), 1..100),
        idle_ms in 0u64..200_000,
    ) {
        let mut detector = StallDetector::new(config);
        let mut last = seen(0);
        for observation in timed(steps) {
            last = observation;
            detector.observe(observation);
        }
        let quiet = StallObservation { committed: false, certified: None, ..last };
        let deadline = detector.next_deadline_ms();
        let now_ms = last.now_ms + idle_ms;
        let changed = detector.clone().observe(StallObservation { now_ms, ..quiet });
        match deadline {
            Some(deadline) => prop_assert_eq!(changed.is_some(), deadline <= now_ms),
            None => prop_assert_eq!(changed, None),
        }
    }
}

#[test]
fn the_largest_numbers_are_survived() {
    let config = StallConfig {
        timeout_ms: u64::MAX,
        rounds: u64::MAX,
        idle_round_interval_ms: u64::MAX,
        escalation_ms: u64::MAX,
    };
    for config in [CONFIG, config] {
        let mut detector = StallDetector::new(config);
        for now_ms in [0, u64::MAX, u64::MAX] {
            detector.observe(StallObservation {
                certified: Some((Round(u64::MAX), usize::MAX)),
                active_committee: usize::MAX,
                ..seen(now_ms)
            });
        }
        assert!(detector.current().is_some());
    }
}
