//! The end of an emergency in the choice among branches (rule U6).

use super::emergency::stalled;
use super::unwinding::{blocks_above, branch as to_offer, offer_branch, split};
use super::*;
use crate::chain::OfferRefusal;
use crate::chain::fixture::emergencies::{
    MASTER_KEY, committee, master, next_slot, restores_key_with, slot,
};
use holdfast_types::EraKind;
use holdfast_types::test_util::validator_account;

/// Slots pass until the validators have ended the emergency, their `nonce`-th.
pub(super) fn end(node: &mut Node, first_slot: u64, nonce: u64) {
    let keys: Vec<_> = (0..4)
        .map(|number| restores_key_with(number, nonce))
        .collect();
    master(node, first_slot, &keys);
    for number in first_slot + 1..first_slot + 64 {
        if node.chain.era().kind == EraKind::Dag {
            return;
        }
        next_slot(node, number);
    }
    panic!("it does not end");
}

#[test]
fn u6_a_branch_that_has_ended_its_emergency_is_better_than_a_longer_one_that_goes_on_in_it() {
    let (mut ended, mut longer) = split(1, 60);
    end(&mut ended, 1, 0);
    assert!(ended.head().0 < longer.head().0);
    let goes_on = blocks_above(&longer, 3);
    let refused = offer_branch(&mut ended.clone(), goes_on);
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    // Neither block by block, if the branch is short enough to be known so far.
    let (mut as_long, mut beside) = (ended.clone(), split(1, 0).0);
    let mut number = 1;
    while beside.head().0 < ended.head().0.next() {
        master(&mut beside, number, &[]);
        number += 1;
    }
    let blocks = blocks_above(&beside, 4);
    let (last, below) = blocks.split_last().expect("there are more");
    for block in below {
        drop(as_long.take(block));
    }
    drop(as_long.take(last));
    assert_eq!(as_long.head(), ended.head());
    let branch = blocks_above(&ended, 3);
    let part = branch[..branch.len() - 1].to_vec();
    let refused = offer_branch(&mut longer, part);
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    offer_branch(&mut longer, branch).expect("it has ended");
    assert_same_branch(&longer.store, &ended.store);
    // Of two that have ended the longer one is better.
    let mut later = split(0, 4).1;
    end(&mut later, 4, 0);
    assert!(later.head().0 > ended.head().0);
    offer_branch(&mut ended, blocks_above(&later, 3)).expect("it is longer");
    assert_same_branch(&later.store, &ended.store);
    let refused = offer_branch(&mut later, blocks_above(&longer, 3));
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
}

#[test]
fn u6_an_end_with_this_validators_vote_is_left_for_a_later_era_or_a_certificate_only() {
    let (mut held, mut longer) = split(1, 4);
    end(&mut held, 1, 0);
    end(&mut longer, 4, 0);
    let end_of_ours = held.head();
    assert!(!held.chain.hold(longer.head().1), "it is not the head");
    assert!(held.chain.hold(end_of_ours.1));
    let branch = blocks_above(&longer, 3);
    let refused = offer_branch(&mut held, branch.clone());
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    let context = EraContext::clone(longer.chain.era());
    let certified = certificate_in(&context, &longer.block_at(context.anchor_height));
    let mut by_certificate = held.clone();
    let step = by_certificate
        .chain
        .offer_branch(&by_certificate.store, to_offer(branch, Some(&certified)));
    assert!(step.expect("it is no fault of ours").is_ok());
    // The other branch stalls again.
    master(&mut longer, 0, &[]);
    offer_branch(&mut held, blocks_above(&longer, 3)).expect("it is in a later era");
    assert_same_branch(&held.store, &longer.store);
}

/// A chain that ends an emergency, and other last blocks with lower ids.
pub(super) fn end_and_lower_ones() -> (Node, Vec<(BlockId, Block)>) {
    let (mut one, _) = split(1, 0);
    let keys: Vec<_> = (0..4).map(|number| restores_key_with(number, 0)).collect();
    master(&mut one, 1, &keys);
    let mut number = 2;
    let below = loop {
        let below = one.clone();
        next_slot(&mut one, number);
        if one.chain.era().kind == EraKind::Dag {
            break below;
        }
        number += 1;
    };
    // Others make the last block, too, with other transactions.
    let beside = (0..32).map(|amount| {
        let mut other = below.clone();
        let at = slot(&other, number);
        let place = other.chain.emergency_place(&other.store, committee(), at);
        let scheduled = place
            .expect("it reads")
            .expect("the committee may")
            .scheduled;
        let key = (0..4).find(|number| validator_account(*number) == scheduled);
        let transactions = [transfer(5, "bob", 1 + amount)];
        other
            .produce(scheduled, key.unwrap_or(MASTER_KEY), at, &transactions)
            .expect("it is its turn")
    });
    let lower: Vec<_> = beside.filter(|(id, _)| *id < one.head().1).collect();
    assert!(!lower.is_empty(), "one of 32 has a lower id");
    (one, lower)
}

