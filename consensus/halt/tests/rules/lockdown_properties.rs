//! Whatever comes in whatever order, all who have the same statements stand the same way.

use crate::lockdown::{Lockdown, MAX_AGE_MS, NOW, lockdown, recovery_in, vote_at};
use holdfast_halt::lockdown::{LockdownEffect, LockdownInput, LockdownPhase};
use holdfast_types::{LockdownVote, RecoveryStep, RecoveryVote, TimestampMs};
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Clone, Debug)]
enum Said {
    Vote(LockdownVote),
    Recovery(RecoveryVote),
}

/// For a block, in the first attempt.
fn confirms(author: u16, block: u8, at: TimestampMs) -> RecoveryVote {
    recovery_in(author, (0, RecoveryStep::Precommit), block, at)
}

fn hear(lockdown: &mut Lockdown, said: Said) -> Vec<LockdownEffect> {
    let input = match said {
        Said::Vote(vote) => LockdownInput::Vote(vote),
        Said::Recovery(vote) => LockdownInput::Recovery(vote),
    };
    lockdown.step(NOW, input).unwrap_or_default()
}

/// One vote of each kind of some of `members`, in two orders; the blocks that they name, and when.
fn statements() -> impl Strategy<Value = (u16, Vec<Said>, Vec<Said>)> {
    (1u16..9).prop_flat_map(|members| {
        let votes = prop::collection::vec((any::<bool>(), 0..MAX_AGE_MS), usize::from(members));
        let recoveries = prop::collection::vec((0u8..4, 0..MAX_AGE_MS), usize::from(members));
        (votes, recoveries).prop_flat_map(move |(votes, recoveries)| {
            let votes = (0..).zip(votes).filter(|(_, (votes, _))| *votes);
            let votes = votes.map(|(author, (_, at))| Said::Vote(vote_at(author, NOW.minus(at))));
            // 0: it does not vote.
            let recoveries = (0..).zip(recoveries).filter(|(_, (block, _))| *block > 0);
            let recoveries = recoveries.map(|(author, (block, at))| {
                Said::Recovery(confirms(author, block, NOW.minus(at)))
            });
            let said: Vec<Said> = votes.chain(recoveries).collect();
            let shuffled = Just(said.clone()).prop_shuffle();
            (Just(members), Just(said), shuffled)
        })
    })
}

proptest! {
    #[test]
    fn any_order_gives_the_same_state((members, one, other) in statements()) {
        let stand = |said: Vec<Said>| {
            let mut lockdown = lockdown(usize::from(members));
            for statement in said {
                drop(hear(&mut lockdown, statement));
            }
            let choice = lockdown.state.recovery_choice();
            (lockdown.phase(), choice, lockdown.state.votes.clone(), lockdown.state.precommits.clone())
        };
        prop_assert_eq!(stand(one), stand(other));
    }

    #[test]
    fn who_is_cut_off_comes_to_the_same_by_certificates((members, said, _) in statements(), cut in any::<u32>()) {
        let mut nodes = [lockdown(usize::from(members)), lockdown(usize::from(members))];
        let mut told = VecDeque::new();
        for (number, statement) in said.into_iter().enumerate() {
            // Bits of `cut`: only one of the two hears it.
            for (node, lockdown) in nodes.iter_mut().enumerate() {
                if cut >> (number % 16 * 2 + node) & 1 == 0 {
                    told.extend(hear(lockdown, statement.clone()));
                }
            }
        }
        while let Some(effect) = told.pop_front() {
            let proofs: Vec<_> = nodes.iter().filter_map(|node| node.state.recovery.clone()).collect();
            for node in &mut nodes {
                let input = match effect.clone() {
                    LockdownEffect::Locked(certificate) => LockdownInput::Certificate(certificate),
                    LockdownEffect::Recovering(_) => match proofs.last() {
                        Some(proof) => LockdownInput::RecoveryCertificate(Clone::clone(proof)),
                        None => continue,
                    },
                    _ => continue,
                };
                told.extend(node.step(NOW, input).unwrap_or_default());
            }
        }
        let [one, other] = &nodes;
        let is_over = |phase| matches!(phase, LockdownPhase::Normal | LockdownPhase::Voting);
        prop_assert_eq!(is_over(one.phase()), is_over(other.phase()));
        prop_assert_eq!(one.state.recovery_choice(), other.state.recovery_choice());
    }

    /// Of n members f say what they like as often as they like, the others nothing.
    #[test]
    fn faulty_members_alone_neither_lock_nor_unlock(
        members in 1u16..30,
        said in prop::collection::vec((any::<u16>(), any::<bool>(), 0u8..4, 0..MAX_AGE_MS), 0..60),
    ) {
        let faulty = (members - 1) / 3;
        prop_assume!(faulty > 0);
        let mut free = lockdown(usize::from(members));
        let mut locked = lockdown(usize::from(members));
        let everybody = (0..members).map(|author| vote_at(author, NOW));
        for vote in everybody {
            drop(hear(&mut locked, Said::Vote(vote)));
        }
        for (author, is_vote, block, at) in said {
            let (author, at) = (author % faulty, NOW.minus(at));
            let statement = if is_vote {
                Said::Vote(vote_at(author, at))
            } else {
                Said::Recovery(confirms(author, block, at))
            };
            drop(hear(&mut free, statement.clone()));
            drop(hear(&mut locked, statement));
        }
        prop_assert!(free.state.lock.is_none());
        prop_assert_eq!(locked.phase(), LockdownPhase::Locked);
        // The others let go on without them.
        for author in faulty..members {
            drop(hear(&mut locked, Said::Recovery(confirms(author, 3, NOW))));
        }
        prop_assert_eq!(locked.phase(), LockdownPhase::Recovering);
    }
}
