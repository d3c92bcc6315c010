//! Fetching a branch that no certificate proves: blocks of an emergency, and what it stands on (rule C17).
//!
//! * BF1. First the peer is asked for what follows the own head. If that does not stand on it, the peer is on another branch
//!   and is asked from further down, each time twice as far, at the lowest from the last certified block on, which nobody takes
//!   back, and no further than the fork database reaches. So a fork at the end of a long emergency is not too deep.
//! * BF2. Blocks are collected until they reach as high as the own head, end with a certificate, have ended an emergency that
//!   the own head has not, or hold the end of a later emergency for which a quorum has voted; then the chain is asked whether they
//!   are better. At most as many are kept as the fork database holds.
//! * BF3. Of an emergency, blocks dated ahead of the local clock are left out: they are not taken before their time.
//! * BF4. What a certificate proves, and is of no emergency, goes the usual way.
//! * BF5. Blocks of an emergency that are not above the last certified block are left out: a peer may be asked from the last
//!   irreversible block on, which is lower where an emergency has just ended.

use crate::chain::OfferRefusal;
use crate::sync::{BACK_BLOCKS, SyncNeed, next_range};
use holdfast_types::wire::{BlocksRequest, BlocksResponse, BranchRank};
use holdfast_types::{Block, BlockOrigin, Certificate, EndVotes, Height, TimestampMs, codec};

/// Most bytes that are collected: what one step of the chain may have to execute at once.
const COLLECTED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Blocks that no certificate proves, and what speaks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branch {
    /// In order, each on the one before.
    pub blocks: Vec<Block>,
    /// Of the last block, if an emergency ends with it.
    pub certificate: Option<Certificate>,
    /// Votes of a quorum for one of the blocks.
    pub end_votes: Option<EndVotes>,
}

/// One branch that is being fetched from one peer.
#[derive(Clone, Debug)]
pub struct BranchFetch {
    head: Height,
    rank: BranchRank,
    certified: Height,
    blocks_max: usize,
    from: Height,
    /// So far below the own head the branch was asked for.
    back: u64,
    collected: Vec<Block>,
    end_votes: Option<EndVotes>,
    bytes: usize,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchStep {
    /// Ask the peer for [`BranchFetch::request`].
    Ask,
    /// Verify this range and apply it.
    Prove(Box<BlocksResponse>),
    /// Offer these blocks to the chain, and tell [`BranchFetch::refused`] if it does not take them.
    Offer(Box<Branch>),
    /// The peer has nothing that helps.
    Over,
    /// The peer has sent what breaks a rule.
    Blame,
}

impl BranchFetch {
    /// Begins to fetch from `from` on. `blocks_max`: what the fork database holds.
    #[must_use]
    pub const fn new(need: &SyncNeed, from: Height, blocks_max: usize) -> Self {
        Self {
            head: need.head,
            rank: need.rank,
            certified: need.certified,
            blocks_max,
            from,
            back: 0,
            collected: Vec::new(),
            end_votes: None,
            bytes: 0,
        }
    }

    #[must_use]
    pub const fn request(&self) -> BlocksRequest {
        next_range(self.from)
    }

