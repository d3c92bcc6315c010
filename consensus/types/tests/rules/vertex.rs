//! Every refusal of a vertex, by the rule (V1 to V6) that it breaks.

use holdfast_types::limits::{
    VERTEX_ATTESTATIONS_MAX, VERTEX_BYTES_MAX, VERTEX_EVIDENCE_MAX, VERTEX_TRANSACTIONS_MAX,
};
use holdfast_types::test_util::{
    CHAIN, era_context, genesis_refs, key_pair, samples, validator_account,
};
use holdfast_types::{
    Action, Attestation, AttestationBody, AuthorityIndex, ChainId, Ed25519, Era, EraContext,
    Height, Round, Signature, SignedTransaction, Signer, TimestampMs, TransactionBody,
    VerifiedVertex, Vertex, VertexDigest, VertexDraft, VertexPayload, VertexRef, VertexReject,
};

const AUTHOR: AuthorityIndex = AuthorityIndex(1);
const ROUND: Round = Round(5);

fn context() -> EraContext {
    era_context(4)
}

fn reference(round: u64, author: u16) -> VertexRef {
    VertexRef {
        round: Round(round),
        author: AuthorityIndex(author),
        digest: VertexDigest::new([u8::try_from(round).unwrap(); 32]),
    }
}

/// A draft that obeys every rule: own parent first, a straggler of round 3, the quorum of round 4.
fn draft() -> VertexDraft {
    VertexDraft {
        era: context().era,
        round: ROUND,
        author: AUTHOR,
        timestamp: TimestampMs(5),
        parents: vec![
            reference(4, 1),
            reference(3, 3),
            reference(4, 0),
            reference(4, 2),
        ],
        payload: VertexPayload {
            transactions: vec![transaction(3), transaction(0)],
            attestations: vec![attestation(7), attestation(8)],
            evidence: samples("evidence", 2).collect(),
            governance: samples("governance", 1).collect(),
            anchor_certificate: samples("certificate", 1).next(),
        },
    }
}

fn transaction(memo_bytes: usize) -> SignedTransaction {
    TransactionBody {
        sender: validator_account(9),
        public_key: key_pair(9).public_key(),
        nonce: 0,
        fee_max: 0,
        expires_at: None,
        action: Action::Transfer {
            to: validator_account(2),
            amount: 5,
            memo: vec![0; memo_bytes],
        },
    }
    .sign(&CHAIN, &key_pair(9))
}

fn attestation_body(height: u64) -> AttestationBody {
    AttestationBody {
        era: context().era,
        height: Height(height),
        ..samples("attestation", 1).next().unwrap()
    }
}

fn attestation(height: u64) -> Attestation {
    attestation_body(height).sign(AUTHOR, &CHAIN, &key_pair(AUTHOR.0))
}

fn verdict(vertex: Vertex) -> Result<(), VertexReject> {
    VerifiedVertex::verify(vertex, &CHAIN, &context(), &Ed25519).map(|_| ())
}

/// The verdict on the valid draft after `change`, with hashes and signature that follow from it.
fn verdict_after(change: impl FnOnce(&mut VertexDraft)) -> Result<(), VertexReject> {
    let mut draft = draft();
    change(&mut draft);
    let signer = key_pair(draft.author.0);
    verdict(draft.sign(&CHAIN, &signer).vertex().clone())
}

/// The verdict on the signed vertex after `change` that nothing follows.
fn verdict_after_signing(change: impl FnOnce(&mut Vertex)) -> Result<(), VertexReject> {
    let mut vertex = draft().sign(&CHAIN, &key_pair(AUTHOR.0)).vertex().clone();
    change(&mut vertex);
    verdict(vertex)
}

#[test]
fn the_valid_vertex_and_its_smallest_form_are_accepted() {
    assert_eq!(verdict_after(|_| {}), Ok(()));
    let smallest = verdict_after(|draft| {
        draft.parents.remove(1);
        draft.payload = VertexPayload::default();
    });
    assert_eq!(smallest, Ok(()));
}

#[test]
fn the_first_vertex_of_an_era_stands_on_the_implied_ones() {
    let context = context();
    let first_round = |parents: Vec<VertexRef>| {
        verdict_after(|draft| {
            draft.round = Round(1);
            draft.parents = parents;
        })
    };
    let mut parents = genesis_refs(&context);
    parents.swap(0, 1);
    assert_eq!(first_round(parents.clone()), Ok(()));
    assert_eq!(first_round(parents[..3].to_vec()), Ok(()));
    for position in 0..4 {
        let mut parents = parents.clone();
        parents[position].digest = VertexDigest::new([1; 32]);
        assert_eq!(
            first_round(parents),
            Err(VertexReject::ParentGenesis { position })
        );
    }
}

