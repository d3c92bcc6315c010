//! Leader election (rule D5) and reputation (rule D10).

use holdfast_types::hash::{Hash32, Purpose};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AuthorityIndex, CommitRecord, Round};

/// Who leads which round: a deterministic function of the era's seed and of its commits.
#[derive(Clone, Debug)]
pub struct LeaderSchedule {
    seed: Hash32,
    leaders_per_round: usize,
    max_faulty: usize,
    window: u64,
    /// In force for rounds above `since`.
    weights: Vec<u64>,
    since: Round,
    /// In force for the rounds up to `since`: the slots of the round in which the weights changed still use them.
    weights_before: Vec<u64>,
    /// Committed vertices by author in the running window.
    scores: Vec<u64>,
}

/// Weight of an authority in good standing.
const FULL_WEIGHT: u64 = 1;

impl LeaderSchedule {
    #[must_use]
    pub fn new(
        seed: Hash32,
        committee_size: usize,
        max_faulty: usize,
        leaders_per_round: u16,
        window: u64,
    ) -> Self {
        Self {
            seed,
            leaders_per_round: usize::from(leaders_per_round).clamp(1, committee_size.max(1)),
            max_faulty,
            window: window.max(1),
            weights: vec![FULL_WEIGHT; committee_size],
            since: Round::ZERO,
            weights_before: vec![FULL_WEIGHT; committee_size],
            scores: vec![0; committee_size],
        }
    }

    /// The leaders of a round, by position. With excluded authorities there may be fewer than configured.
    #[must_use]
    pub fn leaders(&self, round: Round) -> Vec<AuthorityIndex> {
        let weights = if round > self.since {
            &self.weights
        } else {
            &self.weights_before
        };
        let mut remaining: Vec<(AuthorityIndex, u64)> = (0..u16::MAX)
            .map(AuthorityIndex)
            .zip(weights.iter().copied())
            .filter(|(_, weight)| *weight > 0)
            .collect();
        let mut draws = {
            let mut hasher = Purpose::LEADER.hasher();
            hasher.update(&self.seed);
            hasher.update(&round.0.to_le_bytes());
            hasher.finalize_xof()
        };
        let mut leaders = Vec::with_capacity(self.leaders_per_round);
        while leaders.len() < self.leaders_per_round && !remaining.is_empty() {
            let mut bytes = [0; 8];
            draws.fill(&mut bytes);
            let position = pick(&remaining, u64::from_le_bytes(bytes));
            leaders.push(remaining.remove(position).0);
        }
        leaders
    }

    /// Counts a commit; true if the schedule changed for the rounds above its leader.
    pub fn observe(&mut self, commit: &CommitRecord) -> bool {
        if !mutant::is_on(Mutant::ReputationByArrival) {
            for committed in &commit.vertices {
                self.count(committed.reference.author);
            }
        }
        if !commit.index.is_multiple_of(self.window) {
            return false;
        }
        let scores = std::mem::replace(&mut self.scores, vec![0; self.weights.len()]);
        let weights = weights_of(&scores, self.max_faulty);
        if weights == self.weights {
            return false;
        }
        let before = std::mem::replace(&mut self.weights, weights);
        // Two windows may end within one round. Its slots keep the leaders that they had before the first of them.
        if commit.leader.round > self.since {
            self.since = commit.leader.round;
            self.weights_before = before;
        }
        true
    }

    /// Counts a vertex of `author`.
    pub(crate) fn count(&mut self, author: AuthorityIndex) {
        if let Some(score) = self.scores.get_mut(author.as_usize()) {
            *score = score.saturating_add(1);
        }
    }

    /// Of the last commits of an era, those that [`Self::observe`] needs to come to the present state again: what is left of
    /// the running window, the one before, and for slots of the last leader's round the one before that round.
    #[must_use]
    pub const fn commits_needed(window: u64, leaders_per_round: u16) -> u64 {
        window
            .saturating_mul(3)
            .saturating_add(leaders_per_round as u64)
    }
}

/// Picks a position with probability proportional to its weight, from 64 uniform bits.
fn pick(candidates: &[(AuthorityIndex, u64)], draw: u64) -> usize {
    let total = candidates
        .iter()
        .fold(0u64, |sum, (_, weight)| sum.saturating_add(*weight));
    // The high half of draw × total is uniform in 0..total up to a bias below total / 2^64.
    let product = u128::from(draw).saturating_mul(u128::from(total));
    let mut target = u64::try_from(product >> 64).unwrap_or(0);
    for (position, (_, weight)) in candidates.iter().enumerate() {
        if target < *weight {
            return position;
        }
        target = target.saturating_sub(*weight);
    }
    0
}

