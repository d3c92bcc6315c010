//! Votes to lock the chain and to let it go on: what this validator says, and what it makes of what others say (rule R23).

use crate::io::{Locking, Message, Now, Output};
use crate::replica::Replica;
use holdfast_halt::lockdown::{LockdownInput, LockdownPhase, LockdownRefusal};
use holdfast_halt::manager::{HaltInput, HaltRefusal};
use holdfast_types::lockdown::{LockdownNotice, LockdownStatement, Signed};
use holdfast_types::merkle::merkle_root;
use holdfast_types::{
    AuthorityIndex, BlockPoint, Height, LockdownMessage, LockdownTrigger, LockdownVoteBody,
    QuarantineReportBody, RecoveryVoteBody, Signer, TransactionId,
};
use std::sync::Arc;

/// How long a validator that votes to go on waits for blocks that others say they have, in ms.
const CATCH_UP_MS: u64 = 10_000;

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
            Locking::VoteToGoOn(point) => self.vote_recovery(now, point, out),
        }
    }

    /// Another member's verified statement.
    fn on_lockdown(&mut self, now: Now, message: LockdownMessage, out: &mut Output) {
        let input = match message {
            LockdownMessage::Vote(vote) => LockdownInput::Vote(vote),
            LockdownMessage::Recovery(vote) => LockdownInput::Recovery(vote),
            LockdownMessage::Report(report) => LockdownInput::Report(report),
        };
        self.halt_step(now, HaltInput::Lockdown(input), out);
    }

    /// Verified certificates, of who was there.
    fn on_lockdown_notice(&mut self, now: Now, notice: LockdownNotice, out: &mut Output) {
        let LockdownNotice { lock, recovery } = notice;
        let input = match recovery {
            Some(recovery) => LockdownInput::RecoveryCertificate(lock, recovery),
            None => LockdownInput::Certificate(lock),
        };
        self.halt_step(now, HaltInput::Lockdown(input), out);
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

    /// This validator votes to go on from a block. None: from its head, once it has executed all that its DAG has decided and
    /// nobody is known to be higher, or has waited for that long enough.
    fn vote_recovery(&mut self, now: Now, point: Option<BlockPoint>, out: &mut Output) {
        let verdict = match point {
            Some(point) => self.try_vote_recovery(now, point, out),
            None => self.want_recovery(now),
        };
        out.verdicts.push(verdict);
        self.recover_from_head(now, out);
    }

    fn want_recovery(&mut self, now: Now) -> Verdict {
        let (me, _) = self.voter()?;
        let (standing, head) = (self.halts.standing(now), self.own_point());
        let may = self.halts.manager.may_recover(standing, me, head);
        may.map_err(HaltRefusal::Lockdown)?;
        self.halts.wants_recovery_ms.get_or_insert(now.monotonic_ms);
        Ok(())
    }

    /// Whether this validator wants to go on, and has to execute what was decided before it can say from where. Where another halt
    /// holds nothing is executed.
    #[must_use]
    pub fn catches_up(&self) -> bool {
        self.wants_recovery() && self.halts.manager.state().is_only_locked()
    }

    fn wants_recovery(&self) -> bool {
        let phase = self.halts.manager.state().lockdown.phase();
        self.halts.wants_recovery_ms.is_some() && phase == LockdownPhase::Locked
    }

    /// Names the head, if that is to be the block to go on from.
    fn recover_from_head(&mut self, now: Now, out: &mut Output) {
        if !self.wants_recovery() {
            return;
        }
        let (Some(since_ms), Ok((me, _))) = (self.halts.wants_recovery_ms, self.voter()) else {
            return;
        };
        let head = self.own_point();
        let state = &self.halts.manager.state().lockdown;
        let named = state.recovery_votes.get(&me).map(|vote| vote.body.point);
        let waits = state.highest_said() > head.height && self.catches_up();
        let is_over = now.monotonic_ms.saturating_sub(since_ms) >= CATCH_UP_MS;
        if named != Some(head) && (!waits || is_over) {
            // It stays with what it has named if that is no lower.
            drop(self.try_vote_recovery(now, head, out));
        }
    }

    fn try_vote_recovery(&mut self, now: Now, point: BlockPoint, out: &mut Output) -> Verdict {
        let (me, signer) = self.voter()?;
        let standing = self.halts.standing(now);
        let manager = &self.halts.manager;
        manager
            .may_recover(standing, me, point)
            .map_err(HaltRefusal::Lockdown)?;
        // A quorum may have certified what this key has attested: to go on below it would be to sign against it.
        let attested = self.attested_in_era();
        if point.height < attested {
            let refusal = LockdownRefusal::BelowAttested { attested };
            return Err(HaltRefusal::Lockdown(refusal));
        }
        let body = RecoveryVoteBody {
            era: manager.state().lockdown.era,
            at: now.wall,
            point,
        };
        let vote = Signed::sign(body, me, &self.config.chain, signer.as_ref());
        self.say(
            now,
            LockdownMessage::Recovery(vote),
            LockdownInput::Recovery(vote),
            out,
        )
    }

    /// As whom and with what this node votes.
    fn voter(&self) -> Result<(AuthorityIndex, Arc<dyn Signer>), HaltRefusal> {
        let voter = self.authority().zip(self.signer.clone());
        voter.ok_or(HaltRefusal::Lockdown(LockdownRefusal::NoVoter))
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

    fn attested_in_era(&self) -> Height {
        let guard = self.guard.as_ref();
        let attested = guard.and_then(|guard| guard.record().newest_attestation());
        let attested = attested.filter(|attested| attested.era == self.context.era);
        attested.map_or(Height::ZERO, |attested| attested.height)
    }

    /// Says again what this validator has said, as long as it counts, and how it stands while the chain is locked.
    pub(super) fn tell_lockdown(&mut self, now: Now, repetition: u32, out: &mut Output) {
        let Ok((me, _)) = self.voter() else { return };
        self.renew(now, me, out);
        self.recover_from_head(now, out);
        let state = &self.halts.manager.state().lockdown;
        let mut said = Vec::new();
        match state.phase() {
            LockdownPhase::Normal => {}
            LockdownPhase::Voting => {
                let own = state.votes.get(&me).cloned();
                said.extend(own.map(LockdownMessage::Vote));
            }
            LockdownPhase::Locked | LockdownPhase::Recovering => {
                let own = state.recovery_votes.get(&me).copied();
                said.extend(own.map(LockdownMessage::Recovery));
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
        if let Some(point) = self.halts.manager.repeats_recovery(standing, me) {
            // It may have attested more meanwhile: then its vote ends with its time.
            drop(self.try_vote_recovery(now, point, out));
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
            attested: self.attested_in_era(),
            pending: u64::try_from(ids.len()).unwrap_or(u64::MAX),
            pending_root: merkle_root(&ids),
        }
    }
}
