//! Cluster lockdown: what this node knows of the votes, and what follows from them (document 000, DESIGN §8).
//!
//! The state machine of the document, NORMAL → VOTING → LOCKED → RECOVERING → NORMAL, is read off what is known; nothing sets
//! it. Signatures, membership and times of statements were verified outside (rules LK1 to LK6 of
//! `holdfast_types::lockdown`). Rules:
//!
//! * K1. A statement counts once for its author: a newer one takes the place of an older one, and what comes again changes
//!   nothing. The order in which statements come makes no difference.
//! * K2. As soon as votes that prove a lockdown are here, the chain is locked, and these votes are kept as its certificate.
//! * K3. A certificate that somebody else has collected locks as well, whatever the clock says: who comes later learns it so.
//! * K4. A vote expires `vote_max_age` after it was cast. When none is left and nothing is locked, the vote is over.
//! * K5. Votes for a recovery may come before this node learns of the lockdown. They are kept, and let nobody go on before.
//! * K6. As soon as precommits that prove a recovery are here, the chain recovers. There is one such choice in an era as long as
//!   less than a third of the members lie (K12), so the first one that is proven here stays.
//! * K7. Only the end of the era ends a lockdown: no time does, and no message of one node. When `recovery_timeout` has passed
//!   in it, and as often again, an alert says that it still lasts.
//! * K8. In another era everything that was said in this one is void.
//! * K9. Reports decide nothing. The newest of each member is kept.
//! * K10. Who wants to go on votes until the chain does, also after a restart, and repeats its votes before they expire.
//! * K11. Whatever locks or lets go on is persisted before it is acted upon or told.
//! * K12. How a validator votes to go on is said in [`recovery`].

mod ballots;
pub mod recovery;
pub mod secret;

use ballots::prove;
use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_types::lockdown::{
    LockdownNotice, LockdownStatement, RecoveryStep, Signed, lockdown_quorum, recovery_quorum,
};
use holdfast_types::parameters::LockdownParameters;
use holdfast_types::{
    AuthorityIndex, Era, Height, LockdownCertificate, LockdownError, LockdownVote,
    QuarantineReport, RecoveryCertificate, RecoveryChoice, RecoveryVote, Signature, TimestampMs,
};
use std::collections::BTreeMap;

/// State of the document's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockdownPhase {
    Normal,
    /// Somebody has voted, and not enough have.
    Voting,
    Locked,
    /// Enough have voted to go on, and the next era has not begun.
    Recovering,
}

impl LockdownPhase {
    /// Stable name for RPC, metrics, logs and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Voting => "voting",
            Self::Locked => "locked",
            Self::Recovering => "recovering",
        }
    }
}

/// A lockdown that holds.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Lock {
    pub certificate: LockdownCertificate,
    /// Wall clock of this node when it learned of it.
    pub since: TimestampMs,
    /// Wall clock of this node at the last alert of rule K7.
    pub alerted: Option<TimestampMs>,
}

/// All that is known of lockdowns, as it is persisted.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LockdownState {
    /// The DAG era whose members vote.
    pub era: Era,
    pub votes: BTreeMap<AuthorityIndex, LockdownVote>,
    pub lock: Option<Lock>,
    /// This validator is to vote to go on (K10).
    pub wants_recovery: bool,
    pub prevotes: BTreeMap<AuthorityIndex, RecoveryVote>,
    pub precommits: BTreeMap<AuthorityIndex, RecoveryVote>,
    /// The prevotes of the latest attempt in which a quorum has named one choice.
    pub agreed: Option<RecoveryCertificate>,
    pub recovery: Option<RecoveryCertificate>,
    pub reports: BTreeMap<AuthorityIndex, QuarantineReport>,
}

/// What happens. Everything in it was verified against the committee of the voting era.
#[derive(Clone, Debug)]
pub enum LockdownInput {
    Vote(LockdownVote),
    /// This validator is to vote to go on.
    WantRecovery,
    Recovery(RecoveryVote),
    Report(QuarantineReport),
    Certificate(LockdownCertificate),
    /// Of either step.
    RecoveryCertificate(RecoveryCertificate),
    /// Time has passed.
    Tick,
    /// The members of another era vote.
    Era(Era),
}

