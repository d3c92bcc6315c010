//! What blocks take of governance and of evidence, made here or by others.

use super::*;

fn halt(sequence: u64, reason: &str) -> GovernanceMessage {
    let action = GovernanceAction::Halt {
        reason: reason.as_bytes().to_vec(),
        until: TimestampMs::MAX,
        after_height: None,
    };
    governed(GOVERNOR_KEY, sequence, action)
}

fn with_messages(round: u64, messages: &[GovernanceMessage]) -> Commit {
    Commit {
        governance: messages.to_vec(),
        ..Commit::new(round)
    }
}

fn with_evidence(round: u64, evidence: &[Evidence]) -> Commit {
    Commit {
        evidence: evidence.to_vec(),
        ..Commit::new(round)
    }
}

fn taken(node: &Node) -> Option<GovernanceMessage> {
    node.block_at(node.head().0).1.body.governance
}

#[test]
fn a_block_takes_the_lowest_message_that_verifies() {
    let mut node = trunk();
    let mut peer = node.clone();
    let unsigned = GovernanceMessage {
        signatures: Vec::new(),
        ..halt(1, "a")
    };
    let resume = governed(GOVERNOR_KEY, 2, node.resume_of(Height(3), Vec::new()));
    let mut tied = [halt(3, "b"), halt(3, "c")];
    tied.sort_by_key(|message| message.body.id(&CHAIN));
    let messages = [
        halt(4, "d"),
        unsigned,
        tied[1].clone(),
        tied[0].clone(),
        resume,
    ];
    let mut blocks = Vec::new();
    for (round, expected) in [
        (10, Some(tied[0].clone())),
        // The other one of that number was used with it.
        (11, Some(halt(4, "d"))),
        (12, None),
    ] {
        blocks.push(node.order(with_messages(round, &messages)));
        assert_eq!(taken(&node), expected);
    }
    let governors = holdfast_ledger::governors(&node.store);
    let governors = governors.expect("it reads").expect("genesis is applied");
    assert_eq!(governors.sequence, 4);
    peer.import(&blocks, certificate(&blocks[2]))
        .expect("it executes");
    node.certify(certificate(&blocks[2])).expect("it is ours");
    assert_same_branch(&peer.store, &node.store);
}

#[test]
fn of_one_message_the_first_set_of_signatures_that_verifies_is_taken() {
    let message = halt(1, "a");
    let bad = GovernanceMessage {
        signatures: message.signatures[..1].to_vec(),
        ..message.clone()
    };
    let third = message.body.sign(2, &CHAIN, &key_pair(GOVERNOR_KEY + 2));
    let other = GovernanceMessage {
        signatures: vec![message.signatures[0], third],
        ..message.clone()
    };
    let mut node = trunk();
    node.order(with_messages(10, &[bad, other.clone(), message]));
    assert_eq!(taken(&node), Some(other));
}

#[test]
fn new_governors_sign_from_the_next_block_on() {
    let mut node = trunk();
    let rotation = GovernanceAction::RotateKeys {
        keys: holdfast_types::test_util::parameters::governor_keys(950),
        threshold: 2,
    };
    let rotation = governed(GOVERNOR_KEY, 1, rotation);
    let old = halt(2, "old");
    let new = governed(950, 3, old.body.action.clone());
    node.order(with_messages(10, &[new.clone(), rotation.clone()]));
    assert_eq!(taken(&node), Some(rotation));
    node.order(with_messages(11, &[old, new.clone()]));
    assert_eq!(taken(&node), Some(new));
}

/// The block with another body, and a header that belongs to it.
fn with_body(
    (_, block): &(BlockId, Block),
    change: impl FnOnce(&mut holdfast_types::BlockBody),
) -> (BlockId, Block) {
    let mut block = block.clone();
    change(&mut block.body);
    block.header.system_root = block.body.system_root();
    (block.header.id(&CHAIN), block)
}

#[test]
fn a_block_of_others_that_takes_what_does_not_hold_does_not_execute() {
    let mut peer = trunk();
    let plain = peer.clone().order(Commit::new(10));
    let honest = peer.order(with_messages(10, &[halt(1, "a")]));
    let unsigned = with_body(&honest, |body| {
        let message = body.governance.as_mut().expect("it has one");
        message.signatures.pop();
    });
    let resume = governed(GOVERNOR_KEY, 1, trunk().resume_of(Height(3), Vec::new()));
    let resuming = with_body(&plain, |body| body.governance = Some(resume));
    let twice = equivocation(peer.chain.era(), 1, 5);
    let Evidence::Equivocation { first, second } = twice.clone() else {
        unreachable!("two vertices of one slot");
    };
    let made_up = Evidence::Equivocation {
        first: second,
        second: first,
    };
    let false_evidence = with_body(&plain, |body| body.evidence = vec![made_up]);
    let once = trunk().order(with_evidence(10, std::slice::from_ref(&twice)));
    let repeated = with_body(&once, |body| body.evidence.push(twice));
    for bad in [unsigned, resuming, false_evidence, repeated] {
        let mut node = trunk();
        let steps = node
            .offer(std::slice::from_ref(&bad))
            .expect("it is refused");
        assert_eq!(steps[0].rejected[0].block, bad.0);
        assert_eq!(node.head(), trunk().head());
    }
    for good in [plain, honest, once] {
        let mut node = trunk();
        node.offer(std::slice::from_ref(&good))
            .expect("it executes");
        assert_eq!(node.head().1, good.0);
    }
}

