//! R4, R8: from one era to the next.

use crate::bench::{Bench, attestation, next_era, own_vertex};
use holdfast_replica::{Fact, Input, Message, Origin};
use holdfast_types::test_util::{CHAIN, genesis_refs, key_pair};
use holdfast_types::{
    AuthorityIndex, Certificate, TimestampMs, Vertex, VertexDraft, VertexPayload,
};

fn certificate(height: u64) -> Certificate {
    let body = attestation(height, 7);
    let signed = |author: u16| {
        let attestation = body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
        (attestation.author, attestation.signature)
    };
    Certificate {
        body,
        signatures: (0..3).map(signed).collect(),
    }
}

/// First vertices of era 2.
fn early(author: u16, number: u64) -> Vertex {
    let context = next_era(1);
    let own = AuthorityIndex(author);
    let mut parents = genesis_refs(&context);
    parents.sort_by_key(|parent| (parent.author != own, *parent));
    let draft = VertexDraft {
        era: context.era,
        round: holdfast_types::Round(1),
        author: own,
        timestamp: TimestampMs(number),
        parents,
        payload: VertexPayload::default(),
    };
    draft.sign(&CHAIN, &key_pair(author)).vertex().clone()
}

#[test]
fn r4_an_era_ends_with_its_block_and_the_next_begins_with_the_certificate() {
    let mut bench = Bench::new();
    let admitted = bench.submit(0, Origin::Local);
    assert_eq!(admitted.submissions.len(), 1);
    bench.rounds(2);
    assert_eq!(bench.replica.mempool().in_flight_len(), 1);
    let ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    assert!(bench.replica.is_between_eras());
    assert_eq!(bench.replica.mempool().in_flight_len(), 0);
    let attests = |message: &&Message| matches!(message, Message::Statement(_));
    let asks = |message: &&Message| matches!(message, Message::FetchCertificate { .. });
    assert_eq!(ended.send.iter().filter(attests).count(), 1);
    assert_eq!(ended.send.iter().filter(asks).count(), 1);
    // Nobody answers: it says so again, in its time.
    assert!(bench.tick(999).send.is_empty());
    assert_eq!(bench.tick(1).send.iter().filter(attests).count(), 1);

    let started = bench.step(Input::Certificate(certificate(1)));
    let begins = |fact: &Fact| matches!(fact, Fact::EraStarted { .. });
    assert!(started.facts.iter().any(begins));
    assert!(started.era_started.is_some());
    let proposed = bench.tick(200);
    let vertex = own_vertex(&started).or_else(|| own_vertex(&proposed));
    let payload = vertex.expect("the first vertex of the era").payload();
    assert_eq!(payload.anchor_certificate, Some(certificate(1)));
    assert_eq!(
        payload.transactions.len(),
        1,
        "what was in flight comes again"
    );
}

#[test]
fn r4_attestations_alone_make_the_certificate() {
    let mut bench = Bench::new();
    let _ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    let attestations = (1..3)
        .map(|author| attestation(1, 7).sign(AuthorityIndex(author), &CHAIN, &key_pair(author)));
    let _started = bench.step(Input::Attestations(attestations.collect()));
    assert!(!bench.replica.is_between_eras());
    assert_eq!(bench.replica.era(), next_era(1).era);
}

#[test]
fn r4_a_certificate_in_an_early_vertex_is_offered_for_verification() {
    let mut bench = Bench::new();
    let _ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    let mut vertex = early(1, 1);
    vertex.payload.anchor_certificate = Some(certificate(1));
    let output = bench.step(Input::EarlyVertex(Box::new(vertex)));
    assert_eq!(output.verify_certificates, [certificate(1)]);
}

#[test]
fn r4_r8_early_vertices_wait_bounded_by_author() {
    let mut bench = Bench::new();
    for number in 0..50 {
        let _parked = bench.step(Input::EarlyVertex(Box::new(early(1, number))));
    }
    let _parked = bench.step(Input::EarlyVertex(Box::new(early(2, 1))));
    let _ended = bench.executed(1, Vec::new(), Some(next_era(1)));
    let started = bench.step(Input::Certificate(certificate(1)));
    let of = |author: u16| {
        let vertices = started.verify.iter();
        vertices
            .filter(|vertex| vertex.signed.header.author == AuthorityIndex(author))
            .count()
    };
    assert_eq!((of(1), of(2)), (4, 1));
}
