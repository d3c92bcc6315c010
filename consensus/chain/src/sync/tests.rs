//! Ranges that start anywhere, and ranges that prove nothing.

use super::{POLLED_PEERS_MAX, RangeError, STUCK_MS, SyncNeed, first_needed, polled, sync_source};
use crate::chain::fixture::{Commit, Node, assert_same_branch, certificate, response, transfer};
use holdfast_types::test_util::CHAIN;
use holdfast_types::test_util::parameters::{GOVERNOR_KEY, governed};
use holdfast_types::wire::BranchRank;
use holdfast_types::wire::PeerStatus;
use holdfast_types::{
    Block, BlockId, CertificateError, Era, GovernanceAction, Height, Round, TimestampMs,
};
use std::collections::BTreeSet;

#[test]
fn a_node_that_gossip_does_not_reach_any_more_is_synced_at_once() {
    let ahead = |blocks: u64| {
        let status = PeerStatus {
            head: Height(100 + blocks),
            head_id: BlockId::default(),
            certified: Height(100 + blocks),
            is_provisional: false,
            lowest_block: Height::ZERO,
            rank: rank(Era(1)),
            round: Round(200),
            timestamp_ms: 0,
        };
        [('a', status)]
    };
    let source = |blocks, unmoved_ms, far_blocks| {
        let need = SyncNeed {
            head: Height(100),
            head_id: BlockId::default(),
            is_provisional: false,
            is_forked: false,
            fetches_emergency: true,
            fetches_ordered: false,
            certified: Height(100),
            rank: rank(Era(1)),
            unmoved_ms,
            far_blocks,
        };
        sync_source(ahead(blocks), need)
    };
    // Its head moves now and then, so it is not stuck, and yet it never arrives.
    assert_eq!(source(2, 500, 3), None);
    assert_eq!(source(3, 500, 3), Some(('a', Height(103))));
    assert_eq!(source(19, 500, 20), None);
    assert_eq!(source(1, STUCK_MS, 20), Some(('a', Height(101))));
    assert_eq!(source(0, STUCK_MS, 0), None, "nothing is to be had");
}

#[test]
fn a_stuck_head_that_is_not_certified_is_asked_for_again() {
    let status = PeerStatus {
        head: Height(7),
        head_id: BlockId::default(),
        certified: Height(7),
        is_provisional: false,
        lowest_block: Height::ZERO,
        rank: rank(Era(2)),
        round: Round(1),
        timestamp_ms: 0,
    };
    let need = SyncNeed {
        head: Height(7),
        head_id: BlockId::default(),
        is_provisional: false,
        is_forked: false,
        fetches_emergency: true,
        fetches_ordered: false,
        certified: Height(6),
        rank: rank(Era(2)),
        unmoved_ms: STUCK_MS,
        far_blocks: 20,
    };
    assert_eq!(sync_source([('a', status)], need), Some(('a', Height(7))));
    assert_eq!(first_needed(&need, Height(7)), Height(7));
    assert_eq!(first_needed(&need, Height(9)), Height(8));
    let moving = SyncNeed {
        unmoved_ms: STUCK_MS - 1,
        ..need
    };
    assert_eq!(sync_source([('a', status)], moving), None);
}

/// A node in an emergency of era 2.
const IN_EMERGENCY: SyncNeed = SyncNeed {
    head: Height(20),
    head_id: BlockId::new([5; 32]),
    certified: Height(10),
    rank: rank(Era(2)),
    is_provisional: true,
    is_forked: false,
    fetches_emergency: true,
    fetches_ordered: false,
    unmoved_ms: 0,
    far_blocks: 60,
};

const fn rank(era: Era) -> BranchRank {
    BranchRank {
        resumed: 0,
        voted: None,
        era,
    }
}

/// Whom of these it asks.
fn source(peers: &[PeerStatus], need: SyncNeed) -> Option<(usize, Height)> {
    let peers = peers.iter().enumerate();
    sync_source(peers.map(|(peer, status)| (peer, *status)), need)
}

const fn branch(peer: usize, height: u64) -> Option<(usize, Height)> {
    Some((peer, Height(height)))
}

