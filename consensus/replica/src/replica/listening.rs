//! Before the first signature of a process: is the guard as new as what the network has seen? (Rule R12.)
//!
//! A guard can be missing or old: a new disk, a backup, a key that was moved. What was signed under it meanwhile, others
//! know. So a validator listens before it signs:
//!
//! * With a guard that is there, it asks the other members for the last vertex under its key. When as many have answered as
//!   the DAG needs to move at all, with a last vertex of theirs that is here, it listens for `listen_min_ms` more, in
//!   which a living process with the same key and a copy of the guard would sign something, and signs, at or above the
//!   highest round that these have signed themselves: what others hold of old rounds may be deleted. If the last vertices of
//!   so many are not here within `listen_limit_ms`, it signs all the same, at or above the highest round that more than f
//!   name: they may be lost for good, or this node is far behind. But if fewer answer at
//!   all, it waits: nobody could tell it that its guard is an old copy, and the DAG cannot move anyway. If somebody showed a
//!   vertex above the guard, the guard proves nothing. A vertex that the guard covers is no news: a process that starts again gets its own last ones back
//!   from those that it had sent them to.
//! * With a guard that proves nothing ([`SignGuardRecord::past_unknown`], or one that is older than what somebody
//!   showed), the others' own last vertices count. An old vertex of ours at round r had a quorum of parents at r - 1, and
//!   of any q other members one honest one is among their authors. So with the last rounds of q others, M the highest of
//!   them, r is at most M + 1, and nothing at M + 2 or above was signed before. Only vertices that our DAG has accepted
//!   count: nobody can invent a round.
//!
//! What is below the first round that is signed may have been signed before, whatever the guard knows of it, and is no news.
//!
//! Own vertices at M + 2 or above that we did not sign come from a process that lives (rule R6). To hear it, this one waits
//! until the DAG is [`LISTEN_ROUNDS`] beyond.
//!
//! Two processes that start in one moment on copies of one guard hear nothing of each other, and sign the same slot. Then
//! each sees the other's vertex, and both stop (rule R6): what no listening can prevent costs one slot.
//!
//! [`SignGuardRecord::past_unknown`]: crate::record::SignGuardRecord::past_unknown

use super::{Replica, SigningState};
use crate::io::{Fact, LastVertices, Message, Now, Output};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::{AuthorityIndex, Era, Round, VertexRef};
use std::collections::BTreeMap;

/// Rounds in which a living process with the same key would show itself.
pub const LISTEN_ROUNDS: u64 = 10;
/// How often the members are asked again, in ms.
const ASK_AGAIN_MS: u64 = 250;
/// The same while only a quorum's answers help.
const ASK_AGAIN_FOR_PROOF_MS: u64 = 1_000;

/// When enough is heard.
struct Rule {
    /// So many members fewer than a quorum have to answer.
    fewer: usize,
    /// The first vertex is so many rounds above the highest that they have signed.
    above: u64,
}

const GUARDED: Rule = Rule { fewer: 1, above: 0 };
const PROVEN: Rule = Rule { fewer: 0, above: 2 };

/// What is known before the first signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listening {
    since_ms: u64,
    asked_at_ms: Option<u64>,
    answers: BTreeMap<AuthorityIndex, Answer>,
    /// First round in which may be signed.
    floor: Option<Round>,
    /// Since when so many have answered that this process hears what goes on.
    heard_since_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    /// The era that runs there.
    running: Option<Era>,
    /// The last vertex of the member itself.
    own: Option<VertexRef>,
}

impl Listening {
    pub(crate) fn new(now: Now) -> Self {
        Self {
            since_ms: now.monotonic_ms,
            ..Self::default()
        }
    }

    /// A round that one honest member at least says to have signed: below it, this key may have signed, too.
    fn reached_by_honest(&self, max_faulty: usize) -> Round {
        let claimed = self.answers.values();
        let mut claimed: Vec<Round> = claimed
            .filter_map(|answer| answer.own.map(|own| own.round))
            .collect();
        claimed.sort_unstable_by(|a, b| b.cmp(a));
        claimed.get(max_faulty).copied().unwrap_or_default()
    }
}

impl Replica {
    /// True while the guard proves nothing.
    pub(super) fn past_is_unknown(&self) -> bool {
        self.guard
            .as_ref()
            .is_some_and(|guard| guard.record().past_unknown)
    }

    /// Another era runs: what was heard was about the one before.
    pub(super) fn listen_anew(&mut self, now: Now) {
        if let Some(listening) = &mut self.listening {
            *listening = Listening::new(now);
        }
    }

    /// Asks who has not answered, and begins to sign when enough is known.
    pub(super) fn listen(&mut self, now: Now, out: &mut Output) {
        if mutant::is_on(Mutant::NoListening) {
            self.listening = None;
        }
        if self.listening.is_none() || self.dag.is_none() {
            return;
        }
        let Some(me) = self.authority() else { return };
        if self.has_heard_enough(now) {
            let floor = self.listening.take().and_then(|listening| listening.floor);
            let below = floor.map_or(Round::ZERO, Round::previous);
            if let Some(guard) = self.guard.as_mut().filter(|_| below > Round::ZERO) {
                guard.raise_to((self.context.era, below), std::iter::empty());
            }
            out.facts.push(Fact::Listened);
            return;
        }
        if self
            .next_listen_ms()
            .is_some_and(|at_ms| now.monotonic_ms < at_ms)
        {
            return;
        }
        let era = self.context.era;
        let committee = &self.context.committee;
        let Some(listening) = &mut self.listening else {
            return;
        };
        listening.asked_at_ms = Some(now.monotonic_ms);
        if listening.floor.is_some() {
            // Nothing more is to be known; what counts now is who else signs.
            return;
        }
        let others = committee.authorities().filter(|to| *to != me);
        out.send.extend(others.map(|to| Message::AskLastVertices {
            era,
            author: me,
            to,
        }));
    }

