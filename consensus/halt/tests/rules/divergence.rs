//! Attestations that contradict each other (rules V1 to V5).

use holdfast_halt::DivergenceDetector;
use holdfast_halt::divergence::HEIGHTS_MAX;
use holdfast_types::halt::dissenters;
use holdfast_types::test_util::{CHAIN, committee, key_pair};
use holdfast_types::{
    Attestation, AttestationBody, AuthorityIndex, BlockId, CommitDigest, Ed25519, Era, HaltCause,
    HaltProof, HaltThresholds, Height, Signature, StateRoot,
};
use proptest::prelude::*;

const ERA: Era = Era(3);

fn thresholds(dissenters: usize) -> HaltThresholds {
    HaltThresholds {
        dissenters,
        equivocators: 10,
    }
}

fn body(height: u64, root: u8) -> AttestationBody {
    AttestationBody {
        era: ERA,
        height: Height(height),
        block: BlockId::new([root; 32]),
        commit: CommitDigest::new([1; 32]),
        state_root: StateRoot::new([root; 32]),
    }
}

fn signed(author: u16, body: AttestationBody) -> Attestation {
    body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
}

/// Nobody looks at the signature.
fn unsigned(author: u16, body: AttestationBody) -> Attestation {
    Attestation {
        body,
        author: AuthorityIndex(author),
        signature: Signature::new([0; 64]),
    }
}

fn authors(proof: &HaltProof) -> Vec<u16> {
    let HaltProof::Divergence { attestations } = proof else {
        panic!("no divergence: {proof:?}");
    };
    attestations.iter().map(|one| one.author.0).collect()
}

fn assert_verifies(proof: &HaltProof, size: u16, dissenters: usize) -> HaltCause {
    let verdict = proof.verify(
        &CHAIN,
        ERA,
        &committee(size),
        thresholds(dissenters),
        &Ed25519,
    );
    verdict.expect("the proof verifies")
}

#[test]
fn two_contradictory_roots_of_one_commit_are_a_proof() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    assert_eq!(detector.add(&signed(3, body(9, 1))), None);
    assert_eq!(detector.add(&signed(1, body(9, 1))), None);
    let proof = detector.add(&signed(2, body(9, 2))).expect("they differ");
    assert_eq!(authors(&proof), [1, 2]);
    assert_eq!(assert_verifies(&proof, 4, 1), HaltCause::RootDivergence);
    assert_eq!(
        detector.add(&signed(0, body(9, 2))),
        None,
        "once per height"
    );
    assert_eq!(detector.add(&signed(0, body(10, 2))), None);
    let proof = detector.add(&signed(1, body(10, 1))).expect("they differ");
    assert_eq!(proof.height(), Some(Height(10)));
}

#[test]
fn two_commits_of_one_height_are_a_fork() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    let other = AttestationBody {
        commit: CommitDigest::new([2; 32]),
        ..body(9, 1)
    };
    assert_eq!(detector.add(&signed(0, body(9, 1))), None);
    let proof = detector.add(&signed(3, other)).expect("they differ");
    assert_eq!(assert_verifies(&proof, 4, 1), HaltCause::DagFork);
}

#[test]
fn the_hardened_threshold_asks_for_f_plus_1_dissenters() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(3));
    for author in 0..5 {
        assert_eq!(detector.add(&signed(author, body(9, 1))), None);
    }
    assert_eq!(detector.add(&signed(5, body(9, 2))), None);
    assert_eq!(detector.add(&signed(6, body(9, 3))), None);
    let second = detector.add(&signed(4, body(9, 4)));
    assert_eq!(second, None, "the first statement of an author counts");
    let proof = detector.add(&signed(7, body(9, 2))).expect("three dissent");
    // Beside two that agree against it, the largest group needs two as well.
    assert_eq!(authors(&proof), [0, 1, 5, 6, 7]);
    assert_eq!(assert_verifies(&proof, 8, 3), HaltCause::RootDivergence);
}

#[test]
fn agreement_is_no_proof() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    for height in 0..200 {
        for author in 0..4 {
            assert_eq!(detector.add(&unsigned(author, body(height, 1))), None);
        }
    }
}

#[test]
fn one_author_does_not_contradict_itself() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    assert_eq!(detector.add(&unsigned(0, body(9, 1))), None);
    assert_eq!(detector.add(&unsigned(0, body(9, 2))), None);
    assert_eq!(detector.add(&unsigned(1, body(9, 1))), None);
}

