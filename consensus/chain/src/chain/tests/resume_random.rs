//! Random chains with resumes in them: made live, on a node that had gone on, and taken from a peer.

use super::*;
use crate::chain::fixture::VALIDATORS;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Growth {
    Commit {
        pays: bool,
        supports: bool,
        ends_era: bool,
    },
    /// On the block so many below the head, against this member if it is one.
    Resume { back: u64, offender: u16 },
}

fn growth() -> impl Strategy<Value = Growth> {
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    );
    prop_oneof![
        5 => flags.prop_map(|(pays, supports, ends_era)| Growth::Commit { pays, supports, ends_era }),
        1 => (0..3_u64, 0..2 * VALIDATORS).prop_map(|(back, offender)| Growth::Resume { back, offender }),
    ]
}

fn commit(node: &Node, round: u64, pays: bool, supports: bool, ends_era: bool) -> Commit {
    let mut commit = Commit::new(round);
    if pays {
        commit = commit.with(&[transfer(node.head().0.0, "bob", round)]);
    }
    if supports {
        commit = commit.that_supports_the_head();
    }
    if ends_era {
        commit = commit.that_ends_the_era();
    }
    commit
}

/// Resumes `back` below the head, and what was taken back for it; none if it may not.
fn try_resume(
    node: &mut Node,
    sequence: u64,
    back: u64,
    offender: u16,
) -> Option<(GovernanceMessage, Vec<BlockId>)> {
    let height = node.head().0.minus(back);
    let era = EraContext::clone(node.chain.era());
    let is_member = usize::from(offender) < era.committee.size();
    let evidence = is_member.then(|| equivocation(&era, offender, sequence));
    let evidence: Vec<_> = evidence.into_iter().collect();
    let message = governed(GOVERNOR_KEY, sequence, node.resume_of(height, evidence));
    let above: Vec<_> = (0..back)
        .map(|n| node.block_at(node.head().0.minus(n)))
        .collect();
    let resumed =
        |(_, block): &(BlockId, Block)| matches!(block.header.origin, BlockOrigin::Resumed { .. });
    // What ends an era is certified before anything resumes on it; that it is refused until then is seen too.
    let named = node.block_at(height);
    let ends_era = named.1.body.era_end.is_some();
    if ends_era && sequence.is_multiple_of(2) && height > Height::ZERO {
        let context = node.store.era(named.1.header.era).expect("it reads");
        let context = context.expect("the era began");
        node.certify(certificate_in(&context, &named))
            .expect("nothing contradicts it");
    }
    let is_open = ends_era && height > node.chain.certified();
    let may = height >= node.chain.irreversible() && !above.iter().any(resumed) && !is_open;
    let before = node.clone();
    match node.resume(&message) {
        Ok(step) => {
            assert!(may);
            let step = step.expect("it is new");
            assert_eq!(popped(&step), ids(&above));
            let block = node.block_at(height.next()).1;
            assert_eq!(node.head().0, height.next());
            // Evidence of an era that was taken back proves nothing.
            let holds = is_member && block.header.era == era.era;
            assert_eq!(block.body.evidence.len(), usize::from(holds));
            if holds {
                let account = era.committee.members()[usize::from(offender)].account;
                let next = &node.chain.era().committee;
                assert!(next.authority_of_account(&account).is_none() || era.committee.size() == 1);
            }
            Some((message, popped(&step)))
        }
        Err(refusal) => {
            assert!(!may, "{refusal}");
            assert_same_branch(&node.store, &before.store);
            None
        }
    }
}

/// Blocks of the applied branch above `from`, split where an era ends, with the context of each.
fn ranges(node: &Node, from: Height) -> Vec<(EraContext, Blocks)> {
    let mut ranges: Vec<(EraContext, Blocks)> = Vec::new();
    let mut height = from.next();
    while height <= node.head().0 {
        let block = node.block_at(height);
        let era = block.1.header.era;
        match ranges.last_mut() {
            Some((context, blocks)) if context.era == era => blocks.push(block),
            _ => {
                let context = node.store.era(era).expect("it reads");
                ranges.push((context.expect("the era began"), vec![block]));
            }
        }
        height = height.next();
    }
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whoever_takes_a_chain_with_resumes_from_a_peer_has_what_executing_it_live_gives(
        growths in prop::collection::vec(growth(), 2..16),
        strays in 0..5_u64,
        leaves_at in any::<prop::sample::Index>(),
    ) {
        let mut live = trunk();
        let mut follower = live.clone();
        // Before a resume, if there is one: only then may it go on by itself.
        let resumes = growths.iter().enumerate().filter(|(_, growth)| {
            matches!(growth, Growth::Resume { .. })
        });
        let resumes: Vec<usize> = resumes.map(|(position, _)| position).collect();
        let leaves_at = match resumes.as_slice() {
            [] => leaves_at.index(growths.len()),
            resumes => *leaves_at.get(resumes),
        };
        for ((sequence, position), growth) in (1..).zip(0..).zip(&growths) {
            let round = 100 + sequence;
            let leaves = position == leaves_at;
            if leaves {
                follower = live.clone();
            }
            match *growth {
                Growth::Commit { pays, supports, ends_era } => {
                    let commit = commit(&live, round, pays, supports, ends_era);
                    live.order(commit);
                }
                Growth::Resume { back, offender } => {
                    // Who has only the block that is named makes the same block.
                    let mut short = live.clone();
                    if let Some((message, taken_back)) = try_resume(&mut live, sequence, back, offender) {
                        for round in (0..strays).filter(|_| leaves) {
                            // On the end of an era the first block makes that end irreversible.
                            if follower.chain.era().anchor != follower.head().1 {
                                follower.order(Commit::new(2_000 + round));
                            }
                        }
                        prop_assert!(live.resume(&message).expect("it is known").is_none());
                        prop_assert!(taken_back.iter().all(|id| !live.chain.forks().contains(id)));
                        // Who has gone on further, too.
                        let named = live.store.certificate(live.head().0.previous()).expect("it reads");
                        if let Some(certificate) = named {
                            short.certify(certificate).expect("it is of the same chain");
                        }
                        short.order(Commit::new(1_000));
                        if short.chain.irreversible() <= live.head().0.previous() {
                            short.resume(&message).expect("nothing refuses it");
                            assert_same_branch(&short.store, &live.store);
                        }
                    }
                }
            }
        }
        let shared = live.chain.irreversible().min(follower.chain.irreversible());
        for (context, blocks) in ranges(&live, shared) {
            let tip = blocks.last().expect("a range has blocks");
            let certified = certificate_in(&context, tip);
            live.certify(certified.clone()).expect("it is ours");
            follower.import(&blocks, certified).expect("nothing certified contradicts it");
        }
        assert_same_branch(&follower.store, &live.store);
        prop_assert_eq!(follower.head(), live.head());
        prop_assert_eq!(follower.chain.era(), live.chain.era());
        prop_assert_eq!(follower.chain.position.last_commit, live.chain.position.last_commit);
        prop_assert_eq!(follower.order(Commit::new(3_000)), live.order(Commit::new(3_000)));
    }
}
