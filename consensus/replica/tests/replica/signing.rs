//! R1, R2, R6: what is signed, when, and what is durable by then.

use crate::bench::{Bench, attestation, next_era, own_vertex, slot};
use holdfast_replica::durable::{Durable, make_durable};
use holdfast_replica::{
    Fact, Input, Message, Output, Record, SignGuard, SignGuardRecord, SigningState,
};
use holdfast_types::test_util::{CHAIN, era_context, genesis_refs, key_pair, vertex};
use holdfast_types::{AuthorityIndex, Evidence, Round, Signer, VerifiedVertex, VertexPayload};
use std::sync::Arc;

fn guard_of(output: &Output) -> Option<&SignGuardRecord> {
    output.persist.iter().find_map(|record| match record {
        Record::SignGuard(guard) => Some(guard.as_ref()),
        _ => None,
    })
}

fn guard_at(round: u64) -> SignGuardRecord {
    SignGuardRecord {
        key: key_pair(0).public_key(),
        vertex: Some(slot(round)),
        attestation: None,
        emergency_end: None,
        end_vote: None,
        recovery: None,
        past_unknown: false,
    }
}

#[test]
fn r1_a_vertex_leaves_with_itself_and_its_guard_among_the_records() {
    let mut bench = Bench::new();
    let mut sent = 0;
    for output in bench.rounds(12) {
        let Some(vertex) = own_vertex(&output) else {
            continue;
        };
        sent += 1;
        let is_stored = output.persist.iter().any(|record| {
            matches!(record, Record::OwnVertex(stored) if stored.reference() == vertex.reference())
        });
        let guard = guard_of(&output).expect("a signature raises the guard");
        assert!(is_stored);
        assert_eq!(guard.vertex, Some(slot(vertex.round().0)));
    }
    assert_eq!(sent, 12);
}

#[test]
fn r1_records_then_sync_then_guard() {
    struct Log(Vec<&'static str>);
    impl Durable for Log {
        type Error = ();
        fn check_guard(&self, _: &[&SignGuardRecord]) -> Result<(), ()> {
            Ok(())
        }
        fn write(&mut self, _: &[Record]) -> Result<(), ()> {
            self.0.push("write");
            Ok(())
        }
        fn sync(&mut self) -> Result<(), ()> {
            self.0.push("sync");
            Ok(())
        }
        fn raise_guard(&mut self, _: &[&SignGuardRecord]) -> Result<(), ()> {
            self.0.push("guard");
            Ok(())
        }
    }
    let order = |output: &Output| {
        let mut log = Log(Vec::new());
        make_durable(&output.persist, &mut log).expect("a log takes everything");
        log.0.join(" ")
    };
    let mut bench = Bench::new();
    let [proposed, of_peers] = bench.round(Default::default());
    assert_eq!(order(&proposed), "write sync guard");
    assert_eq!(order(&of_peers), "write");
    // The attestation of an era's last block comes without a vertex; the block itself must be durable all the same.
    let ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    assert_eq!(order(&ended), "sync guard");
}

#[test]
fn r2_no_vertex_in_a_slot_that_the_guard_has_seen() {
    let mut bench = Bench::with_guard(guard_at(5));
    let outputs = bench.rounds(9);
    let rounds: Vec<u64> = outputs
        .iter()
        .filter_map(own_vertex)
        .map(|vertex| vertex.round().0)
        .collect();
    assert_eq!(rounds, [6, 7, 8, 9]);
}

#[test]
fn r2_no_attestation_below_what_the_guard_has_seen() {
    let mut bench = Bench::with_guard(SignGuardRecord {
        key: key_pair(0).public_key(),
        vertex: None,
        attestation: Some(attestation(5, 7)),
        emergency_end: None,
        end_vote: None,
        recovery: None,
        past_unknown: false,
    });
    let is_refusal = |fact: &&Fact| matches!(fact, Fact::SignRefused { .. });
    let mut refused = 0;
    for height in 4..8 {
        let executed = bench.executed(height, Vec::new(), None);
        let [proposed, of_peers] = bench.round(Default::default());
        for output in [executed, proposed, of_peers] {
            refused += output.facts.iter().filter(is_refusal).count();
        }
    }
    let attestations = bench
        .sent
        .iter()
        .flat_map(|vertex| &vertex.payload().attestations);
    let attested: Vec<u64> = attestations.map(|a| a.body.height.0).collect();
    // 5 is the very same statement as before.
    assert_eq!((attested, refused), (vec![5, 6, 7], 1));
}

#[test]
fn r6_a_foreign_vertex_under_our_key_ends_signing() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let foreign = Input::Vertices(vec![bench.own_vertex(bench.next_round())]);
    let output = bench.step(foreign);
    let is_doppelganger = |fact: &Fact| matches!(fact, Fact::Doppelganger { .. });
    assert!(output.facts.iter().any(is_doppelganger));
    assert!(matches!(bench.replica.signing(), SigningState::Stopped(_)));
    let later = bench.rounds(5);
    assert!(later.iter().filter_map(own_vertex).next().is_none());
    let is_attestation = |message: &Message| matches!(message, Message::Statement(_));
    let ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    assert!(!ended.send.iter().any(is_attestation));
}

#[test]
fn r6_an_own_vertex_that_the_store_lost_is_ours() {
    let mut bench = Bench::with_guard(guard_at(1));
    let lost = Input::Vertices(vec![bench.own_vertex(bench.next_round())]);
    let output = bench.step(lost);
    assert_eq!(output.facts, []);
    assert_eq!(*bench.replica.signing(), SigningState::Active);
    let own = bench
        .replica
        .dag()
        .and_then(holdfast_dag::DagCore::own_last);
    assert_eq!(own.map(|own| own.round.0), Some(1));
}