    /// The peer has answered. Blocks dated after `latest` are not looked at.
    pub fn came(&mut self, mut response: BlocksResponse, latest: TimestampMs) -> BranchStep {
        let of_emergency =
            |block: &Block| matches!(block.header.origin, BlockOrigin::Emergency { .. });
        if response.certificate.is_some() && !response.blocks.iter().any(of_emergency) {
            return if self.collected.is_empty() {
                BranchStep::Prove(Box::new(response))
            } else {
                // The end of the emergency is below: its certificate has to come first.
                BranchStep::Over
            };
        }
        let count = response.blocks.len();
        let is_past = |block: &Block| block.header.timestamp <= latest;
        response.blocks.retain(is_past);
        if response.blocks.len() < count {
            response.certificate = None;
        }
        let Some(last) = response.blocks.last() else {
            return BranchStep::Over;
        };
        let (last, mut has_ended) = (last.header.height, last.next_era() > self.rank.era);
        if response.end_votes.is_some() {
            self.end_votes = response.end_votes.take();
        }
        has_ended |= self.end_votes.as_ref().is_some_and(|votes| {
            Some(votes.body.era) > self.rank.voted && votes.body.height <= last
        });
        if response.blocks.first().map(|block| block.header.height) != Some(self.from) {
            return BranchStep::Blame;
        }
        self.from = last.next();
        // BF5.
        let certified = self.certified;
        let is_open = |block: &Block| block.header.height > certified;
        response.blocks.retain(is_open);
        if response.blocks.is_empty() {
            return BranchStep::Ask;
        }
        let bytes = response.blocks.iter().map(codec::encoded_len);
        self.bytes = bytes.fold(self.bytes, usize::saturating_add);
        self.collected.append(&mut response.blocks);
        if last < self.head && response.certificate.is_none() && !has_ended {
            return self.ask_on();
        }
        BranchStep::Offer(Box::new(Branch {
            blocks: self.collected.clone(),
            certificate: response.certificate,
            end_votes: self.end_votes.clone(),
        }))
    }

    /// The chain does not take the blocks.
    pub fn refused(&mut self, refusal: &OfferRefusal) -> BranchStep {
        match refusal {
            OfferRefusal::Unlinked { .. } => self.ask_from_below(),
            // What is certified, or the emergency that stands on it, may come further up.
            OfferRefusal::NotBetter | OfferRefusal::Outranked | OfferRefusal::NotEmergency => {
                self.ask_on()
            }
            OfferRefusal::Known | OfferRefusal::Full | OfferRefusal::TooDeep { .. } => {
                BranchStep::Over
            }
            OfferRefusal::WrongBody { .. }
            | OfferRefusal::NoKey { .. }
            | OfferRefusal::BadSignature
            | OfferRefusal::BadTransaction { .. }
            | OfferRefusal::Slot(_)
            | OfferRefusal::Invalid { .. } => BranchStep::Blame,
        }
    }

    fn ask_on(&self) -> BranchStep {
        let is_full = self.collected.len() >= self.blocks_max || self.bytes >= COLLECTED_BYTES_MAX;
        if is_full {
            BranchStep::Over
        } else {
            BranchStep::Ask
        }
    }

