//! Resumes of governance: what they make, what refuses them, and what outranks them.

use super::*;

fn resume(node: &Node, height: u64) -> GovernanceMessage {
    resume_with(node, height, 1, Vec::new())
}

fn resume_with(
    node: &Node,
    height: u64,
    sequence: u64,
    evidence: Vec<Evidence>,
) -> GovernanceMessage {
    governed(
        GOVERNOR_KEY,
        sequence,
        node.resume_of(Height(height), evidence),
    )
}

fn must(node: &mut Node, message: &GovernanceMessage) -> Step {
    let step = node.resume(message).expect("nothing refuses it");
    step.expect("it is new")
}

#[test]
fn a_resume_makes_the_last_block_of_its_era() {
    let mut node = trunk();
    let message = resume(&node, 3);
    let step = must(&mut node, &message);
    let (id, block) = node.block_at(Height(4));
    assert_eq!(applied(&step), [id]);
    assert!(step.batch.pop.is_empty() && step.returned.is_empty());
    let origin = BlockOrigin::Resumed {
        message: message.body.id(&CHAIN),
    };
    assert_eq!(block.header.origin, origin);
    assert_eq!(block.header.era, Era(1));
    let named = node.block_at(Height(3)).1.header.timestamp;
    assert_eq!(block.header.timestamp, named.next());
    assert_eq!(block.body.commit, None);
    assert_eq!(block.body.governance.as_ref(), Some(&message));
    let [executed] = step.executed.as_slice() else {
        panic!("{} blocks instead of one", step.executed.len());
    };
    assert_eq!(executed.attestation.commit, CommitDigest::default());
    let next = executed.next_era.as_ref().expect("the era ends");
    assert_eq!((next.era, next.anchor), (Era(2), id));
    assert_eq!(node.chain.era(), next);
    assert_eq!(
        node.chain.position.last_commit,
        (0, CommitDigest::default())
    );
    // The chain goes on, before and after a restart.
    let mut again = node.clone();
    again.reopen();
    assert_eq!(node.order(Commit::new(10)), again.order(Commit::new(10)));
    assert_eq!(again.chain.irreversible(), Height(4));
}

#[test]
fn the_same_resume_again_does_nothing() {
    let mut node = trunk();
    let message = resume(&node, 3);
    must(&mut node, &message);
    let mut others = message.clone();
    // Signed by others, it says the same.
    others.signatures = vec![
        message.body.sign(1, &CHAIN, &key_pair(GOVERNOR_KEY + 1)),
        message.body.sign(2, &CHAIN, &key_pair(GOVERNOR_KEY + 2)),
    ];
    let before = node.store.clone();
    for message in [&message, &others] {
        assert!(node.resume(message).expect("it is known").is_none());
        node.reopen();
        assert!(node.resume(message).expect("it is known").is_none());
    }
    assert_same_branch(&node.store, &before);
    grow(
        &mut node,
        [Commit::new(10), Commit::new(11).that_ends_the_era()],
    );
    assert!(node.resume(&message).expect("it is known").is_none());
}

#[test]
fn blocks_that_nobody_certified_are_taken_back_and_their_transactions_returned() {
    let mut node = trunk();
    let mut short = node.clone();
    let mut other = node.clone();
    let pays = [transfer(3, "carol", 7), transfer(4, "carol", 8)];
    let ours = grow(
        &mut node,
        [
            Commit::new(10).with(&pays[..1]),
            Commit::new(11).with(&pays[1..]),
            Commit::new(12),
        ],
    );
    let beside = grow(&mut other, plain(20, 2));
    node.offer(&beside).expect("it is kept");
    let late = node.sub_dag(Commit::new(13));
    let message = resume(&node, 3);
    let step = must(&mut node, &message);
    assert_eq!(popped(&step), [ours[2].0, ours[1].0, ours[0].0]);
    assert_eq!(step.returned, pays);
    assert_eq!(step.common_ancestor(), Some(Height(3)));
    // Nothing of what was there is left.
    let head = node.head();
    assert_eq!(head.0, Height(4));
    assert_eq!(node.chain.forks().best(), head.1);
    let forks = fork_ids(&node);
    assert!(
        ids(&ours)
            .iter()
            .chain(&ids(&beside))
            .all(|id| !forks.contains(id))
    );
    node.reopen();
    assert_eq!(node.choose().expect("the head stays").len(), 0);
    // It is the block of a node that never had more.
    must(&mut short, &message);
    assert_same_branch(&node.store, &short.store);
    // A commit of the era that ended comes too late.
    let late = node
        .chain
        .order(&node.store, &late)
        .expect("it is no fault");
    assert!(late.is_none());
    assert_eq!(node.order(Commit::new(30)), short.order(Commit::new(30)));
}

