//! Going on after a halt: what a resume message asks of this replica, and whether it can do it (rule R15).

use super::Halts;
use crate::guard::GuardRefusal;
use crate::io::{Fact, Now, Output, ResumeRequest};
use crate::replica::{Replica, SigningState};
use holdfast_halt::journal::JournalEvent;
use holdfast_halt::manager::HaltInput;
use holdfast_halt::matrix::Activity;
use holdfast_types::{AttestationBody, Height, Readiness};

impl Halts {
    fn is_above_target(&self, height: Height) -> bool {
        let target = self.manager.resume_point();
        target.is_some_and(|target| height > target.height)
    }
}

impl Replica {
    /// How many more commits may be executed: all, or as many as lead to the block that a resume message names (H8).
    pub(in crate::replica) fn commits_allowed(&self) -> usize {
        // What was decided before the lockdown is the same for everybody: it is executed before anybody can say from where to go
        // on.
        if self.allows(Activity::Commits) || self.catches_up() {
            return usize::MAX;
        }
        let Some(target) = self.halts.manager.resume_point() else {
            return 0;
        };
        let in_flight = self.commits.in_flight();
        let missing = target.height.since(self.halts.head.height());
        usize::try_from(missing.saturating_sub(in_flight)).unwrap_or(usize::MAX)
    }

    /// Whether the era that is pending may start, now that its anchor is certified: not while a halt holds, unless a quorum
    /// has resumed, whether this node was told of the order or not, or the era leads to the block that governance names.
    pub(in crate::replica) fn may_start_era(&self) -> bool {
        let Some(pending) = &self.pending_era else {
            return false;
        };
        let state = self.halts.manager.state();
        let target = self.halts.manager.resume_point();
        // A lockdown ends with its era, and this one is certified to be over (rule H19 of the manager): what governance orders for a later
        // one waits for nobody.
        let ordered = state.resume.as_ref();
        let ordered = ordered.and_then(|message| message.body.action.resume_point());
        let is_ordered = ordered.is_some_and(|point| point.era >= pending.context.era);
        // The voters of a locked chain may name the last block of their era: then that era is over, and nothing more is built in it.
        let is_on_the_way = target.is_some_and(|target| {
            target.era >= pending.context.era || target.block == pending.context.anchor
        });
        let is_free = self.allows(Activity::VertexProduction) || state.is_only_locked();
        is_on_the_way || is_ordered || pending.is_resume || is_free
    }

    /// Whether the era that is pending is the one that the resume message orders. An era that ended by itself above the
    /// block that the message names is not: its end has to be given up.
    fn is_resume_pending(&self) -> bool {
        let pending = self.pending_era.as_ref();
        let resumed = pending.filter(|pending| pending.is_resume);
        resumed.is_some_and(|pending| self.halts.is_above_target(pending.context.anchor_height))
    }

    /// Rule R15: asks for the block that resumes, unless this node must not be ready. Then it asks whether the message holds.
    pub(super) fn follow_resume(&mut self, now: Now, out: &mut Output) {
        let manager = &self.halts.manager;
        let awaited = manager.state().resume_awaited();
        let is_awaited = awaited.is_some();
        let order = manager.resume_order().or(awaited);
        let Some(order) = order.filter(|_| now.monotonic_ms >= self.halts.resume_at_ms) else {
            return;
        };
        self.halts.resume_at_ms = now
            .monotonic_ms
            .saturating_add(self.config.repeat_interval_ms);
        if self.is_resume_pending() {
            return;
        }
        let why_not = self.why_not_ready();
        if let Some(readiness) = why_not {
            self.set_readiness(now, readiness, out);
        }
        out.resume = Some(Box::new(ResumeRequest {
            order,
            is_ready: why_not.is_none() && !is_awaited,
        }));
    }