/// A head in an emergency that nobody has certified.
fn provisional(head: u64, era: u64) -> PeerStatus {
    PeerStatus {
        head: Height(head),
        head_id: BlockId::new([9; 32]),
        certified: Height(10),
        is_provisional: true,
        lowest_block: Height::ZERO,
        rank: rank(Era(era)),
        round: Round(0),
        timestamp_ms: 0,
    }
}

/// Whoever has ended the emergency has the better head, and who is still in it never.
#[test]
fn the_head_of_who_has_ended_the_emergency_is_fetched_though_it_is_lower() {
    let need = IN_EMERGENCY;
    assert_eq!(source(&[provisional(21, 3)], need), None, "it is under way");
    assert_eq!(source(&[provisional(20, 3)], need), branch(0, 20));
    assert_eq!(source(&[provisional(15, 3)], need), branch(0, 15));
    let longer = [provisional(90, 2), provisional(15, 3)];
    assert_eq!(source(&longer, need), branch(1, 15));
    let stuck = SyncNeed {
        is_forked: true,
        unmoved_ms: STUCK_MS,
        ..need
    };
    assert_eq!(source(&[provisional(21, 3)], stuck), branch(0, 21));
    assert_eq!(source(&[provisional(90, 1)], stuck), None);
}

/// A quorum of votes counts before eras and heights.
#[test]
fn a_branch_with_votes_for_the_end_of_a_later_emergency_is_fetched_wherever_it_is() {
    let voted = |head, era, voted| PeerStatus {
        rank: BranchRank {
            voted: Some(Era(voted)),
            ..rank(Era(era))
        },
        ..provisional(head, era)
    };
    let need = IN_EMERGENCY;
    for (head, era) in [(15, 3), (20, 3), (90, 3), (15, 1)] {
        assert_eq!(source(&[voted(head, era, 2)], need), branch(0, head));
    }
    let peers = [
        provisional(90, 5),
        voted(15, 3, 2),
        voted(14, 5, 4),
        voted(90, 3, 2),
    ];
    assert_eq!(source(&peers, need), branch(2, 14), "the latest");
    let has_votes = SyncNeed {
        rank: BranchRank {
            voted: Some(Era(4)),
            ..rank(Era(5))
        },
        is_forked: true,
        unmoved_ms: STUCK_MS,
        ..need
    };
    assert_eq!(source(&peers[..2], has_votes), None);
    assert_eq!(source(&peers, has_votes), None, "it is lower");
    let same_head = PeerStatus {
        head_id: need.head_id,
        ..voted(20, 2, 2)
    };
    assert_eq!(
        source(&[same_head], need),
        None,
        "it has heard them earlier"
    );
}

/// In an emergency, heads count that nobody has certified.
#[test]
fn the_better_head_of_an_emergency_is_fetched_when_gossip_does_not_bring_it() {
    let status = |head, id, certified, is_provisional| PeerStatus {
        head_id: BlockId::new([id; 32]),
        certified: Height(certified),
        is_provisional,
        ..provisional(head, 2)
    };
    let need = IN_EMERGENCY;
    let peers = [
        status(21, 9, 10, true),
        status(23, 9, 10, true),
        status(23, 8, 10, true),
    ];
    assert_eq!(source(&peers, need), None, "it is under way");
    let forked = SyncNeed {
        is_forked: true,
        ..need
    };
    let stuck = SyncNeed {
        unmoved_ms: STUCK_MS,
        ..need
    };
    for need in [forked, stuck] {
        assert_eq!(source(&peers, need), branch(2, 23), "the lower id");
        let as_high = [status(20, 6, 10, true), status(20, 4, 10, true)];
        assert_eq!(source(&as_high[..1], need), None);
        assert_eq!(source(&as_high, need), branch(1, 20));
        let halted = SyncNeed {
            fetches_emergency: false,
            fetches_ordered: false,
            ..need
        };
        assert_eq!(source(&peers, halted), None);
        let frozen = SyncNeed {
            fetches_ordered: true,
            ..halted
        };
        assert_eq!(source(&peers, frozen), None);
        let ranks = [(1, None), (0, Some(Era(2)))];
        let ordered = ranks.map(|(resumed, voted)| PeerStatus {
            rank: BranchRank {
                resumed,
                voted,
                era: Era(2),
            },
            ..status(23, 9, 10, true)
        });
        for status in ordered {
            assert_eq!(source(&[peers[0], status], frozen), branch(1, 23));
            assert_eq!(source(&[peers[0], status], halted), None);
        }
        // Blocks of a DAG that are not certified come by the DAG.
        assert_eq!(source(&[status(23, 1, 10, false)], need), None);
    }
    assert_eq!(source(&[status(80, 9, 10, true)], need), branch(0, 80));
    // A certificate outranks what is here, wherever the heads are.
    let certified = [status(23, 1, 10, true), status(15, 9, 14, false)];
    assert_eq!(source(&certified, need), branch(1, 15));
}

