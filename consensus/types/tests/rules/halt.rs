//! Proofs of a halt: what each must hold, and that all proofs of one event name one halt (rules HP1 to HP5).

use holdfast_types::halt::dissenters;
use holdfast_types::test_util::parameters::parameters;
use holdfast_types::test_util::{
    CHAIN, committee, era_context, genesis_refs, key_pair, samples, vertex,
};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, Certificate, ChainId, CommitDigest,
    DkgConfirmation, DkgConfirmationBody, Ed25519, Era, EraContext, Evidence, HaltCause, HaltId,
    HaltNotice, HaltProof, HaltProofError, HaltStatus, HaltThresholds, Height, Readiness,
    Signature, SignatureScheme, StateRoot, VertexPayload,
};
use std::collections::BTreeSet;

const SIZE: u16 = 7;
const THRESHOLDS: HaltThresholds = HaltThresholds {
    dissenters: 1,
    equivocators: 3,
};

fn context() -> EraContext {
    era_context(SIZE)
}

fn verdict_with(proof: &HaltProof, dissenters: usize) -> Result<HaltCause, HaltProofError> {
    let thresholds = HaltThresholds {
        dissenters,
        ..THRESHOLDS
    };
    let context = context();
    proof.verify(
        &CHAIN,
        context.era,
        &context.committee,
        thresholds,
        &Ed25519,
    )
}

fn verdict(proof: &HaltProof) -> Result<HaltCause, HaltProofError> {
    verdict_with(proof, 1)
}

fn body(root: u8) -> AttestationBody {
    AttestationBody {
        era: context().era,
        height: Height(9),
        block: BlockId::new([root; 32]),
        commit: CommitDigest::new([1; 32]),
        state_root: StateRoot::new([root; 32]),
    }
}

fn signed(author: u16, body: AttestationBody) -> Attestation {
    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
}

/// Attestations of these authors, each with this root.
fn divergence(statements: &[(u16, u8)]) -> HaltProof {
    let signed = statements
        .iter()
        .map(|(author, root)| signed(*author, body(*root)));
    HaltProof::Divergence {
        attestations: signed.collect(),
    }
}

fn equivocation(context: &EraContext, author: u16, round: u64) -> Evidence {
    let mut headers = [0, 1].map(|variant| {
        let payload = VertexPayload {
            attestations: samples("cluster", variant).collect(),
            ..VertexPayload::default()
        };
        let parents = genesis_refs(context);
        let author = AuthorityIndex(author);
        let round = holdfast_types::Round(round);
        let vertex = vertex(context, author, round, parents, payload);
        vertex.vertex().signed.clone()
    });
    headers.sort_by_key(|signed| signed.header.digest(&CHAIN));
    let [first, second] = headers;
    Evidence::Equivocation { first, second }
}

fn cluster(offenders: &[u16]) -> HaltProof {
    let context = context();
    let evidence = offenders
        .iter()
        .map(|author| equivocation(&context, *author, 5));
    HaltProof::EquivocationCluster {
        evidence: evidence.collect(),
    }
}

fn certificate(root: u8, signers: &[u16]) -> Certificate {
    let signatures = signers.iter().map(|number| {
        let signed = signed(*number, body(root));
        (signed.author, signed.signature)
    });
    Certificate {
        body: body(root),
        signatures: signatures.collect(),
    }
}

fn fork(first: Certificate, second: Certificate) -> HaltProof {
    HaltProof::ContradictoryCertificates { first, second }
}

fn bad_signer(number: u16) -> Result<HaltCause, HaltProofError> {
    Err(HaltProofError::BadSigner {
        authority: AuthorityIndex(number),
    })
}

fn too_few(actual: usize, needed: usize) -> Result<HaltCause, HaltProofError> {
    Err(HaltProofError::TooFew { actual, needed })
}

#[test]
fn a_divergence_verifies_with_the_committee_alone() {
    let proof = divergence(&[(2, 1), (5, 2)]);
    assert_eq!(verdict(&proof), Ok(HaltCause::RootDivergence));
    assert_eq!(
        (proof.era(), proof.height()),
        (Some(context().era), Some(Height(9)))
    );
    let more = divergence(&[(0, 1), (1, 1), (2, 2), (3, 1), (4, 1), (5, 1), (6, 3)]);
    assert_eq!(verdict(&more), Ok(HaltCause::RootDivergence));
}

