//! A lockdown of the DAG below an emergency (rule U11).

use super::emergency::stalled;
use super::ends::end;
use super::resume_in_emergency::resume_on_head;
use super::unwinding::{blocks_above, offer_branch, split};
use super::votes::{hear, offer_voted, quorum_of_votes};
use super::*;
use crate::chain::OfferRefusal;
use crate::chain::fixture::emergencies::master;

/// Takes the emergency back if it stands on the DAG of this era; how many steps that took.
fn yield_to(node: &mut Node, locked: Era) -> usize {
    let mut steps = 0;
    while let Some(step) = node
        .chain
        .yield_to_lockdown(&node.store, locked)
        .expect("it is no fault")
    {
        node.write(&step);
        steps += 1;
    }
    steps
}

#[test]
fn u11_a_lockdown_of_the_era_below_takes_an_emergency_of_any_length_back_also_over_a_restart() {
    let trunk = stalled();
    let locked = trunk.chain.era().era;
    for length in [1, 2, 63, 64, 65, 300] {
        let mut node = trunk.clone();
        for number in 0..length {
            master(&mut node, number, &[]);
        }
        let (emergency, mut interrupted) = (node.clone(), node.clone());
        assert!(yield_to(&mut node, locked) > 0);
        assert_eq!(node.head(), trunk.head());
        assert_same_branch(&node.store, &trunk.store);
        assert_eq!(node.chain.era().era, locked);
        // A crash after each step: it is asked again.
        while let Some(step) = interrupted
            .chain
            .yield_to_lockdown(&interrupted.store, locked)
            .expect("it is no fault")
        {
            interrupted.write(&step);
            interrupted.reopen();
        }
        assert_same_branch(&interrupted.store, &trunk.store);
        // It does not come back, in whichever way it is offered.
        let branch = blocks_above(&emergency, trunk.head().0.0);
        let refused = node.take(&branch[0]).err();
        assert_eq!(refused, Some(OfferRefusal::Outranked));
        let refused = offer_branch(&mut node, branch).err();
        assert_eq!(refused, Some(OfferRefusal::Outranked));
        // The DAG goes on there.
        node.order(Commit::new(20));
        assert!(node.head() > trunk.head());
    }
}

#[test]
fn u11_a_lockdown_of_another_era_takes_nothing_back_and_neither_does_one_without_an_emergency() {
    let mut node = stalled();
    let below = node.chain.era().era;
    assert_eq!(yield_to(&mut node, below), 0);
    master(&mut node, 0, &[]);
    let head = node.head();
    for locked in [below.previous(), below.next(), below.next().next()] {
        assert_eq!(yield_to(&mut node, locked), 0);
    }
    assert_eq!(node.head(), head);
}

#[test]
fn u11_an_end_for_which_a_quorum_has_voted_and_one_that_is_certified_stay() {
    let (mut node, _) = split(1, 0);
    let locked = node.chain.era().era.previous();
    end(&mut node, 1, 0);
    let head = node.head();
    let mut voted = node.clone();
    let votes = quorum_of_votes(&voted);
    assert!(hear(&mut voted, votes));
    let mut certified = node.clone();
    let context = EraContext::clone(certified.chain.era());
    let last = certified.block_at(context.anchor_height);
    let certificate = certificate_in(&context, &last);
    certified.certify(certificate).expect("it is ours");
    for node in [&mut voted, &mut certified] {
        assert_eq!(yield_to(node, locked), 0);
        assert_eq!(node.head(), head);
    }
    let branch = blocks_above(&voted, 3);
    let votes = quorum_of_votes(&voted);
    assert!(yield_to(&mut node, locked) > 0);
    assert!(node.head() < head);
    // Who is frozen takes it with the votes.
    let refused = offer_branch(&mut node, branch.clone()).err();
    assert_eq!(refused, Some(OfferRefusal::Outranked));
    offer_voted(&mut node, branch, &votes).expect("a quorum has chosen it");
    assert_eq!(node.head(), head);
}

#[test]
fn u11_an_emergency_that_governance_has_resumed_stays_and_who_is_frozen_takes_it() {
    let (mut resumed, _) = split(3, 0);
    let locked = resumed.chain.era().era.previous();
    resume_on_head(&mut resumed, 1);
    let head = resumed.head();
    assert_eq!(yield_to(&mut resumed, locked), 0);
    assert_eq!(resumed.head(), head);
    let (_, mut frozen) = split(3, 0);
    assert_eq!(yield_to(&mut frozen, locked), 0);
    let branch = blocks_above(&resumed, 3);
    let without = branch[..3].to_vec();
    let refused = offer_branch(&mut frozen, without).err();
    assert_eq!(refused, Some(OfferRefusal::Outranked));
    offer_branch(&mut frozen, branch).expect("governance has chosen it");
    assert_eq!(frozen.head(), head);
}
