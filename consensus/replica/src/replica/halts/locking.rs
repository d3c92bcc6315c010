//! Votes to lock the chain and to let it go on: what this validator says, and what it makes of what others say (rule R23).

use crate::io::{Fact, Locking, Message, Now, Output};
use crate::replica::Replica;
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase, LockdownRefusal};
use holdfast_halt::manager::{HaltInput, HaltRefusal};
use holdfast_types::lockdown::{LockdownNotice, LockdownStatement, Signed};
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AttestationBody, AuthorityIndex, BlockPoint, Height, LockdownMessage, LockdownTrigger,
    LockdownVoteBody, NamedResume, QuarantineReportBody, Readiness, RecoveryChoice,
    RecoveryVoteBody, Signer, TransactionId,
};
use std::sync::Arc;

/// How long a validator that votes to go on waits in each attempt for blocks that others say they have, in ms.
const CATCH_UP_MS: u64 = 10_000;
/// How long the first attempt goes on after a quorum takes part, in ms; each later one takes so much longer.
const ATTEMPT_MS: u64 = 5_000;
/// After so many the time of an attempt stays the same.
const ATTEMPTS_LONGER: u64 = 12;

type Verdict = Result<(), HaltRefusal>;

impl Replica {
    pub(in crate::replica) fn on_locking(&mut self, now: Now, locking: Locking, out: &mut Output) {
        match locking {
            Locking::Said(message) => self.on_lockdown(now, *message, out),
            Locking::Notice(notice) => self.on_lockdown_notice(now, *notice, out),
            Locking::VoteToLock { trigger, reason } => {
                let verdict = self.try_vote_lockdown(now, trigger, reason, out);
                out.verdicts.push(verdict);
            }
            Locking::VoteToGoOn => self.want_recovery(now, out),
        }
        self.follow_recovery(now, out);
    }

    /// Another member's verified statement.
    fn on_lockdown(&mut self, now: Now, message: LockdownMessage, out: &mut Output) {
        let input = match message {
            LockdownMessage::Vote(vote) => LockdownInput::Vote(vote),
            LockdownMessage::Recovery(vote) => LockdownInput::Recovery(vote),
            LockdownMessage::Report(report) => LockdownInput::Report(report),
            LockdownMessage::Recovered(certificate) => {
                LockdownInput::RecoveryCertificate(certificate)
            }
        };
        self.halt_step(now, HaltInput::Lockdown(input), out);
    }

    /// Verified certificates, of who was there. Those of the DAG below an emergency take that back first (rule R24).
    fn on_lockdown_notice(&mut self, now: Now, notice: LockdownNotice, out: &mut Output) {
        let era = notice.lock.era();
        let verdict = if era.is_some_and(|era| self.is_of_tail(era)) {
            let is_news = self.locked_below(now, notice);
            is_news.then_some(()).ok_or(HaltRefusal::Known)
        } else {
            self.take_lockdown_notice(now, notice, out)
        };
        out.verdicts.push(verdict);
    }

    pub(in crate::replica) fn take_lockdown_notice(
        &mut self,
        now: Now,
        notice: LockdownNotice,
        out: &mut Output,
    ) -> Verdict {
        let LockdownNotice {
            lock,
            agreed,
            recovery,
        } = notice;
        let certificates = agreed.into_iter().chain(recovery);
        let inputs = std::iter::once(LockdownInput::Certificate(lock))
            .chain(certificates.map(LockdownInput::RecoveryCertificate));
        let mut verdict = Err(HaltRefusal::Known);
        for input in inputs {
            let standing = self.halts.standing(now);
            let transition = self
                .halts
                .manager
                .step(standing, HaltInput::Lockdown(input));
            let news = self.take_effects(now, transition, out);
            verdict = verdict.or(news);
        }
        verdict
    }