#[test]
fn different_commits_of_one_height_are_a_fork() {
    let other = AttestationBody {
        commit: CommitDigest::new([2; 32]),
        ..body(2)
    };
    let attestations = vec![signed(0, body(1)), signed(1, body(1)), signed(2, other)];
    let proof = HaltProof::Divergence { attestations };
    assert_eq!(verdict(&proof), Ok(HaltCause::DagFork));
}

#[test]
fn fewer_dissenters_than_asked_for_are_no_divergence() {
    assert_eq!(verdict(&divergence(&[(0, 1), (1, 1)])), too_few(0, 1));
    assert_eq!(verdict(&divergence(&[(0, 1)])), too_few(0, 1));
    let one = divergence(&[(0, 1), (1, 1), (2, 1), (3, 2)]);
    assert_eq!(verdict_with(&one, 2), too_few(1, 2));
    let two = divergence(&[(0, 1), (1, 1), (2, 2), (3, 2)]);
    assert_eq!(verdict_with(&two, 2), Ok(HaltCause::RootDivergence));
    let all_differ = divergence(&[(0, 1), (1, 2), (2, 3)]);
    assert_eq!(verdict_with(&all_differ, 2), Ok(HaltCause::RootDivergence));
    assert_eq!(verdict_with(&all_differ, 3), too_few(2, 3));
}

#[test]
fn signers_of_a_divergence_are_sorted_distinct_members() {
    assert_eq!(verdict(&divergence(&[(5, 2), (2, 1)])), bad_signer(2));
    assert_eq!(
        verdict(&divergence(&[(2, 1), (2, 2)])),
        bad_signer(2),
        "who contradicts itself halts nobody"
    );
    assert_eq!(verdict(&divergence(&[(2, 1), (7, 2)])), bad_signer(7));
    assert_eq!(
        verdict(&divergence(&[(2, 1), (u16::MAX, 2)])),
        bad_signer(u16::MAX)
    );
}

#[test]
fn a_divergence_is_of_one_height_and_era() {
    let changes: [fn(&mut AttestationBody); 2] = [
        |body| body.height = body.height.next(),
        |body| body.era = body.era.next(),
    ];
    for change in changes {
        let mut other = body(2);
        change(&mut other);
        let attestations = vec![signed(0, body(1)), signed(1, other)];
        let proof = HaltProof::Divergence { attestations };
        assert_eq!(verdict(&proof), Err(HaltProofError::DifferentSlots));
    }
}

#[test]
fn who_differs_on_the_block_that_resumes_halts_nobody() {
    for resumed in [0, 1] {
        let mut bodies = [body(1), body(2)];
        bodies[resumed].commit = CommitDigest::default();
        let attestations = vec![signed(0, bodies[0]), signed(1, bodies[1])];
        let proof = HaltProof::Divergence { attestations };
        assert_eq!(verdict(&proof), Err(HaltProofError::NoContradiction));
    }
}

#[test]
fn every_signature_of_a_divergence_counts() {
    for position in 0..3 {
        let mut proof = divergence(&[(0, 1), (1, 1), (2, 2)]);
        if let HaltProof::Divergence { attestations } = &mut proof {
            attestations[position].signature = Signature::new([1; 64]);
        }
        assert_eq!(verdict(&proof), Err(HaltProofError::BadSignature));
    }
}

#[test]
fn an_empty_proof_proves_nothing() {
    let empty = [divergence(&[]), cluster(&[])];
    for proof in empty {
        assert_eq!(proof.era(), None);
        assert_eq!(verdict(&proof), Err(HaltProofError::DifferentSlots));
    }
}

