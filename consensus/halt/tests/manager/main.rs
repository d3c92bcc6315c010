//! The table of the halt manager: every input in every state, by the number of its rule.

mod eras;
mod governed;
mod locking;

use holdfast_halt::manager::{
    HARD_HALTS_MAX, HaltConfig, HaltEffect, HaltInput, HaltManager, HaltRefusal, HaltState,
    MESSAGES_WAITING_MAX, Standing,
};
use holdfast_halt::{Activity, JournalEntry, Mode, verify_chain};
use holdfast_types::parameters::LockdownParameters;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, samples};
use holdfast_types::{
    Attestation, AuthorityIndex, BlockId, CommitDigest, DkgConfirmation, Era, GovernanceAction,
    GovernanceBody, GovernanceError, GovernanceMessage, HaltCause, HaltId, HaltProof, Height,
    SoftwareVersion, StateRoot, TimestampMs,
};
use proptest::prelude::*;

const DAY_MS: u64 = 86_400_000;
const MAX_MS: u64 = 30 * DAY_MS;
const EPOCH_MS: u64 = 10_800_000;
const RUNNING: Era = Era(3);

/// Members of the committee.
const MEMBERS: usize = 4;

fn config() -> HaltConfig {
    HaltConfig {
        chain: CHAIN,
        emergency_halt_max_ms: MAX_MS,
        epoch_duration_ms: EPOCH_MS,
        lockdown: LockdownParameters {
            recovery_timeout_ms: 600_000,
            ..parameters().lockdown
        },
    }
}

fn manager() -> HaltManager {
    let mut manager = HaltManager::new(config(), MEMBERS, HaltState::default());
    let effects = manager.step(at(0), HaltInput::EraStarted(RUNNING));
    assert!(effects.is_ok());
    manager
}

/// `wall_ms` after an arbitrary moment, at block 100.
fn at(wall_ms: u64) -> Standing {
    Standing {
        wall: TimestampMs(1_000_000 + wall_ms),
        head: Height(100),
        live_time: TimestampMs(500_000 + wall_ms),
    }
}

/// Two attestations of a height that contradict each other, in `era`.
fn proof(era: Era, height: u64) -> HaltProof {
    let attestation = |author: u16, root: u8| {
        let mut attestation: Attestation = samples("divergence", 1).next().unwrap();
        attestation.author = AuthorityIndex(author);
        attestation.body.era = era;
        attestation.body.height = Height(height);
        attestation.body.commit = CommitDigest::new([1; 32]);
        attestation.body.state_root = StateRoot::new([root; 32]);
        attestation
    };
    HaltProof::Divergence {
        attestations: vec![attestation(0, 1), attestation(1, 2)],
    }
}

fn on_proof(era: Era, height: u64) -> HaltInput {
    HaltInput::Proof(Box::new(proof(era, height)))
}

fn message(sequence: u64, action: GovernanceAction) -> GovernanceMessage {
    GovernanceMessage {
        body: GovernanceBody { sequence, action },
        signatures: Vec::new(),
    }
}

/// A halt that ends `ends_ms` after the moment of [`at`].
fn halt(sequence: u64, ends_ms: u64, after_height: Option<u64>) -> GovernanceMessage {
    let action = GovernanceAction::Halt {
        reason: b"drill".to_vec(),
        until: TimestampMs(1_000_000 + ends_ms),
        after_height: after_height.map(Height),
    };
    message(sequence, action)
}

fn resume(sequence: u64) -> GovernanceMessage {
    let action = GovernanceAction::Resume {
        reason: b"the bug is fixed".to_vec(),
        era: RUNNING,
        height: Height(100),
        block: BlockId::new([7; 32]),
        state_root: StateRoot::new([8; 32]),
        minimum_version: SoftwareVersion::default(),
        halts: Vec::new(),
        evidence: Vec::new(),
    };
    message(sequence, action)
}

fn rotate(sequence: u64) -> GovernanceMessage {
    let action = GovernanceAction::RotateKeys {
        keys: Vec::new(),
        threshold: 1,
    };
    message(sequence, action)
}

fn on(message: &GovernanceMessage) -> HaltInput {
    HaltInput::Message(Box::new(message.clone()))
}

