//! Halts that governance orders (rules H5, H6 and H20).

use super::{DAY_MS, EPOCH_MS, MAX_MS, at, began, halt, manager, on, progress};
use holdfast_halt::Mode;
use holdfast_halt::manager::{HaltEffect, HaltInput, HaltRefusal};
use holdfast_types::test_util::CHAIN;
use holdfast_types::{GovernanceError, HaltId, Height, TimestampMs};

#[test]
fn h5_a_halt_of_governance_takes_effect_within_its_limits() {
    let mut manager = manager();
    for (message, expected) in [
        (
            halt(1, 0, None),
            GovernanceError::HaltOver {
                until: TimestampMs(1_000_000),
                now: TimestampMs(1_000_000),
            },
        ),
        (
            halt(1, MAX_MS + 1, None),
            GovernanceError::HaltTooLong {
                actual_ms: MAX_MS + 1,
                limit_ms: MAX_MS,
            },
        ),
    ] {
        let refused = manager.step(at(0), on(&message));
        assert_eq!(refused, Err(HaltRefusal::Governance(expected)));
        assert_eq!(manager.state().sequence, 0, "the number is still free");
    }
    let order = halt(1, MAX_MS, None);
    let effects = manager.step(at(0), on(&order)).unwrap();
    assert_eq!(began(&effects), [Mode::EmergencyHalt]);
    assert!(effects.contains(&HaltEffect::AnnounceMessage(order.clone())));
    assert_eq!(manager.halts(), [HaltId::of_message(order.body.id(&CHAIN))]);
    assert_eq!(manager.state().notice().messages, [order]);
    assert_eq!(
        manager.step(at(1), on(&halt(2, DAY_MS, None))),
        Err(HaltRefusal::InForce {
            until: TimestampMs(1_000_000 + MAX_MS)
        })
    );
}

#[test]
fn h5_a_second_halt_needs_an_epoch_of_progress() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, 1_000, None))).unwrap();
    manager.step(at(1_000), progress(0)).unwrap();
    let second = halt(2, 2 * EPOCH_MS, None);
    let refused = manager.step(at(1_000 + EPOCH_MS - 1), on(&second));
    assert_eq!(refused, Err(HaltRefusal::TooSoon { missing_ms: 1 }));
    let effects = manager.step(at(1_000 + EPOCH_MS), on(&second)).unwrap();
    assert_eq!(began(&effects), [Mode::EmergencyHalt]);
}

#[test]
fn h20_a_halt_that_a_quorum_does_not_follow_is_void() {
    let mut manager = manager();
    let order = halt(1, DAY_MS, None);
    let id = HaltId::of_message(order.body.id(&CHAIN));
    manager.step(at(0), on(&order)).unwrap();
    let ends = TimestampMs(1_000_000 + DAY_MS);
    assert_eq!(manager.emergency_halt(), Some((id, ends)));
    let other = HaltId::of_message(halt(9, DAY_MS, None).body.id(&CHAIN));
    assert_eq!(
        manager.step(at(1), HaltInput::NotFollowed(other)),
        Ok(Vec::new())
    );
    let effects = manager.step(at(1), HaltInput::NotFollowed(id)).unwrap();
    assert!(effects.contains(&HaltEffect::Void(id)));
    assert!(!manager.is_halted() && manager.state().waiting.is_empty());
    // It comes no more.
    assert!(manager.step(at(2), on(&order)).is_err());
}

#[test]
fn h6_a_halt_with_a_height_waits_for_it() {
    let mut manager = manager();
    let effects = manager
        .step(at(0), on(&halt(1, DAY_MS, Some(102))))
        .unwrap();
    assert_eq!(began(&effects), []);
    assert!(!manager.is_halted());
    assert!(
        !manager.state().notice().is_empty(),
        "a peer that comes learns of it before it begins"
    );
    let mut standing = at(1);
    standing.head = Height(101);
    assert_eq!(manager.step(standing, progress(0)), Ok(Vec::new()));
    standing.head = Height(102);
    let effects = manager.step(standing, progress(0)).unwrap();
    assert_eq!(began(&effects), [Mode::EmergencyHalt]);
    assert!(manager.is_halted());
}
