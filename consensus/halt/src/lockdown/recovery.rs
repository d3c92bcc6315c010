//! How validators agree on the block from which a locked chain goes on.
//!
//! Their heads may differ when they are locked, and votes for several blocks must never let two parts of the chain go on. So they vote in
//! attempts of two steps, as in Tendermint (Buchman, Kwon, Milosevic: The latest gossip on BFT consensus, 2018), without a leader:
//! everybody names what it has, and all come to have the same. Rules:
//!
//! * KR1. In an attempt a validator gives one prevote and one precommit at most, and none in an attempt before its last one.
//! * KR2. A prevote is for the choice on which a quorum of prevotes has agreed last, as far as known here. If there is none it is for
//!   what this validator would go on with.
//! * KR3. A precommit is for the choice on which a quorum of prevotes has agreed in this very attempt.
//! * KR4. A quorum of precommits of one attempt is the recovery. By KR2 and KR3 no other choice can be agreed on in a later attempt:
//!   one of any two quorums is an honest member of both, and it prevotes for what it has precommitted or for what was agreed on later.
//! * KR5. An attempt is over when a quorum has prevoted in it or later, and some time has passed, longer with each attempt. Whoever sees
//!   more members in later attempts than can all be lying goes there at once.
//! * KR6. What a validator has signed binds it, also if the store has lost it: its sign guard knows ([`SignedRecovery`]). It is said
//!   again before anything else, and counts for KR2 as what was agreed on in that attempt.
//!
//! Prevotes and precommits are repeated with a newer time.

use super::ballots::prove;
use super::{
    LockdownEffect, LockdownPhase, LockdownRefusal, LockdownRules, LockdownState, Transition, keep,
};
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::{
    AuthorityIndex, Era, RecoveryCertificate, RecoveryChoice, RecoveryStep, RecoveryVote,
    RecoveryVoteBody, TimestampMs,
};
use std::collections::BTreeMap;

/// What a validator is to sign next, but for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextVote {
    pub attempt: u32,
    pub step: RecoveryStep,
    pub choice: RecoveryChoice,
}

impl NextVote {
    /// What is signed at this time.
    #[must_use]
    pub const fn at(self, era: Era, at: TimestampMs) -> RecoveryVoteBody {
        let Self {
            attempt,
            step,
            choice,
        } = self;
        RecoveryVoteBody {
            era,
            at,
            attempt,
            step,
            choice,
        }
    }
}

/// What a vote is for: its attempt, and the choice.
pub type SignedChoice = (u32, RecoveryChoice);

/// What a validator has signed to go on in the lockdown of one era.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedRecovery {
    pub era: Era,
    /// The last of its prevotes; every older one is of an earlier attempt.
    pub prevote: Option<SignedChoice>,
    /// The last of its precommits.
    pub precommit: Option<SignedChoice>,
}

impl SignedRecovery {
    #[must_use]
    pub const fn new(era: Era) -> Self {
        Self {
            era,
            prevote: None,
            precommit: None,
        }
    }

    #[must_use]
    pub const fn of(&self, step: RecoveryStep) -> Option<SignedChoice> {
        match step {
            RecoveryStep::Prevote => self.prevote,
            RecoveryStep::Precommit => self.precommit,
        }
    }

    /// The last attempt in which something was signed.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        let signed = self.prevote.into_iter().chain(self.precommit);
        signed.map(|(attempt, _)| attempt).max()
    }

    /// Whether a vote of this era may be signed after these: one of the same attempt, step and choice may be signed again, none of an
    /// earlier attempt, and what was confirmed is given up for nothing but what a quorum has agreed on since (KR1, KR2).
    #[must_use]
    pub fn allows(&self, body: &RecoveryVoteBody, agreed: Option<SignedChoice>) -> bool {
        let signed = self.of(body.step);
        if signed == Some((body.attempt, body.choice)) {
            return true;
        }
        let is_later_step = signed.is_none_or(|(attempt, _)| attempt < body.attempt);
        let is_lower = !is_later_step || self.attempt() > Some(body.attempt);
        let is_agreed_since = |since| {
            agreed.is_some_and(|(attempt, choice)| attempt >= since && choice == body.choice)
        };
        let gives_up = body.step == RecoveryStep::Prevote
            && self.precommit.is_some_and(|(attempt, confirmed)| {
                confirmed != body.choice && !is_agreed_since(attempt)
            });
        !is_lower && !gives_up
    }

    /// Takes a vote as the last one of its step.
    pub const fn sign(&mut self, body: &RecoveryVoteBody) {
        let signed = match body.step {
            RecoveryStep::Prevote => &mut self.prevote,
            RecoveryStep::Precommit => &mut self.precommit,
        };
        *signed = Some((body.attempt, body.choice));
    }
}