type Blocks = Vec<(BlockId, Block)>;

fn branches() -> (Node, Node, Blocks) {
    let mut node = Node::new();
    node.order(Commit::new(1).that_supports_the_head());
    node.order(Commit::new(2).that_supports_the_head());
    let mut other = node.clone();
    let pay = |round, nonce| Commit::new(round).with(&[transfer(nonce, "bob", round)]);
    node.order(pay(10, 0));
    node.order(pay(11, 1));
    let blocks = vec![
        other.order(pay(20, 0)),
        other.order(pay(21, 1).that_ends_the_era()),
        other.order(pay(22, 2)),
        other.order(pay(23, 3)),
    ];
    (node, other, blocks)
}

#[test]
fn a_range_may_start_on_a_block_of_another_branch_that_ends_its_era() {
    let (mut node, other, blocks) = branches();
    node.offer(&blocks[..2]).expect("it is kept");
    assert_eq!(node.chain.era().era, Era(1));
    node.import(&blocks[2..], certificate(&blocks[3]))
        .expect("it executes");
    assert_same_branch(&node.store, &other.store);
}

#[test]
fn a_range_may_start_within_an_era_that_began_on_another_branch() {
    let (mut node, other, blocks) = branches();
    node.order(Commit::new(12));
    node.order(Commit::new(13));
    node.offer(&blocks[..3]).expect("it is kept");
    assert_eq!(node.chain.era().era, Era(1));
    node.import(&blocks[3..], certificate(&blocks[3]))
        .expect("it executes");
    assert_same_branch(&node.store, &other.store);
}

#[test]
fn a_range_may_start_at_the_root_or_between_it_and_the_head() {
    let (node, _, _) = branches();
    for from in [1, 2, 3] {
        let mut fresh = node.clone();
        assert_eq!(fresh.chain.irreversible(), Height(1));
        // Its own blocks again, and two that are new.
        let mut ahead = node.clone();
        ahead.order(Commit::new(12));
        let tip = ahead.order(Commit::new(13));
        let mut range = Blocks::new();
        for height in from + 1..=6 {
            range.push(ahead.block_at(Height(height)));
        }
        let steps = fresh
            .import(&range, certificate(&tip))
            .expect("it executes");
        assert_eq!(steps.len(), 2);
        assert_same_branch(&fresh.store, &ahead.store);
    }
}

#[test]
fn what_does_not_link_is_told_apart_from_what_is_wrong() {
    let (node, _, blocks) = branches();
    let certified = Some(certificate(&blocks[1]));
    let refused = |range: &[(BlockId, Block)]| node.refusal(response(range, certified.clone()));
    assert_eq!(refused(&[]), RangeError::Empty);
    assert_eq!(
        refused(&blocks[1..2]),
        RangeError::Unlinked { height: Height(4) }
    );
    assert_eq!(
        refused(&[blocks[0].clone(), blocks[2].clone()]),
        RangeError::NotLinked { height: Height(4) }
    );
    assert_eq!(
        refused(&blocks[..3]),
        RangeError::WrongEra {
            height: Height(5),
            expected: 1
        }
    );
    assert_eq!(refused(&blocks[..1]), RangeError::OtherBlock);
    assert_eq!(
        node.refusal(response(&blocks[..2], None)),
        RangeError::NoCertificate
    );
    let mut weak = certificate(&blocks[1]);
    weak.signatures.pop();
    assert_eq!(
        node.refusal(response(&blocks[..2], Some(weak))),
        RangeError::Certificate(CertificateError::NoQuorum {
            actual: 2,
            quorum: 3
        })
    );
}

