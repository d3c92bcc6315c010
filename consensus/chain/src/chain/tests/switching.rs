//! Switches: what wins, what does not execute, and what comes back.

use super::*;

#[test]
fn a_longer_certified_branch_wins_in_one_batch_and_leaves_what_executing_it_leaves() {
    let mut node = trunk();
    let mut other = node.clone();
    let ours = grow(
        &mut node,
        [
            Commit::new(10).with(&[transfer(3, "carol", 7), transfer(4, "carol", 8)]),
            Commit::new(11).with(&[transfer(5, "bob", 9)]),
        ],
    );
    let theirs = grow(
        &mut other,
        [
            Commit::new(20).with(&[transfer(3, "bob", 1)]),
            Commit::new(21).with(&[transfer(4, "carol", 8)]),
            Commit::new(22),
        ],
    );
    let certified = certificate(&theirs[2]);
    other.certify(certified.clone()).expect("it is ours");
    let steps = node.import(&theirs, certified).expect("it executes");
    let [step] = steps.as_slice() else {
        panic!("{} steps instead of one", steps.len());
    };
    assert_eq!(popped(step), [ours[1].0, ours[0].0]);
    assert_eq!(applied(step), ids(&theirs));
    assert_eq!(step.executed.len(), 3);
    assert_eq!(step.common_ancestor(), Some(Height(3)));
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.certified(), Height(6));
    assert_eq!(
        node.store.certified_height(),
        other.store.certified_height()
    );
    assert!(ids(&ours).iter().all(|id| fork_ids(&node).contains(id)));
    // The transfer of nonce 4 is on both branches, and the other branch has another one of nonce 3.
    let returned: Vec<u64> = step.returned.iter().map(|it| it.body.nonce).collect();
    assert_eq!(returned, [5]);
    // The chain goes on from there.
    let next = Commit::new(30);
    assert_eq!(node.order(next.clone()), other.order(next));
    assert_same_branch(&node.store, &other.store);
}

#[test]
fn a_range_on_the_head_is_one_step_for_each_block_and_takes_nothing_back() {
    let mut node = trunk();
    let mut other = node.clone();
    let blocks = grow(&mut other, plain(10, 5));
    let certified = certificate(&blocks[4]);
    let steps = node
        .import(&blocks, certified.clone())
        .expect("it executes");
    assert_eq!(steps.len(), 5);
    for (step, (id, _)) in steps.iter().zip(&blocks) {
        assert_eq!(applied(step), [*id]);
        assert!(step.batch.pop.is_empty() && step.batch.insert_forks.is_empty());
    }
    assert_eq!(
        steps[4].batch.certificates,
        std::slice::from_ref(&certified)
    );
    assert_same_branch(&node.store, &other.store);
    assert_eq!(
        node.import(&blocks, certified).expect("all is known").len(),
        0
    );
}

#[test]
fn a_branch_is_kept_until_it_is_worth_the_switch() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 2));
    let before = node.store.clone();
    let theirs = grow(&mut other, plain(20, 3));
    for block in &theirs[..2] {
        let steps = node.offer(std::slice::from_ref(block)).expect("it is kept");
        assert_eq!(ids(&steps[0].batch.insert_forks), [block.0]);
        assert_same_branch(&node.store, &before);
    }
    node.reopen();
    assert_eq!(node.choose().expect("the head stays").len(), 0);
    let steps = node.offer(&theirs[2..]).expect("it executes");
    assert_eq!(applied(&steps[0]), ids(&theirs));
    assert_same_branch(&node.store, &other.store);
}