impl LockdownState {
    /// The choice on which a quorum has agreed last, as far as known here, and in which attempt.
    #[must_use]
    pub fn agreed_in(&self) -> Option<SignedChoice> {
        let subject = self.agreed.as_ref()?.subject()?;
        Some((subject.attempt, subject.choice))
    }

    /// What a prevote of this member has to be for (KR2, KR6).
    fn bound(&self, member: AuthorityIndex) -> Option<RecoveryChoice> {
        let own = self.precommits.get(&member);
        let confirmed = own.map(|vote| (vote.body.attempt, vote.body.choice));
        let bound = confirmed.into_iter().chain(self.agreed_in());
        bound
            .max_by_key(|(attempt, _)| *attempt)
            .map(|(_, choice)| choice)
    }

    const fn votes_of(&self, step: RecoveryStep) -> &BTreeMap<AuthorityIndex, RecoveryVote> {
        match step {
            RecoveryStep::Prevote => &self.prevotes,
            RecoveryStep::Precommit => &self.precommits,
        }
    }

    /// What this member has signed and is not here (KR6).
    fn lost(&self, member: AuthorityIndex, signed: &SignedRecovery) -> Option<NextVote> {
        let lost = |step| {
            let (attempt, choice) = signed.of(step)?;
            let known = self.votes_of(step).get(&member);
            let known = known.map(|vote| vote.body.attempt);
            (known < Some(attempt)).then_some(NextVote {
                attempt,
                step,
                choice,
            })
        };
        lost(RecoveryStep::Prevote).or_else(|| lost(RecoveryStep::Precommit))
    }

    /// The last attempt in which this member has voted.
    #[must_use]
    pub fn attempt_of(&self, member: AuthorityIndex) -> Option<u32> {
        let votes = [&self.prevotes, &self.precommits];
        let own = votes.into_iter().filter_map(|votes| votes.get(&member));
        own.map(|vote| vote.body.attempt).max()
    }
}

impl LockdownRules {
    /// How many members cannot all be lying.
    fn honest(&self) -> usize {
        let quorum = self.quorum();
        self.members.saturating_sub(quorum).saturating_add(1)
    }

    /// K10.
    pub(super) fn want_recovery(state: &mut LockdownState) -> Result<(), LockdownRefusal> {
        if state.lock.is_none() {
            return Err(LockdownRefusal::NotLocked);
        }
        if let Some(choice) = state.recovery_choice() {
            let height = choice.point.height;
            return Err(LockdownRefusal::Recovering { height });
        }
        state.wants_recovery = true;
        Ok(())
    }

    /// K1, K6.
    pub(super) fn on_recovery_vote(
        &self,
        state: &mut LockdownState,
        vote: RecoveryVote,
    ) -> Transition {
        let step = vote.body.step;
        let votes = match step {
            RecoveryStep::Prevote => &mut state.prevotes,
            RecoveryStep::Precommit => &mut state.precommits,
        };
        keep(votes, vote)?;
        Ok(self.count(state, step).into_iter().collect())
    }

    /// Whether the votes of a step prove something new.
    pub(super) fn count(
        &self,
        state: &mut LockdownState,
        step: RecoveryStep,
    ) -> Option<LockdownEffect> {
        let votes = state.votes_of(step);
        let max_age_ms = self.parameters.vote_max_age_ms;
        let certificate = prove(votes.values(), self.recovery_quorum(), max_age_ms)?;
        Self::take(state, certificate)
    }