    /// This validator votes to freeze the chain.
    fn try_vote_lockdown(
        &mut self,
        now: Now,
        trigger: LockdownTrigger,
        reason: Vec<u8>,
        out: &mut Output,
    ) -> Verdict {
        let (me, signer) = self.voter()?;
        let may = self.halts.manager.may_vote(me);
        may.map_err(HaltRefusal::Lockdown)?;
        let body = LockdownVoteBody {
            era: self.halts.manager.state().lockdown.era,
            at: now.wall,
            trigger,
            reason,
        };
        body.check_limits()
            .map_err(LockdownRefusal::Malformed)
            .map_err(HaltRefusal::Lockdown)?;
        let vote = Signed::sign(body, me, &self.config.chain, signer.as_ref());
        self.say(
            now,
            LockdownMessage::Vote(vote.clone()),
            LockdownInput::Vote(vote),
            out,
        )
    }

    /// This validator votes to go on, once it has executed all that its DAG has decided and nobody is known to be higher, or has
    /// waited for that long enough.
    fn want_recovery(&mut self, now: Now, out: &mut Output) {
        if let Err(refusal) = self.voter() {
            out.verdicts.push(Err(refusal));
            return;
        }
        self.halt_step(now, HaltInput::Lockdown(LockdownInput::WantRecovery), out);
    }

    /// Whether this validator wants to go on, and has to execute what was decided before it can say from where. Where another halt
    /// holds nothing is executed.
    #[must_use]
    pub fn catches_up(&self) -> bool {
        let state = self.halts.manager.state();
        self.wants_recovery() && state.is_only_locked()
    }

    fn wants_recovery(&self) -> bool {
        let state = &self.halts.manager.state().lockdown;
        state.wants_recovery && state.phase() == LockdownPhase::Locked
    }

    /// Signs what is to be signed now to go on (rules KR1 to KR6 of `holdfast_halt::lockdown::recovery`).
    fn follow_recovery(&mut self, now: Now, out: &mut Output) {
        let may_choose = self.wants_recovery() && self.halts.manager.state().may_choose();
        let Some((me, signer)) = self.voter().ok().filter(|_| may_choose) else {
            return;
        };
        self.time_attempt(now, me);
        // Who votes last brings both steps to an end.
        for _ in 0..3 {
            let own = self.recovery_choice(now);
            let is_over = self.is_attempt_over(now);
            let manager = &self.halts.manager;
            let signed = self.guard.as_ref();
            let signed = signed.and_then(|guard| guard.record().recovery);
            let Some(next) = manager.next_vote(me, signed.as_ref(), own, is_over) else {
                return;
            };
            if self.has_attested_against(&next.choice) {
                self.set_readiness(now, Readiness::AttestedAbove, out);
                return;
            }
            let body = next.at(manager.state().lockdown.era, now.wall);
            if !self.say_recovery(now, (me, signer.as_ref()), body, out) {
                return;
            }
            self.time_attempt(now, me);
        }
    }

    /// Looks at how long this attempt goes on, and since when a quorum takes part.
    fn time_attempt(&mut self, now: Now, me: AuthorityIndex) {
        let attempt = self.halts.manager.state().lockdown.attempt_of(me);
        let attempt = attempt.unwrap_or_default();
        let is_same = self.halts.attempt.is_some_and(|(of, _)| of == attempt);
        if !is_same {
            self.halts.attempt = Some((attempt, now.monotonic_ms));
            self.halts.attempt_full_ms = None;
        }
        if self.halts.attempt_full_ms.is_none() && self.halts.manager.is_attempt_full(me) {
            self.halts.attempt_full_ms = Some(now.monotonic_ms);
        }
    }

    /// KR5.
    fn is_attempt_over(&self, now: Now) -> bool {
        let (Some((attempt, _)), Some(full_ms)) = (self.halts.attempt, self.halts.attempt_full_ms)
        else {
            return false;
        };
        let attempts = u64::from(attempt).saturating_add(1).min(ATTEMPTS_LONGER);
        now.monotonic_ms.saturating_sub(full_ms) >= ATTEMPT_MS.saturating_mul(attempts)
    }