#[test]
fn a_branch_whose_second_block_does_not_execute_leaves_everything_as_before() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 1));
    let theirs = grow(&mut other, plain(20, 3));
    let bad = corrupted(&theirs[1]);
    let above = on(bad.0, &theirs[2]);
    let before = node.clone();
    node.store.apply(ChainBatch {
        insert_forks: vec![theirs[0].clone(), bad.clone(), above.clone()],
        ..ChainBatch::default()
    });
    node.reopen();
    let steps = node.choose().expect("the branch is refused");
    let [step] = steps.as_slice() else {
        panic!("{} steps instead of one", steps.len());
    };
    assert_eq!(step.rejected[0].block, bad.0);
    assert!(step.rejected[0].reason.contains("state root"));
    assert!(step.batch.pop.is_empty() && step.batch.apply.is_empty());
    assert!(step.returned.is_empty() && step.executed.is_empty());
    assert_same_branch(&node.store, &before.store);
    assert_eq!(node.head(), before.head());
    assert_eq!(
        node.chain.position.last_commit,
        before.chain.position.last_commit
    );
    // What executes stays, what does not is gone for good.
    let kept = fork_ids(&node);
    assert!(kept.contains(&theirs[0].0));
    assert!(!kept.contains(&bad.0) && !kept.contains(&above.0));
    let refused = node.offer(&[bad]).expect_err("it is known to be invalid");
    assert!(matches!(refused, ChainError::CertifiedRejected { .. }));
    assert_eq!(node.order(Commit::new(30)).1.header.height, Height(5));
}

#[test]
fn after_a_branch_that_does_not_execute_the_next_best_is_taken() {
    let mut node = trunk();
    let mut second = node.clone();
    let mut third = node.clone();
    grow(&mut node, plain(10, 1));
    let bad = grow(&mut second, plain(20, 4));
    let good = grow(&mut third, plain(30, 3));
    let broken = corrupted(&bad[2]);
    let above = on(broken.0, &bad[3]);
    node.store.apply(ChainBatch {
        insert_forks: [&bad[..2], &[broken.clone(), above], &good].concat(),
        ..ChainBatch::default()
    });
    node.reopen();
    let steps = node.choose().expect("the next branch executes");
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].rejected[0].block, broken.0);
    assert_eq!(applied(&steps[0]), ids(&good));
    assert_same_branch(&node.store, &third.store);
    assert_eq!(node.choose().expect("nothing is left to do").len(), 0);
}

#[test]
fn a_switch_over_the_end_of_an_era_goes_on_in_the_era_of_the_branch() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 1));
    let end = Commit::new(21).that_ends_the_era();
    let theirs = grow(&mut other, [Commit::new(20), end]);
    let first = node
        .import(&theirs, certificate(&theirs[1]))
        .expect("it executes");
    assert_eq!(applied(first.last().expect("a switch")), ids(&theirs));
    assert_eq!(node.chain.era().era, Era(2));
    assert_eq!(node.chain.era().anchor, theirs[1].0);
    assert_same_branch(&node.store, &other.store);
    // Both go on alike: the commits of era 2 are numbered from 1.
    let more = grow(&mut other, plain(30, 2));
    node.import(&more, certificate(&more[1]))
        .expect("it executes");
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.position.last_commit.0, 2);
}

#[test]
fn taking_the_end_of_an_era_back_restores_the_era_before() {
    let mut node = trunk();
    let mut other = node.clone();
    // Its next block would make the end of the era irreversible.
    let ours = grow(
        &mut node,
        [Commit::new(10), Commit::new(11).that_ends_the_era()],
    );
    let theirs = grow(&mut other, plain(20, 3));
    let step = &node.offer(&theirs).expect("it executes")[2];
    assert_eq!(popped(step), [ours[1].0, ours[0].0]);
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.era(), other.chain.era());
    assert_eq!(
        node.chain.position.last_commit,
        other.chain.position.last_commit
    );
    // The store still knows the context; for this branch the era has not begun.
    assert!(node.store.era(Era(2)).expect("it reads").is_some());
    let unknown = BlockMaker::era(&node.store, &node.chain.position, Era(2));
    assert_eq!(unknown, Ok(None));
    let running = BlockMaker::era(&node.store, &node.chain.position, Era(1));
    assert_eq!(running.expect("it reads").map(|era| era.era), Some(Era(1)));
    assert_eq!(node.order(Commit::new(30)), other.order(Commit::new(30)));
}

