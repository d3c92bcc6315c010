//! Emergency blocks that give way: to certificates, and to a longer branch (rule C16).

use super::emergency::stalled;
use super::*;
use crate::branch::{Branch, BranchFetch, BranchStep};
use crate::chain::OfferRefusal;
use crate::chain::fixture::emergencies::{
    MASTER_KEY, committee, master, next_slot, restores_key, slot,
};
use crate::chain::fixture::response;
use crate::sync::SyncNeed;
use holdfast_types::wire::{BlocksResponse, BranchRank};
use holdfast_types::{EraKind, Parameters};

/// The side of the network that kept its quorum, as far as `count` blocks, the last of them certified.
fn quorum_side(trunk: &Node, count: u64) -> (Node, Blocks, Certificate) {
    let mut node = trunk.clone();
    let blocks = grow(&mut node, plain(20, count));
    let certified = certificate(&blocks[blocks.len() - 1]);
    node.certify(certified.clone()).expect("it is ours");
    (node, blocks, certified)
}

#[test]
fn u1_a_certificate_outranks_an_emergency_of_any_length_and_lib_does_not_protect_it() {
    for (length, certified_blocks) in [(1, 1), (2, 5), (5, 1), (5, 2), (5, 9), (300, 1), (300, 3)] {
        let mut trunk = stalled();
        let final_block = trunk.block_at(Height(2));
        trunk
            .certify(certificate(&final_block))
            .expect("it is ours");
        let (quorum, _, certified) = quorum_side(&trunk, certified_blocks);
        let mut cut_off = trunk.clone();
        for number in 0..length {
            let transactions = match number {
                0 => vec![transfer(3, "carol", 9)],
                _ => vec![],
            };
            master(&mut cut_off, number, &transactions);
        }
        assert!(cut_off.head() > trunk.head());
        let emergency = cut_off.clone();
        let mut returned = Vec::new();
        let steps = cut_off.certify(certified.clone()).expect("it is no fault");
        returned.extend(steps.into_iter().flat_map(|step| step.returned));
        assert!(cut_off.chain.irreversible() <= cut_off.head().0);
        // Until the certified block is here nobody goes back to the emergency, also after a crash.
        if length > 3 {
            cut_off.reopen();
        }
        let at = slot(&cut_off, length + 1);
        let refused = cut_off.produce(committee(), MASTER_KEY, at, &[]);
        assert_eq!(refused, Err(OfferRefusal::Outranked));
        for block in blocks_above(&emergency, 3) {
            assert_eq!(cut_off.take(&block).err(), Some(OfferRefusal::Outranked));
        }
        // Block sync goes on from what is certified.
        let heights = 3..=quorum.head().0.0;
        let blocks: Blocks = heights
            .map(|height| quorum.block_at(Height(height)))
            .collect();
        let steps = cut_off.import(&blocks, certified).expect("it executes");
        returned.extend(steps.into_iter().flat_map(|step| step.returned));
        let nonces: Vec<_> = returned.iter().map(|one| one.body.nonce).collect();
        // The transaction of block 3 was taken back with it, and came again.
        assert!(
            nonces == [3] || nonces == [2, 3],
            "nothing is lost: {nonces:?}"
        );
        assert_same_branch(&cut_off.store, &quorum.store);
        assert_eq!(cut_off.chain.certified(), quorum.chain.certified());
        assert_eq!(cut_off.chain.era().kind, EraKind::Dag);
        cut_off.reopen();
        assert_eq!(cut_off.head(), quorum.head());
    }
}

#[test]
fn u1_what_is_certified_after_an_emergency_is_not_taken_back() {
    let trunk = stalled();
    let (_, _, rival) = quorum_side(&trunk, 2);
    let mut node = trunk;
    master(&mut node, 0, &[]);
    let keys: Vec<_> = (0..4).map(restores_key).collect();
    master(&mut node, 1, &keys);
    let mut number = 2;
    while node.chain.era().kind == EraKind::Emergency {
        next_slot(&mut node, number);
        number += 1;
    }
    let context = EraContext::clone(node.chain.era());
    let anchor = node.block_at(context.anchor_height);
    node.certify(certificate_in(&context, &anchor))
        .expect("it is ours");
    // Two quorums contradict each other: that is for people to solve.
    assert!(matches!(
        node.certify(rival),
        Err(ChainError::ContradictoryCertificates { .. }
            | ChainError::IrreversibleContradicted { .. })
    ));
}