/// Authors of fewer than half as many vertices as the median author lose their slots, the lowest first, at most f.
fn weights_of(scores: &[u64], max_faulty: usize) -> Vec<u64> {
    let mut order: Vec<(u64, usize)> = scores.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let median = order.get(scores.len() / 2).map_or(0, |(score, _)| *score);
    let mut weights = vec![FULL_WEIGHT; scores.len()];
    for (score, position) in order.into_iter().take(max_faulty) {
        if score < median / 2
            && let Some(weight) = weights.get_mut(position)
        {
            *weight = 0;
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{
        CommitDigest, CommittedVertex, Era, TimestampMs, VertexDigest, VertexRef,
    };

    fn commit(index: u64, authors: impl IntoIterator<Item = u16>) -> CommitRecord {
        let reference = |author, round| VertexRef {
            round: Round(round),
            author: AuthorityIndex(author),
            digest: VertexDigest::default(),
        };
        CommitRecord {
            era: Era(1),
            index,
            leader: reference(0, index),
            previous: CommitDigest::default(),
            timestamp: TimestampMs(0),
            vertices: authors
                .into_iter()
                .map(|author| CommittedVertex {
                    reference: reference(author, index),
                    timestamp: TimestampMs(0),
                })
                .collect(),
        }
    }

    #[test]
    fn every_member_leads_about_equally_often() {
        let schedule = LeaderSchedule::new([1; 32], 7, 2, 1, 32);
        let mut counts = [0u32; 7];
        for round in 1..=7000 {
            counts[schedule.leaders(Round(round))[0].as_usize()] += 1;
        }
        for count in counts {
            assert!((850..1150).contains(&count), "{counts:?}");
        }
    }

    #[test]
    fn leaders_of_a_round_are_distinct() {
        let schedule = LeaderSchedule::new([1; 32], 4, 1, 3, 32);
        for round in 1..200 {
            let mut leaders = schedule.leaders(Round(round));
            assert_eq!(leaders.len(), 3);
            leaders.sort_unstable();
            leaders.dedup();
            assert_eq!(leaders.len(), 3);
        }
    }

    #[test]
    fn an_absent_author_loses_its_slots_and_gets_them_back() {
        let mut schedule = LeaderSchedule::new([1; 32], 4, 1, 1, 8);
        for index in 1..8 {
            assert!(!schedule.observe(&commit(index, [0, 1, 2])));
        }
        assert!(schedule.observe(&commit(8, [0, 1, 2])));
        let leads = |schedule: &LeaderSchedule, from: u64, to: u64| {
            (from..to).any(|r| schedule.leaders(Round(r)).contains(&AuthorityIndex(3)))
        };
        assert!(
            leads(&schedule, 1, 9),
            "rounds up to the change are as before"
        );
        assert!(!leads(&schedule, 9, 500));
        for index in 9..=16 {
            schedule.observe(&commit(index, [0, 1, 2, 3]));
        }
        assert!(leads(&schedule, 17, 500));
    }

    #[test]
    fn the_slots_of_a_round_keep_their_leaders_when_windows_end_within_it() {
        let mut schedule = LeaderSchedule::new([1; 32], 4, 1, 3, 2);
        let leaders = schedule.leaders(Round(9));
        let mut commits = [
            commit(1, [0, 1, 2, 0, 1, 2]),
            commit(2, [0, 1, 2, 0, 1, 2]),
            commit(3, [1, 2, 3, 1, 2, 3]),
            commit(4, [1, 2, 3, 1, 2, 3]),
        ];
        for commit in &mut commits {
            commit.leader.round = Round(9);
            schedule.observe(commit);
            assert_eq!(schedule.leaders(Round(9)), leaders);
        }
        assert!(!schedule.leaders(Round(10)).contains(&AuthorityIndex(0)));
    }

    #[test]
    fn never_more_than_f_are_excluded() {
        assert_eq!(
            weights_of(&[10, 10, 10, 0, 0, 10, 10], 2),
            [1, 1, 1, 0, 0, 1, 1]
        );
        assert_eq!(
            weights_of(&[10, 10, 10, 0, 0, 0, 10], 2),
            [1, 1, 1, 0, 0, 1, 1]
        );
        assert_eq!(weights_of(&[0, 0, 0, 0], 1), [1, 1, 1, 1]);
    }
}