#[test]
fn a_proof_is_of_one_era_chain_and_committee() {
    let context = context();
    let proofs = [
        divergence(&[(2, 1), (5, 2)]),
        cluster(&[0, 3, 6]),
        fork(
            certificate(1, &[0, 1, 2, 3, 4]),
            certificate(2, &[2, 3, 4, 5, 6]),
        ),
    ];
    for proof in proofs {
        assert!(verdict(&proof).is_ok());
        let check =
            |chain, era, size| proof.verify(chain, era, &committee(size), THRESHOLDS, &Ed25519);
        assert_eq!(
            check(&CHAIN, Era(2), SIZE),
            Err(HaltProofError::WrongEra {
                actual: context.era,
                expected: Era(2)
            }),
            "resuming settles what was before"
        );
        let other = ChainId::new([8; 32]);
        assert!(check(&other, context.era, SIZE).is_err());
        assert!(check(&CHAIN, context.era, 2).is_err());
    }
}

#[test]
fn a_cluster_names_as_many_offenders_as_asked_for() {
    let proof = cluster(&[0, 3, 6]);
    assert_eq!(verdict(&proof), Ok(HaltCause::EquivocationCluster));
    assert_eq!(proof.height(), None);
    assert_eq!(
        verdict(&cluster(&[0, 1, 2, 3])),
        Ok(HaltCause::EquivocationCluster)
    );
    assert_eq!(verdict(&cluster(&[0, 3])), too_few(2, 3));
}

#[test]
fn offenders_of_a_cluster_are_sorted_distinct_members() {
    assert_eq!(verdict(&cluster(&[0, 6, 3])), bad_signer(3));
    assert_eq!(verdict(&cluster(&[0, 3, 3])), bad_signer(3));
    let wider = era_context(SIZE + 1);
    let evidence = [0, 3, SIZE].map(|author| equivocation(&wider, author, 5));
    let proof = HaltProof::EquivocationCluster {
        evidence: evidence.into(),
    };
    assert_eq!(verdict(&proof), bad_signer(SIZE));
    let context = context();
    let rounds = [5, 6, 7].map(|round| equivocation(&context, 2, round));
    let proof = HaltProof::EquivocationCluster {
        evidence: rounds.into(),
    };
    assert_eq!(verdict(&proof), bad_signer(2), "one offender counts once");
}

#[test]
fn a_cluster_is_of_equivocations_of_one_era() {
    let mut later = context();
    later.era = later.era.next();
    let attestation = signed(6, body(1));
    for odd in [
        equivocation(&later, 6, 5),
        Evidence::BadStateRoot { attestation },
        Evidence::ContradictoryAttestations {
            first: attestation,
            second: signed(6, body(2)),
        },
    ] {
        let mut proof = cluster(&[0, 3]);
        if let HaltProof::EquivocationCluster { evidence } = &mut proof {
            evidence.push(odd);
        }
        assert_eq!(verdict(&proof), Err(HaltProofError::DifferentSlots));
    }
}

#[test]
fn every_evidence_of_a_cluster_is_verified() {
    for position in 0..3 {
        let mut forged = cluster(&[0, 3, 6]);
        let mut unsorted = cluster(&[0, 3, 6]);
        for (proof, forge) in [(&mut forged, true), (&mut unsorted, false)] {
            if let HaltProof::EquivocationCluster { evidence } = proof
                && let Evidence::Equivocation { first, second } = &mut evidence[position]
            {
                if forge {
                    second.signature = Signature::new([1; 64]);
                } else {
                    std::mem::swap(first, second);
                }
            }
            assert_eq!(verdict(proof), Err(HaltProofError::BadSignature));
        }
    }
}

#[test]
fn two_certificates_of_one_height_are_a_fork() {
    let (low, high) = (
        certificate(1, &[0, 1, 2, 3, 4]),
        certificate(2, &[2, 3, 4, 5, 6]),
    );
    let proof = fork(low.clone(), high.clone());
    assert_eq!(verdict(&proof), Ok(HaltCause::DagFork));
    assert_eq!(proof.height(), Some(Height(9)));
    assert_eq!(
        verdict(&fork(high, low.clone())),
        Err(HaltProofError::NoContradiction),
        "there is one order"
    );
    assert_eq!(
        verdict(&fork(low.clone(), low)),
        Err(HaltProofError::NoContradiction)
    );
}