fn progress(executed_sequence: u64) -> HaltInput {
    HaltInput::Progress { executed_sequence }
}

fn began(effects: &[HaltEffect]) -> Vec<Mode> {
    let modes = effects.iter().filter_map(|effect| match effect {
        HaltEffect::Began { mode, .. } => Some(*mode),
        _ => None,
    });
    modes.collect()
}

fn ended(effects: &[HaltEffect]) -> Vec<Mode> {
    let modes = effects.iter().filter_map(|effect| match effect {
        HaltEffect::Ended { mode, .. } => Some(*mode),
        _ => None,
    });
    modes.collect()
}

fn modes(manager: &HaltManager) -> Vec<Mode> {
    manager.modes().iter().collect()
}

#[test]
fn h1_a_proof_of_the_running_era_halts_and_is_told() {
    let mut manager = manager();
    assert!(manager.allows(Activity::VertexProduction));
    let effects = manager.step(at(5), on_proof(RUNNING, 42)).unwrap();
    assert_eq!(effects[0], HaltEffect::Persist);
    assert_eq!(began(&effects), [Mode::HardHalt]);
    assert!(effects.contains(&HaltEffect::AnnounceProof(proof(RUNNING, 42))));
    assert_eq!(modes(&manager), [Mode::HardHalt]);
    assert_eq!(manager.halts(), [proof(RUNNING, 42).id()]);
    assert_eq!(manager.state().notice().proofs, [proof(RUNNING, 42)]);
    for stopped in [Activity::VertexProduction, Activity::Commits] {
        assert!(!manager.allows(stopped));
    }
    for allowed in [
        Activity::SlashingEvidence,
        Activity::Gossip,
        Activity::StateQueries,
        Activity::TransactionSubmission,
    ] {
        assert!(manager.allows(allowed));
    }
}

/// The ceremony comes later; what it hands over when two confirmations contradict each other halts already.
#[test]
fn h1_a_dkg_mismatch_halts_its_era() {
    let confirmation = |author: u16, key: u8| {
        let mut confirmation: DkgConfirmation = samples("mismatch", 1).next().unwrap();
        confirmation.author = AuthorityIndex(author);
        confirmation.body.era = RUNNING;
        confirmation.body.group_key = [key; 32];
        confirmation
    };
    let proof = HaltProof::DkgMismatch {
        confirmations: vec![confirmation(0, 1), confirmation(1, 2)],
    };
    let mut manager = manager();
    let effects = manager
        .step(at(5), HaltInput::Proof(Box::new(proof.clone())))
        .unwrap();
    assert!(effects.contains(&HaltEffect::Began {
        halt: proof.id(),
        mode: Mode::HardHalt,
        cause: Some(HaltCause::DkgMismatch),
    }));
    assert!(manager.is_halted());
}

#[test]
fn h2_another_proof_of_a_known_event_changes_nothing() {
    let mut manager = manager();
    manager.step(at(5), on_proof(RUNNING, 42)).unwrap();
    let before = manager.state().clone();
    let again = manager.step(at(6), on_proof(RUNNING, 42));
    assert_eq!(again, Err(HaltRefusal::Known));
    assert_eq!(*manager.state(), before);
    for height in 43..43 + 2 * HARD_HALTS_MAX as u64 {
        drop(manager.step(at(7), on_proof(RUNNING, height)));
    }
    assert_eq!(manager.state().hard.len(), HARD_HALTS_MAX);
}

#[test]
fn h3_a_proof_of_another_era_halts_nobody() {
    let mut manager = manager();
    for era in [Era(2), Era(4)] {
        let refused = manager.step(at(5), on_proof(era, 42));
        assert_eq!(
            refused,
            Err(HaltRefusal::OtherEra {
                proof: era,
                running: RUNNING
            })
        );
    }
    assert!(!manager.is_halted());
}

