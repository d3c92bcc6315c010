//! The lockdown among the halts (rules H16 to H19).

use super::{HaltEffect, HaltManager, HaltRefusal, HaltState, Standing, Transition};
use crate::journal::JournalEvent;
use crate::lockdown::recovery::{NextVote, SignedRecovery};
use crate::lockdown::{LockdownEffect, LockdownInput, LockdownPhase, LockdownRefusal};
use crate::matrix::Mode;
use holdfast_types::{
    AuthorityIndex, ChainId, Era, HaltId, Height, RecoveryChoice, RecoveryVoteBody, ResumeOrder,
    ResumePoint,
};

impl HaltState {
    /// What lets the chain go on, if something does (H17, H18).
    fn resume_order(&self, chain: &ChainId) -> Option<ResumeOrder> {
        let message = self.resume.clone();
        if self.lockdown.lock.is_none() {
            return message.map(ResumeOrder::Governance);
        }
        let choice = self.lockdown.recovery_choice()?;
        match choice.resume {
            // Until the message comes nothing can be built.
            Some(named) => message
                .filter(|message| named.is_followed_by(message, chain))
                .map(ResumeOrder::Governance),
            None => Some(ResumeOrder::Recovery {
                era: self.lockdown.era,
                point: choice.point,
            }),
        }
    }

    /// What governance has ordered and the voters of a locked chain have not confirmed (H17).
    #[must_use]
    pub fn resume_awaited(&self) -> Option<ResumeOrder> {
        let waits = self.lockdown.phase() == LockdownPhase::Locked;
        let message = self.resume.as_ref().filter(|_| waits)?;
        Some(ResumeOrder::Governance(message.clone()))
    }

    /// Whether a member may say with what the chain is to go on: nothing but the lockdown holds, or governance has said it.
    #[must_use]
    pub fn may_choose(&self) -> bool {
        self.own_fault.is_none() && (self.resume.is_some() || self.is_only_locked())
    }

    /// Whether the block of this height, with which a resume is carried out, may be attested: in a lockdown only if it is what the voters
    /// have confirmed (H17). One that was built before may be another. `governed` is the sequence number of the last message of governance
    /// that the chain has executed with it.
    #[must_use]
    pub fn lets_resume(&self, height: Height, governed: u64) -> bool {
        let Some(choice) = self.lockdown.recovery_choice() else {
            return self.lockdown.lock.is_none();
        };
        if choice.resume.is_some() {
            // Governance may have replaced what they have confirmed.
            return true;
        }
        let message = self.resume.as_ref();
        let is_of_governance = message.is_some_and(|message| message.body.sequence == governed);
        choice.point.height.next() == height && !is_of_governance
    }

    /// Whether nothing but a lockdown stops this node.
    #[must_use]
    pub fn is_only_locked(&self) -> bool {
        let is_lockdown = self.in_force().map(|halt| halt.mode() == Mode::Lockdown);
        self.resume.is_none() && is_lockdown.reduce(|one, other| one && other) == Some(true)
    }
}

impl HaltManager {
    /// What lets the chain go on, if something does.
    #[must_use]
    pub fn resume_order(&self) -> Option<ResumeOrder> {
        self.state.resume_order(&self.config.chain)
    }

    /// What the chain goes on from.
    #[must_use]
    pub fn resume_point(&self) -> Option<ResumePoint> {
        self.resume_order()?.point()
    }

    /// How many members vote in the running era; none in an emergency.
    pub const fn set_voters(&mut self, members: usize) {
        self.lockdown.members = members;
    }

    /// How many votes lock.
    #[must_use]
    pub fn lockdown_quorum(&self) -> usize {
        self.lockdown.quorum()
    }

    /// Whether the validator `me` may vote to freeze the chain.
    pub fn may_vote(&self, me: AuthorityIndex) -> Result<(), LockdownRefusal> {
        self.lockdown.may_vote(&self.state.lockdown, me)
    }