/// What validator 3 would have signed of a block, changed.
fn attested(
    (id, block): &(BlockId, Block),
    change: impl FnOnce(&mut AttestationBody),
) -> Attestation {
    let mut body = AttestationBody::of_block(*id, &block.header);
    change(&mut body);
    body.sign(AuthorityIndex(3), &CHAIN, &key_pair(3))
}

fn wrong_root(body: &mut AttestationBody) {
    body.state_root = StateRoot::new([9; 32]);
}

fn proves(node: &Node, attestation: &Attestation) -> bool {
    let evidence = Evidence::BadStateRoot {
        attestation: *attestation,
    };
    let mut node = node.clone();
    let (_, block) = node.order(with_evidence(90, &[evidence]));
    !block.body.evidence.is_empty()
}

#[test]
fn a_bad_root_is_what_the_chain_contradicts() {
    let node = trunk();
    let block = node.block_at(Height(3));
    assert!(proves(&node, &attested(&block, wrong_root)));
    let other_block = |body: &mut AttestationBody| body.block = BlockId::new([9; 32]);
    assert!(proves(&node, &attested(&block, other_block)));
    // The truth, another commit, another era, no member, no signature, a height that is not here or is the beginning.
    assert!(!proves(&node, &attested(&block, |_| ())));
    assert!(!proves(
        &node,
        &attested(&block, |body| {
            wrong_root(body);
            body.commit = CommitDigest::new([9; 32]);
        })
    ));
    for era in [0, 2] {
        assert!(!proves(
            &node,
            &attested(&block, |body| {
                wrong_root(body);
                body.era = Era(era);
            })
        ));
    }
    for height in [0, 4, u64::MAX] {
        assert!(!proves(
            &node,
            &attested(&block, |body| {
                wrong_root(body);
                body.height = Height(height);
            })
        ));
    }
    let mut stranger = attested(&block, wrong_root);
    stranger.author = AuthorityIndex(9);
    assert!(!proves(&node, &stranger));
    let mut unsigned = attested(&block, wrong_root);
    unsigned.body.state_root = StateRoot::new([8; 32]);
    assert!(!proves(&node, &unsigned));
    let genesis = node.block_at(Height(0));
    assert!(!proves(&node, &attested(&genesis, wrong_root)));
}

#[test]
fn a_bad_root_is_judged_in_its_era_and_the_next() {
    let mut node = trunk();
    let block = node.block_at(Height(3));
    let attestation = attested(&block, wrong_root);
    for (round, holds) in [(10, true), (11, true), (12, false)] {
        assert_eq!(proves(&node, &attestation), holds);
        let message = governed(
            GOVERNOR_KEY,
            round,
            node.resume_of(node.head().0, Vec::new()),
        );
        let era = EraContext::clone(node.chain.era());
        node.resume(&message).expect("nothing refuses it");
        let resumed = node.block_at(node.head().0);
        node.certify(certificate_in(&era, &resumed))
            .expect("it is certified before the next one");
        let mut again = node.clone();
        again.reopen();
        assert_eq!(proves(&node, &attestation), proves(&again, &attestation));
    }
}

#[test]
fn whoever_differs_on_the_block_that_resumes_is_not_punished() {
    let mut node = trunk();
    let message = governed(GOVERNOR_KEY, 1, node.resume_of(Height(3), Vec::new()));
    node.resume(&message).expect("nothing refuses it");
    let block = node.block_at(Height(4));
    assert!(!proves(&node, &attested(&block, wrong_root)));
}

#[test]
fn a_bad_root_is_punished_once_and_replayed_alike() {
    let mut node = trunk();
    let mut peer = node.clone();
    let attestation = attested(&node.block_at(Height(3)), wrong_root);
    let evidence = [Evidence::BadStateRoot { attestation }];
    let first = node.order(with_evidence(10, &evidence));
    let second = node.order(with_evidence(11, &evidence));
    let stakes = |node: &Node| {
        let validator = holdfast_ledger::validator(&node.store, &validator_account(3));
        let validator = validator.expect("it reads").expect("it is registered");
        validator.bonded.amount
    };
    assert_eq!(stakes(&node), stakes(&peer) * 95 / 100);
    let blocks = [first, second];
    peer.import(&blocks, certificate(&blocks[1]))
        .expect("it executes");
    node.certify(certificate(&blocks[1])).expect("it is ours");
    assert_same_branch(&peer.store, &node.store);
}