    /// When members are to be asked, or enough is heard by time alone, in ms.
    pub(super) fn next_listen_ms(&self) -> Option<u64> {
        let listening = self.listening.as_ref()?;
        self.dag.as_ref()?;
        self.authority()?;
        let Some(asked_at_ms) = listening.asked_at_ms else {
            return Some(listening.since_ms);
        };
        if self.past_is_unknown() {
            return Some(asked_at_ms.saturating_add(ASK_AGAIN_FOR_PROOF_MS));
        }
        let again_ms = asked_at_ms.saturating_add(ASK_AGAIN_MS);
        let heard_ms = listening
            .heard_since_ms
            .map(|since_ms| since_ms.saturating_add(self.config.listen_min_ms))
            // Once it is over it is no deadline: an era that is over elsewhere may keep this process from signing.
            .filter(|at_ms| listening.floor.is_some() && *at_ms > asked_at_ms);
        Some(heard_ms.map_or(again_ms, |heard_ms| again_ms.min(heard_ms)))
    }

    fn has_heard_enough(&mut self, now: Now) -> bool {
        let quorum = self.context.committee.quorum();
        let max_faulty = self.context.committee.max_faulty();
        let needs_proof = self.past_is_unknown();
        let (Some(listening), Some(dag)) = (&mut self.listening, &mut self.dag) else {
            return false;
        };
        let era = self.context.era;
        let ahead = |answer: &&Answer| answer.running.is_some_and(|running| running > era);
        if listening.answers.values().filter(ahead).count()
            >= self.context.committee.validity_threshold()
        {
            // This era is over: nothing is signed in it any more.
            return false;
        }
        let here = || {
            let answers = listening.answers.values();
            answers.filter(|answer| answer.running == Some(era))
        };
        let rule = if needs_proof { PROVEN } else { GUARDED };
        let needed = quorum.saturating_sub(rule.fewer);
        let since = |at_ms: u64| now.monotonic_ms.saturating_sub(at_ms);
        let held = here().filter_map(|answer| match answer.own {
            None => Some(Round::ZERO),
            Some(own) if own.round <= dag.gc_round() || dag.vertices().contains(&own) => {
                Some(own.round)
            }
            Some(_) => None,
        });
        let rounds: Vec<Round> = held.collect();
        let limit_ms = self.config.listen_limit_ms.max(self.config.listen_min_ms);
        if !needs_proof
            && listening.floor.is_none()
            && rounds.len() < needed
            && listening.answers.len() >= needed
            && since(listening.since_ms) >= limit_ms
        {
            let floor = listening.reached_by_honest(max_faulty);
            listening.floor = Some(floor);
            dag.raise_proposal_floor(floor);
            return true;
        }
        if here().count() >= needed {
            listening.heard_since_ms.get_or_insert(now.monotonic_ms);
        }
        if listening.floor.is_none() && rounds.len() >= needed {
            let highest = rounds.into_iter().max().unwrap_or_default();
            let floor = highest.plus(rule.above);
            listening.floor = Some(floor);
            dag.raise_proposal_floor(floor);
        }
        listening.floor.is_some_and(|floor| {
            if needs_proof {
                dag.round() >= floor.plus(LISTEN_ROUNDS)
            } else {
                // Not in rounds: without this member the DAG may not move.
                let heard_ms = listening.heard_since_ms.map_or(0, since);
                heard_ms >= self.config.listen_min_ms
            }
        })
    }

    /// A member has answered.
    pub(super) fn on_last_vertices(&mut self, answer: LastVertices, out: &mut Output) {
        let LastVertices {
            from,
            era,
            running,
            own,
            of_asker,
        } = answer;
        if era != self.context.era {
            return;
        }
        if let Some(listening) = &mut self.listening {
            listening.answers.insert(from, Answer { running, own });
        }
        if let Some(vertex) = of_asker {
            self.own_vertex_seen(era, &vertex, out);
        }
    }

    /// Somebody showed a vertex under our key.
    pub(super) fn own_vertex_seen(&mut self, era: Era, seen: &VertexRef, out: &mut Output) {
        let round = seen.round;
        if self.ignores_own_key {
            return;
        }
        if self.signed_here.excludes(era, seen) && !mutant::is_on(Mutant::SecondIsLost) {
            self.own_key_elsewhere(era, round, out);
            return;
        }
        let Some(guard) = &mut self.guard else { return };
        if guard.covers(era, round) {
            return;
        }
        match &self.listening {
            _ if self.signing != SigningState::Active => {}
            // Signed before, under a guard that is lost.
            Some(listening)
                if !guard.record().past_unknown
                    || listening.floor.is_none_or(|floor| round < floor) =>
            {
                if guard.forget_past() {
                    // What was enough to hear before is not any more.
                    if let Some(listening) = &mut self.listening {
                        listening.floor = None;
                    }
                    out.persist.push(guard.to_record());
                    out.facts.push(Fact::PastUnknown { era, round });
                }
            }
            Some(_) | None => self.own_key_elsewhere(era, round, out),
        }
    }

    /// Another process signs with our key: this one never does again (rule R6).
    pub(super) fn own_key_elsewhere(&mut self, era: Era, round: Round, out: &mut Output) {
        if self.ignores_own_key
            || self.signing != SigningState::Active
            || mutant::is_on(Mutant::DoppelgangerIgnored)
        {
            return;
        }
        self.signing = SigningState::Stopped(format!(
            "another process signed era {era} round {round} with this key"
        ));
        out.facts.push(Fact::Doppelganger { era, round });
    }
}
