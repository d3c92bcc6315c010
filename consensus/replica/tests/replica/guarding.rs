//! Rules R2 and R23: the sign guard binds votes to go on after a lockdown, whatever the store has lost.

use crate::bench::Bench;
use crate::locking::{choice, executed, go_on, hear_vote, locked, recovery_votes};
use holdfast_halt::HaltState;
use holdfast_halt::lockdown::recovery::SignedRecovery;
use holdfast_replica::{Fact, Output, Record, SignGuardRecord};
use holdfast_types::{Era, RecoveryStep};

/// What the guard was raised to last.
fn guarded(bench: &Bench) -> SignGuardRecord {
    let raised = bench
        .persisted
        .iter()
        .rev()
        .find_map(|record| match record {
            Record::SignGuard(guard) => Some(guard.as_ref().clone()),
            _ => None,
        });
    raised.expect("the guard was raised")
}

fn stored(bench: &Bench) -> HaltState {
    bench.replica.halts().manager().state().clone()
}

#[test]
fn r23_a_vote_to_go_on_raises_the_guard_and_one_that_the_store_has_lost_is_said_again() {
    let mut bench = locked();
    let before = stored(&bench);
    drop(go_on(&mut bench));
    let guard = guarded(&bench);
    let signed = guard.recovery.expect("it has voted");
    assert_eq!((signed.era, signed.prevote), (Era(1), Some((0, choice(3)))));
    for author in 1..3 {
        drop(hear_vote(&mut bench, author, RecoveryStep::Prevote, 3));
    }
    let guard = guarded(&bench);
    let signed = guard.recovery.expect("it has voted");
    assert_eq!(signed.precommit, Some((0, choice(3))));
    // On an old copy of the store, on which it would name a lower block, and confirm nothing.
    let mut old = Bench::restarted(guard, before);
    executed(&mut old, 2);
    let said = recovery_votes(&go_on(&mut old));
    let said: Vec<_> = said
        .iter()
        .map(|body| (body.step, body.attempt, body.choice))
        .collect();
    let both = [RecoveryStep::Prevote, RecoveryStep::Precommit].map(|step| (step, 0, choice(3)));
    assert_eq!(said, both);
    let raised = old
        .persisted
        .iter()
        .any(|record| matches!(record, Record::SignGuard(_)));
    assert!(!raised, "it knew them");
}

#[test]
fn r23_a_restart_raises_the_guard_to_the_votes_to_go_on_that_are_stored() {
    let mut bench = locked();
    let guard = guarded(&bench);
    assert_eq!(guard.recovery, None);
    drop(go_on(&mut bench));
    let raised = guarded(&Bench::restarted(guard, stored(&bench)));
    assert_eq!(raised.recovery, guarded(&bench).recovery);
}

#[test]
fn r23_what_the_guard_refuses_is_told_once_and_not_said() {
    let bench = locked();
    let mut guard = guarded(&bench);
    guard.recovery = Some(SignedRecovery {
        prevote: Some((0, choice(3))),
        ..SignedRecovery::new(Era(2))
    });
    let mut bench = Bench::restarted(guard, stored(&bench));
    executed(&mut bench, 3);
    let outputs = [go_on(&mut bench), bench.tick(1_000)];
    let refusals = |output: &Output| {
        let facts = output.facts.iter();
        facts
            .filter(|fact| matches!(fact, Fact::SignRefused { .. }))
            .count()
    };
    assert_eq!(outputs.each_ref().map(refusals), [1, 0]);
    assert!(
        outputs
            .iter()
            .all(|output| recovery_votes(output).is_empty())
    );
}
