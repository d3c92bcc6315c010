//! What is said of halts, for each that may hold.

use super::*;
use crate::runtime::halted::fixture::{change, message, own_fault, picture, resume};
use holdfast_halt::{EmergencyHalt, HaltState, HardHalt, ModeSet, Stall, StallReasons};
use holdfast_types::{GovernanceAction, HaltCause, HaltId};

const BEGAN: TimestampMs = TimestampMs(1_800_000_000_000);

fn hard() -> HardHalt {
    let proof = holdfast_types::HaltProof::EquivocationCluster {
        evidence: Vec::new(),
    };
    HardHalt {
        id: HaltId::new([1; 32]),
        cause: HaltCause::EquivocationCluster,
        proof,
        since: BEGAN,
    }
}

fn emergency(active: bool) -> EmergencyHalt {
    let until = TimestampMs(BEGAN.0 + 60_000);
    EmergencyHalt {
        id: HaltId::new([2; 32]),
        message: message(GovernanceAction::Halt {
            reason: b"drill".to_vec(),
            until,
            after_height: None,
        }),
        until,
        after_height: None,
        received: BEGAN,
        active,
    }
}

fn shown(modes: ModeSet, with: impl FnOnce(&mut HaltState)) -> HaltPicture {
    let mut picture = picture(modes, Vec::new());
    change(&mut picture, with);
    picture
}

#[test]
fn a_resume_comes_before_a_halt_and_a_halt_before_a_stall() {
    let mut modes = ModeSet::of(Mode::SoftStall);
    assert_eq!(phase(&shown(ModeSet::EMPTY, |_| {})), HaltPhase::Running);
    assert_eq!(phase(&shown(modes, |_| {})), HaltPhase::Stalled);
    modes.insert(Mode::HardHalt);
    assert_eq!(phase(&shown(modes, |_| {})), HaltPhase::Halted);
    let resuming = shown(modes, |state| state.resume = Some(resume()));
    assert_eq!(phase(&resuming), HaltPhase::Resuming);
}

#[test]
fn the_line_is_of_the_own_fault_then_of_the_proof_then_of_governance() {
    let modes = ModeSet::of(Mode::HardHalt);
    let mut picture = shown(modes, |state| state.emergency = Some(emergency(false)));
    assert_eq!(in_a_line(&picture), None, "it waits for its height");
    change(&mut picture, |state| state.resume = Some(resume()));
    let (mode, text) = in_a_line(&picture).unwrap();
    assert_eq!(mode, Mode::HardHalt);
    assert_eq!(text, "resume message 3 is being carried out");
    change(&mut picture, |state| {
        state.emergency = Some(emergency(true))
    });
    let (mode, text) = in_a_line(&picture).unwrap();
    assert_eq!(mode, Mode::EmergencyHalt);
    assert_eq!(
        text,
        "ordered by governance until 2027-01-15T08:01:00Z: drill"
    );
    change(&mut picture, |state| state.hard.push(hard()));
    let (mode, text) = in_a_line(&picture).unwrap();
    assert_eq!(mode, Mode::HardHalt);
    assert!(text.starts_with("equivocation_cluster, "), "{text}");
    change(&mut picture, |state| state.own_fault = Some(own_fault()));
    let (mode, text) = in_a_line(&picture).unwrap();
    assert_eq!(mode, Mode::HardHalt);
    assert!(text.ends_with(": root 1, certified 2"), "{text}");
}

#[test]
fn a_refused_transaction_is_told_the_kind_that_metrics_count() {
    let picture = shown(ModeSet::of(Mode::EmergencyHalt), |state| {
        state.emergency = Some(emergency(true));
    });
    let BackendError::ChainHalted { halt_kind, reason } = rejected(&picture) else {
        panic!("it is halted");
    };
    assert_eq!(halt_kind, "emergency_halt");
    assert!(reason.ends_with(": drill"), "{reason}");
}

#[test]
fn everything_that_holds_is_listed_in_short() {
    let mut modes = ModeSet::of(Mode::HardHalt);
    modes.insert(Mode::SoftStall);
    let mut picture = shown(modes, |state| {
        state.hard.push(hard());
        state.own_fault = Some(own_fault());
        state.emergency = Some(emergency(false));
    });
    picture.stall = Some(Stall {
        since_ms: 50_000,
        reasons: StallReasons::of(StallReason::NoCommit),
        escalated: false,
    });
    let listed = |picture: &HaltPicture| -> Vec<_> {
        let listed = in_short(picture, TimestampMs(BEGAN.0 + 20_000)).into_iter();
        listed.map(|halt| (halt.kind, halt.since_ms.0)).collect()
    };
    let hard = ("hard_halt".to_owned(), BEGAN.0);
    let stall = ("soft_stall".to_owned(), BEGAN.0 + 10_000);
    assert_eq!(
        listed(&picture),
        [hard.clone(), hard.clone(), stall.clone()]
    );
    change(&mut picture, |state| {
        state.emergency = Some(emergency(true))
    });
    let ordered = ("emergency_halt".to_owned(), BEGAN.0);
    assert_eq!(listed(&picture), [hard.clone(), hard, ordered, stall]);
}

#[test]
fn a_fault_of_this_node_is_told_apart_and_an_order_that_waits_is_told() {
    let state = HaltState {
        hard: vec![hard()],
        own_fault: Some(own_fault()),
        emergency: Some(emergency(false)),
        ..HaltState::default()
    };
    let told: Vec<_> = convert::halts(&state)
        .into_iter()
        .map(|halt| (halt.mode, halt.active))
        .collect();
    let expected = [("hard_halt", true), ("emergency_halt", false)];
    assert_eq!(
        told,
        expected.map(|(mode, active)| (mode.to_owned(), active))
    );
}
