//! Rules R18, R21 and R22: the end of an emergency is voted for, attested and certified.

use crate::bench::{Bench, executed_block, now, own_vertex, standing};
use crate::emergency::{
    SLOT_MS, attested, body, dag_after, emergency, enter_emergency, executed, in_emergency,
    rounds_below, statements, voted,
};
use crate::halts::{certificate_of, halt, resume_of};
use holdfast_chain::ExecutedBlock;
use holdfast_ledger::EmergencyClock;
use holdfast_replica::{ChainStanding, ExecutedHead, Fact, HoldRequest, Input, Output};
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockId, Committee, Ed25519, EndVotes, Era, EraContext,
    EraKind, Height, Readiness, SoftwareVersion, TimestampMs,
};
use std::sync::Arc;

/// Another member votes for the end of the emergency.
pub(crate) fn vote_of(bench: &mut Bench, author: u16, end: AttestationBody) -> Output {
    let vote = end.vote(AuthorityIndex(author), &CHAIN, &key_pair(author));
    bench.step(Input::EndVote(vote))
}

/// A slot has passed since the end: this node and two others vote for it.
pub(crate) fn vote_passes(bench: &mut Bench, end: AttestationBody) -> Output {
    let own = bench.tick(SLOT_MS);
    assert_eq!(voted(&own), [(end.era, end.height, AuthorityIndex(0))]);
    assert_eq!(attested(&own), []);
    assert_eq!(attested(&vote_of(bench, 1, end)), []);
    vote_of(bench, 2, end)
}

#[test]
fn r18_those_who_take_over_certify_the_last_block_and_then_the_dag_runs() {
    let mut bench = in_emergency();
    let ended = executed(&mut bench, 2, 9, Some(dag_after(9)));
    // Another master may have made a block in the same slot.
    assert_eq!(attested(&ended), []);
    assert_eq!(statements(&bench.tick(SLOT_MS - 1)).count(), 0);
    // Each votes first, and attests it when a quorum has.
    let own = bench.tick(1);
    assert_eq!(voted(&own), [(Era(2), Height(9), AuthorityIndex(0))]);
    let other = AttestationBody {
        block: BlockId::new([8; 32]),
        ..body(2, 9)
    };
    for (author, end) in [(1, body(2, 9)), (1, body(2, 9)), (2, other), (3, other)] {
        assert_eq!(attested(&vote_of(&mut bench, author, end)), []);
    }
    let attests = attested(&vote_of(&mut bench, 3, body(2, 9)));
    assert_eq!(attests, [(Era(2), Height(9), AuthorityIndex(0))]);
    // Verified by the committee that takes over, under the number of the emergency.
    let certifying = ended.era_started.expect("others are verified by it");
    assert_eq!((certifying.era, certifying.committee.size()), (Era(2), 4));
    assert!(bench.replica.is_between_eras() && bench.replica.dag().is_none());
    let sign = |author: u16| body(2, 9).sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
    drop(bench.step(Input::Attestations(vec![sign(1)])));
    assert!(bench.replica.is_between_eras(), "two of four are no quorum");
    let started = bench.step(Input::Attestations(vec![sign(2)]));
    assert!(!bench.replica.is_between_eras());
    assert_eq!(bench.replica.era(), Era(3));
    assert!(
        started
            .era_started
            .as_ref()
            .is_some_and(|era| era.kind == EraKind::Dag)
    );
    let proposed = bench.tick(200);
    let vertex = own_vertex(&started).or_else(|| own_vertex(&proposed));
    let payload = vertex.expect("the first vertex of the era").payload();
    let certificate = payload
        .anchor_certificate
        .as_ref()
        .expect("it proves the anchor");
    assert_eq!(certificate.body, body(2, 9));
    assert_eq!(
        payload.transactions.len(),
        1,
        "what no emergency block took comes again"
    );
}