#[test]
fn both_certificates_of_a_fork_are_verified() {
    let good = |root| certificate(root, &[0, 1, 2, 3, 4]);
    let no_quorum = |root| certificate(root, &[0, 1, 2, 3]);
    for proof in [fork(no_quorum(1), good(2)), fork(good(1), no_quorum(2))] {
        assert_eq!(verdict(&proof), Err(HaltProofError::BadSignature));
    }
    let mut higher = good(2);
    higher.body.height = Height(10);
    assert_eq!(
        verdict(&fork(good(1), higher)),
        Err(HaltProofError::DifferentSlots)
    );
}

fn confirmation(author: u16, attempt: u16, key: u8) -> DkgConfirmation {
    let body = DkgConfirmationBody {
        era: context().era,
        attempt,
        group_key: [key; 32],
    };
    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
}

/// Confirmations of the first attempt by these authors, each of this key.
fn mismatch(confirmations: &[(u16, u8)]) -> HaltProof {
    let confirmations = confirmations.iter();
    HaltProof::DkgMismatch {
        confirmations: confirmations
            .map(|(author, key)| confirmation(*author, 1, *key))
            .collect(),
    }
}

#[test]
fn two_confirmations_of_different_keys_are_a_dkg_mismatch() {
    let proof = mismatch(&[(2, 1), (5, 2)]);
    assert_eq!(verdict(&proof), Ok(HaltCause::DkgMismatch));
    assert_eq!((proof.era(), proof.height()), (Some(context().era), None));
    assert_eq!(verdict_with(&proof, 2), too_few(1, 2));
    let hardened = mismatch(&[(0, 1), (1, 1), (2, 2), (3, 3)]);
    assert_eq!(verdict_with(&hardened, 2), Ok(HaltCause::DkgMismatch));
    assert_eq!(hardened.id(), proof.id());
}

#[test]
fn confirmations_that_agree_or_are_of_different_attempts_are_no_mismatch() {
    assert_eq!(verdict(&mismatch(&[(2, 1), (5, 1)])), too_few(0, 1));
    assert_eq!(verdict(&mismatch(&[])), Err(HaltProofError::DifferentSlots));
    let attempts = HaltProof::DkgMismatch {
        confirmations: vec![confirmation(2, 1, 1), confirmation(5, 2, 2)],
    };
    assert_eq!(verdict(&attempts), Err(HaltProofError::DifferentSlots));
}

#[test]
fn a_mismatch_names_members_once_and_holds_their_signatures() {
    assert_eq!(verdict(&mismatch(&[(5, 1), (2, 2)])), bad_signer(2));
    assert_eq!(verdict(&mismatch(&[(2, 1), (2, 2)])), bad_signer(2));
    assert_eq!(verdict(&mismatch(&[(2, 1), (SIZE, 2)])), bad_signer(SIZE));
    let mut other_key = confirmation(5, 1, 1);
    other_key.body.group_key = [2; 32];
    let forged = HaltProof::DkgMismatch {
        confirmations: vec![confirmation(2, 1, 1), other_key],
    };
    assert_eq!(verdict(&forged), Err(HaltProofError::BadSignature));
}

#[test]
fn all_proofs_of_one_event_name_one_halt() {
    let id = divergence(&[(2, 1), (5, 2)]).id();
    assert_eq!(divergence(&[(0, 3), (1, 4), (6, 4)]).id(), id);
    let expected = HaltId::of_event(HaltCause::RootDivergence, context().era, Height(9));
    assert_eq!(id, expected);
    assert_eq!(cluster(&[0, 3, 6]).id(), cluster(&[1, 2, 4, 5]).id());
    let certificates = fork(
        certificate(1, &[0, 1, 2, 3, 4]),
        certificate(2, &[2, 3, 4, 5, 6]),
    );
    let others = fork(
        certificate(3, &[0, 1, 2, 3, 4]),
        certificate(4, &[0, 1, 2, 3, 4]),
    );
    assert_eq!(certificates.id(), others.id());
}

