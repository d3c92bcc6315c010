//! Rule R18: what a replica does in an emergency of the chain.

use crate::bench::{Bench, attestation, executed_block, next_era, own_vertex};
use holdfast_replica::{Fact, Input, Message, Origin, Output};
use holdfast_types::test_util::{CHAIN, key_pair};
use holdfast_types::{
    AccountName, AttestationBody, AuthorityIndex, CommitDigest, Committee, Era, EraContext,
    EraKind, Height, Member, Signer,
};
use std::sync::Arc;

/// The emergency that begins with the block at `height`.
fn emergency(height: u64) -> Arc<EraContext> {
    let member = Member {
        account: AccountName::new("committee").expect("a valid name"),
        signing_key: key_pair(999).public_key(),
    };
    Arc::new(EraContext {
        kind: EraKind::Emergency,
        committee: Committee::new(vec![member]).expect("one member is a committee"),
        ..EraContext::clone(&next_era(height))
    })
}

/// The era that follows it on the block at `height`.
fn dag_after(height: u64) -> Arc<EraContext> {
    Arc::new(EraContext {
        era: Era(3),
        ..EraContext::clone(&next_era(height))
    })
}

fn body(era: u64, height: u64) -> AttestationBody {
    AttestationBody {
        era: Era(era),
        commit: CommitDigest::default(),
        ..attestation(height, 7)
    }
}

/// An emergency block of `era` is executed.
fn executed(bench: &mut Bench, era: u64, height: u64, next: Option<Arc<EraContext>>) -> Output {
    let block = executed_block(body(era, height), bench.now_ms, next);
    bench.step(Input::Executed(vec![block]))
}

fn attested(output: &Output) -> Vec<(Era, Height, AuthorityIndex)> {
    let attested = output.send.iter().filter_map(|message| match message {
        Message::Attestation(gossiped) => Some(gossiped.attestation),
        _ => None,
    });
    attested
        .map(|one| (one.body.era, one.body.height, one.author))
        .collect()
}

/// A validator in an emergency that began with block 1.
fn in_emergency() -> Bench {
    let mut bench = Bench::new();
    drop(bench.submit(0, Origin::Local));
    bench.rounds(3);
    assert_eq!(bench.replica.mempool().in_flight_len(), 1);
    let output = executed(&mut bench, 1, 1, Some(emergency(1)));
    assert!(
        output
            .era_started
            .as_ref()
            .is_some_and(|era| era.kind == EraKind::Emergency)
    );
    let started = |fact: &Fact| {
        matches!(
            fact,
            Fact::EraStarted {
                era: Era(2),
                authority: None,
                ..
            }
        )
    };
    assert!(output.facts.iter().any(started));
    assert_eq!(attested(&output), []);
    bench
}

#[test]
fn r18_an_emergency_begins_at_once_and_the_dag_is_silent_in_it() {
    let mut bench = in_emergency();
    assert_eq!(bench.replica.era(), Era(2));
    assert!(bench.replica.dag().is_none());
    assert_eq!(
        bench.replica.mempool().in_flight_len(),
        0,
        "it waits for an emergency block"
    );
    for height in 2..8 {
        let output = executed(&mut bench, 2, height, None);
        assert_eq!(attested(&output), [], "nobody certifies them");
        let output = bench.tick(3_000);
        assert!(own_vertex(&output).is_none());
        assert_eq!(attested(&output), []);
    }
}

#[test]
fn r18_those_who_take_over_certify_the_last_block_and_then_the_dag_runs() {
    let mut bench = in_emergency();
    let ended = executed(&mut bench, 2, 9, Some(dag_after(9)));
    assert_eq!(attested(&ended), [(Era(2), Height(9), AuthorityIndex(0))]);
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
fn r18_a_certificate_takes_the_emergency_back_and_the_dag_goes_on() {
    let mut bench = in_emergency();
    let output = bench.step(Input::TakenBack {
        common_ancestor: Height::ZERO,
        transactions: Vec::new(),
    });
    assert_eq!(attested(&output), []);
    let synced = bench.step(Input::Synced {
        context: Arc::clone(&bench.context),
        commits: Vec::new(),
    });
    assert!(synced.era_started.is_some_and(|era| era.era == Era(1)));
    assert_eq!(bench.replica.era(), Era(1));
    assert_eq!(bench.replica.halts().manager().state().era, Era(1));
    assert!(bench.replica.dag().is_some());
}

#[test]
fn r18_a_node_that_comes_back_in_an_emergency_has_no_dag_either() {
    let mut bench = Bench::new();
    let synced = bench.step(Input::Synced {
        context: emergency(4),
        commits: Vec::new(),
    });
    assert!(
        synced
            .era_started
            .is_some_and(|era| era.kind == EraKind::Emergency)
    );
    assert!(bench.replica.dag().is_none());
    // Once more changes nothing.
    let again = bench.step(Input::Synced {
        context: emergency(4),
        commits: Vec::new(),
    });
    assert!(again.era_started.is_none());
}