#[test]
fn r18_the_end_of_an_emergency_resumes_nothing() {
    let mut bench = in_emergency();
    drop(bench.step(halt(1, 3_600_000)));
    // Governance names a block of another branch of the emergency.
    drop(bench.step(resume_of(2, 2, 30, SoftwareVersion::default())));
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let halts = bench.replica.halts();
    assert!(!halts.manager().state().resume_is_built);
    assert_eq!(halts.readiness(), Readiness::NotAsked);
    // So another message may name this end, and it is certified, and the era waits for the resume.
    drop(bench.step(Input::ResumeExcluded { sequence: 2 }));
    let certificate = certificate_of(body(2, 9));
    drop(bench.step(Input::Certificate(certificate)));
    drop(bench.tick(1_000));
    assert!(bench.replica.is_between_eras(), "a halt holds");
}

#[test]
fn r21_who_has_attested_the_end_of_the_emergency_leaves_the_dag_below_to_certificates() {
    let mut bench = in_emergency();
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    drop(vote_passes(&mut bench, body(2, 9)));
    assert_eq!(rounds_below(&mut bench, 5), 0);
    // Another end of the same emergency is not attested, whichever branch the chain takes.
    let other = AttestationBody {
        block: BlockId::new([8; 32]),
        ..body(2, 11)
    };
    drop(bench.step(Input::TakenBack {
        common_ancestor: Height(8),
        transactions: Vec::new(),
    }));
    let context = EraContext {
        anchor: other.block,
        ..EraContext::clone(&dag_after(11))
    };
    let block = executed_block(other, bench.now_ms, Some(Arc::new(context)));
    drop(bench.step(Input::Executed(vec![block])));
    refuses_to_attest(&mut bench);
}

/// Another end of the emergency, and the era that follows it.
fn other_end(height: u64) -> (AttestationBody, Option<Arc<EraContext>>) {
    let other = AttestationBody {
        block: BlockId::new([8; 32]),
        ..body(2, height)
    };
    let context = EraContext {
        anchor: other.block,
        ..EraContext::clone(&dag_after(height))
    };
    (other, Some(Arc::new(context)))
}

/// The chain has not heard of the certificate when a block with a lower id comes, a longer branch with another end, or one on which
/// the emergency goes on.
#[test]
fn r8_an_era_on_a_certified_end_goes_on_while_the_chain_is_on_another_branch() {
    let mut bench = enter_emergency(Bench::master());
    drop(bench.step(Input::PeersAt(None)));
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(attested(&vote_passes(&mut bench, body(2, 9))).len(), 1);
    let sign = |author: u16| body(2, 9).sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
    drop(bench.step(Input::Attestations(vec![sign(1), sign(2)])));
    assert_eq!(
        (bench.replica.era(), bench.replica.dag().is_some()),
        (Era(3), true)
    );
    let own = (body(2, 9), Some(dag_after(9)));
    let goes_on = (other_end(12).0, None);
    let mut is_emergency = false;
    for (head, next) in [other_end(9), other_end(11), goes_on, own] {
        let back = bench.step(Input::TakenBack {
            common_ancestor: Height(8),
            transactions: Vec::new(),
        });
        let stalled = EmergencyClock {
            slot_zero: Some(now(bench.now_ms).wall),
            is_active: false,
        };
        let is_back = head == body(2, 9);
        let block = ExecutedBlock {
            emergency: stalled,
            ..executed_block(head, bench.now_ms, next.clone())
        };
        let taken = bench.step(Input::Executed(vec![block]));
        let context = next.unwrap_or_else(|| emergency(1));
        is_emergency |= context.kind == EraKind::Emergency;
        let synced = bench.step(Input::Synced(Box::new(ChainStanding {
            head_timestamp: now(bench.now_ms).wall,
            emergency: stalled,
            ..standing(&context)
        })));
        let later = bench.tick(100 * SLOT_MS);
        // Nor does a master build on that branch.
        assert_eq!(later.produce.is_some(), is_back);
        for output in [back, taken, synced, later] {
            assert_eq!(statements(&output).count(), 0);
            assert!(output.era_started.is_none());
        }
        assert_eq!(
            (bench.replica.era(), bench.replica.dag().is_some()),
            (Era(3), true)
        );
        assert_eq!(bench.replica.context().anchor, body(2, 9).block);
    }
    assert!(is_emergency);
    // The chain is back: the era ends as any other.
    let next = EraContext {
        era: Era(4),
        ..EraContext::clone(&dag_after(10))
    };
    drop(executed(&mut bench, 3, 10, Some(Arc::new(next))));
    assert!(bench.replica.is_between_eras());
}

