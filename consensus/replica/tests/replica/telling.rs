//! Rule R16: what a node says of halts, and tells again as long as nobody else may know.

use crate::bench::{Bench, WALL, now};
use crate::halts::{bad_root, halt, message, resume, said};
use holdfast_replica::{Input, Message, Output};
use holdfast_types::{
    AuthorityIndex, GovernanceAction, HaltProof, SignedHaltStatus, SoftwareVersion, TimestampMs,
};

/// Repetitions of what is told in an output: proofs and messages of governance.
fn told(output: &Output) -> Vec<u32> {
    let repetition = |message: &Message| match message {
        Message::HaltProof { repetition, .. } => Some(*repetition),
        Message::Governance(gossiped) => Some(gossiped.repetition),
        _ => None,
    };
    output.send.iter().filter_map(repetition).collect()
}

/// What halted members say that stand as `knowing` does.
fn says(knowing: &mut Bench, author: u16) -> SignedHaltStatus {
    let mut status = said(&knowing.tick(1_000)).expect("it says how it stands");
    status.author = AuthorityIndex(author);
    status
}

fn hear(bench: &mut Bench, status: SignedHaltStatus) {
    drop(bench.step(Input::HaltStatus(Box::new(status))));
}

#[test]
fn r16_a_halted_validator_says_how_it_stands() {
    let mut bench = Bench::new();
    let first = said(&bench.step(halt(1, 60_000))).expect("at once");
    assert_eq!(first.author, AuthorityIndex(0));
    assert_eq!(first.status.halts.len(), 1);
    assert!(said(&bench.tick(10)).is_none());
    assert!(said(&bench.tick(1_000)).is_some());
}

#[test]
fn r16_a_member_is_heard_when_its_statement_is_new() {
    let mut bench = Bench::new();
    let mut status = said(&bench.step(halt(1, 60_000))).expect("it says how it stands");
    status.author = AuthorityIndex(2);
    drop(bench.tick(1_000));
    drop(bench.step(Input::HaltStatus(Box::new(status.clone()))));
    assert_eq!(bench.replica.halts().heard_ms(), [1_000, 0, 1_000, 0]);
    // Somebody tells it again.
    drop(bench.tick(500));
    drop(bench.step(Input::HaltStatus(Box::new(status.clone()))));
    assert_eq!(bench.replica.halts().heard_ms(), [1_000, 0, 1_000, 0]);
    // Whatever the clock of its author says.
    status.status.at = TimestampMs(status.status.at.0 + 1);
    drop(bench.step(Input::HaltStatus(Box::new(status))));
    assert_eq!(bench.replica.halts().heard_ms(), [1_000, 0, 1_500, 0]);
}

#[test]
fn r16_who_says_that_it_is_in_an_unknown_halt_is_asked() {
    let mut knowing = Bench::new();
    let mut status = said(&knowing.step(halt(1, 60_000))).expect("it says how it stands");
    status.author = AuthorityIndex(2);
    let mut bench = Bench::new();
    let asks = |output: &Output| {
        let asks = |message: &&Message| matches!(message, Message::AskHalts { .. });
        output.send.iter().filter(asks).count()
    };
    let heard = |bench: &mut Bench| bench.step(Input::HaltStatus(Box::new(status.clone())));
    assert_eq!(asks(&heard(&mut bench)), 1);
    assert_eq!(asks(&heard(&mut bench)), 0, "not again at once");
    drop(bench.step(halt(1, 60_000)));
    drop(bench.tick(2_000));
    assert_eq!(asks(&heard(&mut bench)), 0, "it is known now");
}

#[test]
fn r16_what_a_follower_alone_knows_is_told_again_with_another_repetition() {
    let rotate = || {
        let action = GovernanceAction::RotateKeys {
            keys: Vec::new(),
            threshold: 0,
        };
        Input::Governance(message(1, action))
    };
    let proof = || {
        let attestations = (1..4)
            .map(|author| bad_root(author, author as u8))
            .collect();
        Input::HaltProof(Box::new(HaltProof::Divergence { attestations }))
    };
    let resume = || resume(1, 5, SoftwareVersion::default());
    for news in [halt(1, 600_000), resume(), rotate(), proof()] {
        let mut bench = Bench::follower();
        let name = format!("{news:?}");
        assert_eq!(told(&bench.step(news)), [0], "{name}");
        assert!(told(&bench.tick(500)).is_empty(), "{name}");
        let second = told(&bench.tick(500));
        let third = told(&bench.tick(1_000));
        // All nodes have the same number: the network takes one of them.
        let turn = u32::try_from(WALL / 1_000).expect("it is a test") + 1;
        assert_eq!((second, third), (vec![turn], vec![turn + 1]), "{name}");
        let wake_ms = bench.replica.next_wake_ms(now(bench.now_ms)).unwrap();
        assert!(
            wake_ms > bench.now_ms && wake_ms <= bench.now_ms + 1_000,
            "{name}"
        );
    }
}

#[test]
fn r16_what_one_honest_member_says_is_not_told_again() {
    let mut knowing = Bench::new();
    drop(knowing.step(halt(1, 600_000)));
    let mut bench = Bench::follower();
    drop(bench.step(halt(1, 600_000)));
    let status = says(&mut knowing, 1);
    hear(&mut bench, status);
    assert_eq!(told(&bench.tick(1_000)).len(), 1, "one may lie");
    let mut with_fault = says(&mut knowing, 2);
    with_fault.status.own_fault = Some(holdfast_types::HaltCause::OwnDivergence);
    hear(&mut bench, with_fault);
    assert_eq!(
        told(&bench.tick(1_000)).len(),
        1,
        "nobody asks who has a fault of its own"
    );
    let status = says(&mut knowing, 2);
    hear(&mut bench, status);
    assert!(
        told(&bench.tick(1_000)).is_empty(),
        "who does not know asks one of them"
    );
    // Of the order to resume they say nothing yet.
    drop(bench.step(resume(2, 5, SoftwareVersion::default())));
    assert_eq!(told(&bench.tick(1_000)).len(), 1);
    drop(knowing.step(resume(2, 5, SoftwareVersion::default())));
    for author in [1, 2] {
        let status = says(&mut knowing, author);
        hear(&mut bench, status);
    }
    assert!(told(&bench.tick(1_000)).is_empty());
}

#[test]
fn r16_a_halt_that_is_over_is_not_told_again() {
    let mut bench = Bench::follower();
    drop(bench.step(halt(1, 1_500)));
    assert_eq!(told(&bench.tick(1_000)).len(), 1);
    assert!(told(&bench.tick(1_000)).is_empty());
    assert!(bench.replica.next_wake_ms(now(bench.now_ms)) > Some(bench.now_ms));
}
