//! Rule R23: this validator votes to lock the chain and to let it go on, and follows what enough others vote for.

use crate::bench::{Bench, WALL, attestation, executed_block, own_vertex};
use crate::halts::certificate_of;
use holdfast_halt::lockdown::{LockdownPhase, LockdownRefusal};
use holdfast_halt::{HaltRefusal, Mode};
use holdfast_replica::{Fact, Input, Locking, Message, Origin, Output};
use holdfast_types::lockdown::{BallotCertificate, LockdownNotice, Signed};
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{CHAIN, committee, key_pair};
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockPoint, CommitDigest, Ed25519, Era, Height,
    LockdownMessage, LockdownTrigger, LockdownVote, LockdownVoteBody, QuarantineReportBody,
    RecoveryVote, RecoveryVoteBody, ResumeOrder, TimestampMs,
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

fn recovery_vote(author: u16, height: u64, at_ms: u64) -> RecoveryVote {
    let body = RecoveryVoteBody {
        era: Era(1),
        at: TimestampMs(at_ms),
        point: point(height),
    };
    Signed::sign(body, AuthorityIndex(author), &CHAIN, &key_pair(author))
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

/// The block that a told vote names.
fn recovery_of(output: &Output) -> Option<BlockPoint> {
    said(output).into_iter().find_map(|message| match message {
        LockdownMessage::Recovery(vote) => Some(vote.body.point),
        _ => None,
    })
}

fn vote(bench: &mut Bench) -> Output {
    bench.step(Input::Locking(Locking::VoteToLock {
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    }))
}

/// Block `height` is executed here.
fn executed(bench: &mut Bench, height: u64) {
    let block = executed_block(attestation(height, 7), bench.now_ms, None);
    drop(bench.step(Input::Executed(vec![block])));
}

/// Two others have voted as well, on a chain of three blocks.
fn locked() -> Bench {
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

#[test]
fn r23_who_was_away_learns_of_it_by_its_certificate() {
    let mut bench = Bench::new();
    let votes = [1, 2, 3].map(|author| lock_vote(author, WALL - 1_000_000));
    let lock = BallotCertificate {
        votes: votes.to_vec(),
    };
    let notice = LockdownNotice {
        lock,
        recovery: None,
    };
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
    let own = bench.step(Input::Locking(Locking::VoteToGoOn(None)));
    assert_eq!(own.verdicts, [Ok(())]);
    assert_eq!(recovery_of(&own), Some(point(3)), "its head");
    drop(hear(
        &mut bench,
        LockdownMessage::Recovery(recovery_vote(1, 2, WALL)),
    ));
    let waits = hear(
        &mut bench,
        LockdownMessage::Recovery(recovery_vote(2, 3, WALL)),
    );
    assert!(waits.resume.is_none(), "two name it");
    let asked = hear(
        &mut bench,
        LockdownMessage::Recovery(recovery_vote(3, 3, WALL)),
    );
    let request = asked.resume.expect("the block is to be made");
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
    let mut bench = locked();
    let guard = bench
        .persisted
        .iter()
        .rev()
        .find_map(|record| match record {
            holdfast_replica::Record::SignGuard(guard) => guard.attestation,
            _ => None,
        });
    let attested = guard.map_or(Height::ZERO, |attested| attested.height);
    let below = BlockPoint {
        height: attested.minus(1),
        ..point(1)
    };
    let refused = bench.step(Input::Locking(Locking::VoteToGoOn(Some(below))));
    let expected = if attested > Height::ZERO {
        [Err(HaltRefusal::Lockdown(LockdownRefusal::BelowAttested {
            attested,
        }))]
    } else {
        [Ok(())]
    };
    assert_eq!(refused.verdicts, expected);
}

#[test]
fn r23_a_vote_to_go_on_is_repeated_before_it_expires() {
    let mut bench = locked();
    drop(bench.step(Input::Locking(Locking::VoteToGoOn(None))));
    let renewed = bench.tick(200_000);
    let renewed: Vec<_> = said(&renewed)
        .into_iter()
        .filter_map(|message| match message {
            LockdownMessage::Recovery(vote) => Some(vote.body.at),
            _ => None,
        })
        .collect();
    assert!(
        renewed.contains(&TimestampMs(WALL + bench.now_ms)),
        "{renewed:?}"
    );
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
    let waits = bench.step(Input::Locking(Locking::VoteToGoOn(None)));
    assert_eq!(
        (waits.verdicts.as_slice(), recovery_of(&waits)),
        (&[Ok(())][..], None)
    );
    executed(&mut bench, 4);
    assert_eq!(recovery_of(&bench.tick(1_000)), None);
    executed(&mut bench, 5);
    assert_eq!(recovery_of(&bench.tick(1_000)), Some(point(5)));
    // What comes later is higher: it is named at once.
    executed(&mut bench, 6);
    assert_eq!(recovery_of(&bench.tick(1_000)), Some(point(6)));
}

#[test]
fn r23_a_lie_about_a_high_block_is_waited_for_a_while_only() {
    let mut bench = locked();
    drop(hear(
        &mut bench,
        LockdownMessage::Recovery(recovery_vote(2, 1_000, WALL)),
    ));
    assert_eq!(
        recovery_of(&bench.step(Input::Locking(Locking::VoteToGoOn(None)))),
        None
    );
    assert_eq!(recovery_of(&bench.tick(5_000)), None);
    assert_eq!(recovery_of(&bench.tick(5_000)), Some(point(3)));
}

#[test]
fn r23_in_another_halt_nothing_is_executed_and_the_head_is_named_at_once() {
    let mut bench = locked();
    drop(bench.step(crate::halts::halt(1, 3_600_000)));
    drop(hear(
        &mut bench,
        LockdownMessage::Recovery(recovery_vote(2, 1_000, WALL)),
    ));
    let output = bench.step(Input::Locking(Locking::VoteToGoOn(None)));
    assert_eq!(recovery_of(&output), Some(point(3)));
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
    let refused = bench.step(Input::Locking(Locking::VoteToGoOn(None)));
    assert_eq!(
        refused.verdicts,
        [Err(HaltRefusal::Lockdown(LockdownRefusal::NoVoter))]
    );
}