#[test]
fn h4_a_fault_of_this_node_stays_until_it_is_repaired() {
    let mut manager = manager();
    let fault = || HaltInput::OwnFault {
        cause: HaltCause::OwnDivergence,
        height: Height(90),
        detail: "the state root is another one".to_owned(),
    };
    let effects = manager.step(at(5), fault()).unwrap();
    assert_eq!(began(&effects), [Mode::HardHalt]);
    assert!(manager.state().notice().is_empty(), "nobody else is halted");
    assert_eq!(manager.step(at(6), fault()), Err(HaltRefusal::Known));
    manager.step(at(7), on(&resume(1))).unwrap();
    manager.step(at(8), HaltInput::EraStarted(Era(4))).unwrap();
    assert!(manager.is_halted(), "no resume repairs a state");
    let effects = manager.step(at(9), HaltInput::Repaired).unwrap();
    assert_eq!(ended(&effects), [Mode::HardHalt]);
    assert!(!manager.is_halted());
    assert_eq!(manager.step(at(9), HaltInput::Repaired), Ok(Vec::new()));
}

#[test]
fn what_holds_is_told_in_its_order_and_what_waits_is_not_told() {
    let mut manager = manager();
    let fault = HaltInput::OwnFault {
        cause: HaltCause::BrokenInvariant,
        height: Height(100),
        detail: "supply".to_owned(),
    };
    manager
        .step(at(0), on(&halt(1, DAY_MS, Some(102))))
        .unwrap();
    manager.step(at(1), fault).unwrap();
    manager.step(at(2), on_proof(RUNNING, 43)).unwrap();
    manager.step(at(3), on_proof(RUNNING, 42)).unwrap();
    let told = |manager: &HaltManager| -> Vec<_> {
        let in_force = manager.state().in_force();
        let told = in_force.map(|halt| (halt.mode(), halt.cause(), halt.since()));
        told.collect()
    };
    let since = |ms: u64| TimestampMs(1_000_000 + ms);
    let divergence = Some(HaltCause::RootDivergence);
    let mut expected = vec![
        (Mode::HardHalt, divergence, since(2)),
        (Mode::HardHalt, divergence, since(3)),
        (Mode::HardHalt, Some(HaltCause::BrokenInvariant), since(1)),
    ];
    assert_eq!(told(&manager), expected);
    let mut standing = at(4);
    standing.head = Height(102);
    manager.step(standing, progress(0)).unwrap();
    expected.push((Mode::EmergencyHalt, None, since(0)));
    assert_eq!(told(&manager), expected);
    let ids: Vec<_> = manager.state().in_force().map(|halt| halt.id()).collect();
    assert_eq!(manager.halts(), ids);
    assert_eq!(ids[0], proof(RUNNING, 43).id());
}

#[test]
fn h7_a_halt_ends_at_its_time_and_not_before() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    assert_eq!(manager.next_wall(), Some(TimestampMs(1_000_000 + DAY_MS)));
    assert_eq!(manager.step(at(DAY_MS - 1), progress(0)), Ok(Vec::new()));
    assert!(manager.is_halted());
    let effects = manager.step(at(DAY_MS), progress(0)).unwrap();
    assert_eq!(ended(&effects), [Mode::EmergencyHalt]);
    assert!(!manager.is_halted());
    assert_eq!(manager.next_wall(), None);
}

#[test]
fn h8_a_resume_message_ends_the_running_era() {
    let mut manager = manager();
    let order = resume(5);
    let effects = manager.step(at(0), on(&order)).unwrap();
    assert!(effects.contains(&HaltEffect::Resume));
    assert!(!manager.allows(Activity::VertexProduction));
    assert!(!manager.allows(Activity::Commits));
    assert_eq!(manager.state().notice().messages, [order]);
    assert_eq!(
        manager.step(at(1), on(&halt(6, DAY_MS, None))),
        Err(HaltRefusal::Resuming { sequence: 5 })
    );
    let mut over = resume(6);
    if let GovernanceAction::Resume { era, .. } = &mut over.body.action {
        *era = Era(2);
    }
    assert_eq!(
        manager.step(at(2), on(&over)),
        Err(HaltRefusal::EraIsOver {
            era: Era(2),
            running: RUNNING
        })
    );
    let later = resume(7);
    manager.step(at(2), on(&later)).unwrap();
    assert_eq!(manager.state().resume, Some(later.clone()));
    let effects = manager.step(at(3), HaltInput::ResumeBuilt(Era(4))).unwrap();
    assert!(effects.is_empty(), "the block of another message");
    let effects = manager
        .step(at(3), HaltInput::ResumeBuilt(RUNNING))
        .unwrap();
    assert_eq!(effects, [HaltEffect::Persist]);
    assert_eq!(
        manager.step(at(4), on(&resume(8))),
        Err(HaltRefusal::Resuming { sequence: 7 }),
        "what is attested may be certified"
    );
    assert_eq!(manager.state().resume, Some(later));
    assert_eq!(
        manager.step(at(5), HaltInput::ResumeBuilt(RUNNING)),
        Ok(Vec::new())
    );
    manager.step(at(6), HaltInput::EraStarted(Era(4))).unwrap();
    assert!(!manager.state().resume_is_built);
}

