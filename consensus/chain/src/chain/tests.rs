//! Branches of real blocks: what wins, what is refused, and what is left of it.

use super::assembly::BlockMaker;
use super::fixture::{Commit, Node, assert_same_branch, certificate, transfer};
use super::{ChainError, Step, UNLINKED_MAX};
use crate::forks::{ForkDatabase, ForkError};
use crate::store::{ChainBatch, ChainStore};
use holdfast_types::test_util::{CHAIN, parameters::EPOCH_MS};
use holdfast_types::{Block, BlockId, Certificate, Era, Height, StateRoot, TransactionId};

type Blocks = Vec<(BlockId, Block)>;

/// A node of three blocks, the last irreversible one of them the second.
fn trunk() -> Node {
    let mut node = Node::new();
    for round in 1..=3 {
        let commit = Commit::new(round).with(&[transfer(round - 1, "bob", 5)]);
        node.order(commit.that_supports_the_head());
    }
    node
}

fn grow(node: &mut Node, commits: impl IntoIterator<Item = Commit>) -> Blocks {
    let commits = commits.into_iter();
    commits.map(|commit| node.order(commit)).collect()
}

/// `count` commits that differ from those of other rounds.
fn plain(from_round: u64, count: u64) -> impl Iterator<Item = Commit> {
    (from_round..from_round + count).map(Commit::new)
}

fn ids(blocks: &[(BlockId, Block)]) -> Vec<BlockId> {
    blocks.iter().map(|(id, _)| *id).collect()
}

fn popped(step: &Step) -> Vec<BlockId> {
    step.batch.pop.iter().map(|(_, id)| *id).collect()
}

fn applied(step: &Step) -> Vec<BlockId> {
    step.batch.apply.iter().map(|applied| applied.id).collect()
}

fn fork_ids(node: &Node) -> Vec<BlockId> {
    let forks = node.store.fork_blocks().expect("it reads");
    ids(&forks)
}

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
    // The transfer of nonce 4 is on both branches; the others come back in their order.
    let returned: Vec<u64> = step.returned.iter().map(|it| it.body.nonce).collect();
    assert_eq!(returned, [3, 5]);
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
    assert_eq!(steps[4].batch.certificates, [certified.clone()]);
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

/// A block with the header of `block` but for the state root.
fn corrupted(block: &(BlockId, Block)) -> (BlockId, Block) {
    let mut block = block.1.clone();
    block.header.state_root = StateRoot::new([9; 32]);
    (block.header.id(&CHAIN), block)
}

