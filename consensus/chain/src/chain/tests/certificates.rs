//! Certificates beside the applied branch.

use super::*;

#[test]
fn what_a_quorum_executed_and_this_node_cannot_is_fatal() {
    let mut node = trunk();
    let mut other = node.clone();
    let theirs = grow(&mut other, plain(20, 2));
    let bad = corrupted(&theirs[1]);
    let error = node.import(&[theirs[0].clone(), bad.clone()], certificate(&bad));
    assert!(matches!(
        error,
        Err(ChainError::Diverged {
            height: Height(5),
            field: "state root",
            ..
        })
    ));
    // Also if the certificate comes after the block was found invalid.
    let mut node = trunk();
    let rejected = node
        .offer(&[theirs[0].clone(), bad.clone()])
        .expect("it is refused");
    assert_eq!(rejected[1].rejected[0].block, bad.0);
    let error = node.certify(certificate(&bad)).expect_err("it is fatal");
    assert_eq!(
        error,
        ChainError::CertifiedRejected {
            height: Height(5),
            block: bad.0
        }
    );
}

#[test]
fn a_certificate_outranks_length() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 6));
    let end = Commit::new(20).that_ends_the_era();
    let theirs = grow(&mut other, [end, Commit::new(21)]);
    node.offer(&theirs).expect("it is kept");
    let steps = node.certify(certificate(&theirs[1])).expect("it executes");
    assert_eq!(applied(&steps[0]), ids(&theirs));
    assert_eq!(node.head().0, Height(5));
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.certified(), Height(5));
    // Length does not bring the old branch back, not even after a restart.
    node.reopen();
    assert_eq!(node.choose().expect("the head stays").len(), 0);
    assert_eq!(node.head().1, theirs[1].0);
}

#[test]
fn a_certificate_that_comes_first_awaits_its_block() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 6));
    let end = Commit::new(20).that_ends_the_era();
    let theirs = grow(&mut other, [end, Commit::new(21)]);
    assert_eq!(
        node.certify(certificate(&theirs[1]))
            .expect("it waits")
            .len(),
        0
    );
    let steps = node.offer(&theirs).expect("it executes");
    assert_eq!(steps[1].batch.certificates, [certificate(&theirs[1])]);
    assert_eq!(applied(&steps[1]), ids(&theirs));
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.awaiting.len(), 0);
}

#[test]
fn a_certificate_of_the_same_dag_for_another_block_says_that_this_node_is_wrong() {
    let mut node = trunk();
    let mut other = node.clone();
    let ours = grow(&mut node, plain(10, 2));
    let theirs = grow(&mut other, plain(20, 2));
    let expected = |height, ours: &BlockId, theirs: &BlockId| ChainError::Diverged {
        height,
        field: "block id",
        expected: theirs.to_string(),
        actual: ours.to_string(),
    };
    let error = node
        .certify(certificate(&theirs[0]))
        .expect_err("it is fatal");
    assert_eq!(error, expected(Height(4), &ours[0].0, &theirs[0].0));
    // The same if the certificate was here before the own block.
    let mut node = trunk();
    node.certify(certificate(&theirs[0])).expect("it waits");
    let error = node.try_order(Commit::new(10)).expect_err("it is fatal");
    assert_eq!(error, expected(Height(4), &ours[0].0, &theirs[0].0));
    assert_eq!(node.head().0, Height(3));
}

fn contradiction(first: Certificate, second: Certificate) -> ChainError {
    ChainError::ContradictoryCertificates {
        first: Box::new(first),
        second: Box::new(second),
    }
}

#[test]
fn certificates_that_exclude_each_other_are_handed_out_as_the_proof() {
    let mut start = trunk();
    let mut other = start.clone();
    let ours = grow(&mut start, plain(10, 3));
    let end = Commit::new(20).that_ends_the_era();
    let theirs = grow(&mut other, [end].into_iter().chain(plain(21, 4)));
    start.certify(certificate(&ours[1])).expect("it is ours");
    // Below our certified block, at a height that we have: its block need not be known.
    let mut node = start.clone();
    let error = node
        .certify(certificate(&theirs[1]))
        .expect_err("it is fatal");
    assert_eq!(
        error,
        contradiction(certificate(&ours[1]), certificate(&theirs[1]))
    );
    // Above our head, with its blocks.
    let mut node = start.clone();
    let certified = certificate(&theirs[4]);
    node.certify(certified.clone()).expect("it waits");
    let error = node.offer(&theirs).expect_err("it is fatal");
    assert_eq!(error, contradiction(certified, certificate(&ours[1])));
    assert_same_branch(&node.store, &start.store);
    // The other way round: ours comes after theirs is known.
    let mut node = trunk();
    node.offer(&theirs).expect("it executes");
    node.certify(certificate(&theirs[2]))
        .expect("it is applied");
    let error = node
        .certify(certificate(&ours[1]))
        .expect_err("it is fatal");
    assert_eq!(
        error,
        contradiction(certificate(&theirs[2]), certificate(&ours[1]))
    );
}

#[test]
fn a_certificate_beside_what_is_irreversible_is_fatal() {
    let mut node = trunk();
    let mut other = Node::new();
    let end = Commit::new(20).that_ends_the_era();
    let theirs = grow(&mut other, [end, Commit::new(21)]);
    assert_eq!(node.chain.irreversible(), Height(2));
    let error = node
        .certify(certificate(&theirs[1]))
        .expect_err("it is fatal");
    let expected = ChainError::IrreversibleContradicted {
        ours: node.block_at(Height(2)).0,
        certificate: Box::new(certificate(&theirs[1])),
    };
    assert_eq!(error, expected);
}

#[test]
fn awaited_certificates_are_bounded_and_the_highest_stay() {
    let mut node = trunk();
    let block = node.clone().order(Commit::new(10));
    let mut certified = certificate(&block);
    for height in 10..10 + 2 * UNLINKED_MAX as u64 {
        certified.body.height = Height(height);
        assert_eq!(node.certify(certified.clone()).expect("it waits").len(), 0);
    }
    assert_eq!(node.chain.awaiting.len(), UNLINKED_MAX);
    let highest = Height(9 + 2 * UNLINKED_MAX as u64);
    assert!(node.chain.awaiting.take(highest, &block.0).is_some());
}