    /// What this validator would go on with; none until it can tell.
    fn recovery_choice(&self, now: Now) -> Option<RecoveryChoice> {
        let state = self.halts.manager.state();
        if let Some(message) = &state.resume {
            let point = message.body.action.resume_point()?;
            let resume = Some(NamedResume::of(message, &self.config.chain));
            let is_new_enough = self.config.halts.version >= point.minimum_version;
            return is_new_enough.then_some(RecoveryChoice {
                point: BlockPoint {
                    height: point.height,
                    block: point.block,
                    state_root: point.state_root,
                },
                resume,
            });
        }
        let head = self.own_point();
        let ordered = self
            .dag
            .as_ref()
            .map(holdfast_dag::DagCore::last_commit_index);
        let is_behind = ordered.is_some_and(|ordered| ordered > self.commits.executed);
        let waits = is_behind || state.lockdown.highest_said() > head.height;
        let since_ms = self
            .halts
            .attempt
            .map_or(now.monotonic_ms, |(_, since_ms)| since_ms);
        let is_patient = now.monotonic_ms.saturating_sub(since_ms) < CATCH_UP_MS;
        let resume = None;
        (!waits || !is_patient).then_some(RecoveryChoice {
            point: head,
            resume,
        })
    }

    /// As whom and with what this node votes.
    fn voter(&self) -> Result<(AuthorityIndex, Arc<dyn Signer>), HaltRefusal> {
        let voter = self.authority().zip(self.signer.clone());
        // After its era nobody speaks for it, before the next one begins nobody does for that one.
        let of_era = self.context.era == self.halts.manager.state().lockdown.era;
        let refused = |refusal| Err(HaltRefusal::Lockdown(refusal));
        let guard = self.guard.as_ref();
        if guard.is_some_and(|guard| guard.record().past_unknown) {
            return refused(LockdownRefusal::PastUnknown);
        }
        match voter.filter(|_| of_era) {
            Some(voter) => Ok(voter),
            None => refused(LockdownRefusal::NoVoter),
        }
    }

    /// Signs a vote to go on, as far as the guard allows it (rule R2). False: it does not, or nothing came of it.
    fn say_recovery(
        &mut self,
        now: Now,
        (me, signer): (AuthorityIndex, &dyn Signer),
        body: RecoveryVoteBody,
        out: &mut Output,
    ) -> bool {
        let agreed = self.halts.manager.state().lockdown.agreed_in();
        let Some(guard) = &mut self.guard else {
            return false;
        };
        let before = guard.record().recovery;
        if let Err(refusal) = guard.allow_recovery_vote(&body, agreed) {
            if self.halts.recovery_refused.replace(body.era) != Some(body.era) {
                out.facts.push(Fact::SignRefused {
                    reason: refusal.to_string(),
                });
            }
            return false;
        }
        if guard.record().recovery != before {
            out.persist.push(guard.to_record());
        }
        let vote = Signed::sign(body, me, &self.config.chain, signer);
        let message = LockdownMessage::Recovery(vote);
        let input = LockdownInput::Recovery(vote);
        self.say(now, message, input, out).is_ok()
    }

    /// Raises the guard to the votes to go on that are stored: a crash may have come before that, and they are told again.
    pub(in crate::replica) fn guard_stored_recovery(&mut self, out: &mut Output) {
        let state = &self.halts.manager.state().lockdown;
        let (Some(me), Some(guard)) = (self.authority(), &mut self.guard) else {
            return;
        };
        let votes = [&state.prevotes, &state.precommits].map(|votes| votes.get(&me));
        let bodies = votes.into_iter().flatten().map(|vote| vote.body);
        if guard.raise_to_recovery(bodies) {
            out.persist.push(guard.to_record());
        }
    }

    /// Counts an own statement, and tells it.
    fn say(
        &mut self,
        now: Now,
        message: LockdownMessage,
        input: LockdownInput,
        out: &mut Output,
    ) -> Verdict {
        let standing = self.halts.standing(now);
        let transition = self
            .halts
            .manager
            .step(standing, HaltInput::Lockdown(input));
        self.take_effects(now, transition, out)?;
        out.send.push(Message::Lockdown {
            message,
            repetition: 0,
        });
        Ok(())
    }

    /// Where this node stands.
    fn own_point(&self) -> BlockPoint {
        let body = self.halts.head.body;
        body.map_or_else(BlockPoint::default, |body| BlockPoint {
            height: body.height,
            block: body.block,
            state_root: body.state_root,
        })
    }