fn stops(output: &Output) -> bool {
    let mut facts = output.facts.iter();
    facts.any(|fact| matches!(fact, Fact::Doppelganger { .. }))
}

fn equivocation(one: &VerifiedVertex, other: &VerifiedVertex) -> Evidence {
    let mut both = [one, other];
    both.sort_by_key(|vertex| vertex.reference().digest);
    Evidence::Equivocation {
        first: both[0].vertex().signed.clone(),
        second: both[1].vertex().signed.clone(),
    }
}

#[test]
fn r6_a_second_vertex_in_a_signed_slot_ends_signing_and_is_evidence() {
    let mut bench = Bench::new();
    bench.rounds(3);
    let foreign = bench.own_vertex(bench.next_round());
    bench.rounds(1);
    assert_eq!(bench.sent.last().unwrap().round(), foreign.round());
    let output = bench.step(Input::Vertices(vec![foreign]));
    assert!(stops(&output), "the guard covers the slot, and yet");
    let is_evidence = |message: &Message| matches!(message, Message::Evidence(_));
    assert!(output.send.iter().any(is_evidence));
    let sent = bench.sent.len();
    bench.rounds(5);
    assert_eq!(bench.sent.len(), sent);
}

#[test]
fn r6_a_vertex_in_a_round_that_this_process_left_out_ends_signing() {
    let mut bench = Bench::new();
    bench.rounds(2);
    let left_out = bench.own_vertex(bench.next_round());
    // Two rounds of the peers in one moment: the second is too soon for an own vertex.
    for _ in 0..2 {
        let peers: Vec<_> = (1..4)
            .map(|author| bench.peer_vertex(author, 0, VertexPayload::default()))
            .collect();
        bench.previous = peers.iter().map(|peer| peer.reference()).collect();
        let _peers = bench.step(Input::Vertices(peers));
    }
    bench.rounds(1);
    let rounds: Vec<u64> = bench.sent.iter().map(|own| own.round().0).collect();
    assert_eq!(rounds, [1, 2, 5]);
    assert!(stops(&bench.step(Input::Vertices(vec![left_out]))));
}

#[test]
fn r6_own_vertices_that_come_back_are_ours() {
    let mut bench = Bench::new();
    // So many that garbage collection has forgotten the first.
    bench.rounds(100);
    let own = bench.sent.clone();
    for vertex in own {
        let output = bench.step(Input::Vertices(vec![vertex]));
        assert!(!stops(&output));
    }
    assert_eq!(*bench.replica.signing(), SigningState::Active);
}

#[test]
fn r6_of_two_vertices_that_the_store_lost_in_one_slot_one_is_not_ours() {
    let mut bench = Bench::with_guard(guard_at(1));
    let lost = bench.own_vertex(bench.next_round());
    let other = bench.dated_own_vertex(bench.next_round(), 1);
    assert!(!stops(&bench.step(Input::Vertices(vec![lost]))));
    assert!(stops(&bench.step(Input::Vertices(vec![other]))));
}

#[test]
fn r6_evidence_against_our_key_ends_signing_if_it_is_of_our_time() {
    let mut bench = Bench::with_guard(guard_at(1));
    let old = [0, 1].map(|later| bench.dated_own_vertex(bench.next_round(), later));
    bench.rounds(1);
    let foreign = bench.own_vertex(bench.next_round());
    bench.rounds(1);
    let own = bench.sent.last().unwrap().clone();
    assert_eq!(own.round(), foreign.round());
    let of_before = equivocation(&old[0], &old[1]);
    assert!(!stops(&bench.step(Input::Evidence(vec![of_before]))));
    let of_now = equivocation(&own, &foreign);
    assert!(stops(&bench.step(Input::Evidence(vec![of_now]))));
}

#[test]
fn r6_an_own_vertex_too_far_ahead_for_the_dag_was_signed_all_the_same() {
    let mut bench = Bench::new();
    bench.rounds(1);
    let far = bench.own_vertex(bench.next_round().plus(1_000));
    assert!(stops(&bench.step(Input::Vertices(vec![far]))));
}

#[test]
fn r2_a_stored_vertex_raises_a_guard_that_is_behind() {
    let mut guard = SignGuard::empty(key_pair(0).public_key());
    assert!(guard.raise_to(slot(4), std::iter::empty()));
    assert!(!guard.raise_to(slot(3), std::iter::empty()));
    assert_eq!(guard.record().vertex, Some(slot(4)));
    // So does what it attests.
    let attested = [2, 3].map(|height| attestation(height, 7));
    assert!(guard.raise_to(slot(4), attested.into_iter()));
    assert!(!guard.raise_to(slot(4), attested.into_iter()));
    assert!(guard.allow_attestation(&attestation(3, 8)).is_err());
}

#[test]
fn r2_what_a_stored_vertex_attests_is_not_contradicted_after_a_crash_before_the_guard() {
    let context = era_context(4);
    let mine = AuthorityIndex(0);
    let attested = attestation(3, 7);
    let payload = VertexPayload {
        attestations: vec![attested.sign(mine, &CHAIN, &key_pair(0))],
        ..VertexPayload::default()
    };
    let stored = vertex(&context, mine, Round(1), genesis_refs(&context), payload);
    let guard = SignGuard::empty(key_pair(0).public_key());
    let (_bench, first) = Bench::restored(guard.record().clone(), Arc::new(stored));
    let raised = first.persist.iter().any(|record| {
        matches!(record, Record::SignGuard(guard) if guard.attestation == Some(attested)
            && guard.vertex == Some(slot(1)))
    });
    assert!(raised, "{:?}", first.persist);
}
