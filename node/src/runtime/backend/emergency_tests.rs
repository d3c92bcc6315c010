use super::*;
use crate::runtime::halted::fixture::{context, picture};
use holdfast_halt::ModeSet;
use holdfast_ledger::ExitProgress;
use holdfast_types::{AccountName as Name, PublicKey};
use std::sync::Arc;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn round() -> ledger::EmergencyRound {
    ledger::EmergencyRound {
        number: 1,
        slot: 7,
        last_slot: 6,
        schedule: vec![name("committee"), name("v0"), name("v1")],
        exit: ExitProgress {
            slots_held: 2,
            slots_needed: 2,
            producing: vec![name("v0")],
            producing_needed: 2,
        },
        recent: vec![name("committee"), name("v0")],
    }
}

fn validator(account: &str, key: Option<PublicKey>, jailed_until: u64) -> Validator {
    Validator {
        owner: name(account),
        signing_key: key,
        url: Vec::new(),
        registered_at: TimestampMs::ZERO,
        jailed_until: TimestampMs(jailed_until),
        offence_eras: 0,
        offence_era: Default::default(),
        offence_basis_points: 0,
        penalty_percent: 0,
        property_vote: None,
        hardfork_vote: None,
        bonded: Default::default(),
        unbonding: Default::default(),
        index: 0,
        candidate_index: None,
    }
}

#[test]
fn a_validator_comes_back_with_its_key_then_its_slot_then_its_blocks() {
    let key = Some(PublicKey::new([1; 32]));
    let now = TimestampMs(100);
    for (validator, expected) in [
        (validator("v0", None, 0), ReturnState::NoKey),
        (validator("v0", key, 101), ReturnState::Jailed),
        (validator("v2", key, 0), ReturnState::NoSlot),
        (validator("v1", key, 0), ReturnState::Silent),
        (validator("v0", key, 100), ReturnState::Producing),
    ] {
        assert_eq!(return_state(&validator, &round(), now), expected);
    }
}

#[test]
fn advice_names_who_is_missing_and_not_too_many() {
    let missing: Vec<String> = (0..10)
        .map(|number| format!("v{number} (no_key)"))
        .collect();
    let of = |phase, role, missing: &[String]| {
        advice(phase, role, Some(ProductionRefusal::SyncFirst), missing)
    };
    let (master, follower) = (EmergencyRole::Master, EmergencyRole::Follower);
    let active = of(EmergencyPhase::Active, master, &missing);
    assert!(active.starts_with("bring back v0 (no_key), "), "{active}");
    assert!(active.contains("v7 (no_key) and 2 more: "), "{active}");
    assert!(active.contains("update-validator"), "{active}");
    let silent = of(EmergencyPhase::Active, master, &["v1 (silent)".to_owned()]);
    assert!(!silent.contains("update-validator"), "{silent}");
    let due = of(EmergencyPhase::Due, master, &[]);
    assert!(due.contains("refusal: sync_first"), "{due}");
    let due = of(EmergencyPhase::Due, follower, &missing[..1]);
    assert!(due.starts_with("start a master"), "{due}");
    assert_eq!(of(EmergencyPhase::Idle, follower, &[]), "nothing to do");
}

#[test]
fn emergency_consensus_is_a_halt_in_short_while_it_is_active() {
    let context = Arc::new(context());
    let standing =
        |modes| crate::runtime::halted::fixture::standing(&context, picture(modes, Vec::new()));
    assert_eq!(in_short(&standing(ModeSet::of(Mode::SoftStall))), None);
    let shown = in_short(&standing(ModeSet::of(Mode::EmergencyConsensus))).unwrap();
    assert_eq!(shown.kind, "emergency_consensus");
}

#[test]
fn every_halt_but_a_stall_forbids_emergency_blocks() {
    let context = Arc::new(context());
    for mode in Mode::ALL {
        let picture = picture(ModeSet::of(mode), Vec::new());
        let standing = crate::runtime::halted::fixture::standing(&context, picture);
        let expected = matches!(mode, Mode::HardHalt | Mode::EmergencyHalt | Mode::Lockdown);
        assert_eq!(view(&standing, TimestampMs::ZERO).is_forbidden, expected);
    }
}