    fn attested_in_era(&self) -> Option<AttestationBody> {
        let guard = self.guard.as_ref();
        let attested = guard.and_then(|guard| guard.record().newest_attestation());
        attested.filter(|attested| attested.era == self.context.era)
    }

    /// Whether this key has attested what a choice leaves out: a quorum may have certified it. The block that carries a resume message
    /// out ends the era, so that only this message can still be followed.
    fn has_attested_against(&self, choice: &RecoveryChoice) -> bool {
        let Some(attested) = self.attested_in_era() else {
            return false;
        };
        if !attested.has_no_commit() {
            return choice.point.height < attested.height;
        }
        let state = self.halts.manager.state();
        let built = state.resume.as_ref().filter(|_| state.resume_is_built);
        let is_followed = built
            .zip(choice.resume)
            .is_some_and(|(message, named)| named.is_followed_by(message, &self.config.chain));
        !is_followed
    }

    /// Says again what this validator has said, as long as it counts, and how it stands while the chain is locked.
    pub(super) fn tell_lockdown(&mut self, now: Now, repetition: u32, out: &mut Output) {
        let Ok((me, _)) = self.voter() else { return };
        self.renew(now, me, out);
        self.follow_recovery(now, out);
        let state = &self.halts.manager.state().lockdown;
        let mut said = Vec::new();
        match state.phase() {
            LockdownPhase::Normal => {}
            LockdownPhase::Voting => {
                let own = state.votes.get(&me).cloned();
                said.extend(own.map(LockdownMessage::Vote));
            }
            LockdownPhase::Locked | LockdownPhase::Recovering => {
                if state.wants_recovery && state.recovery.is_none() {
                    let votes = [&state.prevotes, &state.precommits];
                    let own = votes.into_iter().filter_map(|votes| votes.get(&me));
                    said.extend(own.copied().map(LockdownMessage::Recovery));
                }
                // Who has missed the votes of others stands as everybody does.
                let proof = state.recovery.as_ref().or(state.agreed.as_ref());
                said.extend(proof.cloned().map(LockdownMessage::Recovered));
                let report = state.reports.get(&me).copied();
                said.extend(report.map(LockdownMessage::Report));
            }
        }
        out.send
            .extend(said.into_iter().map(|message| Message::Lockdown {
                message,
                repetition,
            }));
    }

    /// What was said and is half-way to its end, or is not true any more, is said anew.
    fn renew(&mut self, now: Now, me: AuthorityIndex, out: &mut Output) {
        let standing = self.halts.standing(now);
        let signer = self.signer.clone();
        for body in self.halts.manager.to_renew(standing, me) {
            if let Some(signer) = &signer {
                self.say_recovery(now, (me, signer.as_ref()), body, out);
            }
        }
        let state = &self.halts.manager.state().lockdown;
        if state.lock.is_none() {
            return;
        }
        let said = state.reports.get(&me).map(|report| report.body);
        let max_age_ms = self.config.halts.manager.lockdown.vote_max_age_ms;
        let is_current = |said: &QuarantineReportBody| {
            let stands = said.head == self.own_point() && said.certified == self.certified;
            stands && now.wall.since(said.at) < max_age_ms / 2
        };
        if said.as_ref().is_some_and(is_current) {
            return;
        }
        let Ok((me, signer)) = self.voter() else {
            return;
        };
        let report = Signed::sign(self.report(now), me, &self.config.chain, signer.as_ref());
        let input = HaltInput::Lockdown(LockdownInput::Report(report));
        self.halt_note(now, input, out);
    }

    /// How this node stands, for everybody to compare.
    fn report(&self, now: Now) -> QuarantineReportBody {
        let ids: Vec<_> = self
            .mempool
            .ids()
            .map(|id| *TransactionId::as_bytes(id))
            .collect();
        QuarantineReportBody {
            era: self.halts.manager.state().lockdown.era,
            at: now.wall,
            head: self.own_point(),
            certified: self.certified,
            attested: self
                .attested_in_era()
                .map_or(Height::ZERO, |attested| attested.height),
            pending: u64::try_from(ids.len()).unwrap_or(u64::MAX),
            pending_root: merkle_root(&ids),
        }
    }
}