#[test]
fn offenders_are_punished_and_not_in_the_next_committee() {
    let mut node = trunk();
    let real = equivocation(node.chain.era(), 2, 5);
    let Evidence::Equivocation { first, second } = equivocation(node.chain.era(), 1, 6) else {
        unreachable!("two vertices of one slot");
    };
    // In the wrong order they prove nothing.
    let made_up = Evidence::Equivocation {
        first: second,
        second: first,
    };
    let evidence = vec![made_up, real.clone(), real.clone()];
    let message = resume_with(&node, 3, 1, evidence);
    let step = must(&mut node, &message);
    let slashed = |event: &Event| match event {
        Event::Slashed { validator, .. } => Some(*validator),
        _ => None,
    };
    let events = &step.batch.apply[0].events;
    let slashed: Vec<_> = events.iter().filter_map(slashed).collect();
    assert_eq!(slashed, [validator_account(2)]);
    let body = node.block_at(Height(4)).1.body;
    assert_eq!(body.evidence, [real]);
    assert_eq!(body.governance, Some(message));
    let next = node.chain.era().committee.members();
    let next: Vec<_> = next.iter().map(|member| member.account).collect();
    assert_eq!(next, [0, 1, 3].map(validator_account));
}

fn refused(node: &Node, message: &GovernanceMessage) -> ResumeRefusal {
    let mut node = node.clone();
    let before = node.store.clone();
    let refusal = node.resume(message).expect_err("it is refused");
    assert_same_branch(&node.store, &before);
    assert_eq!(fork_ids(&node).len(), node.chain.forks().len());
    refusal
}

fn changed(
    message: &GovernanceMessage,
    change: impl FnOnce(&mut Era, &mut Height, &mut BlockId, &mut StateRoot),
) -> GovernanceMessage {
    let mut action = message.body.action.clone();
    if let GovernanceAction::Resume {
        era,
        height,
        block,
        state_root,
        ..
    } = &mut action
    {
        change(era, height, block, state_root);
    }
    governed(GOVERNOR_KEY, message.body.sequence, action)
}

#[test]
fn what_does_not_fit_this_chain_is_refused() {
    let mut node = trunk();
    let message = resume(&node, 3);
    let halt = GovernanceAction::Halt {
        reason: Vec::new(),
        until: TimestampMs::MAX,
        after_height: None,
    };
    let halt = governed(GOVERNOR_KEY, 1, halt);
    assert_eq!(refused(&node, &halt), ResumeRefusal::NotResume);
    let (expected, actual) = (Era(1), Era(2));
    let other_era = changed(&message, |era, _, _, _| *era = actual);
    let wrong_era = ResumeRefusal::WrongEra { expected, actual };
    assert_eq!(refused(&node, &other_era), wrong_era);
    // A block that is not here, above the head: of this era or of a later one.
    let mut ahead = node.clone();
    grow(
        &mut ahead,
        [Commit::new(10), Commit::new(11).that_ends_the_era()],
    );
    for height in [4, 5] {
        let behind = ResumeRefusal::Behind {
            height: Height(height),
        };
        assert_eq!(refused(&node, &resume(&ahead, height)), behind);
    }
    // Another block or another state.
    let (ours, block) = node.block_at(Height(3));
    let differs = ResumeRefusal::Differs {
        height: Height(3),
        ours,
        state_root: block.header.state_root,
    };
    let other_block = changed(&message, |_, _, block, _| *block = BlockId::new([9; 32]));
    assert_eq!(refused(&node, &other_block), differs);
    let other_root = changed(&message, |_, _, _, root| *root = StateRoot::new([9; 32]));
    assert_eq!(refused(&node, &other_root), differs);
    let other_height = changed(&message, |_, height, _, _| *height = Height(2));
    assert_eq!(refused(&node, &other_height), differs);
    // An irreversible block below the root.
    let below = ResumeRefusal::BelowCertified {
        certified: Height(2),
    };
    assert_eq!(refused(&node, &resume(&node, 1)), below);
    assert!(must(&mut node, &resume(&trunk(), 2)).batch.apply.len() == 1);
}

