//! Rule R23: this validator votes to lock the chain and to let it go on, and follows what enough others vote for.

use crate::bench::{Bench, WALL, attestation, executed_block, own_vertex};
use crate::halts::certificate_of;
use holdfast_chain::ExecutedBlock;
use holdfast_halt::lockdown::{LockdownPhase, LockdownRefusal};
use holdfast_halt::{HaltRefusal, Mode};
use holdfast_replica::{Fact, Input, Locking, Message, Origin, Output, SignGuard};
use holdfast_types::Signer as _;
use holdfast_types::lockdown::{BallotCertificate, LockdownNotice, Signed};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, committee, key_pair};
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockPoint, CommitDigest, Ed25519, Era, Height,
    LockdownMessage, LockdownTrigger, LockdownVote, LockdownVoteBody, NamedResume,
    QuarantineReportBody, Readiness, RecoveryChoice, RecoveryStep, RecoveryVote, RecoveryVoteBody,
    ResumeOrder, SoftwareVersion, TimestampMs,
};

pub(crate) fn lock_vote(author: u16, at_ms: u64) -> LockdownVote {
    let body = LockdownVoteBody {
        era: Era(1),
        at: TimestampMs(at_ms),
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

fn point(height: u64) -> BlockPoint {
    let body = attestation(height, 7);
    BlockPoint {
        height: body.height,
        block: body.block,
        state_root: body.state_root,
    }
}

pub(crate) fn choice(height: u64) -> RecoveryChoice {
    RecoveryChoice {
        point: point(height),
        resume: None,
    }
}

fn recovery_in(author: u16, step: RecoveryStep, attempt: u32, height: u64) -> RecoveryVote {
    let body = RecoveryVoteBody {
        era: Era(1),
        at: TimestampMs(WALL),
        attempt,
        step,
        choice: choice(height),
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
}

pub(crate) fn hear_vote(bench: &mut Bench, author: u16, step: RecoveryStep, height: u64) -> Output {
    let vote = recovery_in(author, step, 0, height);
    hear(bench, LockdownMessage::Recovery(vote))
}

fn hear(bench: &mut Bench, message: LockdownMessage) -> Output {
    bench.step(Input::Locking(Locking::Said(Box::new(message))))
}

fn said(output: &Output) -> Vec<LockdownMessage> {
    let said = output.send.iter().filter_map(|message| match message {
        Message::Lockdown { message, .. } => Some(message.clone()),
        _ => None,
    });
    said.collect()
}

/// The votes to go on that are told.
pub(crate) fn recovery_votes(output: &Output) -> Vec<RecoveryVoteBody> {
    let votes = said(output)
        .into_iter()
        .filter_map(|message| match message {
            LockdownMessage::Recovery(vote) => Some(vote.body),
            _ => None,
        });
    votes.collect()
}

/// The block that a told vote names.
fn recovery_of(output: &Output) -> Option<BlockPoint> {
    let votes = recovery_votes(output);
    votes.last().map(|body| body.choice.point)
}

pub(crate) fn go_on(bench: &mut Bench) -> Output {
    bench.step(Input::Locking(Locking::VoteToGoOn))
}

fn vote(bench: &mut Bench) -> Output {
    bench.step(Input::Locking(Locking::VoteToLock {
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    }))
}

/// Block `height` is executed here.
pub(crate) fn executed(bench: &mut Bench, height: u64) {
    let block = executed_block(attestation(height, 7), bench.now_ms, None);
    drop(bench.step(Input::Executed(vec![block])));
}

/// Two others have voted as well, on a chain of three blocks.
pub(crate) fn locked() -> Bench {
    let mut bench = Bench::new();
    bench.rounds(2);
    for height in 1..4 {
        executed(&mut bench, height);
    }
    drop(vote(&mut bench));
    for author in 1..3 {
        drop(hear(
            &mut bench,
            LockdownMessage::Vote(lock_vote(author, WALL)),
        ));
    }
    assert!(bench.replica.halts().modes().contains(Mode::Lockdown));
    bench
}

#[test]
fn r23_an_own_vote_is_signed_counted_and_told_until_it_expires() {
    let mut bench = Bench::new();
    let output = vote(&mut bench);
    assert_eq!(output.verdicts, [Ok(())]);
    let Some(LockdownMessage::Vote(own)) = &said(&output).pop() else {
        panic!("one vote is told");
    };
    assert_eq!(own.author, AuthorityIndex(0));
    assert_eq!(own.verify(&CHAIN, Era(1), &committee(4), &Ed25519), Ok(()));
    let state = bench.replica.halts().manager().state();
    assert_eq!(state.lockdown.votes.get(&AuthorityIndex(0)), Some(own));
    assert!(
        !said(&bench.tick(1_000)).is_empty(),
        "again, for who missed it"
    );
    drop(bench.tick(400_000));
    assert_eq!(said(&bench.tick(1_000)), []);
    let state = bench.replica.halts().manager().state();
    assert_eq!(state.lockdown.phase(), LockdownPhase::Normal);
}

#[test]
fn r23_enough_votes_stop_this_replica() {
    let mut bench = locked();
    let halted = bench.round(Default::default());
    assert!(halted.iter().all(|output| own_vertex(output).is_none()));
    assert!(
        bench
            .submit(0, Origin::Local)
            .submissions
            .iter()
            .all(Result::is_err)
    );
    let again = vote(&mut bench);
    let [Err(refusal)] = &again.verdicts[..] else {
        panic!("it is refused");
    };
    assert_eq!(refusal.name(), "already_locked");
    let votes = |message: &LockdownMessage| matches!(message, LockdownMessage::Vote(_));
    assert!(!said(&again).iter().any(votes));
}

#[test]
fn r23_a_frozen_validator_says_how_it_stands() {
    let mut bench = locked();
    let reports = said(&bench.tick(1_000));
    let report = reports.iter().find_map(|message| match message {
        LockdownMessage::Report(report) => Some(report.body),
        _ => None,
    });
    let report: QuarantineReportBody = report.expect("it reports");
    assert_eq!(
        (report.era, report.head, report.pending),
        (Era(1), point(3), 0)
    );
}

/// What proves that era 1 is locked, by votes of this time.
pub(crate) fn lock_notice(at_ms: u64) -> LockdownNotice {
    let votes = [1, 2, 3].map(|author| lock_vote(author, at_ms));
    LockdownNotice {
        lock: BallotCertificate {
            votes: votes.to_vec(),
        },
        agreed: None,
        recovery: None,
    }
}

#[test]
fn r23_who_was_away_learns_of_it_by_its_certificate() {
    let mut bench = Bench::new();
    let notice = lock_notice(WALL - 1_000_000);
    let parameters = parameters().lockdown;
    assert_eq!(
        notice.verify(&CHAIN, Era(1), &committee(4), &parameters, &Ed25519),
        Ok(())
    );
    let output = bench.step(Input::Locking(Locking::Notice(Box::new(notice.clone()))));
    assert_eq!(output.verdicts, [Ok(())]);
    let began = |fact: &Fact| {
        matches!(
            fact,
            Fact::HaltBegan {
                mode: Mode::Lockdown,
                ..
            }
        )
    };
    assert!(output.facts.iter().any(began));
    // It tells it to whoever asks.
    let state = bench.replica.halts().manager().state();
    assert_eq!(state.notice().lockdown, Some(notice));
}

#[test]
fn r23_votes_for_one_block_let_the_chain_go_on_from_it() {
    let mut bench = locked();
    let own = go_on(&mut bench);
    assert_eq!(own.verdicts, [Ok(())]);
    assert_eq!(recovery_of(&own), Some(point(3)), "its head");
    let (prevote, precommit) = (RecoveryStep::Prevote, RecoveryStep::Precommit);
    assert_eq!(recovery_votes(&hear_vote(&mut bench, 1, prevote, 2)), []);
    assert_eq!(recovery_votes(&hear_vote(&mut bench, 2, prevote, 3)), []);
    let confirms = hear_vote(&mut bench, 3, prevote, 3);
    let votes = recovery_votes(&confirms);
    assert!(
        votes.iter().any(|body| body.step == precommit),
        "a quorum has named it"
    );
    let waits = hear_vote(&mut bench, 2, precommit, 3);
    assert!(waits.resume.is_none(), "two have confirmed it");
    let asked = hear_vote(&mut bench, 3, precommit, 3);
    let asked = asked.resume.or_else(|| bench.tick(1_000).resume);
    let request = asked.expect("the block is to be made");
    let era = Era(1);
    let order = ResumeOrder::Recovery {
        era,
        point: point(3),
    };
    assert_eq!((request.order, request.is_ready), (order, true));
    // It is made, and attested like any that resumes; with its certificate the next era begins.
    let made = AttestationBody {
        commit: CommitDigest::default(),
        ..attestation(4, 7)
    };
    let next = crate::bench::next_era(4);
    let block = executed_block(made, bench.now_ms, Some(next));
    let output = bench.step(Input::Executed(vec![block]));
    let attests = |message: &Message| matches!(message, Message::Statement(_));
    let again = bench.tick(1_000);
    assert!(output.send.iter().chain(&again.send).any(attests));
    drop(bench.step(Input::Certificate(certificate_of(made))));
    drop(bench.tick(1_000));
    assert_eq!(bench.replica.era(), Era(2));
    assert!(!bench.replica.halts().manager().is_halted());
}

#[test]
fn r23_nobody_votes_to_go_on_below_what_it_has_attested() {
    let mut bench = Bench::new();
    for height in 1..4 {
        executed(&mut bench, height);
    }
    bench.rounds(3);
    let record = |bench: &Bench| {
        let guards = bench
            .persisted
            .iter()
            .rev()
            .filter_map(|record| match record {
                holdfast_replica::Record::SignGuard(guard) => guard.attestation,
                _ => None,
            });
        guards.map(|attested| attested.height).max()
    };
    assert_eq!(
        record(&bench),
        Some(Height(3)),
        "its vertices attest its head"
    );
    drop(vote(&mut bench));
    for author in 1..3 {
        let vote = lock_vote(author, WALL);
        drop(hear(&mut bench, LockdownMessage::Vote(vote)));
    }
    drop(go_on(&mut bench));
    for author in 1..4 {
        let confirms = hear_vote(&mut bench, author, RecoveryStep::Prevote, 2);
        assert_eq!(recovery_votes(&confirms), []);
    }
    let halts = bench.replica.halts();
    assert!(halts.manager().state().lockdown.agreed.is_some());
    assert_eq!(halts.readiness(), Readiness::AttestedAbove, "it says so");
}

/// The lockdown comes when some have carried out what governance has ordered, and too few to certify it.
#[test]
fn r23_who_has_carried_out_a_resume_votes_for_that_and_for_nothing_else() {
    let mut bench = Bench::new();
    bench.rounds(3);
    for height in 1..4 {
        executed(&mut bench, height);
    }
    let order = crate::halts::resume(1, 3, SoftwareVersion::default());
    let Input::Governance(message) = &order else {
        panic!("it is an order");
    };
    let named = NamedResume::of(message, &CHAIN);
    drop(bench.step(order));
    let made = AttestationBody {
        commit: CommitDigest::default(),
        ..attestation(4, 7)
    };
    let block = executed_block(made, bench.now_ms, Some(crate::bench::next_era(4)));
    drop(bench.step(Input::Executed(vec![block])));
    assert_eq!(bench.replica.halts().readiness(), Readiness::Ready);
    for author in 1..4 {
        let vote = lock_vote(author, WALL);
        drop(hear(&mut bench, LockdownMessage::Vote(vote)));
    }
    let own = recovery_votes(&go_on(&mut bench));
    let choices: Vec<_> = own.iter().map(|body| body.choice.resume).collect();
    assert_eq!(choices, [Some(named)]);
    // With nothing but the votes another block would stand in the place of the one that it has attested.
    for author in 1..4 {
        let confirms = hear_vote(&mut bench, author, RecoveryStep::Prevote, 3);
        let bodies = recovery_votes(&confirms);
        assert!(bodies.iter().all(|body| body.choice.resume == Some(named)));
    }
    let halts = bench.replica.halts();
    assert!(halts.manager().state().lockdown.agreed.is_some());
    assert_eq!(halts.readiness(), Readiness::AttestedAbove);
}

/// Three others prevote and confirm the block at a height.
fn others_confirm(bench: &mut Bench, height: u64) {
    for step in [RecoveryStep::Prevote, RecoveryStep::Precommit] {
        for author in 1..4 {
            drop(hear_vote(bench, author, step, height));
        }
    }
    let state = &bench.replica.halts().manager().state().lockdown;
    assert_eq!(state.phase(), LockdownPhase::Recovering);
}

/// Their era may be over with the block that they name. Then nothing is built on it, and the next era begins whatever has halted some
/// of them since.
#[test]
fn r23_the_voters_may_go_on_from_the_last_block_of_their_era_also_if_a_halt_comes_then() {
    let mut bench = locked();
    let anchor = attestation(4, 7);
    let next = crate::bench::next_era(4);
    let block = executed_block(anchor, bench.now_ms, Some(next));
    drop(bench.step(Input::Executed(vec![block])));
    others_confirm(&mut bench, 4);
    drop(bench.step(crate::halts::halt(1, 3_600_000)));
    drop(bench.step(Input::Certificate(certificate_of(anchor))));
    assert_eq!(bench.replica.era(), Era(2));
    let halts = bench.replica.halts();
    assert_eq!(
        halts.modes().iter().collect::<Vec<_>>(),
        [Mode::EmergencyHalt],
        "it holds in the next era"
    );
}

/// The lockdown is over with its era, and governance says how to go on in the one after it: others who were not locked follow that, too.
#[test]
fn r23_after_the_certified_end_of_a_locked_era_what_governance_orders_for_the_next_one_is_followed()
{
    for (ordered, begins) in [(1, false), (2, true)] {
        let mut bench = locked();
        let anchor = attestation(4, 7);
        let block = executed_block(anchor, bench.now_ms, Some(crate::bench::next_era(4)));
        drop(bench.step(Input::Executed(vec![block])));
        drop(bench.step(crate::halts::halt(1, 3_600_000)));
        drop(bench.step(Input::Certificate(certificate_of(anchor))));
        assert_eq!(bench.replica.era(), Era(1), "the halt holds");
        let version = SoftwareVersion::default();
        let order = crate::halts::resume_of(ordered, 2, 4, version);
        drop(bench.step(order));
        let output = bench.tick(1_000);
        assert_eq!(bench.replica.era() == Era(2), begins);
        let modes = bench.replica.halts().modes();
        assert_eq!(modes.contains(Mode::Lockdown), !begins);
        if begins {
            let request = output.resume.expect("it asks for the block");
            assert!(request.is_ready);
        }
    }
}

/// Who restarts there does as the others do: it waits for the voters, and does not begin the next era by itself.
#[test]
fn r23_a_restart_at_the_certified_end_of_an_era_ends_no_halt() {
    let mut bench = locked();
    let anchor = attestation(4, 7);
    let block = executed_block(anchor, bench.now_ms, Some(crate::bench::next_era(4)));
    drop(bench.step(crate::halts::halt(1, 3_600_000)));
    drop(bench.step(Input::Executed(vec![block])));
    let certificate = certificate_of(anchor);
    drop(bench.step(Input::Certificate(certificate.clone())));
    assert_eq!(bench.replica.era(), Era(1));
    let halts = bench.replica.halts().manager().state().clone();
    let guard = SignGuard::empty(key_pair(0).public_key());
    let guard = guard.record().clone();
    let mut bench = Bench::restarted_at_certified_end(guard, halts, certificate);
    drop(bench.tick(1_000));
    assert_eq!(bench.replica.era(), Era(1));
    let modes = bench.replica.halts().modes();
    assert!(modes.contains(Mode::Lockdown) && modes.contains(Mode::EmergencyHalt));
    for step in [RecoveryStep::Prevote, RecoveryStep::Precommit] {
        for author in 1..4 {
            drop(hear_vote(&mut bench, author, step, 4));
        }
    }
    assert_eq!(bench.replica.era(), Era(2));
}

/// It was built right before the lock, and the voters may name another block.
#[test]
fn r23_a_block_that_resumes_is_not_attested_in_a_lockdown_before_the_voters_have_confirmed_it() {
    for (confirmed, governed, is_attested) in
        [(3, None, true), (2, None, false), (3, Some(1), false)]
    {
        let mut bench = locked();
        if governed.is_some() {
            drop(bench.step(crate::halts::resume(1, 3, SoftwareVersion::default())));
        }
        let made = AttestationBody {
            commit: CommitDigest::default(),
            ..attestation(4, 7)
        };
        let next = crate::bench::next_era(4);
        let block = ExecutedBlock {
            governance_sequence: governed,
            ..executed_block(made, bench.now_ms, Some(next))
        };
        let attests = |output: Output| {
            let is_statement = |message: &Message| matches!(message, Message::Statement(_));
            output.send.iter().any(is_statement)
        };
        assert!(!attests(bench.step(Input::Executed(vec![block]))));
        assert!(!attests(bench.tick(1_000)));
        others_confirm(&mut bench, confirmed);
        assert_eq!(attests(bench.tick(1_000)), is_attested);
    }
}

#[test]
fn r23_a_vote_to_go_on_is_repeated_before_it_expires() {
    let mut bench = locked();
    drop(go_on(&mut bench));
    let renewed = recovery_votes(&bench.tick(200_000));
    let now = TimestampMs(WALL + bench.now_ms);
    assert!(renewed.iter().any(|body| body.at == now), "{renewed:?}");
}

#[test]
fn r23_an_attempt_that_brings_no_quorum_for_one_block_is_followed_by_another() {
    let mut bench = locked();
    drop(go_on(&mut bench));
    for (author, height) in [(1, 2), (2, 1)] {
        drop(hear_vote(&mut bench, author, RecoveryStep::Prevote, height));
    }
    let attempts = |output: &Output| {
        let votes = recovery_votes(output);
        votes.iter().map(|body| body.attempt).max()
    };
    assert_eq!(attempts(&bench.tick(4_000)), Some(0));
    assert_eq!(attempts(&bench.tick(1_000)), Some(1));
    // Alone it stays there.
    assert_eq!(attempts(&bench.tick(60_000)), Some(1));
}

#[test]
fn r23_the_wish_to_go_on_is_stored() {
    let mut bench = locked();
    drop(go_on(&mut bench));
    let stored = bench.replica.halts().manager().state().clone();
    assert!(stored.lockdown.wants_recovery);
    let told = bench.tick(1_000);
    assert_eq!(recovery_of(&told), Some(point(3)));
}

#[test]
fn r23_who_has_missed_the_votes_learns_of_the_recovery_by_its_certificate() {
    let votes = |step| BallotCertificate {
        votes: (1..4)
            .map(|author| recovery_in(author, step, 0, 3))
            .collect(),
    };
    let mut bench = locked();
    let hears = |bench: &mut Bench, step| {
        let output = hear(bench, LockdownMessage::Recovered(votes(step)));
        assert_eq!(output.verdicts, [Ok(())]);
    };
    hears(&mut bench, RecoveryStep::Prevote);
    hears(&mut bench, RecoveryStep::Precommit);
    let state = &bench.replica.halts().manager().state().lockdown;
    assert_eq!(state.phase(), LockdownPhase::Recovering);
    // It tells it to others, who may not have heard of it.
    let tells = said(&bench.tick(1_000));
    let proof = LockdownMessage::Recovered(votes(RecoveryStep::Precommit));
    assert!(tells.contains(&proof), "{tells:?}");
    // And whoever has heard of nothing at all by what it is told when it asks.
    let notice = bench.replica.halts().manager().state().notice();
    let notice = notice.lockdown.expect("it is locked");
    let mut away = Bench::new();
    drop(away.step(Input::Locking(Locking::Notice(Box::new(notice)))));
    let state = &away.replica.halts().manager().state().lockdown;
    assert_eq!(state.phase(), LockdownPhase::Recovering);
}

#[test]
fn r23_who_is_behind_catches_up_before_it_names_a_block() {
    let mut bench = locked();
    let body = QuarantineReportBody {
        era: Era(1),
        at: TimestampMs(WALL),
        head: point(5),
        certified: Height(1),
        attested: Height(1),
        pending: 0,
        pending_root: [0; 32],
    };
    let report = Signed::sign(body, AuthorityIndex(2), &CHAIN, &key_pair(2));
    drop(hear(&mut bench, LockdownMessage::Report(report)));
    let waits = go_on(&mut bench);
    assert_eq!(
        (waits.verdicts.as_slice(), recovery_of(&waits)),
        (&[Ok(())][..], None)
    );
    executed(&mut bench, 4);
    assert_eq!(recovery_of(&bench.tick(1_000)), None);
    executed(&mut bench, 5);
    assert_eq!(recovery_of(&bench.tick(1_000)), Some(point(5)));
    // What comes later is not named in this attempt.
    executed(&mut bench, 6);
    assert_eq!(recovery_of(&bench.tick(1_000)), Some(point(5)));
}

#[test]
fn r23_a_lie_about_a_high_block_is_waited_for_a_while_only() {
    let mut bench = locked();
    drop(hear_vote(&mut bench, 2, RecoveryStep::Prevote, 1_000));
    assert_eq!(recovery_of(&go_on(&mut bench)), None);
    assert_eq!(recovery_of(&bench.tick(5_000)), None);
    assert_eq!(recovery_of(&bench.tick(5_000)), Some(point(3)));
}

#[test]
fn r23_in_another_halt_nothing_is_executed_and_nobody_votes_before_governance() {
    let mut bench = locked();
    drop(bench.step(crate::halts::halt(1, 3_600_000)));
    let output = go_on(&mut bench);
    assert_eq!(output.verdicts, [Ok(())], "it waits");
    assert_eq!(recovery_of(&output), None);
    assert!(!bench.replica.catches_up());
}

#[test]
fn r23_a_follower_votes_for_nothing() {
    let mut bench = Bench::follower();
    let refused = vote(&mut bench);
    assert_eq!(
        refused.verdicts,
        [Err(HaltRefusal::Lockdown(LockdownRefusal::NoVoter))]
    );
    let refused = go_on(&mut bench);
    assert_eq!(
        refused.verdicts,
        [Err(HaltRefusal::Lockdown(LockdownRefusal::NoVoter))]
    );
}
