//! Quorums of votes for the end of an emergency in the choice among branches (rule U9).

use super::emergency::stalled;
use super::ends::{end, end_and_lower_ones};
use super::unwinding::{blocks_above, branch, offer_branch, split};
use super::*;
use crate::branch::Branch;
use crate::chain::OfferRefusal;
use crate::chain::fixture::emergencies::master;
use crate::chain::fixture::key_numbers;
use crate::serve::open_end_votes;
use holdfast_types::EndVotes;

/// What so many of those who take over say of the end of the last emergency here.
fn votes_of(node: &Node, count: usize) -> EndVotes {
    let context = EraContext::clone(node.chain.era());
    let (id, block) = node.block_at(context.anchor_height);
    let body = AttestationBody::of_block(id, &block.header);
    let signatures = (0..).zip(key_numbers(&context)).take(count);
    let signatures = signatures.map(|(author, key)| {
        let vote = body.vote(AuthorityIndex(author), &CHAIN, &key_pair(key));
        (vote.author, vote.signature)
    });
    EndVotes {
        body,
        signatures: signatures.collect(),
    }
}

pub(super) fn quorum_of_votes(node: &Node) -> EndVotes {
    votes_of(node, node.chain.era().committee.quorum())
}

pub(super) fn hear(node: &mut Node, votes: EndVotes) -> bool {
    let step = node.chain.hear_votes(&node.store, votes);
    let step = step.expect("it reads");
    if let Some(step) = &step {
        node.write(step);
    }
    step.is_some()
}

pub(super) fn offer_voted(
    node: &mut Node,
    blocks: Vec<Block>,
    votes: &EndVotes,
) -> Result<(), OfferRefusal> {
    let offered = Branch {
        end_votes: Some(votes.clone()),
        ..branch(blocks, None)
    };
    let step = node.chain.offer_branch(&node.store, offered);
    let step = step.expect("a branch of a peer is no fault of ours")?;
    node.write(&step.expect("it is a switch"));
    Ok(())
}

/// One branch that has ended its emergency, and one that has ended another one after it; `of_first` are the votes for the first.
fn one_end_and_two() -> (Node, EndVotes, Node) {
    let (mut first, mut later) = split(1, 60);
    end(&mut first, 1, 0);
    end(&mut later, 60, 0);
    master(&mut later, 0, &[]);
    end(&mut later, 1, 1);
    let of_first = quorum_of_votes(&first);
    (first, of_first, later)
}

#[test]
fn u9_an_end_with_a_quorum_of_votes_outranks_later_ends_without() {
    let (mut voted, votes, later) = one_end_and_two();
    assert!(voted.head().0 < later.head().0);
    let ended = blocks_above(&voted, 3);
    let mut without = later.clone();
    let refused = offer_branch(&mut without, ended.clone());
    assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
    let mut too_few = votes.clone();
    too_few.signatures.pop();
    let mut forged = votes.clone();
    forged.signatures[0].1 = forged.signatures[1].1;
    let of_other = quorum_of_votes(&later);
    for (claimed, refusal) in [
        (&too_few, OfferRefusal::BadSignature),
        (&forged, OfferRefusal::BadSignature),
        (&of_other, OfferRefusal::NotBetter),
    ] {
        let refused = offer_voted(&mut without, ended.clone(), claimed);
        assert_eq!(refused, Err(refusal));
        assert_eq!(without.head(), later.head());
    }
    offer_voted(&mut without, ended, &votes).expect("a quorum has voted for it");
    assert_same_branch(&without.store, &voted.store);
    // Who has heard the votes, or got them with the branch, does not go over, also after a restart.
    assert!(hear(&mut voted, votes));
    for node in [&mut voted, &mut without] {
        node.reopen();
        let refused = offer_branch(node, blocks_above(&later, 3));
        assert_eq!(refused.err(), Some(OfferRefusal::NotBetter));
        // But goes on where it is.
        master(node, 0, &[]);
    }
    assert_same_branch(&without.store, &voted.store);
}

#[test]
fn u9_votes_for_a_later_end_outrank_those_for_an_earlier_one_and_a_certificate_both() {
    let (mut first, of_first, mut later) = one_end_and_two();
    let of_later = quorum_of_votes(&later);
    assert!(hear(&mut first, of_first.clone()));
    let mut back = later.clone();
    assert!(hear(&mut later, of_later.clone()));
    let refused = offer_voted(&mut later, blocks_above(&first, 3), &of_first);
    assert_eq!(refused, Err(OfferRefusal::NotBetter));
    let context = EraContext::clone(first.chain.era());
    let certified = certificate_in(&context, &first.block_at(context.anchor_height));
    let ended = blocks_above(&first, 3);
    let mut outranked = later.clone();
    let step = outranked
        .chain
        .offer_branch(&outranked.store, branch(ended.clone(), Some(&certified)));
    let step = step
        .expect("it is no fault of ours")
        .expect("it is certified");
    outranked.write(&step.expect("it is a switch"));
    assert_same_branch(&outranked.store, &first.store);
    assert_eq!(open_end_votes(&outranked.store), Ok(None));
    offer_voted(&mut first, blocks_above(&later, 3), &of_later).expect("the votes are later ones");
    assert_same_branch(&first.store, &later.store);
    // A chain of ends: the same one with its votes again is no news.
    offer_voted(&mut back, ended, &of_first).expect("nobody has told of the later votes");
}

#[test]
fn u9_votes_are_kept_for_an_open_end_of_the_own_branch_only() {
    let (mut first, of_first, mut later) = one_end_and_two();
    assert!(!hear(&mut later, of_first.clone()), "its block is not here");
    assert!(hear(&mut first, of_first.clone()));
    assert!(!hear(&mut first, of_first.clone()), "they are known");
    assert_eq!(open_end_votes(&first.store), Ok(Some(of_first.clone())));
    let context = EraContext::clone(first.chain.era());
    let last = first.block_at(context.anchor_height);
    first
        .certify(certificate_in(&context, &last))
        .expect("it is ours");
    assert_eq!(open_end_votes(&first.store), Ok(None));
    assert!(!hear(&mut first, of_first), "it is certified");
}

#[test]
fn u9_a_commit_of_the_own_dag_gives_way_to_votes_and_comes_not_back() {
    let trunk = stalled();
    let commit = Commit::new(20).with(&[transfer(3, "bob", 1)]);
    let sub_dag = trunk.sub_dag(commit.clone());
    let mut dag = trunk.clone();
    let mut voted = trunk;
    dag.order(commit);
    master(&mut voted, 0, &[]);
    end(&mut voted, 1, 0);
    let votes = quorum_of_votes(&voted);
    let ended = blocks_above(&voted, 3);
    let refused = offer_branch(&mut dag, ended.clone());
    assert_eq!(refused.err(), Some(OfferRefusal::Outranked));
    offer_voted(&mut dag, ended, &votes).expect("a quorum has voted for it");
    assert_same_branch(&dag.store, &voted.store);
    for node in [&mut dag, &mut voted] {
        hear(node, votes.clone());
        let step = node.chain.order(&node.store, &sub_dag);
        assert!(step.expect("it is no fault").is_none());
    }
}

#[test]
fn u9_a_block_beside_an_end_with_votes_is_not_taken_for_its_lower_id() {
    let (mut one, lower) = end_and_lower_ones();
    let votes = quorum_of_votes(&one);
    assert!(hear(&mut one, votes));
    let head = one.head();
    for (_, block) in lower {
        assert_eq!(one.take(&block).err(), Some(OfferRefusal::NotBetter));
    }
    assert_eq!(one.head(), head);
}
