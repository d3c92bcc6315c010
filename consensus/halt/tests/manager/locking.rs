//! Rules H16 to H19: a lockdown among the halts.

use super::*;
use holdfast_halt::HaltInForce;
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase, LockdownRefusal};
use holdfast_halt::{JournalEvent, Permission};
use holdfast_types::lockdown::Signed;
use holdfast_types::{
    BlockPoint, LockdownTrigger, LockdownVoteBody, NamedResume, RecoveryChoice, RecoveryStep,
    RecoveryVoteBody, ResumeOrder, Signature,
};

fn vote_of(author: u16, at_ms: u64) -> HaltInput {
    let body = LockdownVoteBody {
        era: RUNNING,
        at: at(at_ms).wall,
        trigger: LockdownTrigger::Operator,
        reason: Vec::new(),
    };
    HaltInput::Lockdown(LockdownInput::Vote(Signed {
        body,
        author: AuthorityIndex(author),
        signature: Signature::new([0; 64]),
    }))
}

fn point(height: u64) -> BlockPoint {
    BlockPoint {
        height: Height(height),
        block: BlockId::new([9; 32]),
        state_root: StateRoot::new([8; 32]),
    }
}

fn choice(height: u64) -> RecoveryChoice {
    RecoveryChoice {
        point: point(height),
        resume: None,
    }
}

fn recovery_in(author: u16, step: RecoveryStep, choice: RecoveryChoice, at_ms: u64) -> HaltInput {
    let body = RecoveryVoteBody {
        era: RUNNING,
        at: at(at_ms).wall,
        attempt: 0,
        step,
        choice,
    };
    HaltInput::Lockdown(LockdownInput::Recovery(Signed {
        body,
        author: AuthorityIndex(author),
        signature: Signature::new([0; 64]),
    }))
}

fn recovery_of(author: u16, height: u64, at_ms: u64) -> HaltInput {
    recovery_in(author, RecoveryStep::Precommit, choice(height), at_ms)
}

/// Any vote of members and strangers, for any block.
pub(crate) fn any_lockdown_input() -> impl Strategy<Value = HaltInput> {
    prop_oneof![
        (0u16..6, 0u64..DAY_MS).prop_map(|(author, at_ms)| vote_of(author, at_ms)),
        (0u16..6, 98u64..101, 0u64..DAY_MS)
            .prop_map(|(author, height, at_ms)| recovery_of(author, height, at_ms)),
    ]
}

fn step(manager: &mut HaltManager, at_ms: u64, input: HaltInput) -> Vec<HaltEffect> {
    manager.step(at(at_ms), input).expect("it is no mistake")
}

/// Three of four have voted.
fn locked() -> HaltManager {
    let mut manager = manager();
    for author in 0..3 {
        drop(step(&mut manager, 1, vote_of(author, 1)));
    }
    assert_eq!(manager.state().lockdown.phase(), LockdownPhase::Locked);
    manager
}

/// And three to go on from the block at a height.
fn recovers(manager: &mut HaltManager, height: u64) -> Vec<HaltEffect> {
    recovers_with(manager, choice(height))
}

fn recovers_with(manager: &mut HaltManager, choice: RecoveryChoice) -> Vec<HaltEffect> {
    let confirm = RecoveryStep::Precommit;
    let votes = (0..3).map(|author| recovery_in(author, confirm, choice, 2));
    votes.flat_map(|vote| step(manager, 2, vote)).collect()
}

/// What names the message of governance.
fn choice_of(message: &GovernanceMessage) -> RecoveryChoice {
    let named = message.body.action.resume_point().expect("it resumes");
    RecoveryChoice {
        point: BlockPoint {
            height: named.height,
            block: named.block,
            state_root: named.state_root,
        },
        resume: Some(NamedResume::of(message, &config().chain)),
    }
}

fn events(effects: &[HaltEffect]) -> Vec<JournalEvent> {
    let entries = effects.iter().filter_map(|effect| match effect {
        HaltEffect::Journal(entry) => Some(entry.event),
        _ => None,
    });
    entries.collect()
}