#[test]
fn h10_a_halt_is_over_when_the_chain_has_executed_a_later_message() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(1, DAY_MS, None))).unwrap();
    drop(manager.step(at(1), progress(1)));
    assert!(
        manager.is_halted(),
        "the record of the halt does not end it"
    );
    let effects = manager.step(at(2), progress(2)).unwrap();
    assert_eq!(ended(&effects), [Mode::EmergencyHalt]);
}

#[test]
fn h11_a_used_number_does_nothing() {
    let mut manager = manager();
    manager.step(at(0), progress(4)).unwrap();
    for message in [halt(4, DAY_MS, None), resume(3), rotate(1)] {
        let actual = message.body.sequence;
        assert_eq!(
            manager.step(at(1), on(&message)),
            Err(HaltRefusal::Governance(GovernanceError::Replayed {
                actual,
                last: 4
            }))
        );
    }
    assert!(!manager.is_halted());
}

#[test]
fn h11_a_halt_that_comes_before_the_resume_of_the_halt_before_it_holds_in_the_next_era() {
    let mut manager = manager();
    manager.step(at(0), on(&halt(2, DAY_MS, None))).unwrap();
    // It has not heard of the resume with number 1, which the others follow.
    manager.step(at(1), on(&resume(1))).unwrap();
    manager.step(at(2), HaltInput::EraStarted(Era(4))).unwrap();
    assert_eq!(modes(&manager), [Mode::EmergencyHalt]);
    // The other way round the halt is the one before the resume.
    let mut manager = self::manager();
    manager.step(at(0), on(&resume(2))).unwrap();
    assert!(manager.step(at(1), on(&halt(1, DAY_MS, None))).is_err());
}

#[test]
fn h12_messages_wait_until_the_chain_has_recorded_them() {
    let mut manager = manager();
    manager.step(at(0), on(&rotate(1))).unwrap();
    manager.step(at(0), on(&halt(2, DAY_MS, None))).unwrap();
    assert_eq!(manager.state().waiting.len(), 2);
    manager.step(at(1), progress(1)).unwrap();
    assert_eq!(manager.state().waiting, [halt(2, DAY_MS, None)]);
    for sequence in 3..3 + 2 * MESSAGES_WAITING_MAX as u64 {
        manager.step(at(2), on(&rotate(sequence))).unwrap();
    }
    assert_eq!(manager.state().waiting.len(), MESSAGES_WAITING_MAX);
}

#[test]
fn h14_an_excluded_resume_is_void_for_ever() {
    let mut manager = manager();
    let order = resume(5);
    manager.step(at(0), on(&order)).unwrap();
    manager
        .step(at(1), HaltInput::ResumeBuilt(RUNNING))
        .unwrap();
    let excluded = |sequence| HaltInput::ResumeExcluded { sequence };
    let another = manager.step(at(2), excluded(4)).unwrap();
    assert!(another.is_empty());
    let effects = manager.step(at(2), excluded(5)).unwrap();
    assert!(effects.contains(&HaltEffect::Persist));
    assert!(!manager.is_halted());
    assert!(manager.step(at(3), on(&order)).is_err());
    manager.step(at(4), on(&resume(6))).unwrap();
    assert!(manager.is_halted());
    assert!(!manager.state().resume_is_built);
}

#[test]
fn a_stall_is_shown_and_orders_nothing() {
    let mut manager = manager();
    manager.set_stalled(true);
    assert_eq!(modes(&manager), [Mode::SoftStall]);
    assert!(!manager.is_halted());
    assert!(manager.allows(Activity::Commits), "or nothing could end it");
}