#[test]
fn different_events_name_different_halts() {
    let causes = [
        HaltCause::RootDivergence,
        HaltCause::DagFork,
        HaltCause::EquivocationCluster,
        HaltCause::DkgMismatch,
        HaltCause::BrokenInvariant,
        HaltCause::OwnDivergence,
    ];
    let mut ids = BTreeSet::new();
    for cause in causes {
        for era in [Era(1), Era(2)] {
            for height in [Height(0), Height(1), Height(2)] {
                ids.insert(HaltId::of_event(cause, era, height));
            }
        }
    }
    assert_eq!(ids.len(), causes.len() * 6);
    assert_eq!(BTreeSet::from(causes.map(HaltCause::name)).len(), 6);
    assert_eq!(BTreeSet::from(causes.map(HaltCause::message)).len(), 6);
    let message = [7; 32];
    assert_eq!(*HaltId::of_message(message).as_bytes(), message);
}

#[test]
fn thresholds_fit_the_committee() {
    let mut halt = parameters().halt;
    let equivocators =
        |size| HaltThresholds::new(&parameters().halt, &committee(size)).equivocators;
    for (size, expected) in [(1, 1), (3, 1), (4, 2), (7, 3), (27, 9), (28, 10), (128, 10)] {
        assert_eq!(equivocators(size), expected, "of {size}");
    }
    halt.equivocation_cluster = 0;
    halt.root_divergence_min_dissenters = 0;
    let least = HaltThresholds::new(&halt, &committee(128));
    assert_eq!((least.dissenters, least.equivocators), (1, 1));
}

#[test]
fn dissenters_are_all_but_the_largest_group() {
    let count = |roots: &[u8]| {
        let bodies: Vec<_> = roots.iter().map(|root| body(*root)).collect();
        dissenters(bodies.iter())
    };
    for (roots, expected) in [
        (&[][..], 0),
        (&[1], 0),
        (&[1, 1, 1], 0),
        (&[1, 2], 1),
        (&[2, 1, 2, 2], 1),
        (&[1, 1, 2, 2], 2),
        (&[1, 2, 3, 4], 3),
    ] {
        assert_eq!(count(roots), expected, "{roots:?}");
    }
}

#[test]
fn a_status_is_bound_to_chain_author_and_content() {
    let status = HaltStatus {
        readiness: Readiness::Behind,
        ..samples("status", 1).next().unwrap()
    };
    let verifies = |signed: &holdfast_types::SignedHaltStatus, chain| {
        let check = signed.signature_check(chain, &committee(SIZE));
        check.is_some_and(|check| Ed25519.verify(&check))
    };
    let signed = status.sign(AuthorityIndex(2), &CHAIN, &key_pair(2));
    assert!(verifies(&signed, &CHAIN));
    let other = ChainId::new([8; 32]);
    assert!(!verifies(&signed, &other));
    for author in [3, SIZE] {
        let mut stolen = signed.clone();
        stolen.author = AuthorityIndex(author);
        assert!(!verifies(&stolen, &CHAIN));
    }
    let mut changed = signed;
    changed.status.readiness = Readiness::Ready;
    assert!(!verifies(&changed, &CHAIN));
}

#[test]
fn a_notice_without_halts_is_empty() {
    let mut notice = HaltNotice::default();
    assert!(notice.is_empty());
    notice.proofs.push(cluster(&[0, 3, 6]));
    assert!(!notice.is_empty());
}

#[test]
fn readiness_has_names() {
    let all = [
        Readiness::NotAsked,
        Readiness::Ready,
        Readiness::Behind,
        Readiness::Differs,
        Readiness::AttestedAbove,
        Readiness::OldVersion,
        Readiness::OwnFault,
    ];
    assert_eq!(BTreeSet::from(all.map(Readiness::name)).len(), all.len());
}

#[test]
fn what_a_proof_proves_has_a_name() {
    assert_eq!(cluster(&[0, 3, 6]).kind(), "equivocation_cluster");
    let kinds: BTreeSet<_> = samples::<HaltProof>("kinds", 64)
        .map(|proof| proof.kind())
        .collect();
    let all = [
        "contradictory_certificates",
        "divergence",
        "dkg_mismatch",
        "equivocation_cluster",
    ];
    assert_eq!(kinds, BTreeSet::from(all));
}