/// The blocks of the certified side come by block sync alone, from the last certified block on (C7).
#[test]
fn u2_block_sync_brings_the_certificate_to_whose_emergency_went_past_it() {
    for length in [1, 4, 70, 200] {
        let mut trunk = stalled();
        let second = trunk.block_at(Height(2));
        trunk.certify(certificate(&second)).expect("it is ours");
        let (quorum, _, certified) = quorum_side(&trunk, 3);
        let mut cut_off = trunk;
        for number in 0..length {
            master(&mut cut_off, number, &[]);
        }
        assert!(cut_off.is_provisional());
        let heights = 3..=quorum.head().0.0;
        let blocks: Blocks = heights
            .map(|height| quorum.block_at(Height(height)))
            .collect();
        let mut range = cut_off
            .chain
            .verify_range(&cut_off.store, response(&blocks, Some(certified.clone())))
            .expect("it reads")
            .expect("it stands on what is certified here");
        // A crash between any two steps: what is left is done after the start, and the range comes again.
        let step = cut_off.chain.import(&cut_off.store, &mut range);
        cut_off.write(&step.expect("it is no fault").expect("it is a step"));
        cut_off.reopen();
        cut_off.choose().expect("it is no fault");
        assert!(length < 70 || cut_off.head().0 == Height(3));
        cut_off.import(&blocks, certified).expect("it executes");
        assert_same_branch(&cut_off.store, &quorum.store);
        assert!(!cut_off.is_provisional());
    }
}

#[test]
fn u2_of_two_emergencies_that_nobody_has_certified_the_first_one_counts() {
    let mut trunk = stalled();
    let second = trunk.block_at(Height(2));
    trunk.certify(certificate(&second)).expect("it is ours");
    let (quorum, blocks, certified) = quorum_side(&trunk, 3);
    let mut cut_off = trunk;
    let keys: Vec<_> = (0..4).map(restores_key).collect();
    for again in 0..2 {
        master(&mut cut_off, 0, &[]);
        let restored = if again == 0 { keys.as_slice() } else { &[] };
        master(&mut cut_off, 1, restored);
        let mut number = 2;
        while again == 0 && cut_off.chain.era().kind == EraKind::Emergency {
            next_slot(&mut cut_off, number);
            number += 1;
        }
    }
    assert_eq!(cut_off.chain.era().kind, EraKind::Emergency);
    let from = cut_off.chain.provisional_from(&cut_off.store);
    assert_eq!(from, Ok(Some(Height(4))));
    cut_off.certify(certified.clone()).expect("it is no fault");
    let mut all = vec![quorum.block_at(Height(3))];
    all.extend(blocks);
    cut_off.import(&all, certified).expect("it executes");
    assert_same_branch(&cut_off.store, &quorum.store);
}

#[test]
fn u5_the_last_blocks_of_the_dag_come_with_the_emergency_that_stands_on_them() {
    let mut trunk = stalled();
    let second = trunk.block_at(Height(2));
    trunk.certify(certificate(&second)).expect("it is ours");
    let mut ahead = trunk.clone();
    ahead.order(Commit::new(4).with(&[transfer(3, "carol", 2)]));
    ahead.order(Commit::new(5).with(&[transfer(4, "bob", 2)]));
    master(&mut ahead, 0, &[transfer(5, "bob", 3)]);
    // Not alone, and not above what the key stands for.
    for count in 1..3 {
        let branch = blocks_above(&ahead, 3)[..count].to_vec();
        let refused = offer_branch(&mut trunk.clone(), branch);
        assert_eq!(refused.err(), Some(OfferRefusal::NotEmergency));
    }
    let mut forged = blocks_above(&ahead, 3);
    forged[2].header.sign_emergency(&CHAIN, &key_pair(7));
    let refused = offer_branch(&mut trunk.clone(), forged);
    assert_eq!(refused.err(), Some(OfferRefusal::BadSignature));
    let mut behind = trunk.clone();
    offer_branch(&mut behind, blocks_above(&ahead, 3)).expect("it is longer");
    assert_same_branch(&behind.store, &ahead.store);
    // Who has begun an emergency one block lower goes over, too.
    let mut lower = trunk;
    master(&mut lower, 0, &[transfer(3, "bob", 9)]);
    master(&mut lower, 1, &[]);
    offer_branch(&mut lower, blocks_above(&ahead, 3)).expect("it is longer");
    assert_same_branch(&lower.store, &ahead.store);
    for node in [&mut behind, &mut lower] {
        node.reopen();
        assert_eq!(master(node, 1, &[]), master(&mut ahead.clone(), 1, &[]));
    }
}