#[test]
fn h16_two_thirds_halt_this_node_and_it_stays_halted() {
    let mut manager = manager();
    let me = AuthorityIndex(0);
    assert_eq!(
        (manager.lockdown_quorum(), manager.may_vote(me)),
        (3, Ok(()))
    );
    for author in [2, 0] {
        let effects = step(&mut manager, 1, vote_of(author, 1));
        let author = AuthorityIndex(author);
        assert_eq!(events(&effects), [JournalEvent::LockdownVoted { author }]);
        assert!(!manager.is_halted());
    }
    let effects = step(&mut manager, 1, vote_of(3, 1));
    let halt = HaltId::of_lockdown(RUNNING);
    let mode = Mode::Lockdown;
    let began = HaltEffect::Began {
        halt,
        mode,
        cause: None,
    };
    assert_eq!(effects.first(), Some(&HaltEffect::Persist));
    assert!(effects.contains(&began) && effects.contains(&HaltEffect::AnnounceLockdown));
    assert_eq!(
        (manager.halts(), manager.modes().iter().collect::<Vec<_>>()),
        (vec![halt], vec![mode])
    );
    let held = manager.state().in_force().next().expect("it holds");
    assert!(matches!(held, HaltInForce::Lockdown(RUNNING, _)));
    assert_eq!((held.since(), held.cause()), (at(1).wall, None));
    let submission = manager.permission(Activity::TransactionSubmission);
    assert_eq!(submission, Permission::Rejected);
    assert!(manager.allows(Activity::SlashingEvidence) && !manager.allows(Activity::Commits));
    assert!(!manager.allows(Activity::EmergencyBlocks));
    // No time ends it.
    for days in 1..40 {
        drop(step(&mut manager, days * DAY_MS, progress(0)));
        assert!(manager.is_halted());
    }
    let since = at(1).wall;
    assert_eq!(
        manager.may_vote(me),
        Err(LockdownRefusal::AlreadyLocked { since })
    );
}

#[test]
fn h16_who_votes_again_is_not_written_down_again() {
    let mut manager = manager();
    drop(step(&mut manager, 1, vote_of(1, 1)));
    let again = step(&mut manager, 2, vote_of(1, 2));
    assert_eq!(again, [HaltEffect::Persist]);
    let known = manager.step(at(2), vote_of(1, 2));
    assert_eq!(known.expect_err("nothing is new").name(), "known");
    let expired = step(&mut manager, DAY_MS, progress(0));
    assert_eq!(events(&expired), [JournalEvent::LockdownVotesExpired]);
}

#[test]
fn h16_an_alert_tells_how_long_it_lasts() {
    let mut manager = locked();
    let next = manager.next_wall().expect("an alert is due");
    assert_eq!(next, at(600_001).wall);
    let effects = step(&mut manager, 600_001, progress(0));
    let for_ms = 600_000;
    assert_eq!(events(&effects), [JournalEvent::LockdownLasts { for_ms }]);
    assert!(effects.contains(&HaltEffect::StillLocked { for_ms }));
}

#[test]
fn h17_a_resume_of_governance_waits_until_the_voters_have_confirmed_it() {
    let mut manager = locked();
    drop(step(&mut manager, 2, on(&resume(1))));
    assert_eq!(
        (manager.resume_order(), manager.resume_point()),
        (None, None)
    );
    let order = Some(ResumeOrder::Governance(resume(1)));
    assert_eq!(manager.state().resume_awaited(), order);
    let effects = recovers_with(&mut manager, choice_of(&resume(1)));
    assert!(effects.contains(&HaltEffect::Resume));
    assert_eq!(manager.resume_order(), order);
    assert_eq!(manager.state().resume_awaited(), None);
}

#[test]
fn h17_what_the_voters_have_confirmed_is_done_by_all_whatever_governance_has_told_some() {
    // Without the message nothing can be built.
    let mut waits = locked();
    drop(recovers_with(&mut waits, choice_of(&resume(1))));
    assert_eq!(waits.resume_order(), None);
    drop(step(&mut waits, 3, on(&resume(1))));
    let order = Some(ResumeOrder::Governance(resume(1)));
    assert_eq!(waits.resume_order(), order);
    // It came after they had voted without it.
    let mut alone = locked();
    drop(recovers(&mut alone, 98));
    drop(step(&mut alone, 3, on(&resume(1))));
    let (era, point) = (RUNNING, point(98));
    assert_eq!(
        alone.resume_order(),
        Some(ResumeOrder::Recovery { era, point })
    );
}

/// What was confirmed may be void, or the governors may have made a mistake.
#[test]
fn h17_a_later_message_replaces_the_one_that_the_voters_have_confirmed_until_its_block_is_built() {
    let mut manager = locked();
    let want = HaltInput::Lockdown(LockdownInput::WantRecovery);
    assert_eq!(step(&mut manager, 2, want), [HaltEffect::Persist]);
    drop(step(&mut manager, 2, on(&resume(1))));
    drop(recovers_with(&mut manager, choice_of(&resume(2))));
    assert_eq!(
        manager.resume_order(),
        None,
        "an earlier one is not followed"
    );
    for sequence in [2, 3] {
        drop(step(&mut manager, 3, on(&resume(sequence))));
        let order = Some(ResumeOrder::Governance(resume(sequence)));
        assert_eq!(manager.resume_order(), order);
    }
    drop(step(&mut manager, 4, HaltInput::ResumeBuilt(RUNNING)));
    let refused = manager.step(at(5), on(&resume(4)));
    let sequence = 3;
    assert_eq!(refused, Err(HaltRefusal::Resuming { sequence }));
}