#[test]
fn verification_keeps_reference_and_transaction_ids() {
    let signed = draft().sign(&CHAIN, &key_pair(AUTHOR.0));
    let verified =
        VerifiedVertex::verify(signed.vertex().clone(), &CHAIN, &context(), &Ed25519).unwrap();
    assert_eq!(verified, signed);
    let digest = verified.header().digest(&CHAIN);
    assert_eq!(
        verified.reference(),
        VertexRef {
            round: ROUND,
            author: AUTHOR,
            digest
        }
    );
    let ids: Vec<_> = [transaction(3), transaction(0)]
        .map(|t| t.body.id(&CHAIN))
        .to_vec();
    assert_eq!(verified.transaction_ids(), ids);
}

#[test]
fn v1_era_author_round() {
    assert_eq!(
        verdict_after(|draft| draft.era = Era(2)),
        Err(VertexReject::WrongEra {
            actual: Era(2),
            expected: Era(1)
        })
    );
    let stranger = AuthorityIndex(4);
    assert_eq!(
        verdict_after(|draft| draft.author = stranger),
        Err(VertexReject::UnknownAuthor { author: stranger })
    );
    assert_eq!(
        verdict_after(|draft| draft.round = Round(0)),
        Err(VertexReject::RoundZero)
    );
}

#[test]
fn v2_lists_are_bounded() {
    let too_many = |field, actual, limit| {
        Err(VertexReject::TooMany {
            field,
            actual,
            limit,
        })
    };
    assert_eq!(
        verdict_after(|draft| draft.parents = (0..13).map(|round| reference(round, 1)).collect()),
        too_many("parents", 13, 12)
    );
    let transactions = VERTEX_TRANSACTIONS_MAX + 1;
    assert_eq!(
        verdict_after(|draft| draft.payload.transactions = vec![transaction(0); transactions]),
        too_many("transactions", transactions, VERTEX_TRANSACTIONS_MAX)
    );
    let attestations = VERTEX_ATTESTATIONS_MAX + 1;
    assert_eq!(
        verdict_after(|draft| draft.payload.attestations = vec![attestation(1); attestations]),
        too_many("attestations", attestations, VERTEX_ATTESTATIONS_MAX)
    );
    let evidence = VERTEX_EVIDENCE_MAX + 1;
    assert_eq!(
        verdict_after(
            |draft| draft.payload.evidence = samples("evidence", evidence as u64).collect()
        ),
        too_many("evidence", evidence, VERTEX_EVIDENCE_MAX)
    );
}

#[test]
fn v2_the_whole_is_bounded_and_so_is_every_transaction() {
    let one = borsh::object_length(&transaction(256)).unwrap();
    let refused = verdict_after(|draft| {
        draft.payload.transactions = vec![transaction(256); VERTEX_BYTES_MAX / one + 1];
    });
    assert!(
        matches!(
            refused,
            Err(VertexReject::TooMany {
                field: "bytes",
                limit: VERTEX_BYTES_MAX,
                ..
            })
        ),
        "{refused:?}"
    );
    assert_eq!(
        verdict_after(|draft| draft.payload.transactions[1] = transaction(257)),
        Err(VertexReject::TransactionLimits { position: 1 })
    );
}

#[test]
fn v3_the_header_hashes_what_the_vertex_carries() {
    let wrong = |field| Err(VertexReject::WrongHash { field });
    assert_eq!(
        verdict_after_signing(|vertex| vertex.parents[1].digest = VertexDigest::new([0; 32])),
        wrong("parents_hash")
    );
    assert_eq!(
        verdict_after_signing(|vertex| vertex.signed.header.parents_hash = [0; 32]),
        wrong("parents_hash")
    );
    let payload_changes: [fn(&mut VertexPayload); 4] = [
        |payload| payload.transactions.truncate(1),
        |payload| payload.attestations.truncate(1),
        |payload| payload.evidence.truncate(1),
        |payload| payload.anchor_certificate = None,
    ];
    for change in payload_changes {
        assert_eq!(
            verdict_after_signing(|vertex| change(&mut vertex.payload)),
            wrong("payload_hash")
        );
    }
}

