//! What is asked of others: missing ancestors (rule D1), and whatever they have when the round does not move or is far behind
//! theirs (rule D11).

use super::DagCore;
use crate::suspended::{FetchRequest, FetchRules};
use holdfast_types::limits::{FETCH_REFERENCES_MAX, HELD_ROUNDS_MAX, MISSING_ROUNDS_MAX};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AuthorityIndex, Round};

/// Ask `to` for the vertices that are not held here of as many rounds from `from` on as `held` has entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskRequest {
    pub to: AuthorityIndex,
    pub from: Round,
    /// For each of the rounds, the authors of which a vertex is held here, in order.
    pub held: Vec<Vec<AuthorityIndex>>,
}

/// What others were asked for last (rule D11).
#[derive(Clone, Debug)]
pub(super) struct Asked {
    at_ms: u64,
    /// The round in which this node was then, if it was far behind.
    far_round: Option<Round>,
    /// How many were asked since the start: whose turn it is.
    members: usize,
}

impl Asked {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self {
            at_ms: now_ms,
            far_round: None,
            members: 0,
        }
    }
}

/// Members asked at once. Over a few turns everybody is asked, whatever the size of the committee.
const ASKED_AT_ONCE_MAX: usize = 4;

impl DagCore {
    /// Requests for missing vertices that are due.
    pub fn fetches(&mut self, now_ms: u64) -> Vec<FetchRequest> {
        let rules = FetchRules {
            again_after_ms: self.config.refetch_interval_ms,
            references_max: FETCH_REFERENCES_MAX,
            me: self.me,
        };
        self.suspended.fetches(now_ms, &rules)
    }

    /// When the next fetch is due, in ms.
    #[must_use]
    pub fn next_fetch_ms(&self) -> Option<u64> {
        self.suspended.next_due_ms()
    }

    /// Whom to ask what they have, if it is time (rule D11).
    pub fn asks(&mut self, now_ms: u64) -> Vec<AskRequest> {
        if self.next_ask_ms() > now_ms || mutant::is_on(Mutant::NeverAsksAgain) {
            return Vec::new();
        }
        self.asked.at_ms = now_ms;
        let next = self.clock.round().previous();
        let is_far = self.is_far_behind();
        self.asked.far_round = is_far.then_some(self.clock.round());
        if is_far {
            let held = self.held_from(next, MISSING_ROUNDS_MAX);
            let to = self.whose_turn(1).into_iter();
            return to
                .map(|to| AskRequest {
                    to,
                    from: next,
                    held: held.clone(),
                })
                .collect();
        }
        let undecided = self.cursor.map_or(Round(1), |(round, _)| round);
        let ranges = [Some(next), Some(undecided).filter(|from| *from < next)];
        let ranges = ranges
            .into_iter()
            .flatten()
            .map(|from| (from, self.held_from(from, HELD_ROUNDS_MAX)));
        let ranges: Vec<_> = ranges.collect();
        let to = self.whose_turn(ASKED_AT_ONCE_MAX);
        to.into_iter()
            .flat_map(|to| {
                let ranges = ranges.iter().cloned();
                ranges.map(move |(from, held)| AskRequest { to, from, held })
            })
            .collect()
    }

    /// True if more than f others are so far ahead that what they sent meanwhile does not come by itself.
    #[must_use]
    pub fn is_far_behind(&self) -> bool {
        let far = self.clock.round().plus(self.config.far());
        let ahead = self.highest_seen.iter().filter(|seen| **seen >= far);
        ahead.count() > self.context.committee.max_faulty()
    }

    /// For `from` and the rounds after it, `count` in all, the authors of which a vertex is held. One request has room for
    /// those of [`HELD_ROUNDS_MAX`] rounds; of the others nothing is named, and little is held.
    fn held_from(&self, from: Round, count: usize) -> Vec<Vec<AuthorityIndex>> {
        let rounds = std::iter::successors(Some(from), |round| Some(round.next()));
        let held = rounds
            .take(HELD_ROUNDS_MAX)
            .map(|round| self.authors_of(round));
        let nothing = std::iter::repeat(Vec::new());
        held.chain(nothing).take(count).collect()
    }

    fn authors_of(&self, round: Round) -> Vec<AuthorityIndex> {
        let authorities = self.context.committee.authorities();
        authorities
            .filter(|author| !self.vertices.slot(round, *author).is_empty())
            .collect()
    }

    fn whose_turn(&mut self, count_max: usize) -> Vec<AuthorityIndex> {
        let others: Vec<AuthorityIndex> = self
            .context
            .committee
            .authorities()
            .filter(|authority| Some(*authority) != self.me)
            .collect();
        let count = others.len().min(count_max);
        let first = self.asked.members.checked_rem(others.len()).unwrap_or(0);
        self.asked.members = first.saturating_add(count);
        let turns = others.iter().cycle().skip(first).take(count);
        turns.copied().collect()
    }

    /// When [`Self::asks`] has something next, in ms.
    #[must_use]
    pub fn next_ask_ms(&self) -> u64 {
        let round = self.clock.round();
        if self.is_far_behind() {
            // What moved the round is most likely the answer, and there is more of it.
            let pause_ms = if self.asked.far_round == Some(round) {
                self.config.leader_timeout_ms
            } else {
                self.config.min_round_interval_ms
            };
            return self.asked.at_ms.saturating_add(pause_ms);
        }
        let entered_ms = self.clock.entered_at_ms();
        let has_proposed = self.own_last.is_some_and(|own| own.round >= round);
        let waiting_since_ms = if has_proposed {
            self.proposed_at_ms.unwrap_or(0).max(entered_ms)
        } else {
            // An idle DAG moves by itself after this time.
            entered_ms.saturating_add(self.config.idle_round_interval_ms)
        };
        waiting_since_ms
            .max(self.asked.at_ms)
            .saturating_add(self.config.ask_interval_ms)
    }
}