#[test]
fn r18_another_end_of_the_emergency_is_certified_by_those_whom_it_names() {
    let mut bench = in_emergency();
    // The end on this branch names a committee without this validator.
    let others = dag_after(9).committee.members()[1..].to_vec();
    let without = EraContext {
        committee: Committee::new(others).expect("three are a committee"),
        ..EraContext::clone(&dag_after(9))
    };
    let ended = executed(&mut bench, 2, 9, Some(Arc::new(without)));
    let certifying = ended.era_started.expect("others are verified by it");
    assert_eq!(certifying.committee.size(), 3);
    let back = bench.step(Input::TakenBack {
        common_ancestor: Height(7),
        transactions: Vec::new(),
    });
    assert_eq!(
        back.era_started,
        Some(emergency(1)),
        "the emergency goes on"
    );
    drop(executed(&mut bench, 2, 8, None));
    let ended = executed(&mut bench, 2, 11, Some(dag_after(11)));
    let certifying = ended.era_started.expect("others are verified by it");
    assert_eq!((certifying.era, certifying.committee.size()), (Era(2), 4));
    let attests = attested(&vote_passes(&mut bench, body(2, 11)));
    assert_eq!(attests, [(Era(2), Height(11), AuthorityIndex(0))]);
}

/// The end is not attested, which is said once.
fn refuses_to_attest(bench: &mut Bench) {
    let mut told = 0;
    for _ in 0..4 {
        let output = bench.tick(SLOT_MS);
        assert_eq!(statements(&output).count(), 0);
        let is_refusal = |fact: &&Fact| matches!(fact, Fact::SignRefused { .. });
        told += output.facts.iter().filter(is_refusal).count();
    }
    assert_eq!(told, 1);
}

/// What follows the second emergency.
fn after_second() -> Arc<EraContext> {
    Arc::new(EraContext {
        era: Era(5),
        ..EraContext::clone(&dag_after(20))
    })
}

/// The emergency after one whose end this validator has attested, which nobody has certified; `open_ends` are on the branch.
fn ends_once_more(bench: &mut Bench, open_ends: Vec<BlockId>) {
    let began = Arc::new(EraContext {
        era: Era(4),
        ..EraContext::clone(&emergency(12))
    });
    drop(executed(bench, 3, 12, Some(began)));
    let next = after_second();
    let block = ExecutedBlock {
        open_ends,
        ..executed_block(body(4, 20), bench.now_ms, Some(next))
    };
    drop(bench.step(Input::Executed(vec![block])));
}

#[test]
fn r18_a_later_end_is_attested_only_above_the_one_that_was_attested_before() {
    let attested_end = || {
        let mut bench = in_emergency();
        drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
        assert_eq!(attested(&vote_passes(&mut bench, body(2, 9))).len(), 1);
        bench
    };
    let again = [(Era(4), Height(20), AuthorityIndex(0))];
    let mut bench = attested_end();
    ends_once_more(&mut bench, vec![body(2, 9).block]);
    assert_eq!(attested(&vote_passes(&mut bench, body(4, 20))), again);
    // A quorum may have certified the end that this branch leaves out.
    let mut bench = attested_end();
    ends_once_more(&mut bench, vec![BlockId::new([9; 32])]);
    refuses_to_attest(&mut bench);
    // It has not, if a quorum votes for this one: most of them would have attested the other, too.
    for author in 1..3 {
        assert_eq!(attested(&vote_of(&mut bench, author, body(4, 20))), []);
    }
    assert_eq!(attested(&vote_of(&mut bench, 3, body(4, 20))), again);
}

/// What the chain is asked to hold.
fn held_end(output: &Output) -> Option<BlockId> {
    output.hold.map(|hold| hold.end)
}