#[test]
fn v4_the_own_vertex_comes_first_and_only_there() {
    let order = |position| Err(VertexReject::ParentOrder { position });
    assert_eq!(verdict_after(|draft| draft.parents.swap(0, 1)), order(0));
    assert_eq!(
        verdict_after(|draft| draft.parents = draft.parents.split_off(1)),
        order(0)
    );
    assert_eq!(
        verdict_after(|draft| draft.parents.insert(1, reference(2, 1))),
        order(1)
    );
    assert_eq!(
        verdict_after(|draft| draft.parents[3] = reference(4, 1)),
        order(3)
    );
}

#[test]
fn v4_the_others_are_sorted_members_one_per_slot() {
    let order = |position| Err(VertexReject::ParentOrder { position });
    assert_eq!(verdict_after(|draft| draft.parents.swap(2, 3)), order(3));
    assert_eq!(verdict_after(|draft| draft.parents.swap(1, 2)), order(2));
    let twin = VertexRef {
        digest: VertexDigest::new([9; 32]),
        ..reference(4, 2)
    };
    assert_eq!(verdict_after(|draft| draft.parents.push(twin)), order(4));
    assert_eq!(
        verdict_after(|draft| draft.parents.push(reference(4, 2))),
        order(4)
    );
    assert_eq!(
        verdict_after(|draft| draft.parents.push(reference(4, 4))),
        order(4)
    );
}

#[test]
fn v4_parents_are_of_lower_rounds() {
    let round = |position| Err(VertexReject::ParentRound { position });
    assert_eq!(
        verdict_after(|draft| draft.parents[0].round = ROUND),
        round(0)
    );
    assert_eq!(
        verdict_after(|draft| draft.parents.push(reference(5, 3))),
        round(4)
    );
    assert_eq!(
        verdict_after(|draft| draft.parents.push(reference(9, 3))),
        round(4)
    );
}

#[test]
fn v4_a_quorum_is_of_the_previous_round() {
    let quorum = |actual| Err(VertexReject::ParentQuorum { actual, quorum: 3 });
    assert_eq!(verdict_after(|draft| draft.parents.clear()), quorum(0));
    assert_eq!(verdict_after(|draft| draft.parents.truncate(3)), quorum(2));
    assert_eq!(
        verdict_after(|draft| draft.parents[0].round = Round(3)),
        quorum(2)
    );
    assert_eq!(
        verdict_after(|draft| {
            draft.parents[0].round = Round(3);
            draft.parents.push(reference(4, 3));
        }),
        Ok(()),
        "the own previous vertex may be older if the others are enough"
    );
}

#[test]
fn v5_attestations_are_the_authors_own_of_this_era_with_rising_heights() {
    let refused = |position| Err(VertexReject::Attestation { position });
    let foreign = attestation_body(9).sign(AuthorityIndex(2), &CHAIN, &key_pair(2));
    assert_eq!(
        verdict_after(|draft| draft.payload.attestations.push(foreign)),
        refused(2)
    );
    let other_era = AttestationBody {
        era: Era(0),
        ..attestation_body(9)
    };
    let other_era = other_era.sign(AUTHOR, &CHAIN, &key_pair(AUTHOR.0));
    assert_eq!(
        verdict_after(|draft| draft.payload.attestations.push(other_era)),
        refused(2)
    );
    assert_eq!(
        verdict_after(|draft| draft.payload.attestations.push(attestation(8))),
        refused(2)
    );
    assert_eq!(
        verdict_after(|draft| draft.payload.attestations.swap(0, 1)),
        refused(1)
    );
}

#[test]
fn v6_the_signatures_of_header_attestations_and_transactions() {
    let bad = Signature::new([3; 64]);
    let refused = Err(VertexReject::BadSignature);
    assert_eq!(
        verdict_after_signing(|vertex| vertex.signed.signature = bad),
        refused
    );
    assert_eq!(
        verdict_after_signing(|vertex| vertex.signed.header.timestamp = TimestampMs(6)),
        refused
    );
    for position in 0..2 {
        assert_eq!(
            verdict_after(|draft| draft.payload.attestations[position].signature = bad),
            refused
        );
        assert_eq!(
            verdict_after(|draft| draft.payload.transactions[position].signature = bad),
            refused
        );
    }
    let stolen_slot = draft().sign(&CHAIN, &key_pair(2)).vertex().clone();
    assert_eq!(verdict(stolen_slot), refused);
    let elsewhere = draft().sign(&ChainId::new([8; 32]), &key_pair(AUTHOR.0));
    assert_eq!(verdict(elsewhere.vertex().clone()), refused);
}