    /// Whether the attempt in which the validator `me` votes to go on has brought a quorum.
    #[must_use]
    pub fn is_attempt_full(&self, me: AuthorityIndex) -> bool {
        self.lockdown.is_attempt_full(&self.state.lockdown, me)
    }

    /// What the validator `me` is to sign now to go on, if anything is.
    #[must_use]
    pub fn next_vote(
        &self,
        me: AuthorityIndex,
        signed: Option<&SignedRecovery>,
        own: Option<RecoveryChoice>,
        is_over: bool,
    ) -> Option<NextVote> {
        let state = &self.state.lockdown;
        self.lockdown.next_vote(state, me, signed, own, is_over)
    }

    /// What the validator `me` has to say again.
    #[must_use]
    pub fn to_renew(&self, standing: Standing, me: AuthorityIndex) -> Vec<RecoveryVoteBody> {
        let state = &self.state.lockdown;
        self.lockdown.to_renew(state, me, standing.wall)
    }

    /// H16.
    pub(super) fn on_lockdown(&mut self, standing: Standing, input: LockdownInput) -> Transition {
        let said = self.first_said(&input);
        let state = &mut self.state.lockdown;
        let came = self.lockdown.step(state, standing.wall, input);
        let came = came.map_err(HaltRefusal::Lockdown)?;
        let mut effects = Vec::new();
        if let Some(event) = said {
            effects.push(HaltEffect::Persist);
            self.note(standing, event, &mut effects);
        }
        for effect in came {
            self.follow_lockdown(standing, effect, &mut effects);
        }
        Ok(effects)
    }

    /// What the journal says of a vote: who votes again for the same has an entry already.
    fn first_said(&self, input: &LockdownInput) -> Option<JournalEvent> {
        let known = &self.state.lockdown;
        match input {
            LockdownInput::Vote(vote) => {
                let author = vote.author;
                let is_first = !known.votes.contains_key(&author);
                is_first.then_some(JournalEvent::LockdownVoted { author })
            }
            LockdownInput::Recovery(vote) => {
                let (author, height) = (vote.author, vote.body.choice.point.height);
                let is_first = !known.prevotes.contains_key(&author);
                is_first.then_some(JournalEvent::RecoveryVoted { author, height })
            }
            _ => None,
        }
    }

    fn follow_lockdown(
        &mut self,
        standing: Standing,
        effect: LockdownEffect,
        effects: &mut Vec<HaltEffect>,
    ) {
        match effect {
            LockdownEffect::Persist => effects.push(HaltEffect::Persist),
            LockdownEffect::VotingBegan => {}
            LockdownEffect::VotingEnded => {
                self.note(standing, JournalEvent::LockdownVotesExpired, effects);
            }
            LockdownEffect::Locked(_) => {
                let halt = HaltId::of_lockdown(self.state.lockdown.era);
                effects.extend(self.began(standing, halt, Mode::Lockdown, None));
                effects.push(HaltEffect::AnnounceLockdown);
            }
            LockdownEffect::Agreed(_) => effects.push(HaltEffect::AnnounceLockdown),
            LockdownEffect::Recovering(choice) => {
                let (height, block) = (choice.point.height, choice.point.block);
                let event = JournalEvent::RecoveryOrdered { height, block };
                self.note(standing, event, effects);
                effects.extend([HaltEffect::AnnounceLockdown, HaltEffect::Resume]);
            }
            LockdownEffect::StillLocked { for_ms } => {
                self.note(standing, JournalEvent::LockdownLasts { for_ms }, effects);
                effects.push(HaltEffect::StillLocked { for_ms });
            }
            LockdownEffect::Unlocked { era } => {
                self.ended(standing, HaltId::of_lockdown(era), Mode::Lockdown, effects);
            }
        }
    }

    /// H19.
    pub(super) fn lockdown_of_era(
        &mut self,
        standing: Standing,
        era: Era,
        effects: &mut Vec<HaltEffect>,
    ) {
        let over = self.on_lockdown(standing, LockdownInput::Era(era));
        effects.extend(over.unwrap_or_default());
    }
}
