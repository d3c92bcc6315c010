//! Rule R24: validators that are frozen in the era below an emergency take the emergency back.

use crate::bench::{Bench, WALL, now, own_vertex};
use crate::emergency::{
    SLOT_MS, attested, body, dag_after, emergency, executed, in_emergency, taken_back, voted,
};
use crate::ends::{end_before_a_stall, vote_of, vote_passes};
use crate::halts::{halt, said};
use crate::locking::{hear_vote, lock_notice};
use holdfast_halt::lockdown::{LockdownPhase, LockdownRefusal};
use holdfast_halt::{HaltRefusal, Mode};
use holdfast_replica::{Fact, Input, Locking, Message, Output, SignGuard};
use holdfast_types::Signer as _;
use holdfast_types::test_util::key_pair;
use holdfast_types::{
    AuthorityIndex, Era, EraContext, Height, RecoveryStep, SignedHaltStatus, TimestampMs,
};
use std::sync::Arc;

/// Certificates of the lockdown of era 1, as a peer shows them.
fn learn(bench: &mut Bench) -> Output {
    learn_of(bench, WALL)
}

fn learn_of(bench: &mut Bench, at_ms: u64) -> Output {
    bench.step(Input::Locking(Locking::Notice(Box::new(lock_notice(
        at_ms,
    )))))
}

fn hear(bench: &mut Bench, status: SignedHaltStatus) -> Output {
    bench.step(Input::HaltStatus(Box::new(status)))
}

fn phase(bench: &Bench) -> LockdownPhase {
    let state = bench.replica.halts().manager().state();
    state.lockdown.phase()
}

/// What a frozen member of era 1 says of itself.
fn frozen(author: u16) -> SignedHaltStatus {
    let mut bench = Bench::new();
    let mut status = said(&learn(&mut bench)).expect("it says how it stands");
    assert_eq!(status.status.era, Era(1));
    status.author = AuthorityIndex(author);
    status
}

fn asked(output: &Output) -> Vec<(Era, AuthorityIndex)> {
    let asked = |message: &Message| match message {
        Message::AskHalts { era, to } => Some((era.era, *to)),
        _ => None,
    };
    output.send.iter().filter_map(asked).collect()
}

#[test]
fn r24_a_member_that_is_frozen_below_the_emergency_is_asked_for_the_proof() {
    let mut bench = in_emergency();
    // Another halt of that era is none of this one.
    let mut other = Bench::new();
    let other = said(&other.step(halt(1, 60_000))).expect("it says how it stands");
    assert_eq!(asked(&hear(&mut bench, other)), []);
    let heard = hear(&mut bench, frozen(2));
    assert_eq!(asked(&heard), [(Era(1), AuthorityIndex(2))]);
    assert_eq!(asked(&hear(&mut bench, frozen(3))), [], "not at once");
    drop(bench.tick(1_000));
    let heard = hear(&mut bench, frozen(3));
    assert_eq!(asked(&heard), [(Era(1), AuthorityIndex(3))]);
    drop(learn(&mut bench));
    drop(bench.tick(1_000));
    assert_eq!(asked(&hear(&mut bench, frozen(2))), [], "it is known now");
}

#[test]
fn r24_the_lockdown_of_the_era_below_takes_the_emergency_back_and_freezes_this_validator() {
    let mut bench = in_emergency();
    let learned = learn(&mut bench);
    assert_eq!(learned.verdicts, [Ok(())]);
    assert_eq!(learned.yield_to_lockdown, Some(Era(1)));
    let yields = Fact::YieldsToLockdown { era: Era(1) };
    assert!(learned.facts.contains(&yields));
    assert_eq!(phase(&bench), LockdownPhase::Normal, "era 1 does not run");
    let again = learn(&mut bench);
    assert_eq!(again.verdicts, [Err(HaltRefusal::Known)]);
    assert_eq!(again.yield_to_lockdown, None);
    // The chain may have been busy with something else.
    assert_eq!(bench.tick(1_000).yield_to_lockdown, Some(Era(1)));
    let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
    assert!(wake_ms.is_some_and(|at_ms| at_ms <= bench.now_ms + 1_000));
    let back = taken_back(&mut bench, Vec::new());
    let began = |fact: &Fact| {
        matches!(
            fact,
            Fact::HaltBegan {
                mode: Mode::Lockdown,
                ..
            }
        )
    };
    assert!(back.facts.iter().any(began));
    let stands_at = bench.replica.status(now(bench.now_ms)).head;
    assert_eq!(stands_at, Height::ZERO, "what it would go on from");
    assert_eq!(phase(&bench), LockdownPhase::Locked);
    assert_eq!(bench.replica.era(), Era(1));
    // The chain takes no other emergency there, whoever offers one.
    assert_eq!(back.yield_to_lockdown, Some(Era(1)));
    assert!(own_vertex(&back).is_none());
    for output in [bench.tick(1_000), bench.tick(60_000)] {
        assert!(own_vertex(&output).is_none());
        assert_eq!(output.yield_to_lockdown, None);
    }
}

#[test]
fn r24_who_freezes_or_starts_frozen_has_the_chain_take_no_emergency_of_that_era() {
    let mut bench = Bench::new();
    assert!(bench.replica.fetches_emergency_blocks());
    assert_eq!(learn(&mut bench).yield_to_lockdown, Some(Era(1)));
    assert!(!bench.replica.fetches_emergency_blocks());
    assert!(bench.replica.fetches_ordered_blocks());
    let guard = SignGuard::empty(key_pair(0).public_key()).record().clone();
    let halts = bench.replica.halts().manager().state().clone();
    let (restarted, first) = Bench::restarted_in_halts(guard, halts);
    assert_eq!(first.yield_to_lockdown, Some(Era(1)));
    bench = restarted;
    // Another halt is for governance to end.
    drop(bench.step(halt(1, 60_000)));
    assert!(!bench.replica.fetches_ordered_blocks());
}

