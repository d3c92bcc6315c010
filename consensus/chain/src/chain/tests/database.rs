//! The fork database along the chain: its root, its limits, restarts.

use super::*;

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
fn undo_records_go_by_the_milestones_of_the_branch() {
    let mut node = Node::with_fork_db(2400);
    let supported = |round| Commit::new(round).that_supports_the_head();
    grow(&mut node, (1..=62).map(supported));
    let mut other = node.clone();
    // Block 64 of the branch that is taken back is older than that of the other. Counted from it, block 128 would come
    // more than an epoch later.
    let mut early = Commit::new(64);
    early.step_ms = 1;
    grow(&mut node, [Commit::new(63), early]);
    let theirs = grow(&mut other, plain(100, 3));
    node.offer(&theirs).expect("it executes");
    assert_same_branch(&node.store, &other.store);
    let mut horizons = Vec::new();
    for round in 200..400 {
        let mut commit = supported(round);
        commit.step_ms = EPOCH_MS / 64 - 2;
        let [ours, theirs] = [&mut node, &mut other].map(|node| {
            let step = node.try_order(commit.clone()).expect("it executes");
            let tip = node.block_at(node.head().0);
            node.certify(certificate(&tip)).expect("it is ours");
            step.batch.prune_undo_below
        });
        assert_eq!(ours, theirs, "round {round}");
        horizons.extend(ours);
    }
    assert_eq!(horizons, [Height(64), Height(128)]);
    assert_same_branch(&node.store, &other.store);
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

#[test]
fn blocks_of_the_last_two_eras_keep_their_undo_records() {
    let mut node = Node::with_fork_db(2400);
    let mut horizons = Vec::new();
    for round in 1..=320 {
        let mut commit = Commit::new(round).that_supports_the_head();
        // These two end an era.
        let ends = round == 101 || round == 192;
        commit.step_ms = if ends { EPOCH_MS } else { 500 };
        let step = node.try_order(commit).expect("it executes");
        let tip = node.block_at(node.head().0);
        node.certify(certificate(&tip)).expect("it is ours");
        let horizon = step.batch.prune_undo_below;
        horizons.extend(horizon.map(|horizon| (round, horizon)));
    }
    // At 192, block 64 is of the era before the last two; but 192 may be taken back, and with it the last of them.
    assert_eq!(horizons, [(256, Height(64))]);
}