#[test]
fn what_the_governors_in_office_have_not_signed_is_refused() {
    let mut node = trunk();
    let message = resume(&node, 3);
    let mut one = message.clone();
    one.signatures.pop();
    let too_few = ResumeRefusal::Governance(GovernanceError::NotEnoughSignatures {
        actual: 1,
        threshold: 2,
    });
    assert_eq!(refused(&node, &one), too_few);
    let mut forged = message.clone();
    forged.body.sequence = 2;
    let forged_error = ResumeRefusal::Governance(GovernanceError::BadSignature { position: 0 });
    assert_eq!(refused(&node, &forged), forged_error);
    // The chain has obeyed a message of the same number. It is the state after the named block that counts: in the block
    // below, the number was free.
    let mut halt = Commit::new(10);
    halt.governance = vec![governed(
        GOVERNOR_KEY,
        1,
        GovernanceAction::Halt {
            reason: Vec::new(),
            until: TimestampMs::MAX,
            after_height: None,
        },
    )];
    node.order(halt);
    let used = ResumeRefusal::Governance(GovernanceError::Replayed { actual: 1, last: 1 });
    assert_eq!(refused(&node, &resume(&node, 4)), used);
    must(&mut node, &message);
}

#[test]
fn nothing_certified_is_taken_back() {
    let mut node = trunk();
    let mut other = node.clone();
    let mut third = node.clone();
    let blocks = grow(&mut other, plain(10, 3));
    let below = |certified| ResumeRefusal::BelowCertified {
        certified: Height(certified),
    };
    let message = resume(&node, 3);
    // The certified block is here.
    node.import(&blocks[..1], certificate(&blocks[0]))
        .expect("it executes");
    assert_eq!(refused(&node, &message), below(4));
    // It is not, but its certificate is.
    third.certify(certificate(&blocks[2])).expect("it waits");
    assert_eq!(refused(&third, &message), below(6));
    // A block beside a certified one cannot come any more: nobody waits for it.
    let beside = changed(&resume(&node, 4), |_, _, block, _| {
        *block = BlockId::new([9; 32]);
    });
    assert_eq!(refused(&node, &beside), below(4));
    let order = ResumeOrder::Governance(beside);
    let excluded = node.chain.excludes(&node.store, &order).expect("it reads");
    assert_eq!(excluded, Some(below(4)));
    // On the certified block itself all is well.
    grow(&mut node, plain(20, 2));
    let on_certified = resume(&node, 4);
    assert_eq!(must(&mut node, &on_certified).batch.pop.len(), 2);
}

#[test]
fn the_end_of_an_era_that_nobody_certified_is_taken_back() {
    let mut node = trunk();
    let end = grow(&mut node, [Commit::new(10).that_ends_the_era()]);
    assert_eq!(node.chain.era().era, Era(2));
    let message = resume(&node, 3);
    let mut certified = node.clone();
    certified.certify(certificate(&end[0])).expect("it is ours");
    let below = ResumeRefusal::BelowCertified {
        certified: Height(4),
    };
    assert_eq!(refused(&certified, &message), below);
    assert_eq!(popped(&must(&mut node, &message)), ids(&end));
    let mut fresh = trunk();
    must(&mut fresh, &message);
    assert_same_branch(&node.store, &fresh.store);
    // On the end itself, the era that it began ends with the next block.
    let on_end = resume(&certified, 4);
    must(&mut certified, &on_end);
    assert_eq!(certified.block_at(Height(5)).1.header.era, Era(2));
    assert_eq!(certified.chain.era().era, Era(3));
}

#[test]
fn an_era_is_resumed_once() {
    let mut node = trunk();
    grow(&mut node, plain(10, 1));
    let first = resume(&node, 3);
    let second = resume_with(&node, 3, 2, Vec::new());
    let higher = resume_with(&node, 4, 3, Vec::new());
    must(&mut node, &first);
    let settled = ResumeRefusal::WrongEra {
        expected: Era(2),
        actual: Era(1),
    };
    assert_eq!(refused(&node, &second), settled);
    assert_eq!(refused(&node, &higher), settled);
    grow(&mut node, plain(20, 3));
    assert_eq!(refused(&node, &second), settled);
    // The next halt is another era.
    let next = resume_with(&node, node.head().0.0, 2, Vec::new());
    must(&mut node, &next);
    assert_eq!(node.chain.era().era, Era(3));
}

#[test]
fn a_certified_resume_of_a_peer_wins_over_blocks_that_nobody_certified() {
    let mut node = trunk();
    let mut peer = node.clone();
    grow(
        &mut node,
        [Commit::new(10).with(&[transfer(3, "carol", 7)])]
            .into_iter()
            .chain(plain(11, 4)),
    );
    let message = resume_with(&peer, 3, 1, vec![equivocation(peer.chain.era(), 0, 5)]);
    must(&mut peer, &message);
    let block = peer.block_at(Height(4));
    let steps = node
        .import(std::slice::from_ref(&block), certificate(&block))
        .expect("it executes");
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].batch.pop.len(), 5);
    assert_eq!(steps[0].returned, [transfer(3, "carol", 7)]);
    peer.certify(certificate(&block)).expect("it is ours");
    assert_same_branch(&node.store, &peer.store);
    assert_eq!(node.chain.certified(), Height(4));
    assert_eq!(node.chain.era(), peer.chain.era());
    // The message has nothing to add.
    assert!(node.resume(&message).expect("it is known").is_none());
    assert_eq!(node.order(Commit::new(30)), peer.order(Commit::new(30)));
}

