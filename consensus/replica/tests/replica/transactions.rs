//! R7, R9, R10, R11: transactions of clients.

use crate::bench::{Bench, now, own_vertex, took, transaction};
use holdfast_replica::{
    Admission, EXECUTION_LAG_MAX, Input, LAGGING_TRANSACTIONS_MAX, MempoolReject, Message, Origin,
    Output, Record, Submission,
};
use holdfast_types::Height;

fn handed_on(output: &Output) -> usize {
    output
        .send
        .iter()
        .filter_map(|message| match message {
            Message::Transactions(transactions) => Some(transactions),
            _ => None,
        })
        .flatten()
        .count()
}

#[test]
fn r7_a_follower_hands_transactions_on_at_once_and_again_until_they_are_executed() {
    let mut bench = Bench::follower();
    assert_eq!(handed_on(&bench.submit(0, Origin::Local)), 1);
    assert_eq!(handed_on(&bench.submit(1, Origin::Local)), 1);
    assert_eq!(handed_on(&bench.tick(4_999)), 0);
    assert_eq!(handed_on(&bench.tick(1)), 2);
    let _executed = bench.executed(1, vec![took(0)], None);
    assert_eq!(handed_on(&bench.tick(5_000)), 1);
    let _executed = bench.executed(2, vec![took(1)], None);
    assert_eq!(handed_on(&bench.tick(60_000)), 0);
    let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
    assert!(wake_ms.is_some_and(|at_ms| at_ms > bench.now_ms));
}

#[test]
fn r7_a_follower_does_not_hand_on_what_peers_handed_on() {
    let mut bench = Bench::follower();
    let foreign = Origin::Foreign { eligible_at_ms: 1 };
    assert_eq!(handed_on(&bench.submit(0, foreign)), 0);
}

#[test]
fn r7_a_validator_proposes_instead() {
    let mut bench = Bench::new();
    assert_eq!(handed_on(&bench.submit(0, Origin::Local)), 0);
    bench.rounds(1);
    let first = bench.sent.first().expect("a vertex in every round");
    assert_eq!(first.transaction_ids(), [transaction(0).id()]);
}

#[test]
fn r7_transactions_that_wait_for_a_quorum_do_not_keep_the_core_awake() {
    let mut bench = Bench::new();
    let first = bench.submit(0, Origin::Local);
    assert!(own_vertex(&first).is_some(), "the first round needs nobody");
    // Another member was to propose it, and its time here has come.
    let foreign = Origin::Foreign { eligible_at_ms: 1 };
    let second = bench.submit(1, foreign);
    let alone = bench.tick(10_000);
    assert!(own_vertex(&second).is_none() && own_vertex(&alone).is_none());
    let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms));
    assert!(wake_ms.is_some_and(|at_ms| at_ms > bench.now_ms));
}

#[test]
fn r10_more_transactions_than_there_is_room_for_are_refused() {
    let mut bench = Bench::follower();
    let submissions = (0..100).map(|nonce| Submission {
        transaction: transaction(nonce),
        account_nonce: 0,
        as_of: Height::ZERO,
        origin: Origin::Local,
    });
    let output = bench.step(Input::Transactions(submissions.collect()));
    let admitted = output.submissions.iter().filter(|r| r.is_ok()).count();
    let inserts = |record: &&Record| matches!(record, Record::MempoolInsert(_));
    assert_eq!(admitted, 80, "one sender has so many places");
    assert_eq!(output.persist.iter().filter(inserts).count(), 80);
}

#[test]
fn r11_a_nonce_that_was_read_before_the_last_block_leaves_no_gap() {
    let mut bench = Bench::new();
    let _admitted = bench.submit(0, Origin::Local);
    let _executed = bench.executed(1, vec![took(0)], None);
    // Whoever verified the next one read the state of genesis.
    let output = bench.submit(1, Origin::Local);
    assert_eq!(output.submissions, [Ok(Admission::Admitted)]);
    assert_eq!(bench.replica.mempool().gapped_len(), 0);
    bench.rounds(1);
    let last = bench.sent.last().expect("a vertex in every round");
    assert_eq!(last.transaction_ids(), [transaction(1).id()]);
    // One that was executed meanwhile does not come in again.
    let output = bench.submit(0, Origin::Local);
    assert!(matches!(
        output.submissions[..],
        [Err(MempoolReject::NonceTooLow { .. })]
    ));
}

#[test]
fn r11_what_was_read_too_long_ago_is_to_be_sent_again() {
    let mut bench = Bench::new();
    for height in 1..=65 {
        let _executed = bench.executed(height, vec![took(height - 1)], None);
    }
    let output = bench.submit(65, Origin::Local);
    assert_eq!(output.submissions, [Err(MempoolReject::Outdated)]);
}

#[test]
fn r9_while_execution_lags_own_vertices_carry_few_transactions() {
    for lags in [false, true] {
        let mut bench = Bench::new();
        bench.rounds(if lags { 20 } else { 2 });
        // Nothing was executed.
        let waiting = bench.commits.len() as u64;
        assert_eq!(waiting > EXECUTION_LAG_MAX, lags);
        let before = bench.sent.len();
        let submissions = (0..80).map(|nonce| Submission {
            transaction: transaction(nonce),
            account_nonce: 0,
            as_of: Height::ZERO,
            origin: Origin::Local,
        });
        let _admitted = bench.step(Input::Transactions(submissions.collect()));
        bench.rounds(1);
        let carried = |vertex: &std::sync::Arc<holdfast_types::VerifiedVertex>| {
            vertex.transaction_ids().len()
        };
        let most = bench.sent[before..].iter().map(carried).max();
        let expected = if lags { LAGGING_TRANSACTIONS_MAX } else { 80 };
        assert_eq!(most, Some(expected));
    }
}