#[test]
fn u6_a_block_beside_an_end_with_this_validators_vote_is_not_taken_for_its_lower_id() {
    let (mut one, lower) = end_and_lower_ones();
    let mut free = one.clone();
    assert!(one.chain.hold(one.head().1));
    for (id, block) in lower {
        let refused = one.take(&block);
        assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
        if id < free.head().1 {
            free.take(&block).expect("its id is lower");
            assert_eq!(free.head().1, id);
        }
    }
}

#[test]
fn u8_a_commit_on_the_end_of_an_emergency_outranks_the_next_one() {
    let (mut trunk, _) = split(1, 0);
    end(&mut trunk, 1, 0);
    let certify_end = |node: &Node| {
        let context = EraContext::clone(node.chain.era());
        certificate_in(&context, &node.block_at(context.anchor_height))
    };
    let certified = certify_end(&trunk);
    trunk.certify(certified).expect("it is ours");
    let ended = trunk.head().0.0;
    let mut other = trunk.clone();
    let mut dag = trunk;
    dag.order(Commit::new(1));
    let own = dag.head();
    let (_, begins) = master(&mut other, 0, &[]);
    assert_eq!(dag.take(&begins).err(), Some(OfferRefusal::Outranked));
    let refused = offer_branch(&mut dag, vec![begins]);
    assert_eq!(refused.err(), Some(OfferRefusal::Outranked));
    assert_eq!(dag.head(), own);
    // With the certificate of its end it is taken.
    end(&mut other, 1, 1);
    let branch = blocks_above(&other, ended);
    let step = dag
        .chain
        .offer_branch(&dag.store, to_offer(branch, Some(&certify_end(&other))));
    let step = step.expect("it is no fault of ours").expect("it has ended");
    dag.write(&step.expect("it is a switch"));
    assert_same_branch(&dag.store, &other.store);
}

#[test]
fn ends_that_no_certificate_covers_are_known_also_after_a_restart() {
    let (mut node, _) = split(1, 0);
    assert_eq!(node.chain.open_ends(), []);
    end(&mut node, 1, 0);
    let first = node.head();
    assert_eq!(node.chain.open_ends(), [first.1]);
    // Nobody certifies it, and the chain stands still again.
    master(&mut node, 0, &[]);
    end(&mut node, 1, 1);
    let second = node.head();
    let both = [first.1, second.1];
    let sorted = |node: &Node| {
        let mut ends = node.chain.open_ends();
        ends.sort_unstable();
        ends
    };
    let mut expected = both;
    expected.sort_unstable();
    assert_eq!(sorted(&node), expected);
    node.reopen();
    assert_eq!(sorted(&node), expected);
    let context = EraContext::clone(node.chain.era());
    let last = node.block_at(context.anchor_height);
    node.certify(certificate_in(&context, &last))
        .expect("it is ours");
    assert_eq!(node.chain.open_ends(), []);
}

#[test]
fn u6_an_emergency_that_ended_with_a_quorum_is_better_than_a_later_end() {
    let (mut ended, mut longer) = split(1, 60);
    end(&mut ended, 1, 0);
    end(&mut longer, 60, 0);
    let context = EraContext::clone(ended.chain.era());
    let last = ended.block_at(context.anchor_height);
    let certificate = certificate_in(&context, &last);
    let branch = blocks_above(&ended, 3);
    let mut offer = |blocks: Vec<Block>, certificate: Option<&Certificate>| {
        let step = longer
            .chain
            .offer_branch(&longer.store, to_offer(blocks, certificate))
            .expect("it is no fault of ours")?;
        longer.write(&step.expect("it is a switch"));
        Ok::<_, OfferRefusal>(longer.head())
    };
    assert_eq!(offer(branch.clone(), None), Err(OfferRefusal::NotBetter));
    let mut weak = certificate.clone();
    weak.signatures.pop();
    assert_eq!(
        offer(branch.clone(), Some(&weak)),
        Err(OfferRefusal::BadSignature)
    );
    let part = branch[..branch.len() - 1].to_vec();
    assert_eq!(
        offer(part, Some(&certificate)),
        Err(OfferRefusal::NotBetter)
    );
    assert_eq!(offer(branch, Some(&certificate)), Ok(ended.head()));
    assert_eq!(longer.chain.certified(), ended.head().0);
    ended.certify(certificate).expect("it is ours");
    assert_same_branch(&longer.store, &ended.store);
}

#[test]
fn u8_commits_that_a_resume_has_made_void_keep_no_emergency_out() {
    let trunk = stalled();
    let message = trunk.resume_of(trunk.head().0, Vec::new());
    let message = governed(GOVERNOR_KEY, 1, message);
    let mut dag = trunk.clone();
    dag.order(Commit::new(20));
    let mut other = trunk;
    for node in [&mut dag, &mut other] {
        node.resume(&message).expect("nothing refuses it");
    }
    assert_eq!(dag.head(), other.head());
    let (_, begins) = master(&mut other, 0, &[]);
    dag.take(&begins).expect("it leaves nothing out");
    assert_eq!(dag.head(), other.head());
}