#[test]
fn u8_a_commit_of_the_own_dag_takes_an_emergency_back_that_leaves_it_out() {
    for (length, commits) in [(1, 1), (5, 1), (5, 3), (300, 2)] {
        let trunk = stalled();
        let mut dag = trunk.clone();
        let mut sub_dags = Vec::new();
        for round in 0..commits {
            let commit = Commit::new(20 + 2 * round).with(&[transfer(3 + round, "bob", 1)]);
            sub_dags.push(dag.sub_dag(commit.clone()));
            dag.order(commit);
        }
        let mut node = trunk.clone();
        for number in 0..length {
            let transactions = match number {
                1 => vec![transfer(3, "carol", 9)],
                _ => vec![],
            };
            master(&mut node, number, &transactions);
        }
        let emergency = node.clone();
        // One that does not go on where the emergency began says nothing.
        if commits > 1 {
            let later = sub_dags[1].clone();
            assert!(node.chain.order(&node.store, &later).unwrap().is_none());
        }
        let mut returned = Vec::new();
        for sub_dag in &sub_dags {
            while let Some(step) = node.chain.order(&node.store, sub_dag).expect("no fault") {
                node.write(&step);
                returned.extend(step.returned);
            }
        }
        assert_eq!(node.head(), dag.head());
        assert_same_branch(&node.store, &dag.store);
        assert_eq!(returned.len(), usize::from(length > 1));
        // The emergency that leaves them out does not come back, in whichever way it is offered.
        let branch = blocks_above(&emergency, trunk.head().0.0);
        assert_eq!(node.take(&branch[0]).err(), Some(OfferRefusal::Outranked));
        assert_eq!(
            offer_branch(&mut node, branch).err(),
            Some(OfferRefusal::Outranked)
        );
        // Another one that stands on them does.
        master(&mut node, length + 1, &[]);
        let on_top = blocks_above(&node, dag.head().0.0);
        let branch = offer_branch(&mut dag, on_top).expect("it leaves nothing out");
        assert_eq!(branch.batch.apply.len(), 1);
    }
}

#[test]
fn u8_taking_back_goes_on_after_a_restart_when_the_dag_commits_again() {
    let trunk = stalled();
    let commit = Commit::new(20);
    let sub_dag = trunk.sub_dag(commit.clone());
    let mut node = trunk.clone();
    for number in 0..300 {
        master(&mut node, number, &[]);
    }
    let step = node.chain.order(&node.store, &sub_dag).expect("no fault");
    node.write(&step.expect("the first step back"));
    assert!(node.chain.is_unwinding());
    node.reopen();
    while let Some(step) = node.chain.order(&node.store, &sub_dag).expect("no fault") {
        node.write(&step);
    }
    let mut dag = trunk;
    dag.order(commit);
    assert_eq!(node.head(), dag.head());
}

/// Two parts of a network that are in an emergency without each other, with as many blocks and one transaction each.
pub(super) fn split(one_blocks: u64, two_blocks: u64) -> (Node, Node) {
    let mut one = stalled();
    let certified = one.block_at(Height(2));
    one.certify(certificate(&certified)).expect("it is ours");
    let mut two = one.clone();
    for (node, blocks, to) in [
        (&mut one, one_blocks, "bob"),
        (&mut two, two_blocks, "carol"),
    ] {
        for number in 0..blocks {
            let transactions = match number {
                0 => vec![transfer(3, to, 9), transfer(4, to, 8)],
                1 => vec![transfer(5, "bob", 1)],
                _ => vec![],
            };
            master(node, number, &transactions);
        }
    }
    (one, two)
}

pub(super) fn blocks_above(node: &Node, height: u64) -> Vec<Block> {
    let heights = height + 1..=node.head().0.0;
    heights
        .map(|height| node.block_at(Height(height)).1)
        .collect()
}

pub(super) fn branch(blocks: Vec<Block>, certificate: Option<&Certificate>) -> Branch {
    Branch {
        blocks,
        certificate: certificate.cloned(),
        end_votes: None,
    }
}

pub(super) fn offer_branch(node: &mut Node, blocks: Vec<Block>) -> Result<Step, OfferRefusal> {
    let step = node.chain.offer_branch(&node.store, branch(blocks, None));
    let step = step.expect("a branch of a peer is no fault of ours")?;
    let step = step.expect("it is a switch");
    node.write(&step);
    Ok(step)
}