#[test]
fn h17_a_block_that_is_built_as_the_lock_comes_stays_the_one() {
    let mut manager = manager();
    drop(step(&mut manager, 1, on(&resume(1))));
    for author in 0..3 {
        drop(step(&mut manager, 1, vote_of(author, 1)));
    }
    drop(step(&mut manager, 2, HaltInput::ResumeBuilt(RUNNING)));
    let refused = manager.step(at(3), on(&resume(2)));
    let sequence = 1;
    assert_eq!(refused, Err(HaltRefusal::Resuming { sequence }));
}

#[test]
fn h18_what_the_voters_order_is_done_whatever_has_halted_some_of_them_since() {
    let mut manager = locked();
    assert!(manager.state().may_choose());
    let effects = recovers(&mut manager, 98);
    let (height, block) = (Height(98), BlockId::new([9; 32]));
    assert!(events(&effects).contains(&JournalEvent::RecoveryOrdered { height, block }));
    let era = RUNNING;
    let point = point(98);
    let order = Some(ResumeOrder::Recovery { era, point });
    assert_eq!(manager.resume_order(), order);
    assert!(manager.is_halted(), "until the next era begins");
    let mut proven = manager.clone();
    drop(step(&mut proven, 3, on_proof(RUNNING, 99)));
    assert_eq!(proven.resume_order(), order);
    drop(step(&mut manager, 3, on(&halt(1, 10_000, None))));
    assert_eq!(manager.resume_order(), order);
}

#[test]
fn h18_who_is_halted_by_something_else_too_chooses_nothing_without_governance() {
    let mut proven = locked();
    drop(step(&mut proven, 3, on_proof(RUNNING, 99)));
    assert!(!proven.state().may_choose());
    drop(step(&mut proven, 4, on(&resume(1))));
    assert!(proven.state().may_choose());
    // A halt that ends by itself comes first.
    let mut ordered = locked();
    drop(step(&mut ordered, 3, on(&halt(1, 10_000, None))));
    assert!(!ordered.state().may_choose());
    drop(step(&mut ordered, 10_000, progress(0)));
    assert!(ordered.state().may_choose());
}

#[test]
fn h19_the_end_of_the_era_ends_it_whoever_has_ended_the_era() {
    for recovered in [false, true] {
        let mut manager = locked();
        if recovered {
            drop(recovers(&mut manager, 98));
            drop(step(&mut manager, 3, HaltInput::ResumeBuilt(RUNNING)));
        }
        let effects = step(&mut manager, 4, HaltInput::EraStarted(Era(4)));
        let (halt, mode) = (HaltId::of_lockdown(RUNNING), Mode::Lockdown);
        assert!(effects.contains(&HaltEffect::Ended { halt, mode }));
        assert!(!manager.is_halted());
        assert_eq!(manager.state().lockdown.era, Era(4));
        let void = manager.step(at(5), vote_of(0, 5));
        assert_eq!(
            void.expect_err("it is of the era before").name(),
            "other_era"
        );
    }
}

#[test]
fn h19_in_an_emergency_nobody_votes() {
    let mut manager = manager();
    drop(step(&mut manager, 1, vote_of(0, 1)));
    manager.set_voters(0);
    drop(step(&mut manager, 2, HaltInput::EraStarted(Era(4))));
    let me = AuthorityIndex(0);
    let (author, members) = (me, 0);
    let refusal = LockdownRefusal::NotAMember { author, members };
    assert_eq!(manager.may_vote(me), Err(refusal));
    // The emergency is taken back: the vote begins anew.
    manager.set_voters(MEMBERS);
    drop(step(&mut manager, 3, HaltInput::EraTakenBack(RUNNING)));
    assert_eq!(manager.state().lockdown.phase(), LockdownPhase::Normal);
    drop(step(&mut manager, 4, vote_of(1, 4)));
    assert_eq!(manager.state().lockdown.phase(), LockdownPhase::Voting);
}

#[test]
fn h16_the_lockdown_survives_a_restart_with_its_votes() {
    let mut manager = locked();
    drop(step(&mut manager, 2, recovery_of(0, 98, 2)));
    let stored = borsh::to_vec(manager.state()).expect("it encodes");
    let state: HaltState = borsh::from_slice(&stored).expect("it decodes");
    let mut restarted = HaltManager::new(config(), MEMBERS, state);
    assert!(restarted.is_halted());
    for author in 1..3 {
        drop(step(&mut restarted, 3, recovery_of(author, 98, 3)));
    }
    assert_eq!(
        restarted.state().lockdown.phase(),
        LockdownPhase::Recovering
    );
    let want = HaltInput::Lockdown(LockdownInput::WantRecovery);
    let height = Height(98);
    let refusal = HaltRefusal::Lockdown(LockdownRefusal::Recovering { height });
    assert_eq!(restarted.step(at(3), want), Err(refusal));
}