/// The chain may be about to take another end that is as far, and no quorum could end the emergency with either.
#[test]
fn r22_nobody_votes_for_an_end_that_its_chain_does_not_hold() {
    let mut bench = in_emergency();
    bench.chain_holds = false;
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let asks = bench.tick(SLOT_MS);
    assert_eq!(
        (held_end(&asks), statements(&asks).count()),
        (Some(end.block), 0)
    );
    for author in 1..4 {
        let heard = vote_of(&mut bench, author, end);
        assert_eq!((heard.hold, statements(&heard).count()), (None, 0));
    }
    let asked = asks.hold.expect("the chain is asked");
    let elsewhere = bench.step(Input::Held(HoldRequest {
        end: BlockId::new([8; 32]),
        ..asked
    }));
    assert_eq!(statements(&elsewhere).count(), 0);
    let held = bench.held();
    assert_eq!(voted(&held), [(Era(2), Height(9), AuthorityIndex(0))]);
    assert_eq!(attested(&held), [(Era(2), Height(9), AuthorityIndex(0))]);
}

/// A commit that crosses the answer of the chain would take back what is about to be attested.
#[test]
fn r22_while_the_chain_is_asked_to_hold_an_end_no_commit_of_the_dag_below_goes_to_it() {
    let mut bench = in_emergency();
    bench.chain_holds = false;
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(held_end(&bench.tick(SLOT_MS)), Some(end.block));
    assert_eq!(rounds_below(&mut bench, 5), 0);
    assert_eq!(voted(&bench.held()).len(), 1);
    assert_eq!(rounds_below(&mut bench, 5), 0);
}

#[test]
fn r22_after_a_commit_of_the_dag_below_the_chain_is_asked_again_before_the_end_is_attested() {
    let mut bench = in_emergency();
    let may_begin = end_before_a_stall(&mut bench, 20 * SLOT_MS);
    assert_eq!(voted(&bench.tick(SLOT_MS)).len(), 1);
    assert_eq!(rounds_below(&mut bench, 5), 0);
    let commits = bench.commits.len();
    bench.chain_holds = false;
    let stalled = bench.tick(may_begin.since(now(bench.now_ms).wall));
    assert!(bench.commits.len() > commits && stalled.hold.is_none());
    let end = body(2, 9);
    assert_eq!(held_end(&vote_of(&mut bench, 1, end)), Some(end.block));
    assert_eq!(attested(&vote_of(&mut bench, 2, end)), []);
    let held = bench.held();
    assert_eq!(attested(&held), [(Era(2), Height(9), AuthorityIndex(0))]);
}

/// The chain has left the end and come back, and answers what it was asked before: commits may have gone to it since.
#[test]
fn r22_an_answer_to_an_earlier_request_for_the_same_end_holds_nothing() {
    let mut bench = in_emergency();
    bench.chain_holds = false;
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let before = bench.tick(SLOT_MS).hold.expect("the chain is asked");
    drop(bench.step(Input::TakenBack {
        common_ancestor: Height(8),
        transactions: Vec::new(),
    }));
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(held_end(&bench.tick(SLOT_MS)), Some(end.block));
    assert_eq!(voted(&bench.step(Input::Held(before))), []);
    assert_eq!(voted(&bench.held()).len(), 1);
}

#[test]
fn r22_a_vote_holds_to_its_end_after_a_restart_too() {
    let mut bench = in_emergency();
    let end = body(2, 9);
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(voted(&bench.tick(SLOT_MS)).len(), 1);
    let first = bench.restart_at_end(emergency(1), dag_after(9), end);
    bench.hold = first.hold;
    assert_eq!(held_end(&first), Some(end.block), "before anything else");
    let may_freeze = bench.replica.halts().manager().may_vote(AuthorityIndex(0));
    assert!(
        may_freeze.is_err(),
        "between two eras nobody votes for that"
    );
    assert_eq!(rounds_below(&mut bench, 5), 0, "the chain has not answered");
    drop(bench.held());
    assert_eq!(rounds_below(&mut bench, 5), 0, "a quorum may have voted");
}