/// What follows from an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockdownEffect {
    /// The state changed: persist it before anything else (K11).
    Persist,
    /// Somebody has voted where nobody had.
    VotingBegan,
    /// Votes have expired before there were enough.
    VotingEnded,
    /// Stop, and tell everybody why.
    Locked(LockdownCertificate),
    /// A quorum has named one choice: tell everybody.
    Agreed(RecoveryChoice),
    /// Go on with this, and tell everybody why.
    Recovering(RecoveryChoice),
    /// K7.
    StillLocked { for_ms: u64 },
    /// The era that was locked is over.
    Unlocked { era: Era },
}

/// Why an input does nothing, or why this validator does not vote. Each is an answer to who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockdownRefusal {
    #[error("it is of era {actual}, the members of era {running} vote")]
    OtherEra { actual: Era, running: Era },
    #[error("authority {author} is not a member of the committee of {members}")]
    NotAMember {
        author: AuthorityIndex,
        members: usize,
    },
    #[error("it is known, or a newer statement of its author is")]
    Known,
    #[error("this node has no validator key, or has stopped signing")]
    NoVoter,
    #[error(
        "this validator may have signed what it does not know of any more: it votes in no lockdown of this era"
    )]
    PastUnknown,
    #[error(transparent)]
    Malformed(LockdownError),
    #[error("the chain is locked already, since {since} ms")]
    AlreadyLocked { since: TimestampMs },
    #[error("nothing is locked: there is nothing to recover from")]
    NotLocked,
    #[error("enough have voted to go on from block {height}: the next era is about to begin")]
    Recovering { height: Height },
}

impl LockdownRefusal {
    /// Stable name for RPC.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OtherEra { .. } => "other_era",
            Self::NotAMember { .. } => "not_a_member",
            Self::Known => "known",
            Self::NoVoter => "no_voter",
            Self::PastUnknown => "past_unknown",
            Self::Malformed(error) => error.name(),
            Self::AlreadyLocked { .. } => "already_locked",
            Self::NotLocked => "not_locked",
            Self::Recovering { .. } => "recovering",
        }
    }
}

type Transition = Result<Vec<LockdownEffect>, LockdownRefusal>;

impl LockdownState {
    #[must_use]
    pub fn phase(&self) -> LockdownPhase {
        if self.lock.is_none() {
            if self.votes.is_empty() {
                LockdownPhase::Normal
            } else {
                LockdownPhase::Voting
            }
        } else if self.recovery.is_some() {
            LockdownPhase::Recovering
        } else {
            LockdownPhase::Locked
        }
    }

    /// What the chain goes on with, once enough have confirmed it.
    #[must_use]
    pub fn recovery_choice(&self) -> Option<RecoveryChoice> {
        let subject = self.recovery.as_ref()?.subject()?;
        Some(subject.choice)
    }

    /// The highest head that a member reports, or from which one votes to go on. It may be a lie.
    #[must_use]
    pub fn highest_said(&self) -> Height {
        let reports = self.reports.values().map(|report| report.body.head.height);
        let votes = self.prevotes.values();
        let votes = votes.map(|vote| vote.body.choice.point.height);
        reports.chain(votes).max().unwrap_or(Height::ZERO)
    }

    /// What convinces who was not there, if the chain is locked.
    #[must_use]
    pub fn notice(&self) -> Option<LockdownNotice> {
        Some(LockdownNotice {
            lock: self.lock.as_ref()?.certificate.clone(),
            agreed: self.agreed.clone(),
            recovery: self.recovery.clone(),
        })
    }
}

/// What the rules have to know beside the state.
#[derive(Clone, Debug)]
pub struct LockdownRules {
    pub parameters: LockdownParameters,
    /// Members of the voting era; none in an emergency, in which nobody votes.
    pub members: usize,
}

