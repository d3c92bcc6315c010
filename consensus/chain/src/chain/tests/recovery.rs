//! The validators go on after a lockdown, from the block that their votes name.

use super::emergency::stalled;
use super::*;
use crate::chain::fixture::emergencies::master;
use holdfast_types::{BlockPoint, HaltId};

/// The recovery from the own block at a height.
fn recovery(node: &Node, height: u64) -> ResumeOrder {
    let (block, found) = node.block_at(Height(height));
    ResumeOrder::Recovery {
        era: found.next_era(),
        point: BlockPoint {
            height: Height(height),
            block,
            state_root: found.header.state_root,
        },
    }
}

fn must(node: &mut Node, order: &ResumeOrder) -> Step {
    let step = node.go_on(order).expect("nothing refuses it");
    step.expect("it is new")
}

#[test]
fn a_recovery_makes_the_last_block_of_its_era_and_records_the_lockdown() {
    let mut node = trunk();
    let order = recovery(&node, 3);
    let step = must(&mut node, &order);
    let (id, block) = node.block_at(Height(4));
    assert_eq!(applied(&step), [id]);
    assert_eq!(block.header.origin, BlockOrigin::Recovered);
    assert!(block.body.carries_nothing());
    let named = node.block_at(Height(3)).1.header.timestamp;
    assert_eq!(block.header.timestamp, named.next());
    let lockdown = HaltId::of_lockdown(Era(1));
    let (height, era) = (Height(3), Era(2));
    let recorded = [
        Event::ChainHalted {
            halt: lockdown,
            height,
        },
        Event::ChainResumed {
            message: *lockdown.as_bytes(),
            era,
        },
    ];
    assert_eq!(step.batch.apply[0].events[..2], recorded);
    let next = step.executed[0].next_era.as_ref().expect("the era ends");
    assert_eq!((next.era, next.anchor), (Era(2), id));
    // Again it does nothing, before and after a restart.
    assert!(node.go_on(&order).expect("it is known").is_none());
    node.reopen();
    assert!(node.go_on(&order).expect("it is known").is_none());
    let mut again = node.clone();
    again.reopen();
    assert_eq!(node.order(Commit::new(10)), again.order(Commit::new(10)));
}

#[test]
fn all_make_the_same_block_whatever_they_have_above_the_named_one() {
    let mut short = trunk();
    let mut long = short.clone();
    let pays = [transfer(3, "carol", 7)];
    grow(&mut long, [Commit::new(10).with(&pays), Commit::new(11)]);
    let order = recovery(&short, 3);
    must(&mut short, &order);
    let step = must(&mut long, &order);
    assert_eq!(step.returned, pays, "it comes again in the next era");
    assert_same_branch(&long.store, &short.store);
}

#[test]
fn a_certified_recovery_of_a_peer_is_executed_like_any_block() {
    let mut node = trunk();
    let mut peer = node.clone();
    grow(&mut node, plain(10, 3));
    let order = recovery(&peer, 3);
    must(&mut peer, &order);
    let block = peer.block_at(Height(4));
    let steps = node.import(std::slice::from_ref(&block), certificate(&block));
    assert_eq!(steps.expect("it executes")[0].batch.pop.len(), 3);
    peer.certify(certificate(&block)).expect("it is ours");
    assert_same_branch(&node.store, &peer.store);
    assert!(node.go_on(&order).expect("it is known").is_none());
}

#[test]
fn nothing_certified_is_taken_back_by_a_recovery() {
    let mut node = trunk();
    let order = recovery(&node, 3);
    let blocks = grow(&mut node, plain(10, 2));
    node.certify(certificate(&blocks[0])).expect("it is ours");
    let before = node.store.clone();
    let certified = Height(4);
    let refusal = ResumeRefusal::BelowCertified { certified };
    assert_eq!(node.go_on(&order).err(), Some(refusal.clone()));
    assert_eq!(node.chain.excludes(&node.store, &order), Ok(Some(refusal)));
    assert_same_branch(&node.store, &before);
}

#[test]
fn a_recovery_and_a_resume_of_one_era_exclude_each_other() {
    let mut recovered = trunk();
    let mut resumed = trunk();
    let order = recovery(&recovered, 3);
    let action = recovered.resume_of(Height(3), Vec::new());
    let message = governed(GOVERNOR_KEY, 1, action);
    must(&mut recovered, &order);
    resumed.resume(&message).expect("nothing refuses it");
    let settled = ResumeRefusal::WrongEra {
        expected: Era(2),
        actual: Era(1),
    };
    assert_eq!(recovered.resume(&message).err(), Some(settled.clone()));
    assert_eq!(resumed.go_on(&order).err(), Some(settled));
}

#[test]
fn nobody_recovers_on_a_block_of_an_emergency() {
    let mut node = stalled();
    master(&mut node, 0, &[]);
    let order = recovery(&node, node.head().0.0);
    let refusal = node.go_on(&order).err();
    assert_eq!(refusal, Some(ResumeRefusal::InEmergency));
}

#[test]
fn a_recovery_with_contents_is_none() {
    let mut peer = trunk();
    let order = recovery(&peer, 3);
    must(&mut peer, &order);
    let (_, block) = peer.block_at(Height(4));
    assert_eq!(crate::sync::check_body(&block, &CHAIN), Ok(()));
    let mut full = block;
    full.body.governance = Some(governed(
        GOVERNOR_KEY,
        1,
        peer.resume_of(Height(3), Vec::new()),
    ));
    full.header.system_root = full.body.system_root();
    assert!(crate::sync::check_body(&full, &CHAIN).is_err());
}