    /// The end of an era that was executed in a halt is attested when the halt is over, or when governance names it as the
    /// block to go on from: what ends an era is certified before anything stands on it.
    pub(in crate::replica) fn attest_pending(&mut self, now: Now, out: &mut Output) {
        let open = self
            .pending_era
            .as_ref()
            .filter(|pending| pending.attestation.is_none() && pending.certificate.is_none())
            .filter(|pending| now.monotonic_ms >= pending.attest_from_ms);
        let anchor = open.map(|pending| pending.context.anchor);
        let head = self.halts.head.body;
        let Some(head) = head.filter(|head| Some(head.block) == anchor) else {
            return;
        };
        if self.ends_emergency() {
            if !self.may_vote(&head, out) || !self.is_held(&head, out) {
                return;
            }
            self.vote(&head, out);
            if !self.has_quorum_of_votes() {
                return;
            }
        }
        let mut guard = self.guard.clone();
        if let Some(Err(refusal)) = guard.as_mut().map(|guard| self.raise(guard, &head)) {
            self.tell_refused(&refusal, out);
            return;
        }
        let attestation = self.attest_anchor(&head, out);
        if let (Some(pending), Some(attestation)) = (&mut self.pending_era, attestation) {
            pending.attestation = Some(attestation);
            pending.repeat_at_ms = now.monotonic_ms;
            // It is said for the first time: its repetitions count anew.
            pending.asked = 0;
            self.on_attestation(now, &attestation, out);
        }
    }

    /// The guard does not allow to attest the anchor of the pending era: said once.
    pub(in crate::replica) fn tell_refused(&mut self, refusal: &GuardRefusal, out: &mut Output) {
        if let Some(pending) = &mut self.pending_era
            && !std::mem::replace(&mut pending.is_refused, true)
        {
            out.facts.push(Fact::SignRefused {
                reason: refusal.to_string(),
            });
        }
    }

    /// Whether governance has named this block to go on from.
    pub(in crate::replica) fn is_named(&self, body: &AttestationBody) -> bool {
        let target = self.halts.manager.resume_point();
        target.is_some_and(|target| target.block == body.block)
    }

    /// What this node knows by itself; what the chain says comes as an input.
    fn why_not_ready(&self) -> Option<Readiness> {
        let target = self.halts.manager.resume_point()?;
        if self.halts.manager.state().own_fault.is_some() {
            return Some(Readiness::OwnFault);
        }
        if self.config.halts.version < target.minimum_version {
            return Some(Readiness::OldVersion);
        }
        let attested = self.guard.as_ref()?.record().attestation.as_ref()?;
        // A quorum may have certified what this key has attested: to deny it would be to sign against it.
        let is_above = attested.era == target.era && attested.height > target.height;
        (is_above && !attested.has_no_commit()).then_some(Readiness::AttestedAbove)
    }

    pub(in crate::replica) fn set_readiness(
        &mut self,
        now: Now,
        readiness: Readiness,
        out: &mut Output,
    ) {
        if self.halts.readiness == readiness {
            return;
        }
        self.halts.readiness = readiness;
        self.halts.say_at_ms = now.monotonic_ms;
        let message = self.halts.manager.state().resume.as_ref();
        let message = message.map(|message| message.body.id(&self.config.chain));
        let event = match readiness {
            // To go on after a lockdown is in the journal already.
            Readiness::Ready => message.map(|message| JournalEvent::Ready { message }),
            _ => Some(JournalEvent::NotReady { readiness }),
        };
        if let Some(event) = event {
            self.halt_note(now, HaltInput::Record(event), out);
        }
        out.facts.push(Fact::Readiness(readiness));
    }

    /// Whether this validator may attest the block that resumes, now that it is executed here.
    pub(in crate::replica) fn may_be_ready(&self) -> bool {
        self.why_not_ready().is_none()
    }

    /// An era has begun here: what halted the one before is settled. Software that is older than what the resume message
    /// asks for signs nothing in it.
    pub(in crate::replica) fn halts_of_era_settled(&mut self, now: Now, out: &mut Output) {
        if let Some(target) = self.halts.manager.resume_point()
            && target.era < self.context.era
            && self.config.halts.version < target.minimum_version
            && self.signing == SigningState::Active
        {
            self.signing = SigningState::Stopped(format!(
                "the chain was resumed with software {} or newer, this is {}",
                target.minimum_version, self.config.halts.version
            ));
        }
        let era = self.context.era;
        self.halt_note(now, HaltInput::EraStarted(era), out);
    }
}