#[test]
fn u1_a_certified_resume_below_an_emergency_outranks_it() {
    for length in [1, 5, 63, 64, 65, 200] {
        let mut trunk = stalled();
        let second = trunk.block_at(Height(2));
        trunk.certify(certificate(&second)).expect("it is ours");
        let message = governed(GOVERNOR_KEY, 1, trunk.resume_of(trunk.head().0, Vec::new()));
        let mut resumed = trunk.clone();
        let running = EraContext::clone(resumed.chain.era());
        resumed.resume(&message).expect("nothing refuses it");
        let block = resumed.block_at(resumed.head().0);
        let certified = certificate_in(&running, &block);
        resumed.certify(certified.clone()).expect("it is ours");
        // Nobody has told of the order where a block of the DAG more was made, and then an emergency began.
        let mut cut_off = trunk;
        cut_off.order(Commit::new(20).with(&[transfer(3, "bob", 1)]));
        for number in 0..length {
            master(&mut cut_off, number, &[]);
        }
        let (mut asks, mut told) = (cut_off.clone(), cut_off);
        // A crash between any two steps.
        let mut step = told.chain.certify(&told.store, certified.clone());
        while let Some(now) = step.expect("it is no fault") {
            told.write(&now);
            told.reopen();
            step = told.chain.choose(&told.store);
        }
        let named = resumed.block_at(block.1.header.height.previous());
        for node in [&mut told, &mut asks] {
            node.import(&[named.clone(), block.clone()], certified.clone())
                .expect("it executes");
            assert_same_branch(&node.store, &resumed.store);
            node.reopen();
            assert_eq!(node.head(), resumed.head());
        }
    }
}

#[test]
fn u6_the_certificate_of_an_end_below_the_own_head_is_taken_though_its_branch_is_the_own_one() {
    let (mut node, _) = split(1, 0);
    end(&mut node, 1, 0);
    let context = EraContext::clone(node.chain.era());
    let ended = node.block_at(context.anchor_height);
    let certified = certificate_in(&context, &ended);
    // Nobody has heard of it here, and the chain has stalled again.
    master(&mut node, 0, &[]);
    let head = node.head();
    let known = blocks_above(&node, 3);
    let below = known[..known.len() - 1].to_vec();
    let mut offer = |certificate: Option<&Certificate>| {
        let step = node
            .chain
            .offer_branch(&node.store, to_offer(below.clone(), certificate));
        let step = step.expect("it is no fault of ours")?;
        node.write(&step.expect("it is news"));
        Ok::<_, OfferRefusal>(node.chain.certified())
    };
    assert_eq!(offer(None), Err(OfferRefusal::NotBetter));
    assert_eq!(offer(Some(&certified)), Ok(context.anchor_height));
    assert_eq!(offer(Some(&certified)), Err(OfferRefusal::NotBetter));
    assert_eq!(node.head(), head);
}

/// Others have certified an end, and blocks of their DAG on it; here the chain has stalled again on it. What is taken back are the
/// blocks of both emergencies, also the one on which the range stands.
#[test]
fn u2_a_range_on_an_end_that_is_taken_back_is_no_fault_of_ours() {
    let (mut trunk, _) = split(1, 0);
    let below = trunk.head().0.previous();
    end(&mut trunk, 1, 0);
    let context = EraContext::clone(trunk.chain.era());
    let certified = certificate_in(&context, &trunk.block_at(context.anchor_height));
    let mut quorum = trunk.clone();
    quorum.certify(certified.clone()).expect("it is ours");
    let blocks = [3, 4, 5].map(|round| quorum.order(Commit::new(round)));
    let last = certificate_in(&context, &blocks[2]);
    quorum.certify(last.clone()).expect("it is ours");
    for length in [1, 70] {
        let mut cut_off = trunk.clone();
        for number in 0..length {
            master(&mut cut_off, number, &[]);
        }
        assert!(cut_off.is_provisional());
        cut_off
            .import(&blocks, last.clone())
            .expect("it is no fault of ours");
        assert_eq!(cut_off.head().0, below);
        // The rest comes as after any certificate that outranks an emergency.
        let ended = blocks_above(&trunk, below.0);
        let step = cut_off
            .chain
            .offer_branch(&cut_off.store, to_offer(ended, Some(&certified)));
        let step = step.expect("it is no fault of ours").expect("it has ended");
        cut_off.write(&step.expect("it is a switch"));
        cut_off.import(&blocks, last.clone()).expect("it executes");
        assert_same_branch(&cut_off.store, &quorum.store);
        cut_off.reopen();
        assert_eq!(cut_off.head(), quorum.head());
    }
}