    fn ask_from_below(&mut self) -> BranchStep {
        let lowest = self.certified.next();
        let began = self
            .collected
            .first()
            .map_or(self.from, |block| block.header.height);
        let deepest = u64::try_from(self.blocks_max).unwrap_or(u64::MAX);
        if began <= lowest || self.back >= deepest {
            return BranchStep::Over;
        }
        self.back = self.back.saturating_mul(2).max(BACK_BLOCKS).min(deepest);
        let further = Height(self.head.next().0.saturating_sub(self.back));
        self.from = further.min(began.previous()).max(lowest);
        self.collected.clear();
        self.bytes = 0;
        BranchStep::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::test_util::{committee, samples};
    use holdfast_types::{
        AccountName, BlockId, CommitDigest, Era, EraEnd, EraKind, Round, Signature,
    };

    const LATEST: TimestampMs = TimestampMs(1_000);

    /// A node whose head is block 20, with 10 certified.
    fn fetch(from: u64) -> BranchFetch {
        let need = SyncNeed {
            head: Height(20),
            head_id: BlockId::default(),
            certified: Height(10),
            rank: BranchRank {
                era: Era(2),
                ..BranchRank::default()
            },
            is_provisional: true,
            is_forked: false,
            fetches_emergency: true,
            fetches_ordered: false,
            unmoved_ms: 0,
            far_blocks: 60,
        };
        BranchFetch::new(&need, Height(from), 64)
    }

    fn block(height: u64, timestamp: u64, is_emergency: bool) -> Block {
        let mut block: Block = samples("block", 1).next().expect("one of one");
        block.header.height = Height(height);
        block.header.era = Era(2);
        block.body.era_end = None;
        block.header.timestamp = TimestampMs(timestamp);
        block.header.origin = if is_emergency {
            BlockOrigin::Emergency {
                slot: height,
                producer: AccountName::new("committee").expect("a valid name"),
                signature: Signature::new([0; 64]),
            }
        } else {
            BlockOrigin::Dag {
                commit: CommitDigest::default(),
                commit_index: height,
                leader_round: Round(height),
                leader: holdfast_types::AuthorityIndex(0),
            }
        };
        block
    }

    fn response(heights: std::ops::Range<u64>, certified: bool) -> BlocksResponse {
        BlocksResponse {
            blocks: heights.map(|height| block(height, height, true)).collect(),
            certificate: certified.then(|| samples("certificate", 1).next().expect("one of one")),
            end_votes: None,
        }
    }

    fn offered(step: BranchStep) -> (Vec<u64>, bool) {
        match step {
            BranchStep::Offer(branch) => {
                let heights = branch.blocks.iter().map(|block| block.header.height.0);
                (heights.collect(), branch.certificate.is_some())
            }
            step => panic!("{step:?} offers nothing"),
        }
    }

    #[test]
    fn bf1_what_does_not_stand_on_the_head_is_asked_for_from_below_and_from_the_certified_block_last()
     {
        let mut fetch = fetch(21);
        assert_eq!(fetch.request().from, Height(21));
        let step = fetch.came(response(21..24, false), LATEST);
        assert_eq!(offered(step), (vec![21, 22, 23], false));
        let unlinked = OfferRefusal::Unlinked {
            parent: BlockId::default(),
        };
        assert_eq!(fetch.refused(&unlinked), BranchStep::Ask);
        assert_eq!(fetch.request().from, Height(13));
        let step = fetch.came(response(13..25, false), LATEST);
        assert_eq!(offered(step).0, (13..25).collect::<Vec<_>>());
        assert_eq!(fetch.refused(&unlinked), BranchStep::Ask);
        assert_eq!(fetch.request().from, Height(11));
        let step = fetch.came(response(11..25, false), LATEST);
        assert_eq!(offered(step).0, (11..25).collect::<Vec<_>>());
        assert_eq!(fetch.refused(&unlinked), BranchStep::Over);
    }

    #[test]
    fn bf1_a_fork_at_the_end_of_a_long_emergency_is_not_fetched_from_its_beginning() {
        let mut fetch = fetch(21);
        (fetch.head, fetch.from) = (Height(100_000), Height(100_001));
        fetch.blocks_max = 2_400;
        let unlinked = OfferRefusal::Unlinked {
            parent: BlockId::default(),
        };
        let mut asked = Vec::new();
        while fetch.refused(&unlinked) == BranchStep::Ask {
            asked.push(fetch.request().from.0);
        }
        assert_eq!(asked[..3], [99_993, 99_985, 99_969]);
        assert_eq!(asked.last(), Some(&(100_001 - 2_400)));
        assert_eq!(asked.len(), 10);
    }

    #[test]
    fn bf2_a_branch_with_a_quorum_of_votes_is_offered_from_the_end_on_that_they_are_for() {
        let mut fetch = fetch(11);
        let mut votes: EndVotes = samples("votes", 1).next().expect("one of one");
        votes.body.height = Height(14);
        let first = BlocksResponse {
            end_votes: Some(votes.clone()),
            ..response(11..13, false)
        };
        assert_eq!(fetch.came(first, LATEST), BranchStep::Ask);
        let step = fetch.came(response(13..15, false), LATEST);
        let BranchStep::Offer(branch) = step else {
            panic!("{step:?} offers nothing");
        };
        assert_eq!(branch.blocks.len(), 4);
        assert_eq!(branch.end_votes, Some(votes.clone()));
        // What is no news here waits for the height of the head.
        let mut known = self::fetch(11);
        known.rank.voted = Some(votes.body.era);
        let all = BlocksResponse {
            end_votes: Some(votes),
            ..response(11..15, false)
        };
        assert_eq!(known.came(all, LATEST), BranchStep::Ask);
    }

    #[test]
    fn bf5_what_is_certified_here_is_left_out() {
        let mut fetch = fetch(9);
        assert_eq!(fetch.came(response(9..11, true), LATEST), BranchStep::Ask);
        assert_eq!(fetch.request().from, Height(11));
        let step = fetch.came(response(11..25, false), LATEST);
        assert_eq!(offered(step).0, (11..25).collect::<Vec<_>>());
        let mut longer = self::fetch(9);
        let step = longer.came(response(9..14, true), LATEST);
        assert_eq!(offered(step), (vec![11, 12, 13], true));
        let mut of_dag = self::fetch(9);
        assert_eq!(of_dag.came(response(9..11, true), LATEST), BranchStep::Ask);
        let proved = BlocksResponse {
            blocks: vec![block(11, 11, false)],
            ..response(0..0, true)
        };
        let step = of_dag.came(proved.clone(), LATEST);
        assert_eq!(step, BranchStep::Prove(Box::new(proved)));
    }

    #[test]
    fn bf2_blocks_are_collected_until_they_may_be_better_and_no_more_than_fit() {
        let mut fetch = fetch(11);
        assert_eq!(fetch.came(response(11..15, false), LATEST), BranchStep::Ask);
        assert_eq!(fetch.request().from, Height(15));
        let step = fetch.came(response(15..21, false), LATEST);
        assert_eq!(offered(step).0, (11..21).collect::<Vec<_>>());
        for refusal in [
            OfferRefusal::NotBetter,
            OfferRefusal::Outranked,
            OfferRefusal::NotEmergency,
        ] {
            assert_eq!(fetch.refused(&refusal), BranchStep::Ask);
        }
        let step = fetch.came(response(21..75, false), LATEST);
        assert_eq!(offered(step).0.len(), 64);
        assert_eq!(fetch.refused(&OfferRefusal::NotBetter), BranchStep::Over);
        // The end of an emergency may be lower than the own head, certified or not.
        let mut end = response(11..14, false);
        let mut unended = self::fetch(11);
        assert_eq!(unended.came(end.clone(), LATEST), BranchStep::Ask);
        end.blocks[2].body.era_end = Some(EraEnd {
            next_kind: EraKind::Dag,
            committee: committee(4),
        });
        let mut of_end = self::fetch(11);
        assert_eq!(offered(of_end.came(end, LATEST)).0, [11, 12, 13]);
        let mut ended = self::fetch(11);
        let step = ended.came(response(11..14, true), LATEST);
        assert_eq!(offered(step), (vec![11, 12, 13], true));
        // There is nothing, or it is not what was asked for.
        let mut other = self::fetch(11);
        assert_eq!(other.came(response(0..0, false), LATEST), BranchStep::Over);
        assert_eq!(
            other.came(response(12..14, false), LATEST),
            BranchStep::Blame
        );
    }

    #[test]
    fn bf3_what_is_dated_ahead_waits_and_without_its_last_block_a_certificate_says_nothing() {
        let mut fetch = fetch(21);
        let mut ahead = response(21..25, true);
        ahead.blocks[3].header.timestamp = LATEST.next();
        let step = fetch.came(ahead, LATEST);
        assert_eq!(offered(step), (vec![21, 22, 23], false));
        let mut all_ahead = response(21..22, false);
        all_ahead.blocks[0].header.timestamp = LATEST.next();
        assert_eq!(self::fetch(21).came(all_ahead, LATEST), BranchStep::Over);
    }

    #[test]
    fn bf4_what_a_certificate_proves_goes_its_own_way_whatever_the_clock_says() {
        let mut proven = response(21..23, true);
        proven.blocks = vec![block(21, 5_000, false), block(22, 6_000, false)];
        let expected = BranchStep::Prove(Box::new(proven.clone()));
        assert_eq!(fetch(21).came(proven.clone(), LATEST), expected);
        let mut begun = fetch(11);
        assert_eq!(begun.came(response(11..15, false), LATEST), BranchStep::Ask);
        assert_eq!(begun.came(proven, LATEST), BranchStep::Over);
    }
}
