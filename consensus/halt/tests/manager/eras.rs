//! What the beginning of an era settles, and what its being taken back does not (rules H9 and H15).

use super::*;

#[test]
fn h9_a_later_era_settles_what_halted_the_one_before() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    manager.step(at(1), on_proof(RUNNING, 42)).unwrap();
    manager.step(at(2), on_proof(RUNNING, 43)).unwrap();
    assert_eq!(modes(&manager), [Mode::HardHalt, Mode::EmergencyHalt]);
    manager.step(at(3), on(&resume(2))).unwrap();
    assert_eq!(
        manager.step(at(4), HaltInput::EraStarted(RUNNING)),
        Ok(Vec::new())
    );
    let effects = manager.step(at(5), HaltInput::EraStarted(Era(4))).unwrap();
    assert_eq!(
        ended(&effects),
        [Mode::HardHalt, Mode::HardHalt, Mode::EmergencyHalt]
    );
    assert!(!manager.is_halted());
    assert!(manager.state().notice().is_empty());
}

#[test]
fn h15_an_era_that_is_taken_back_has_settled_nothing() {
    let mut manager = manager();
    let next = Era(RUNNING.0 + 1);
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    manager.step(at(1), HaltInput::EraStarted(next)).unwrap();
    assert!(
        manager.step(at(2), on_proof(RUNNING, 42)).is_err(),
        "it is of another era"
    );
    manager.step(at(3), on_proof(next, 43)).unwrap();
    let effects = manager
        .step(at(4), HaltInput::EraTakenBack(RUNNING))
        .unwrap();
    assert_eq!(ended(&effects), [Mode::HardHalt]);
    assert_eq!(manager.state().era, RUNNING);
    assert_eq!(
        modes(&manager),
        [Mode::EmergencyHalt],
        "governance has not taken it back"
    );
    manager.step(at(5), on_proof(RUNNING, 42)).unwrap();
    let again = manager.step(at(6), HaltInput::EraTakenBack(RUNNING));
    assert_eq!(again, Ok(Vec::new()));
    assert_eq!(modes(&manager), [Mode::HardHalt, Mode::EmergencyHalt]);
}

#[test]
fn h9_a_resume_of_the_era_that_starts_still_holds() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    let mut next = resume(2);
    if let GovernanceAction::Resume { era, .. } = &mut next.body.action {
        *era = Era(4);
    }
    manager.step(at(1), on(&next)).unwrap();
    manager.step(at(2), HaltInput::EraStarted(Era(4))).unwrap();
    assert_eq!(manager.state().resume, Some(next));
    assert_eq!(modes(&manager), [Mode::HardHalt, Mode::EmergencyHalt]);
    manager.step(at(3), HaltInput::EraStarted(Era(5))).unwrap();
    assert!(!manager.is_halted());
}

#[test]
fn h9_an_era_that_starts_by_itself_does_not_end_a_halt_of_governance() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    manager.step(at(5), HaltInput::EraStarted(Era(4))).unwrap();
    assert_eq!(modes(&manager), [Mode::EmergencyHalt]);
}