#[test]
fn u4_of_two_emergencies_the_longer_one_wins_on_both_sides_though_both_are_irreversible() {
    for (one_blocks, two_blocks) in [(40, 41), (41, 40), (5, 90), (2, 30)] {
        let (mut one, mut two) = split(one_blocks, two_blocks);
        let (of_one, of_two) = (blocks_above(&one, 3), blocks_above(&two, 3));
        let one_wins = one_blocks > two_blocks;
        let (loser, winner, better, worse) = if one_wins {
            (&mut two, &mut one, of_one, of_two)
        } else {
            (&mut one, &mut two, of_two, of_one)
        };
        let refused = offer_branch(winner, worse.clone());
        assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
        let step = offer_branch(loser, better).expect("it is longer");
        assert_eq!(step.batch.pop.len(), worse.len());
        assert_same_branch(&loser.store, &winner.store);
        // Nonces 3 and 4 are used on the other branch, 5 may be there already.
        assert!(step.returned.is_empty());
        loser.reopen();
        assert_eq!(loser.head(), winner.head());
        let next = winner.head().0.0;
        assert_eq!(master(loser, next, &[]), master(winner, next, &[]));
    }
}

#[test]
fn u4_of_equally_long_ones_the_lower_id_wins_and_what_is_lost_comes_back() {
    let (mut one, mut two) = split(12, 0);
    for number in 0..12 {
        master(&mut two, number, &[]);
    }
    let (lower, higher) = if one.head() < two.head() {
        (&mut one, &mut two)
    } else {
        (&mut two, &mut one)
    };
    let lost = blocks_above(higher, 3);
    let nonces: Vec<u64> = lost
        .iter()
        .flat_map(|block| &block.body.transactions)
        .map(|transaction| transaction.body.nonce)
        .collect();
    let refused = offer_branch(lower, lost);
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    let step = offer_branch(higher, blocks_above(lower, 3)).expect("its id is lower");
    let returned: Vec<u64> = step.returned.iter().map(|one| one.body.nonce).collect();
    assert_eq!(returned, nonces);
    assert_same_branch(&one.store, &two.store);
}

#[test]
fn u4_a_branch_is_taken_whole_or_not_at_all_and_never_below_what_is_certified() {
    let (one, two) = split(6, 9);
    let good = blocks_above(&two, 3);
    let refuses = |blocks: Vec<Block>| {
        let mut node = one.clone();
        let refusal = offer_branch(&mut node, blocks).expect_err("it is refused");
        assert_eq!(node.head(), one.head());
        assert_eq!(fork_ids(&node), fork_ids(&one));
        assert_eq!(node.chain.irreversible(), one.chain.irreversible());
        refusal
    };
    assert_eq!(refuses(vec![]), OfferRefusal::NotBetter);
    assert!(matches!(
        refuses(good[1..].to_vec()),
        OfferRefusal::Unlinked { .. }
    ));
    let mut gap = good.clone();
    gap.remove(4);
    assert!(matches!(refuses(gap), OfferRefusal::Unlinked { .. }));
    let mut unsigned = good.clone();
    let last = unsigned.last_mut().expect("there are nine");
    last.header.state_root = StateRoot::new([9; 32]);
    last.header.sign_emergency(&CHAIN, &key_pair(MASTER_KEY));
    assert!(matches!(
        refuses(unsigned),
        OfferRefusal::Invalid {
            height: Height(12),
            ..
        }
    ));
    let mut other_body = good.clone();
    other_body[8].body.transactions.push(transfer(9, "bob", 1));
    assert!(matches!(
        refuses(other_body),
        OfferRefusal::WrongBody { .. }
    ));
    let of_own = vec![one.block_at(Height(3)).1];
    assert!(matches!(refuses(of_own), OfferRefusal::NotBetter));
    // What is certified on this side stays.
    let mut certified = one.clone();
    let third = certified.block_at(Height(3));
    certified.certify(certificate(&third)).expect("it is ours");
    offer_branch(&mut certified, good).expect("it forks off above it");
    let mut deep = Node::with_parameters(Parameters {
        fork_db_max: 8,
        ..Parameters::clone(&one.parameters)
    });
    deep.store = one.store.clone();
    deep.reopen();
    for number in 6..9 {
        master(&mut deep, number, &[]);
    }
    let mut longer = two;
    for number in 9..20 {
        master(&mut longer, number, &[]);
    }
    let refused = offer_branch(&mut deep, blocks_above(&longer, 3));
    let ancestor = Height(3);
    assert_eq!(refused.err(), Some(OfferRefusal::TooDeep { ancestor }));
}

