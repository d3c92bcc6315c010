//! Resumes of governance within an emergency in the choice among branches (rule U10).

use super::emergency::stalled;
use super::unwinding::{blocks_above, offer_branch, split};
use super::*;
use crate::chain::fixture::emergencies::master;
use crate::chain::{OfferRefusal, ResumeRefusal};
use crate::serve::branch_rank;

/// Governance resumes the chain on the head of a node.
pub(super) fn resume_on_head(node: &mut Node, sequence: u64) -> GovernanceMessage {
    let action = node.resume_of(node.head().0, Vec::new());
    let message = governed(GOVERNOR_KEY, sequence, action);
    node.resume(&message).expect("nothing refuses it");
    message
}

#[test]
fn u10_a_branch_on_which_governance_has_resumed_is_taken_and_not_left_whatever_the_length() {
    let (mut resumed, mut longer) = split(3, 60);
    let message = resume_on_head(&mut resumed, 1);
    master(&mut resumed, 3, &[]);
    let blocks = blocks_above(&resumed, 3);
    let rank = branch_rank(&resumed.store).expect("it reads");
    assert_eq!((rank.resumed, rank.era), (1, resumed.chain.era().era));
    // A message that governance has not signed proves nothing.
    let mut forged = blocks.clone();
    let resumes = &mut forged[3].body.governance;
    resumes.as_mut().expect("it resumes").signatures.clear();
    assert!(offer_branch(&mut longer.clone(), forged).is_err());
    let at = message.body.action.resume_point().expect("it resumes");
    assert!(longer.resume(&message).is_err(), "{} differs", at.height);
    let over_there = blocks_above(&longer, 3);
    offer_branch(&mut longer, blocks).expect("governance has chosen it");
    assert_same_branch(&longer.store, &resumed.store);
    for node in [&mut longer, &mut resumed] {
        node.reopen();
        let refused = offer_branch(node, over_there.clone());
        assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
        // It goes on where it is.
        master(node, 4, &[]);
    }
    assert_same_branch(&longer.store, &resumed.store);
}

#[test]
fn u10_a_later_resume_outranks_an_earlier_one() {
    let (mut first, mut later) = split(3, 5);
    resume_on_head(&mut first, 1);
    resume_on_head(&mut later, 2);
    let refused = offer_branch(&mut later, blocks_above(&first, 3));
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    offer_branch(&mut first, blocks_above(&later, 3)).expect("it is the later one");
    assert_same_branch(&first.store, &later.store);
}

#[test]
fn u10_commits_of_the_own_dag_give_way_to_a_resume_and_a_certificate_does_not() {
    let mut trunk = stalled();
    let second = trunk.block_at(Height(2));
    trunk.certify(certificate(&second)).expect("it is ours");
    let commit = Commit::new(20).with(&[transfer(3, "bob", 1)]);
    let sub_dag = trunk.sub_dag(commit.clone());
    let mut dag = trunk.clone();
    let mut resumed = trunk;
    let own = dag.order(commit);
    master(&mut resumed, 0, &[]);
    let unresumed = blocks_above(&resumed, 3);
    resume_on_head(&mut resumed, 1);
    let mut certified = dag.clone();
    let refused = offer_branch(&mut dag, unresumed);
    assert_eq!(refused.err(), Some(OfferRefusal::Outranked));
    offer_branch(&mut dag, blocks_above(&resumed, 3)).expect("governance has chosen it");
    for node in [&mut dag, &mut resumed] {
        let step = node.chain.order(&node.store, &sub_dag);
        assert!(step.expect("it is no fault").is_none());
        assert_eq!(branch_rank(&node.store).expect("it reads").resumed, 1);
    }
    certified.certify(certificate(&own)).expect("it is ours");
    let refused = offer_branch(&mut certified, blocks_above(&resumed, 3));
    assert!(matches!(
        refused.err(),
        Some(OfferRefusal::TooDeep { .. } | OfferRefusal::Unlinked { .. })
    ));
    for node in [&mut dag, &mut resumed] {
        node.certify(certificate(&own)).expect("it is no fault");
        node.import(&[node.block_at(Height(3)), own.clone()], certificate(&own))
            .expect("it executes");
        assert_eq!(node.head(), certified.head());
        assert_eq!(branch_rank(&node.store).expect("it reads").resumed, 0);
    }
}

#[test]
fn u5_a_resume_of_the_dag_comes_with_the_emergency_that_stands_on_it() {
    let trunk = stalled();
    let mut dag = trunk.clone();
    dag.order(Commit::new(20));
    let mut resumed = trunk.clone();
    resume_on_head(&mut resumed, 1);
    let mut node = trunk;
    let alone = blocks_above(&resumed, 3);
    let refused = offer_branch(&mut node, alone);
    assert_eq!(refused.err(), Some(OfferRefusal::NotEmergency));
    master(&mut resumed, 0, &[]);
    let branch = blocks_above(&resumed, 3);
    offer_branch(&mut node, branch.clone()).expect("nobody tells of the message any more");
    assert_same_branch(&node.store, &resumed.store);
    assert_eq!(branch_rank(&node.store).expect("it reads").resumed, 0);
    // A quorum may have certified what excludes it.
    let refused = offer_branch(&mut dag, branch);
    assert_eq!(refused.err(), Some(OfferRefusal::Outranked));
}

#[test]
fn u10_a_resume_may_be_the_first_block_that_is_missing() {
    let (mut resumed, _) = split(1, 0);
    let behind = resumed.clone();
    resume_on_head(&mut resumed, 1);
    for length in 0..3 {
        let mut node = behind.clone();
        offer_branch(&mut node, blocks_above(&resumed, behind.head().0.0)).expect("it is longer");
        assert_same_branch(&node.store, &resumed.store);
        master(&mut resumed, 1 + length, &[]);
    }
}

#[test]
fn r2_in_an_emergency_governance_may_name_a_block_below_lib_which_is_provisional_then() {
    let (node, _) = split(6, 0);
    let deep = Height(5);
    assert!(node.chain.irreversible() > deep);
    let message = governed(GOVERNOR_KEY, 1, node.resume_of(deep, Vec::new()));
    assert_eq!(
        node.chain
            .excludes(&node.store, &ResumeOrder::Governance(message.clone())),
        Ok(None)
    );
    let mut at_the_block = stalled();
    let second = at_the_block.block_at(Height(2));
    at_the_block
        .certify(certificate(&second))
        .expect("it is ours");
    offer_branch(&mut at_the_block, blocks_above(&node, 3)[..2].to_vec()).expect("it is longer");
    let mut ahead = node.clone();
    for node in [&mut at_the_block, &mut ahead] {
        node.resume(&message)
            .expect("nobody has certified anything");
    }
    assert_same_branch(&ahead.store, &at_the_block.store);
    for node in [&mut at_the_block, &mut ahead] {
        node.reopen();
        master(node, 7, &[]);
    }
    assert_same_branch(&ahead.store, &at_the_block.store);
    // What is certified is not left.
    let mut certified = node.clone();
    let third = certified.block_at(Height(3));
    certified.certify(certificate(&third)).expect("it is ours");
    let below = governed(GOVERNOR_KEY, 1, node.resume_of(Height(2), Vec::new()));
    assert!(certified.resume(&below).is_err());
    let third = governed(GOVERNOR_KEY, 1, node.resume_of(Height(4), Vec::new()));
    let fifth = certified.block_at(deep);
    certified.certify(certificate(&fifth)).expect("it is ours");
    assert!(matches!(
        certified.resume(&third),
        Err(ResumeRefusal::BelowCertified { .. })
    ));
}