#[test]
fn two_eras_may_begin_in_one_switch() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 3));
    let ends = (20..24).map(|round| Commit::new(round).that_ends_the_era());
    let theirs = grow(&mut other, ends);
    let steps = node.offer(&theirs).expect("it executes");
    let begun: Vec<Era> = steps[3]
        .batch
        .start_eras
        .iter()
        .map(|era| era.era)
        .collect();
    assert_eq!(begun, [Era(2), Era(3), Era(4), Era(5)]);
    assert_same_branch(&node.store, &other.store);
    assert_eq!(node.chain.era(), other.chain.era());
}

#[test]
fn back_and_forth_leads_where_one_was() {
    let mut first = trunk();
    let mut second = first.clone();
    let mut node = first.clone();
    let pay = |round, nonce| Commit::new(round).with(&[transfer(nonce, "bob", round)]);
    // Each branch in turn gets two blocks more than before and so ahead by one. The last blocks of turns 6 and 7 end the
    // era: whoever goes on above such a block makes it irreversible.
    for turn in 0..9 {
        let (branch, round) = if turn % 2 == 0 {
            (&mut first, 100 + 10 * turn)
        } else {
            (&mut second, 200 + 10 * turn)
        };
        let nonce = branch.head().0.0;
        let count = if turn == 0 { 1 } else { 2 };
        let mut commits: Vec<_> = (0..count).map(|n| pay(round + n, nonce + n)).collect();
        if turn == 6 || turn == 7 {
            let last = commits.pop();
            commits.extend(last.map(Commit::that_ends_the_era));
        }
        let blocks = grow(branch, commits);
        let branch = branch.store.clone();
        let steps = node.offer(&blocks).expect("it executes");
        assert_same_branch(&node.store, &branch);
        assert!(turn == 0 || steps.iter().any(|step| !step.batch.pop.is_empty()));
        node.reopen();
    }
}

#[test]
fn transactions_that_were_included_before_the_branches_do_not_come_back() {
    let mut node = trunk();
    let mut other = node.clone();
    // Nonce 0 was used in the trunk: the second inclusion fails and is of no use to anyone.
    let again = transfer(0, "bob", 5);
    let lost = transfer(3, "carol", 1);
    let twice = [again, lost.clone(), lost.clone()];
    grow(&mut node, [Commit::new(10).with(&twice)]);
    let theirs = grow(&mut other, plain(20, 2));
    let steps = node.offer(&theirs).expect("it executes");
    assert_eq!(steps[1].returned, std::slice::from_ref(&lost));
    let id: TransactionId = lost.body.id(&CHAIN);
    assert_eq!(node.store.transaction_place(&id), Ok(None));
}

#[test]
fn what_came_too_early_before_the_branches_comes_back() {
    let mut node = trunk();
    let [next, early] = [3, 4].map(|nonce| transfer(nonce, "carol", 1));
    let id: TransactionId = early.body.id(&CHAIN);
    grow(
        &mut node,
        [Commit::new(9).with(std::slice::from_ref(&early))],
    );
    assert_eq!(
        node.store.transaction_place(&id),
        Ok(None),
        "its turn comes"
    );
    let mut other = node.clone();
    grow(
        &mut node,
        [Commit::new(10).with(&[next.clone(), early.clone()])],
    );
    let head = node.head().0;
    assert_eq!(node.store.transaction_place(&id), Ok(Some((head, 1))));
    let theirs = grow(&mut other, plain(20, 2));
    let steps = node.offer(&theirs).expect("it executes");
    assert_eq!(steps[1].returned, [next, early]);
    assert_eq!(node.store.transaction_place(&id), Ok(None));
}

#[test]
fn a_commit_of_an_era_that_was_taken_back_is_left_out() {
    let mut node = trunk();
    let mut other = node.clone();
    let end = |round| Commit::new(round).that_ends_the_era();
    grow(&mut node, [end(10)]);
    let late = node.sub_dag(Commit::new(11));
    let theirs = grow(&mut other, [Commit::new(20), end(21)]);
    node.offer(&theirs).expect("it executes");
    // Number and index are those of the next commit, the anchor is not.
    assert_eq!(late.record.era, node.chain.era().era);
    let step = node
        .chain
        .order(&node.store, &late)
        .expect("it is no fault");
    assert!(step.is_none());
    assert_same_branch(&node.store, &other.store);
}
