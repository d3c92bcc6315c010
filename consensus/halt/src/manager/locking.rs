//! The lockdown among the halts (rules H16 to H19).

use super::{HaltEffect, HaltManager, HaltRefusal, HaltState, Standing, Transition};
use crate::journal::JournalEvent;
use crate::lockdown::{LockdownEffect, LockdownInput, LockdownRefusal};
use crate::matrix::Mode;
use holdfast_types::{AuthorityIndex, BlockPoint, Era, HaltId, ResumeOrder, ResumePoint};

impl HaltState {
    /// What lets the chain go on, if something does (H17, H18).
    #[must_use]
    pub fn resume_order(&self) -> Option<ResumeOrder> {
        let is_locked = self.lockdown.lock.is_some();
        let point = self.lockdown.recovery_point();
        if let Some(message) = &self.resume {
            let may = !is_locked || point.is_some();
            return may.then(|| ResumeOrder::Governance(message.clone()));
        }
        let is_alone = self.in_force().all(|halt| halt.mode() == Mode::Lockdown);
        let era = self.lockdown.era;
        let point = point.filter(|_| is_locked && is_alone)?;
        Some(ResumeOrder::Recovery { era, point })
    }

    /// What the chain goes on from.
    #[must_use]
    pub fn resume_point(&self) -> Option<ResumePoint> {
        self.resume_order()?.point()
    }

    /// Whether nothing but a lockdown stops this node.
    #[must_use]
    pub fn is_only_locked(&self) -> bool {
        let is_lockdown = self.in_force().map(|halt| halt.mode() == Mode::Lockdown);
        self.resume.is_none() && is_lockdown.reduce(|one, other| one && other) == Some(true)
    }
}

impl HaltManager {
    /// How many members vote in the running era; none in an emergency.
    pub const fn set_voters(&mut self, members: usize) {
        self.lockdown.members = members;
    }

    /// How many votes lock, or let go on.
    #[must_use]
    pub fn lockdown_quorum(&self) -> usize {
        self.lockdown.quorum()
    }

    /// Whether the validator `me` may vote to freeze the chain.
    pub fn may_vote(&self, me: AuthorityIndex) -> Result<(), LockdownRefusal> {
        self.lockdown.may_vote(&self.state.lockdown, me)
    }

    /// Whether the validator `me` may vote to go on from `point`.
    pub fn may_recover(
        &self,
        standing: Standing,
        me: AuthorityIndex,
        point: BlockPoint,
    ) -> Result<(), LockdownRefusal> {
        let state = &self.state.lockdown;
        self.lockdown.may_recover(state, me, point, standing.wall)
    }

    /// The block for which the validator `me` has to vote again.
    #[must_use]
    pub fn repeats_recovery(&self, standing: Standing, me: AuthorityIndex) -> Option<BlockPoint> {
        let state = &self.state.lockdown;
        self.lockdown.repeats(state, me, standing.wall)
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
                let (author, height) = (vote.author, vote.body.point.height);
                let is_first = !known.recovery_votes.contains_key(&author);
                is_first.then_some(JournalEvent::RecoveryVoted { author, height })
            }
            _ => None,
        }
        .filter(|_| self.state.era == known.era)
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
            LockdownEffect::Recovering { point, .. } => {
                let BlockPoint { height, block, .. } = point;
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