    /// K6, and what KR2 asks to know. None: it is nothing new.
    fn take(state: &mut LockdownState, certificate: RecoveryCertificate) -> Option<LockdownEffect> {
        let subject = certificate.subject()?;
        if state.lock.is_none() || state.recovery.is_some() {
            return None;
        }
        match subject.step {
            RecoveryStep::Prevote => {
                let known = state.agreed_in().map(|(attempt, _)| attempt);
                if known >= Some(subject.attempt) {
                    return None;
                }
                state.agreed = Some(certificate);
                Some(LockdownEffect::Agreed(subject.choice))
            }
            RecoveryStep::Precommit => {
                state.recovery = Some(certificate);
                Some(LockdownEffect::Recovering(subject.choice))
            }
        }
    }

    pub(super) fn on_recovery_certificate(
        &self,
        state: &mut LockdownState,
        certificate: RecoveryCertificate,
    ) -> Transition {
        self.check_era(state, certificate.era())?;
        if state.lock.is_none() {
            return Err(LockdownRefusal::NotLocked);
        }
        let effect = Self::take(state, certificate).ok_or(LockdownRefusal::Known)?;
        Ok(vec![effect])
    }

    /// Whether the attempt in which the validator `me` votes has brought a quorum: from then on its time runs (KR5).
    #[must_use]
    pub fn is_attempt_full(&self, state: &LockdownState, me: AuthorityIndex) -> bool {
        let Some(attempt) = state.attempt_of(me) else {
            return false;
        };
        let votes = state.prevotes.values();
        votes.filter(|vote| vote.body.attempt >= attempt).count() >= self.recovery_quorum()
    }

    /// The latest attempt that so many members have begun that one of them is honest.
    fn attempt_of_others(&self, state: &LockdownState) -> u32 {
        let mut attempts: Vec<u32> = state
            .prevotes
            .values()
            .map(|vote| vote.body.attempt)
            .collect();
        attempts.sort_unstable_by_key(|attempt| std::cmp::Reverse(*attempt));
        let last = attempts.get(self.honest().saturating_sub(1));
        last.copied().unwrap_or(0)
    }

    /// What the validator `me` is to sign now, if anything is (KR1 to KR3, KR5, KR6). `signed` is what its sign guard knows, `own` what
    /// it would go on with, as soon as it can tell; `is_over` says that the time of its attempt has passed.
    #[must_use]
    pub fn next_vote(
        &self,
        state: &LockdownState,
        me: AuthorityIndex,
        signed: Option<&SignedRecovery>,
        own: Option<RecoveryChoice>,
        is_over: bool,
    ) -> Option<NextVote> {
        if state.phase() != LockdownPhase::Locked || !state.wants_recovery {
            return None;
        }
        let signed = signed.filter(|signed| signed.era == state.era);
        if let Some(lost) = signed.and_then(|signed| state.lost(me, signed)) {
            return Some(lost);
        }
        let last = state.attempt_of(me);
        if let Some((attempt, choice)) = state.agreed_in()
            && last.is_none_or(|last| last <= attempt)
            && state
                .precommits
                .get(&me)
                .is_none_or(|vote| vote.body.attempt < attempt)
        {
            let step = RecoveryStep::Precommit;
            return Some(NextVote {
                attempt,
                step,
                choice,
            });
        }
        let others = self.attempt_of_others(state);
        let attempt = match last {
            None => others,
            Some(last) if others > last => others,
            Some(last) if is_over => last.saturating_add(1),
            Some(_) => return None,
        };
        // What was agreed on in this attempt or a later one has been confirmed above.
        let choice = state.bound(me).or(own)?;
        let step = RecoveryStep::Prevote;
        Some(NextVote {
            attempt,
            step,
            choice,
        })
    }

    /// What the validator `me` has said and has to say again, as it is half-way to its end (K10).
    #[must_use]
    pub fn to_renew(
        &self,
        state: &LockdownState,
        me: AuthorityIndex,
        wall: TimestampMs,
    ) -> Vec<RecoveryVoteBody> {
        if state.phase() != LockdownPhase::Locked || !state.wants_recovery {
            return Vec::new();
        }
        let votes = [&state.prevotes, &state.precommits];
        let own = votes.into_iter().filter_map(|votes| votes.get(&me));
        let is_due =
            |body: &RecoveryVoteBody| wall.since(body.at) >= self.parameters.vote_max_age_ms / 2;
        own.map(|vote| vote.body)
            .filter(is_due)
            .map(|body| RecoveryVoteBody { at: wall, ..body })
            .collect()
    }
}