impl LockdownRules {
    /// How many votes lock.
    #[must_use]
    pub fn quorum(&self) -> usize {
        lockdown_quorum(self.members, &self.parameters)
    }

    /// How many let go on.
    #[must_use]
    pub fn recovery_quorum(&self) -> usize {
        recovery_quorum(self.members, &self.parameters)
    }

    /// Whether the validator `me` may vote to freeze the chain.
    pub fn may_vote(
        &self,
        state: &LockdownState,
        me: AuthorityIndex,
    ) -> Result<(), LockdownRefusal> {
        let members = self.members;
        if me.as_usize() >= members {
            return Err(LockdownRefusal::NotAMember {
                author: me,
                members,
            });
        }
        match &state.lock {
            Some(lock) => Err(LockdownRefusal::AlreadyLocked { since: lock.since }),
            None => Ok(()),
        }
    }

    /// When time alone changes something, by the wall clock.
    #[must_use]
    pub fn next_wall(&self, state: &LockdownState) -> Option<TimestampMs> {
        let max_age_ms = self.parameters.vote_max_age_ms;
        match &state.lock {
            Some(lock) => {
                let since = lock.alerted.unwrap_or(lock.since);
                Some(since.plus(self.parameters.recovery_timeout_ms))
            }
            None => {
                let times = state.votes.values().map(|vote| vote.body.at);
                times.min().map(|at| at.plus(max_age_ms).plus(1))
            }
        }
    }

    /// One step. What changes the state is persisted first (K11).
    pub fn step(
        &self,
        state: &mut LockdownState,
        wall: TimestampMs,
        input: LockdownInput,
    ) -> Transition {
        let mut effects = vec![LockdownEffect::Persist];
        match input {
            LockdownInput::Vote(vote) => {
                self.check(state, &vote)?;
                keep(&mut state.votes, vote)?;
                effects.extend(self.voted(state, wall));
            }
            LockdownInput::WantRecovery => Self::want_recovery(state)?,
            LockdownInput::Recovery(vote) => {
                self.check(state, &vote)?;
                effects.extend(self.on_recovery_vote(state, vote)?);
            }
            LockdownInput::Report(report) => {
                self.check(state, &report)?;
                keep(&mut state.reports, report)?;
                // It decides nothing, and comes again.
                effects.clear();
            }
            LockdownInput::Certificate(certificate) => {
                effects.extend(self.on_certificate(state, wall, certificate)?);
            }
            LockdownInput::RecoveryCertificate(certificate) => {
                effects.extend(self.on_recovery_certificate(state, certificate)?);
            }
            LockdownInput::Tick => match self.on_tick(state, wall) {
                Some(came) => effects.extend(came),
                None => effects.clear(),
            },
            LockdownInput::Era(era) => match Self::on_era(state, era) {
                Some(came) => effects.extend(came),
                None => effects.clear(),
            },
        }
        Ok(effects)
    }

    /// What is stored for each member has a bound, whoever calls.
    fn check<B: LockdownStatement>(
        &self,
        state: &LockdownState,
        statement: &Signed<B>,
    ) -> Result<(), LockdownRefusal> {
        self.check_era(state, Some(statement.body.era()))?;
        let (author, members) = (statement.author, self.members);
        if author.as_usize() >= members {
            return Err(LockdownRefusal::NotAMember { author, members });
        }
        Ok(())
    }

    fn check_era(&self, state: &LockdownState, era: Option<Era>) -> Result<(), LockdownRefusal> {
        let (actual, running) = (era.unwrap_or_default(), state.era);
        if actual != running {
            return Err(LockdownRefusal::OtherEra { actual, running });
        }
        Ok(())
    }

    /// K2.
    fn voted(&self, state: &mut LockdownState, wall: TimestampMs) -> Vec<LockdownEffect> {
        if state.lock.is_some() {
            return Vec::new();
        }
        let max_age_ms = self.parameters.vote_max_age_ms;
        let proof = prove(state.votes.values(), self.quorum(), max_age_ms);
        match proof {
            Some(certificate) => self.lock(state, wall, certificate),
            None if state.votes.len() == 1 => {
                vec![LockdownEffect::VotingBegan]
            }
            None => Vec::new(),
        }
    }