fn on(parent: BlockId, block: &(BlockId, Block)) -> (BlockId, Block) {
    let mut block = block.1.clone();
    block.header.parent = parent;
    (block.header.id(&CHAIN), block)
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
fn lib_prunes_what_does_not_stand_on_it_and_never_goes_down_by_a_switch() {
    let mut node = trunk();
    let mut other = node.clone();
    let mut third = node.clone();
    let pruned = grow(&mut third, plain(40, 1));
    // The support of the trunk's tip makes it irreversible: the branches start there.
    grow(&mut node, [Commit::new(10).that_supports_the_head()]);
    node.offer(&pruned).expect("it is kept");
    assert_eq!(node.chain.irreversible(), Height(3));
    let theirs = grow(&mut other, plain(20, 2));
    assert_eq!(other.chain.irreversible(), Height(2));
    node.offer(&theirs).expect("it executes");
    assert_eq!(node.head(), other.head());
    assert_eq!(node.chain.irreversible(), Height(3));
    assert_eq!(node.store.irreversible_height(), Ok(Height(3)));
    // Now LIB follows this branch, and the others go.
    let step = node.try_order(Commit::new(30).that_supports_the_head());
    let step = step.expect("it executes");
    assert_eq!(step.batch.irreversible, Some(Height(5)));
    assert!(step.batch.remove_forks.contains(&(Height(4), pruned[0].0)));
    assert_eq!(fork_ids(&node), [node.head().1]);
}

#[test]
fn the_fork_database_is_what_it_was_after_a_restart() {
    let mut node = trunk();
    let mut other = node.clone();
    grow(&mut node, plain(10, 3));
    let end = Commit::new(20).that_ends_the_era();
    let theirs = grow(&mut other, [end].into_iter().chain(plain(21, 1)));
    node.offer(&theirs).expect("it is kept");
    node.certify(certificate(&node.block_at(Height(4))))
        .expect("it is ours");
    let mut again = node.clone();
    again.reopen();
    let picture = |forks: &ForkDatabase| {
        let blocks: Vec<_> = theirs
            .iter()
            .map(|(id, _)| forks.get(id).copied())
            .collect();
        (
            forks.root(),
            forks.head(),
            forks.best(),
            forks.len(),
            forks.highest_certified(),
            blocks,
        )
    };
    assert_eq!(picture(again.chain.forks()), picture(node.chain.forks()));
    assert_eq!(again.chain.certified(), Height(4));
}

#[test]
fn leftovers_of_the_fork_database_are_dropped_at_the_first_choice() {
    let mut node = trunk();
    let mut other = Node::new();
    let stray = grow(&mut other, plain(50, 4));
    node.store.apply(ChainBatch {
        insert_forks: vec![stray[0].clone(), stray[3].clone()],
        ..ChainBatch::default()
    });
    node.reopen();
    let steps = node.choose().expect("the head stays");
    let removed: Vec<_> = steps[0].batch.remove_forks.clone();
    assert_eq!(removed, [(Height(1), stray[0].0), (Height(4), stray[3].0)]);
    assert_eq!(fork_ids(&node), [node.head().1]);
}

#[test]
fn a_chain_whose_lib_does_not_move_stops_when_the_fork_database_is_full() {
    let mut node = Node::with_fork_db(16);
    grow(&mut node, plain(1, 16));
    let error = node
        .try_order(Commit::new(17))
        .expect_err("there is no room");
    let expected = ChainError::ForkDatabaseFull {
        height: Height(17),
        irreversible: Height(0),
    };
    assert_eq!(error, expected);
    assert_eq!(node.head().0, Height(16));
}

#[test]
fn a_rejected_block_that_executes_after_all_is_no_deterministic_execution() {
    let mut node = trunk();
    let (id, block) = node.clone().order(Commit::new(10));
    node.chain.forks.mark_invalid(id).expect("it is not here");
    let error = node.try_order(Commit::new(10)).expect_err("it is fatal");
    let height = block.header.height;
    assert_eq!(error, ChainError::NotDeterministic { height, block: id });
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

#[test]
fn undo_records_go_by_the_milestones_of_the_branch() {
    let mut node = Node::with_fork_db(2400);
    let supported = |round| Commit::new(round).that_supports_the_head();
    grow(&mut node, (1..=62).map(supported));
    let mut other = node.clone();
    // Milestone 64 of the first branch is old at once; it leaves with the branch.
    let mut late = Commit::new(64);
    late.step_ms = 1;
    grow(&mut node, [Commit::new(63), late]);
    let theirs = grow(&mut other, plain(100, 3));
    node.offer(&theirs).expect("it executes");
    assert_same_branch(&node.store, &other.store);
    for round in 200..400 {
        let mut commit = supported(round);
        commit.step_ms = EPOCH_MS / 100;
        let [ours, theirs] = [&mut node, &mut other].map(|node| node.try_order(commit.clone()));
        let horizon = |step: Result<Step, _>| step.expect("it executes").batch.prune_undo_below;
        assert_eq!(horizon(ours), horizon(theirs), "round {round}");
    }
    assert_same_branch(&node.store, &other.store);
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
    assert_eq!(steps[1].returned, [lost.clone()]);
    let id: TransactionId = lost.body.id(&CHAIN);
    assert_eq!(node.store.transaction_place(&id), Ok(None));
}

#[test]
fn a_tree_that_cannot_name_its_branch_stops_the_node() {
    let mut node = trunk();
    let mut other = Node::new();
    let stray = grow(&mut other, plain(50, 4));
    let error = node.offer(&stray[3..]).expect_err("its parent is not here");
    let id = stray[2].0;
    assert_eq!(error, ChainError::Forks(ForkError::UnknownBlock { id }));
}