/// It attests what the voters have confirmed: a branch beside that could be certified, too.
#[test]
fn r24_once_the_voters_have_confirmed_from_where_to_go_on_no_other_branch_is_fetched() {
    let mut bench = Bench::new();
    drop(learn(&mut bench));
    for step in [RecoveryStep::Prevote, RecoveryStep::Precommit] {
        assert!(bench.replica.fetches_ordered_blocks());
        for author in 1..4 {
            drop(hear_vote(&mut bench, author, step, 0));
        }
    }
    assert_eq!(phase(&bench), LockdownPhase::Recovering);
    assert!(!bench.replica.fetches_ordered_blocks());
}

#[test]
fn r24_who_holds_to_an_end_of_the_emergency_stays_until_the_chain_stalls_again() {
    let mut bench = in_emergency();
    end_before_a_stall(&mut bench, 20 * SLOT_MS);
    assert_eq!(voted(&bench.tick(SLOT_MS)).len(), 1);
    assert_eq!(learn(&mut bench).yield_to_lockdown, None);
    let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
    assert!(
        wake_ms.is_some_and(|at_ms| at_ms > bench.now_ms),
        "it waits"
    );
    assert_eq!(bench.tick(1_000).yield_to_lockdown, None);
    // A vote of this validator may not be used after the chain was asked to leave the end.
    bench.chain_holds = false;
    let stalled = bench.tick(20 * SLOT_MS);
    assert_eq!(stalled.yield_to_lockdown, Some(Era(1)));
    assert!(stalled.hold.is_none());
    let end = body(2, 9);
    let asked_anew = vote_of(&mut bench, 1, end);
    assert_eq!(asked_anew.hold.map(|hold| hold.end), Some(end.block));
    assert_eq!(attested(&vote_of(&mut bench, 2, end)), []);
}

#[test]
fn r24_who_knows_of_a_quorum_for_an_end_or_has_attested_it_stays() {
    let mut bench = in_emergency();
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(attested(&vote_passes(&mut bench, end)).len(), 1);
    assert_eq!(learn(&mut bench).yield_to_lockdown, None);
    // Also after another emergency has begun.
    let began = Arc::new(EraContext {
        era: Era(4),
        ..EraContext::clone(&emergency(12))
    });
    let output = executed(&mut bench, 3, 12, Some(began));
    assert_eq!(output.yield_to_lockdown, None);
    assert_eq!(bench.tick(60_000).yield_to_lockdown, None);
}

#[test]
fn r24_a_quorum_of_votes_of_others_for_an_end_keeps_who_has_not_voted_yet() {
    let mut bench = in_emergency();
    bench.chain_holds = false;
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let votes = (1..4).map(|author| vote_of(&mut bench, author, end));
    let has_quorum = votes.filter(|output| output.end_votes.is_some());
    assert_eq!(has_quorum.count(), 1);
    assert_eq!(learn(&mut bench).yield_to_lockdown, None);
}

/// Somebody has kept it, or comes back from long ago: others may be away, and the emergency is what keeps the chain going.
#[test]
fn r24_an_old_lockdown_goes_first_only_if_enough_frozen_members_are_there() {
    const OLD: u64 = WALL - 1_000_000;
    let mut bench = in_emergency();
    assert_eq!(learn_of(&mut bench, OLD).yield_to_lockdown, None);
    let mut of_before = frozen(3);
    of_before.status.at = TimestampMs(OLD);
    drop(hear(&mut bench, frozen(2)));
    drop(hear(&mut bench, of_before));
    assert_eq!(bench.tick(1_000).yield_to_lockdown, None, "two of four");
    // One that is silent is not there.
    drop(bench.tick(60_000));
    let say = |bench: &Bench, author| {
        let mut status = frozen(author);
        status.status.at = now(bench.now_ms).wall;
        status
    };
    let third = say(&bench, 3);
    drop(hear(&mut bench, third));
    assert_eq!(bench.tick(1_000).yield_to_lockdown, None, "two of four");
    let second = say(&bench, 2);
    drop(hear(&mut bench, second));
    assert_eq!(bench.tick(1_000).yield_to_lockdown, Some(Era(1)));
}

#[test]
fn r24_in_a_halt_of_governance_the_emergency_stays_where_it_is() {
    let mut bench = in_emergency();
    drop(bench.step(halt(1, 60_000)));
    assert_eq!(learn(&mut bench).yield_to_lockdown, None);
    assert_eq!(bench.tick(59_000).yield_to_lockdown, None);
    assert_eq!(bench.tick(2_000).yield_to_lockdown, Some(Era(1)));
}

#[test]
fn r24_without_an_emergency_on_it_the_lockdown_of_another_era_says_nothing() {
    let mut bench = in_emergency();
    drop(taken_back(&mut bench, Vec::new()));
    let mut notice = lock_notice(WALL);
    for vote in &mut notice.lock.votes {
        vote.body.era = Era(2);
    }
    let output = bench.step(Input::Locking(Locking::Notice(Box::new(notice))));
    let other_era = LockdownRefusal::OtherEra {
        actual: Era(2),
        running: Era(1),
    };
    let refused = HaltRefusal::Lockdown(other_era);
    assert_eq!(output.verdicts, [Err(refused)]);
    assert_eq!(output.yield_to_lockdown, None);
    assert_eq!(phase(&bench), LockdownPhase::Normal);
}