#[test]
fn r22_a_vote_holds_to_its_end_until_the_chain_stalls_again() {
    let mut bench = in_emergency();
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let own = bench.tick(SLOT_MS);
    assert_eq!(voted(&own).len(), 1);
    assert_eq!(
        held_end(&own),
        Some(body(2, 9).block),
        "the chain does not leave it"
    );
    assert_eq!(rounds_below(&mut bench, 5), 0, "a quorum may have voted");
    // Said again until there is a certificate.
    let repeated = (0..10).filter(|_| !voted(&bench.tick(1_000)).is_empty());
    assert!(repeated.count() > 1);
    let began = Arc::new(EraContext {
        era: Era(4),
        ..EraContext::clone(&emergency(12))
    });
    let commits = bench.commits.len();
    drop(executed(&mut bench, 3, 12, Some(began)));
    assert!(bench.commits.len() > commits, "what the chain lacks");
}

/// The emergency ends with block 9; in so many ms another one may begin.
pub(crate) fn end_before_a_stall(bench: &mut Bench, stall_ms: u64) -> TimestampMs {
    let may_begin = TimestampMs(now(bench.now_ms).wall.0 + stall_ms);
    let block = ExecutedBlock {
        emergency: EmergencyClock {
            slot_zero: Some(may_begin),
            is_active: false,
        },
        ..executed_block(body(2, 9), bench.now_ms, Some(dag_after(9)))
    };
    drop(bench.step(Input::Executed(vec![block])));
    may_begin
}

/// The chain stands at the end of the emergency, with votes that came with its branch.
fn synced_with(bench: &mut Bench, end_votes: EndVotes) -> Output {
    bench.step(Input::Synced(Box::new(ChainStanding {
        end_votes: Some(Box::new(end_votes)),
        head: ExecutedHead {
            body: Some(body(4, 20)),
            ..ExecutedHead::default()
        },
        ..standing(&after_second())
    })))
}

#[test]
fn r22_the_chain_is_told_once_of_a_quorum_of_votes() {
    let mut bench = in_emergency();
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    let passed = vote_passes(&mut bench, body(2, 9));
    let votes = passed.end_votes.expect("three of four are a quorum");
    assert_eq!(votes.body, body(2, 9));
    let committee = &dag_after(9).committee;
    assert_eq!(votes.verify(&CHAIN, committee, &Ed25519), Ok(()));
    assert_eq!(vote_of(&mut bench, 3, body(2, 9)).end_votes, None);
}

#[test]
fn r22_votes_that_come_with_a_branch_release_who_has_attested_another_end() {
    let mut bench = in_emergency();
    drop(executed(&mut bench, 2, 9, Some(dag_after(9))));
    assert_eq!(attested(&vote_passes(&mut bench, body(2, 9))).len(), 1);
    ends_once_more(&mut bench, Vec::new());
    refuses_to_attest(&mut bench);
    let vote = |author: u16| {
        let signed = body(4, 20).vote(AuthorityIndex(author), &CHAIN, &key_pair(author));
        (signed.author, signed.signature)
    };
    let votes = |body| EndVotes {
        body,
        signatures: (1..4).map(vote).collect(),
    };
    // Those for another block say nothing of this one.
    let of_other = votes(body(4, 19));
    drop(synced_with(&mut bench, of_other));
    assert_eq!(attested(&bench.tick(SLOT_MS)), []);
    let own = votes(body(4, 20));
    let mut told = attested(&synced_with(&mut bench, own));
    told.extend(attested(&bench.tick(SLOT_MS)));
    assert_eq!(told[0], (Era(4), Height(20), AuthorityIndex(0)));
}

#[test]
fn r22_a_vote_holds_to_its_end_no_longer_than_until_another_emergency_may_begin_whether_one_does_or_not()
 {
    let mut bench = in_emergency();
    let may_begin = end_before_a_stall(&mut bench, 20 * SLOT_MS);
    assert_eq!(voted(&bench.tick(SLOT_MS)).len(), 1);
    assert_eq!(rounds_below(&mut bench, 5), 0, "a quorum may have voted");
    let commits = bench.commits.len();
    drop(bench.tick(may_begin.since(now(bench.now_ms).wall) - 1));
    assert_eq!(bench.commits.len(), commits);
    drop(bench.tick(1));
    assert!(bench.commits.len() > commits, "what the chain lacks");
}
