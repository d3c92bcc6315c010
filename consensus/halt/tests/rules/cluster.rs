//! Equivocators of one era (rules E1 to E3).

use holdfast_halt::ClusterDetector;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{
    CHAIN, committee, era_context, genesis_refs, key_pair, samples, vertex,
};
use holdfast_types::{
    AttestationBody, AuthorityIndex, Ed25519, Era, EraContext, Evidence, HaltCause, HaltProof,
    HaltThresholds, Round, VertexPayload,
};

fn thresholds(size: u16) -> HaltThresholds {
    HaltThresholds::new(&parameters().halt, &committee(size))
}

/// Two vertices of `author` in `round`.
fn equivocation(context: &EraContext, author: u16, round: u64) -> Evidence {
    let mut headers = [0, 1].map(|variant| {
        let payload = VertexPayload {
            attestations: samples("cluster", variant).collect(),
            ..VertexPayload::default()
        };
        let parents = genesis_refs(context);
        let author = AuthorityIndex(author);
        let vertex = vertex(context, author, Round(round), parents, payload);
        vertex.vertex().signed.clone()
    });
    headers.sort_by_key(|signed| signed.header.digest(&CHAIN));
    let [first, second] = headers;
    Evidence::Equivocation { first, second }
}

#[test]
fn the_tenth_equivocator_of_128_halts_the_chain_and_the_ninth_does_not() {
    let context = era_context(128);
    let mut detector = ClusterDetector::new(context.era, thresholds(128));
    for number in 0..9 {
        let author = 90 - number * 10;
        assert_eq!(detector.add(&equivocation(&context, author, 5)), None);
    }
    assert_eq!(detector.offenders(), 9);
    let proof = detector.add(&equivocation(&context, 127, 5)).expect("ten");
    let HaltProof::EquivocationCluster { evidence } = &proof else {
        panic!("no cluster: {proof:?}");
    };
    let offenders: Vec<_> = evidence.iter().map(|item| item.offender().0).collect();
    assert_eq!(offenders, [10, 20, 30, 40, 50, 60, 70, 80, 90, 127]);
    let verdict = proof.verify(
        &CHAIN,
        context.era,
        &context.committee,
        thresholds(128),
        &Ed25519,
    );
    assert_eq!(verdict, Ok(HaltCause::EquivocationCluster));
    assert_eq!(detector.add(&equivocation(&context, 0, 5)), None, "once");
    assert_eq!(detector.offenders(), 10, "no more is kept");
}

#[test]
fn f_plus_1_of_a_small_committee_are_enough() {
    let context = era_context(4);
    let mut detector = ClusterDetector::new(context.era, thresholds(4));
    assert_eq!(detector.add(&equivocation(&context, 2, 5)), None);
    let proof = detector.add(&equivocation(&context, 0, 9)).expect("two");
    let verdict = proof.verify(
        &CHAIN,
        context.era,
        &context.committee,
        thresholds(4),
        &Ed25519,
    );
    assert_eq!(verdict, Ok(HaltCause::EquivocationCluster));
}

#[test]
fn one_validator_counts_once() {
    let context = era_context(4);
    let mut detector = ClusterDetector::new(context.era, thresholds(4));
    for round in 1..20 {
        assert_eq!(detector.add(&equivocation(&context, 2, round)), None);
    }
    assert_eq!(detector.offenders(), 1);
}

#[test]
fn evidence_of_an_earlier_era_halts_nobody() {
    let mut context = era_context(4);
    let mut detector = ClusterDetector::new(Era(2), thresholds(4));
    for author in 0..4 {
        assert_eq!(detector.add(&equivocation(&context, author, 5)), None);
    }
    context.era = Era(2);
    assert_eq!(detector.add(&equivocation(&context, 0, 5)), None);
    detector.era_started(Era(3), thresholds(4));
    assert_eq!(detector.offenders(), 0);
    assert_eq!(detector.add(&equivocation(&context, 1, 5)), None);
}

#[test]
fn other_offences_are_no_cluster() {
    let mut detector = ClusterDetector::new(Era(1), thresholds(4));
    let statements: Vec<AttestationBody> = samples("cluster", 4).collect();
    for (author, mut body) in (0..).zip(statements) {
        body.era = Era(1);
        let attestation = body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author));
        let evidence = Evidence::BadStateRoot { attestation };
        assert_eq!(detector.add(&evidence), None);
    }
    assert_eq!(detector.offenders(), 0);
}