#[test]
fn resumed_blocks_and_other_eras_are_not_looked_at() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    let resumed = |root| AttestationBody {
        commit: CommitDigest::default(),
        ..body(9, root)
    };
    let earlier = |root| AttestationBody {
        era: Era(2),
        ..body(9, root)
    };
    for (author, root) in [(0, 1), (1, 2), (2, 3)] {
        assert_eq!(detector.add(&unsigned(author, resumed(root))), None);
        assert_eq!(detector.add(&unsigned(author, earlier(root))), None);
    }
}

#[test]
fn a_new_era_forgets_the_one_before() {
    let mut detector = DivergenceDetector::new(Era(2), thresholds(1));
    let earlier = AttestationBody {
        era: Era(2),
        ..body(9, 1)
    };
    assert_eq!(detector.add(&unsigned(0, earlier)), None);
    detector.era_started(ERA, thresholds(1));
    assert_eq!(detector.add(&unsigned(1, body(9, 2))), None);
    assert!(detector.add(&unsigned(0, body(9, 1))).is_some());
}

#[test]
fn heights_that_do_not_exist_push_out_only_their_author() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    assert_eq!(detector.add(&unsigned(0, body(9, 1))), None);
    assert_eq!(detector.add(&unsigned(1, body(9, 1))), None);
    for height in 0..10 * HEIGHTS_MAX as u64 {
        let far = body(u64::MAX - height, 1);
        assert_eq!(detector.add(&unsigned(1, far)), None);
        assert_eq!(detector.add(&unsigned(1, body(100 + height, 1))), None);
    }
    let proof = detector.add(&unsigned(2, body(9, 2)));
    assert_eq!(authors(&proof.expect("author 0 is kept")), [0, 2]);
}

#[test]
fn each_author_keeps_its_newest_heights() {
    let mut detector = DivergenceDetector::new(ERA, thresholds(1));
    let newest = 2 * HEIGHTS_MAX as u64;
    for height in 1..=newest {
        assert_eq!(detector.add(&unsigned(0, body(height, 1))), None);
    }
    let lowest = newest - HEIGHTS_MAX as u64 + 1;
    assert_eq!(detector.add(&unsigned(1, body(lowest - 1, 2))), None);
    assert!(detector.add(&unsigned(1, body(lowest, 2))).is_some());
    assert!(detector.add(&unsigned(1, body(newest, 2))).is_some());
    assert_eq!(
        detector.add(&unsigned(0, body(1, 1))),
        None,
        "too old to be kept"
    );
    assert_eq!(detector.add(&unsigned(2, body(1, 2))), None);
}

/// How few of groups of these sizes have `needed` dissenters: by trying all ways to take some of each.
fn fewest(sizes: &[usize], needed: usize) -> Option<usize> {
    let mut ways: Vec<Vec<usize>> = vec![Vec::new()];
    for size in sizes {
        ways = ways
            .into_iter()
            .flat_map(|way| (0..=*size).map(move |taken| [way.as_slice(), &[taken]].concat()))
            .collect();
    }
    let all = |way: &Vec<usize>| way.iter().copied().fold(0, usize::saturating_add);
    let enough = ways
        .iter()
        .filter(|way| all(way) - way.iter().max().unwrap_or(&0) >= needed);
    enough.map(all).min()
}

proptest! {
    #[test]
    fn the_proof_comes_at_the_threshold_and_is_the_smallest(
        roots in prop::collection::vec(0u8..5, 1..16),
        needed in 1usize..6,
    ) {
        let mut detector = DivergenceDetector::new(ERA, thresholds(needed));
        let mut bodies = Vec::new();
        let mut proved = false;
        for (author, root) in (0u16..).zip(&roots) {
            bodies.push(body(9, *root));
            let proof = detector.add(&unsigned(author, body(9, *root)));
            let reached = dissenters(bodies.iter()) >= needed;
            prop_assert_eq!(proof.is_some(), reached && !proved);
            proved |= reached;
            let Some(HaltProof::Divergence { attestations }) = proof else { continue };
            prop_assert!(attestations.is_sorted_by(|one, two| one.author < two.author));
            prop_assert!(dissenters(attestations.iter().map(|one| &one.body)) >= needed);
            let sizes: Vec<usize> =
                (0..5).map(|root| bodies.iter().filter(|one| **one == body(9, root)).count()).collect();
            prop_assert_eq!(Some(attestations.len()), fewest(&sizes, needed));
        }
    }
}