/// A peer cannot pass a made-up body off as a block that does not execute.
#[test]
fn every_part_of_a_body_is_checked_against_the_header() {
    let (node, _, blocks) = branches();
    let refused = |change: fn(&mut Block)| {
        let mut range = blocks[..2].to_vec();
        change(&mut range[1].1);
        node.refusal(response(&range, Some(certificate(&blocks[1]))))
    };
    let wrong = |part| RangeError::WrongBody {
        height: Height(4),
        part,
    };
    type Case = (fn(&mut Block), &'static str);
    let cases: [Case; 7] = [
        (
            |block| block.body.transactions.clear(),
            "list of transactions",
        ),
        (
            // The id of a transaction does not cover its signature.
            |block| block.body.transactions[0].signature = holdfast_types::Signature::new([7; 64]),
            "list of transactions",
        ),
        (|block| block.body.era_end = None, "system part"),
        (
            |block| {
                block.body.supports.push(holdfast_types::Support {
                    authority: holdfast_types::AuthorityIndex(0),
                    height: Height(3),
                });
            },
            "system part",
        ),
        (|block| block.body.commit = None, "commit"),
        (
            |block| {
                if let Some(commit) = &mut block.body.commit {
                    commit.timestamp = commit.timestamp.next();
                }
            },
            "commit",
        ),
        (|block| block.header.next_committee = None, "next committee"),
    ];
    for (change, part) in cases {
        assert_eq!(refused(change), wrong(part));
    }
}

#[test]
fn a_block_comes_of_a_commit_or_of_the_resume_that_it_carries() {
    let mut node = Node::new();
    node.order(Commit::new(1));
    let mut peer = node.clone();
    let resume = |sequence| {
        governed(
            GOVERNOR_KEY,
            sequence,
            node.resume_of(Height(1), Vec::new()),
        )
    };
    peer.resume(&resume(1)).expect("nothing refuses it");
    let resumed = peer.block_at(Height(2));
    let ordered = node.clone().order(Commit::new(2));
    // The header belongs to the body in all but its origin.
    let refused = |block: &(BlockId, Block), change: &dyn Fn(&mut Block)| {
        let mut block = block.1.clone();
        change(&mut block);
        block.header.system_root = block.body.system_root();
        let block = (block.header.id(&CHAIN), block);
        node.refusal(response(
            std::slice::from_ref(&block),
            Some(certificate(&block)),
        ))
    };
    let wrong = |part| RangeError::WrongBody {
        height: Height(2),
        part,
    };
    let both = |block: &mut Block| block.body.governance = Some(resume(1));
    assert_eq!(refused(&ordered, &both), wrong("governance message"));
    let other = |block: &mut Block| block.body.governance = Some(resume(2));
    assert_eq!(refused(&resumed, &other), wrong("governance message"));
    let none = |block: &mut Block| block.body.governance = None;
    assert_eq!(refused(&resumed, &none), wrong("commit"));
    let halt = |block: &mut Block| {
        let action = GovernanceAction::Halt {
            reason: Vec::new(),
            until: TimestampMs::MAX,
            after_height: None,
        };
        block.body.governance = Some(governed(GOVERNOR_KEY, 1, action));
    };
    assert_eq!(refused(&resumed, &halt), wrong("commit"));
}

#[test]
fn everybody_is_polled_in_turn_though_the_head_stands_still() {
    for count in [9, 16, 20, 23, 127] {
        let all: Vec<usize> = (0..count).collect();
        let polls = count.div_ceil(POLLED_PEERS_MAX) as u64;
        for first in [0, 7, 1_000] {
            let asked = (first..first + polls).flat_map(|poll| polled(all.clone(), poll));
            assert_eq!(
                asked.collect::<BTreeSet<_>>().len(),
                count,
                "{count} {first}"
            );
        }
        assert_eq!(polled(all, u64::MAX).len(), POLLED_PEERS_MAX);
    }
}

#[test]
fn few_peers_are_all_polled_each_time() {
    assert_eq!(polled(Vec::<u8>::new(), 3), []);
    assert_eq!(polled(vec![1, 2, 3, 4, 5, 6, 7, 8], 3).len(), 8);
}