    fn lock(
        &self,
        state: &mut LockdownState,
        wall: TimestampMs,
        certificate: LockdownCertificate,
    ) -> Vec<LockdownEffect> {
        state.lock = Some(Lock {
            certificate: certificate.clone(),
            since: wall,
            alerted: None,
        });
        let mut effects = vec![LockdownEffect::Locked(certificate)];
        // K5: they may have been here before.
        for step in [RecoveryStep::Prevote, RecoveryStep::Precommit] {
            effects.extend(self.count(state, step));
        }
        effects
    }

    /// K3.
    fn on_certificate(
        &self,
        state: &mut LockdownState,
        wall: TimestampMs,
        certificate: LockdownCertificate,
    ) -> Transition {
        self.check_era(state, certificate.era())?;
        if state.lock.is_some() {
            return Err(LockdownRefusal::Known);
        }
        Ok(self.lock(state, wall, certificate))
    }

    /// K4, K7. None: nothing changes.
    fn on_tick(&self, state: &mut LockdownState, wall: TimestampMs) -> Option<Vec<LockdownEffect>> {
        let timeout_ms = self.parameters.recovery_timeout_ms;
        let Some(lock) = &mut state.lock else {
            return self.expire(state, wall);
        };
        let last = lock.alerted.unwrap_or(lock.since);
        if wall.since(last) < timeout_ms {
            return None;
        }
        lock.alerted = Some(wall);
        let for_ms = wall.since(lock.since);
        Some(vec![LockdownEffect::StillLocked { for_ms }])
    }

    /// K4. Of a lockdown that holds nothing expires: its votes are what it stands on.
    fn expire(&self, state: &mut LockdownState, wall: TimestampMs) -> Option<Vec<LockdownEffect>> {
        let max_age_ms = self.parameters.vote_max_age_ms;
        let is_valid = |at: TimestampMs| wall.since(at) <= max_age_ms;
        let kept = |state: &LockdownState| {
            let recovery = state.prevotes.len().saturating_add(state.precommits.len());
            (state.votes.len(), recovery)
        };
        let before = kept(state);
        state.votes.retain(|_, vote| is_valid(vote.body.at));
        for votes in [&mut state.prevotes, &mut state.precommits] {
            votes.retain(|_, vote| is_valid(vote.body.at));
        }
        let is_over = before.0 > 0 && state.votes.is_empty();
        let effects = is_over.then_some(LockdownEffect::VotingEnded);
        (kept(state) != before).then(|| effects.into_iter().collect())
    }

    /// K8. None: it is the era that runs.
    fn on_era(state: &mut LockdownState, era: Era) -> Option<Vec<LockdownEffect>> {
        if era == state.era {
            return None;
        }
        let ended = std::mem::take(state);
        state.era = era;
        let effect = if ended.lock.is_some() {
            Some(LockdownEffect::Unlocked { era: ended.era })
        } else {
            (!ended.votes.is_empty()).then_some(LockdownEffect::VotingEnded)
        };
        Some(effect.into_iter().collect())
    }
}

/// K1.
fn keep<B: LockdownStatement>(
    known: &mut BTreeMap<AuthorityIndex, Signed<B>>,
    statement: Signed<B>,
) -> Result<(), LockdownRefusal> {
    let author = statement.author;
    let is_newer = known
        .get(&author)
        .is_none_or(|known| newer(&statement) > newer(known));
    if !is_newer {
        return Err(LockdownRefusal::Known);
    }
    known.insert(author, statement);
    Ok(())
}

/// Two statements of one author and one moment are told apart by their signatures: everybody keeps the same one.
fn newer<B: LockdownStatement>(statement: &Signed<B>) -> (u32, TimestampMs, Signature) {
    let body = &statement.body;
    (body.attempt(), body.at(), statement.signature)
}
