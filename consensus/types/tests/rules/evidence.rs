//! Evidence: two statements of one author for one slot that contradict each other.

use holdfast_types::test_util::{CHAIN, era_context, genesis_refs, key_pair, samples, vertex};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, ChainId, Ed25519, EraContext, Evidence,
    EvidenceError, Round, Signature, SignedVertexHeader, VertexPayload,
};
use std::collections::BTreeSet;

fn context() -> EraContext {
    era_context(4)
}

/// A header of `author` in `round`; `variant` makes it different from others of the slot.
fn header(author: u16, round: u64, variant: u16) -> SignedVertexHeader {
    let context = context();
    let payload = VertexPayload {
        attestations: samples("variant", u64::from(variant)).collect(),
        ..VertexPayload::default()
    };
    let parents = genesis_refs(&context);
    let vertex = vertex(
        &context,
        AuthorityIndex(author),
        Round(round),
        parents,
        payload,
    );
    vertex.vertex().signed.clone()
}

/// Two headers in the order that evidence asks for.
fn sorted(one: SignedVertexHeader, two: SignedVertexHeader) -> Evidence {
    let (first, second) = if one.header.digest(&CHAIN) < two.header.digest(&CHAIN) {
        (one, two)
    } else {
        (two, one)
    };
    Evidence::Equivocation { first, second }
}

fn swapped(evidence: Evidence) -> Evidence {
    match evidence {
        Evidence::Equivocation { first, second } => Evidence::Equivocation {
            first: second,
            second: first,
        },
        Evidence::ContradictoryAttestations { first, second } => {
            Evidence::ContradictoryAttestations {
                first: second,
                second: first,
            }
        }
        Evidence::BadStateRoot { .. } => panic!("one statement has no order"),
    }
}

fn attestation(author: u16, change: fn(&mut AttestationBody)) -> Attestation {
    let mut body: AttestationBody = samples("evidence", 1).next().unwrap();
    body.era = context().era;
    body.height = holdfast_types::Height(9);
    body.state_root = holdfast_types::StateRoot::new([3; 32]);
    change(&mut body);
    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
}

fn contradiction(author: u16) -> Evidence {
    Evidence::ContradictoryAttestations {
        first: attestation(author, |_| {}),
        second: attestation(author, |body| {
            body.state_root = holdfast_types::StateRoot::new([4; 32])
        }),
    }
}

fn verdict(evidence: &Evidence) -> Result<(), EvidenceError> {
    evidence.verify(&CHAIN, &context().committee, &Ed25519)
}

#[test]
fn two_vertices_in_one_slot() {
    let evidence = sorted(header(2, 5, 0), header(2, 5, 1));
    assert_eq!(verdict(&evidence), Ok(()));
    assert_eq!(evidence.offender(), AuthorityIndex(2));
    assert_eq!(evidence.era(), context().era);
    assert_eq!(
        verdict(&swapped(evidence)),
        Err(EvidenceError::NoContradiction)
    );
}

#[test]
fn two_attestations_of_one_height() {
    let evidence = contradiction(1);
    assert_eq!(verdict(&evidence), Ok(()));
    assert_eq!(evidence.offender(), AuthorityIndex(1));
    assert_eq!(evidence.era(), context().era);
    assert_eq!(
        verdict(&swapped(evidence)),
        Err(EvidenceError::NoContradiction)
    );
}

#[test]
fn statements_of_different_slots_or_authors() {
    for (one, two) in [
        (header(2, 5, 0), header(2, 6, 1)),
        (header(2, 5, 0), header(3, 5, 1)),
    ] {
        assert_eq!(
            verdict(&sorted(one, two)),
            Err(EvidenceError::DifferentSlots)
        );
    }
    let changes: [fn(&mut AttestationBody); 2] = [
        |body| body.height = body.height.next(),
        |body| body.era = body.era.next(),
    ];
    for change in changes {
        let evidence = Evidence::ContradictoryAttestations {
            first: attestation(1, |_| {}),
            second: attestation(1, change),
        };
        assert_eq!(verdict(&evidence), Err(EvidenceError::DifferentSlots));
    }
    let evidence = Evidence::ContradictoryAttestations {
        first: attestation(1, |_| {}),
        second: attestation(2, |_| {}),
    };
    assert_eq!(verdict(&evidence), Err(EvidenceError::DifferentSlots));
}

#[test]
fn the_same_statement_twice_even_with_another_signature() {
    let one = header(2, 5, 0);
    let mut two = one.clone();
    two.signature = Signature::new([5; 64]);
    assert_eq!(
        verdict(&sorted(one, two)),
        Err(EvidenceError::NoContradiction)
    );
    let one = attestation(1, |_| {});
    let mut two = one;
    two.signature = Signature::new([5; 64]);
    let evidence = Evidence::ContradictoryAttestations {
        first: one,
        second: two,
    };
    assert_eq!(verdict(&evidence), Err(EvidenceError::NoContradiction));
}

#[test]
fn an_author_outside_the_committee() {
    let expected = Err(EvidenceError::UnknownAuthor {
        authority: AuthorityIndex(4),
        era: context().era,
    });
    let mut headers = [header(3, 5, 0), header(3, 5, 1)];
    for signed in &mut headers {
        signed.header.author = AuthorityIndex(4);
    }
    let [one, two] = headers;
    assert_eq!(verdict(&sorted(one, two)), expected);
    assert_eq!(verdict(&contradiction(4)), expected);
}

#[test]
fn each_signature_counts() {
    for position in 0..2 {
        for evidence in [sorted(header(2, 5, 0), header(2, 5, 1)), contradiction(1)] {
            let mut evidence = evidence;
            match &mut evidence {
                Evidence::Equivocation { first, second } => {
                    [first, second][position].signature = Signature::new([0; 64]);
                }
                Evidence::ContradictoryAttestations { first, second } => {
                    [first, second][position].signature = Signature::new([0; 64]);
                }
                Evidence::BadStateRoot { .. } => unreachable!("both have two statements"),
            }
            assert_eq!(verdict(&evidence), Err(EvidenceError::BadSignature));
        }
    }
    let other_chain = ChainId::new([8; 32]);
    let elsewhere = contradiction(1).verify(&other_chain, &context().committee, &Ed25519);
    assert_eq!(elsewhere, Err(EvidenceError::BadSignature));
}

#[test]
fn the_slot_key_names_offence_offender_and_slot_whatever_the_statements() {
    let key = |one, two| sorted(one, two).slot_key();
    let original = key(header(2, 5, 0), header(2, 5, 1));
    assert_eq!(key(header(2, 5, 1), header(2, 5, 2)), original);
    assert_ne!(key(header(2, 6, 0), header(2, 6, 1)), original);
    assert_ne!(key(header(3, 5, 0), header(3, 5, 1)), original);
    assert_ne!(contradiction(1).slot_key(), contradiction(2).slot_key());
    // The same numbers as offender and slot of the other offence.
    let mut first = attestation(2, |_| {});
    first.body.height = holdfast_types::Height(5);
    let other_offence = Evidence::ContradictoryAttestations {
        first,
        second: first,
    };
    assert_ne!(other_offence.slot_key(), original);
}

#[test]
fn offences_have_names() {
    assert_eq!(contradiction(1).offence(), "contradictory_attestations");
    let names: BTreeSet<_> = samples::<Evidence>("offences", 64)
        .map(|evidence| evidence.offence())
        .collect();
    let all = [
        "bad_state_root",
        "contradictory_attestations",
        "equivocation",
    ];
    assert_eq!(names, BTreeSet::from(all));
}
