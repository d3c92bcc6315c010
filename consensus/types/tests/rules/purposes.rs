//! Nothing that is hashed or signed for one purpose, chain or era is valid for another.

use holdfast_types::hash::Purpose;
use holdfast_types::test_util::{
    CHAIN, committee, era_context, genesis_refs, key_pair, samples, vertex,
};
use holdfast_types::{
    AttestationBody, AuthorityIndex, ChainId, Ed25519, Era, PeerClaim, Round, SignatureCheck,
    SignatureScheme, Signer, TransactionBody, VertexPayload,
};
use std::collections::BTreeSet;

const OTHER_CHAIN: ChainId = ChainId::new([8; 32]);

/// The context strings as they stand in the source: a list here would miss a new one.
fn contexts() -> Vec<String> {
    include_str!("../../src/hash.rs")
        .lines()
        .filter_map(|line| line.split_once(" = \"holdfast "))
        .map(|(_, rest)| rest.split('"').next().unwrap_or_default())
        .map(|rest| format!("holdfast {rest}"))
        .collect()
}

#[test]
fn every_purpose_has_its_own_versioned_context() {
    let contexts = contexts();
    assert!(
        contexts.len() >= 26,
        "found {} purposes in the source",
        contexts.len()
    );
    assert!(
        contexts
            .iter()
            .any(|context| context == Purpose::TRANSACTION.context())
    );
    assert!(
        contexts
            .iter()
            .any(|context| context == Purpose::BATCH_COEFFICIENTS.context())
    );
    for context in &contexts {
        assert!(
            context.starts_with("holdfast ") && context.ends_with(" v1"),
            "{context:?}"
        );
    }
    assert_eq!(
        contexts.iter().collect::<BTreeSet<_>>().len(),
        contexts.len()
    );
}

#[test]
fn equal_bytes_hash_differently_for_every_signing_purpose() {
    let purposes = [
        Purpose::TRANSACTION,
        Purpose::VERTEX,
        Purpose::ATTESTATION,
        Purpose::DKG_CONFIRMATION,
        Purpose::PEER_CLAIM,
        Purpose::GOVERNANCE,
        Purpose::HALT_STATUS,
    ];
    let hashes: BTreeSet<_> = purposes
        .iter()
        .flat_map(|purpose| {
            [CHAIN, OTHER_CHAIN].map(|chain| purpose.hash_on_chain(&chain, &[1u8, 2, 3]))
        })
        .collect();
    assert_eq!(hashes.len(), 2 * purposes.len());
}

fn verifies(check: Option<SignatureCheck>) -> bool {
    check.is_some_and(|check| Ed25519.verify(&check))
}

#[test]
fn a_vertex_signature_is_bound_to_chain_era_and_purpose() {
    let context = era_context(4);
    let parents = genesis_refs(&context);
    let vertex = vertex(
        &context,
        AuthorityIndex(1),
        Round(1),
        parents,
        VertexPayload::default(),
    );
    let mut signed = vertex.vertex().signed.clone();
    assert!(verifies(signed.signature_check(&CHAIN, &context.committee)));
    assert!(!verifies(
        signed.signature_check(&OTHER_CHAIN, &context.committee)
    ));
    signed.header.era = Era(2);
    assert!(!verifies(
        signed.signature_check(&CHAIN, &context.committee)
    ));
}

#[test]
fn an_attestation_signature_is_bound_to_chain_era_and_author() {
    let committee = committee(4);
    for body in samples::<AttestationBody>("attestation", 8) {
        let mut attestation = body.sign(AuthorityIndex(2), &CHAIN, &key_pair(2));
        assert!(verifies(attestation.signature_check(&CHAIN, &committee)));
        assert!(!verifies(
            attestation.signature_check(&OTHER_CHAIN, &committee)
        ));
        attestation.author = AuthorityIndex(3);
        assert!(!verifies(attestation.signature_check(&CHAIN, &committee)));
        attestation.author = AuthorityIndex(4);
        assert!(attestation.signature_check(&CHAIN, &committee).is_none());
        attestation.author = AuthorityIndex(2);
        attestation.body.era = Era(body.era.0 ^ 1);
        assert!(!verifies(attestation.signature_check(&CHAIN, &committee)));
    }
}

#[test]
fn the_id_of_a_transaction_is_the_message_that_is_signed() {
    for body in samples::<TransactionBody>("transaction", 8) {
        let id = body.id(&CHAIN);
        assert_eq!(
            *id.as_bytes(),
            Purpose::TRANSACTION.hash_on_chain(&CHAIN, &body)
        );
        let signed = body.sign(&CHAIN, &key_pair(5));
        assert_eq!(
            signed.signature_check(&id).message.as_bytes(),
            id.as_bytes()
        );
    }
}

#[test]
fn round_0_vertices_differ_by_chain_era_anchor_and_author() {
    let context = era_context(4);
    let mut other_era = context.clone();
    other_era.era = Era(2);
    let mut other_anchor = context.clone();
    other_anchor.anchor = holdfast_types::BlockId::new([10; 32]);
    let mut seen = BTreeSet::new();
    for context in [&context, &other_era, &other_anchor] {
        for chain in [CHAIN, OTHER_CHAIN] {
            for author in context.committee.authorities() {
                seen.insert(holdfast_types::VertexRef::genesis(&chain, context, author).digest);
            }
        }
    }
    assert_eq!(seen.len(), 3 * 2 * 4);
}

#[test]
fn a_peer_claim_is_bound_to_chain_peer_and_key() {
    let claim = PeerClaim::sign(&CHAIN, b"peer", &key_pair(1));
    assert!(claim.verify(&CHAIN, b"peer", &Ed25519));
    assert!(!claim.verify(&OTHER_CHAIN, b"peer", &Ed25519));
    assert!(!claim.verify(&CHAIN, b"other peer", &Ed25519));
    let stolen = PeerClaim {
        key: key_pair(2).public_key(),
        ..claim
    };
    assert!(!stolen.verify(&CHAIN, b"peer", &Ed25519));
}