#[test]
fn the_certificate_of_a_resume_may_come_before_its_block() {
    let mut node = trunk();
    let mut peer = node.clone();
    let message = resume(&peer, 3);
    must(&mut peer, &message);
    let block = peer.block_at(Height(4));
    let mut own = node.clone();
    for node in [&mut node, &mut own] {
        let steps = node.certify(certificate(&block)).expect("it waits");
        assert!(steps.is_empty());
    }
    // The DAG may still make a block of that height: nothing is wrong with it.
    node.order(Commit::new(10));
    let steps = node
        .offer(std::slice::from_ref(&block))
        .expect("it executes");
    assert_eq!(steps[0].batch.pop.len(), 1);
    peer.certify(certificate(&block)).expect("it is ours");
    assert_same_branch(&node.store, &peer.store);
    // Made here, the block is certified at once.
    let step = must(&mut own, &message);
    assert_eq!(step.batch.certificates, [certificate(&block)]);
    assert_eq!(own.chain.certified(), Height(4));
}

#[test]
fn a_resume_against_a_certified_block_is_a_contradiction_of_quorums() {
    let mut node = trunk();
    let mut peer = node.clone();
    let ours = grow(&mut node, plain(10, 2));
    node.certify(certificate(&ours[1])).expect("it is ours");
    let message = resume(&peer, 3);
    must(&mut peer, &message);
    let block = peer.block_at(Height(4));
    let error = node.import(std::slice::from_ref(&block), certificate(&block));
    let expected = ChainError::ContradictoryCertificates {
        first: Box::new(certificate(&ours[1])),
        second: Box::new(certificate(&block)),
    };
    assert_eq!(error.expect_err("it is fatal"), expected);
}

#[test]
fn a_certified_block_outranks_a_resume_that_has_no_certificate() {
    let mut node = trunk();
    let mut peer = node.clone();
    let ours = grow(&mut node, plain(10, 2));
    peer.import(&ours, certificate(&ours[1]))
        .expect("it executes");
    let message = resume(&node, 3);
    must(&mut node, &message);
    assert!(
        node.certify(certificate(&ours[1]))
            .expect("it waits")
            .is_empty()
    );
    let steps = node
        .import(&ours, certificate(&ours[1]))
        .expect("it executes");
    let pops = steps.iter().flat_map(|step| &step.batch.pop);
    assert_eq!(pops.count(), 1);
    assert_same_branch(&node.store, &peer.store);
    let below = ResumeRefusal::BelowCertified {
        certified: Height(5),
    };
    assert_eq!(refused(&node, &message), below);
}

#[test]
fn a_resume_block_that_governance_did_not_order_does_not_execute() {
    let mut peer = trunk();
    let node = trunk();
    let message = resume(&peer, 3);
    must(&mut peer, &message);
    let (_, good) = peer.block_at(Height(4));
    let with = |message: GovernanceMessage| {
        let mut block = good.clone();
        block.header.origin = BlockOrigin::Resumed {
            message: message.body.id(&CHAIN),
        };
        block.body.governance = Some(message);
        block.header.system_root = block.body.system_root();
        (block.header.id(&CHAIN), block)
    };
    let mut unsigned = message.clone();
    unsigned.signatures.pop();
    let other_root = changed(&message, |_, _, _, root| *root = StateRoot::new([9; 32]));
    let other_era = changed(&message, |era, _, _, _| *era = Era(2));
    for (message, reason) in [
        (unsigned, "1 governors have signed"),
        (other_root, "another block"),
        (other_era, "era 2"),
    ] {
        let mut node = node.clone();
        let bad = with(message);
        let steps = node
            .offer(std::slice::from_ref(&bad))
            .expect("it is refused");
        assert_eq!(steps[0].rejected[0].block, bad.0);
        let text = &steps[0].rejected[0].reason;
        assert!(text.contains(reason), "{text}");
        assert_eq!(node.head(), trunk().head());
        // With a certificate it is this node that is wrong.
        let mut node = trunk();
        let error = node.import(std::slice::from_ref(&bad), certificate(&bad));
        assert!(matches!(
            error,
            Err(ChainError::Diverged {
                field: "resume",
                ..
            })
        ));
    }
}