/// Any input.
fn any_input() -> impl Strategy<Value = HaltInput> {
    let era = 1u64..6;
    prop_oneof![
        (era.clone(), 0u64..20).prop_map(|(era, height)| on_proof(Era(era), height)),
        (0u64..20).prop_map(|height| HaltInput::OwnFault {
            cause: HaltCause::BrokenInvariant,
            height: Height(height),
            detail: String::new(),
        }),
        Just(HaltInput::Repaired),
        (0u64..30, 0u64..40 * DAY_MS, prop::option::of(90u64..110))
            .prop_map(|(sequence, ends_ms, height)| on(&halt(sequence, ends_ms, height))),
        (0u64..30).prop_map(|sequence| on(&resume(sequence))),
        (0u64..30).prop_map(|sequence| on(&rotate(sequence))),
        (0u64..30).prop_map(progress),
        (0u64..30, 0u64..40 * DAY_MS).prop_map(|(sequence, ends_ms)| {
            let order = halt(sequence, ends_ms, None);
            HaltInput::NotFollowed(HaltId::of_message(order.body.id(&CHAIN)))
        }),
        (1..6_u64).prop_map(|era| HaltInput::ResumeBuilt(Era(era))),
        (0..12_u64).prop_map(|sequence| HaltInput::ResumeExcluded { sequence }),
        era.prop_map(|era| HaltInput::EraStarted(Era(era))),
        locking::any_lockdown_input(),
    ]
}

proptest! {
    /// Whatever comes: what changes is persisted first, the journal is a chain, a restart changes nothing, a refusal
    /// changes nothing, and evidence, gossip and queries go on.
    #[test]
    fn the_table_is_total(inputs in prop::collection::vec((any_input(), 0u64..2 * DAY_MS), 0..40)) {
        let mut manager = manager();
        let mut wall_ms = 0;
        let mut journal: Vec<JournalEntry> = Vec::new();
        for (input, after_ms) in inputs {
            wall_ms += after_ms;
            let before = manager.state().clone();
            match manager.step(at(wall_ms), input) {
                Ok(effects) => {
                    let changed = *manager.state() != before;
                    prop_assert_eq!(changed, effects.first() == Some(&HaltEffect::Persist));
                    journal.extend(effects.iter().filter_map(|effect| match effect {
                        HaltEffect::Journal(entry) => Some(*entry),
                        _ => None,
                    }));
                }
                Err(_) => prop_assert_eq!(manager.state(), &before),
            }
            for allowed in [Activity::SlashingEvidence, Activity::Gossip, Activity::StateQueries] {
                prop_assert!(manager.allows(allowed));
            }
            let state = manager.state();
            prop_assert!(state.era >= before.era && state.sequence >= before.sequence);
            let first = journal.first().map_or(0, |entry| entry.index);
            prop_assert!(first <= 1);
        }
        let mut all = journal;
        if let Some(first) = all.first().copied() && first.index == 1 {
            // The entry of the fixture itself.
            let mut fresh = HaltManager::new(config(), MEMBERS, HaltState::default());
            let effects = fresh.step(at(0), HaltInput::EraStarted(RUNNING)).unwrap();
            all.splice(0..0, effects.iter().filter_map(|effect| match effect {
                HaltEffect::Journal(entry) => Some(*entry),
                _ => None,
            }));
        }
        prop_assert_eq!(verify_chain(&all), Ok(()));
        let encoded = borsh::to_vec(manager.state()).unwrap();
        let decoded: HaltState = borsh::from_slice(&encoded).unwrap();
        prop_assert_eq!(manager.state(), &decoded);
    }
}

#[test]
fn who_waits_for_the_block_that_a_resume_names_fetches_emergency_blocks_in_a_halt() {
    let mut manager = manager();
    let fetches = |manager: &HaltManager| manager.state().fetches_emergency_blocks(manager.modes());
    assert!(fetches(&manager));
    manager
        .step(at(0), on(&halt(1, 60_000, None)))
        .expect("it is new");
    assert!(!fetches(&manager));
    manager.step(at(1), on(&resume(2))).expect("it is new");
    assert!(!manager.allows(Activity::EmergencyBlocks));
    assert!(fetches(&manager));
}