#[test]
fn u4_blocks_of_the_branch_may_be_known_already() {
    for known in 0..3 {
        let (mut one, mut two) = split(1, 3);
        let branch = blocks_above(&two, 3);
        for block in &branch[..known] {
            drop(one.take(block).expect("it is well formed"));
        }
        if one.head() < two.head() {
            offer_branch(&mut one, branch).expect("it is longer");
        }
        assert_same_branch(&one.store, &two.store);
        assert_eq!(master(&mut one, 9, &[]), master(&mut two, 9, &[]));
    }
}

#[test]
fn u4_of_a_branch_that_is_longer_than_the_tree_a_part_is_taken_and_the_rest_follows() {
    let (one, mut two) = split(3, 40);
    let mut small = Node::with_parameters(Parameters {
        fork_db_max: 8,
        ..Parameters::clone(&one.parameters)
    });
    small.store = one.store;
    small.reopen();
    let blocks = blocks_above(&two, 3);
    offer_branch(&mut small, blocks.clone()).expect("it is longer");
    assert_eq!(small.head().0, Height(11));
    for block in &blocks[8..] {
        small.take(block).expect("it follows");
    }
    assert_same_branch(&small.store, &two.store);
    assert_eq!(master(&mut small, 41, &[]), master(&mut two, 41, &[]));
}

#[test]
fn u4_what_nobody_has_signed_costs_nothing() {
    let (mut one, two) = split(3, 9);
    for forged in 0..9 {
        let mut blocks = blocks_above(&two, 3);
        blocks[forged].header.sign_emergency(&CHAIN, &key_pair(7));
        for place in forged + 1..9 {
            blocks[place].header.parent = blocks[place - 1].header.id(&CHAIN);
            blocks[place]
                .header
                .sign_emergency(&CHAIN, &key_pair(MASTER_KEY));
        }
        let refused = offer_branch(&mut one, blocks);
        assert_eq!(refused.err(), Some(OfferRefusal::BadSignature));
    }
}

#[test]
fn u4_three_parts_that_meet_one_after_the_other_have_one_head() {
    let (mut one, mut two) = split(10, 15);
    let mut three = stalled();
    three
        .certify(certificate(&three.block_at(Height(2))))
        .expect("it is ours");
    for number in 0..20 {
        master(
            &mut three,
            number,
            &[transfer(3, "bob", 100)][..usize::from(number == 4)],
        );
    }
    offer_branch(&mut one, blocks_above(&two, 3)).expect("it is longer");
    for number in 15..18 {
        let (_, block) = master(&mut one, number, &[]);
        two.take(&block).expect("it follows");
    }
    for node in [&mut one, &mut two] {
        offer_branch(node, blocks_above(&three, 3)).expect("it is longer");
        assert_same_branch(&node.store, &three.store);
    }
}

#[test]
fn u4_a_fork_at_the_end_of_a_long_emergency_is_found_though_its_beginning_is_too_deep() {
    let (trunk, _) = split(40, 0);
    let mut one = Node::with_parameters(Parameters {
        fork_db_max: 16,
        ..Parameters::clone(&trunk.parameters)
    });
    one.store = trunk.store;
    one.reopen();
    let mut two = one.clone();
    for (node, blocks) in [(&mut one, 5), (&mut two, 9)] {
        for number in 0..blocks {
            // Not the same block on both sides.
            let transactions = [transfer(6 + number, "bob", 1 + blocks)];
            master(node, 40 + number, &transactions);
        }
    }
    let need = SyncNeed {
        head: one.head().0,
        head_id: one.head().1,
        certified: one.chain.certified(),
        rank: BranchRank::default(),
        is_provisional: true,
        is_forked: true,
        fetches_emergency: true,
        fetches_ordered: false,
        unmoved_ms: 0,
        far_blocks: 60,
    };
    let mut fetch = BranchFetch::new(&need, one.head().0.next(), 16);
    let mut asked = 0;
    let mut step = BranchStep::Ask;
    while one.head() != two.head() {
        step = match step {
            BranchStep::Ask => {
                asked += 1;
                let from = fetch.request().from;
                let blocks = blocks_above(&two, from.previous().0);
                let response = BlocksResponse {
                    blocks,
                    certificate: None,
                    end_votes: None,
                };
                fetch.came(response, two.chain.head_timestamp())
            }
            BranchStep::Offer(branch) => {
                let offered = one.chain.offer_branch(&one.store, *branch);
                match offered.expect("it is no fault of ours") {
                    Ok(step) => {
                        one.write(&step.expect("it is a switch"));
                        break;
                    }
                    Err(refusal) => fetch.refused(&refusal),
                }
            }
            step => panic!("{step:?} leads nowhere"),
        };
    }
    assert_same_branch(&one.store, &two.store);
    assert_eq!(asked, 2, "above the head, and a little below it");
}
